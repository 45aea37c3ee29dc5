"""HTTP as we speak it to a PACS.

In: a ``Pacs``, a path.  Out: an open answer.
Never: a redirect to another place, which would get token and question; an answer without a time limit.
"""

from __future__ import annotations

import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPException, HTTPResponse
from typing import Any

from wetread.errors import ConfigError, PeerNotTrusted, QueryRefused
from wetread.fetch.pacs import Pacs

_MOST_TOKEN = 64 << 10
NOTHING_FOUND = (204, 404)


class _SamePlace(urllib.request.HTTPRedirectHandler):
    """Follows redirects on one server only."""

    def redirect_request(self, req: urllib.request.Request, *arguments: Any) -> Any:
        """Return the next request, None where it leads elsewhere."""
        before, after = (urllib.parse.urlsplit(url) for url in (req.full_url, arguments[-1]))
        if (before.scheme, before.netloc) != (after.scheme, after.netloc):
            return None
        return super().redirect_request(req, *arguments)


@contextmanager
def open_answer(pacs: Pacs, path: str, accept: str) -> Iterator[HTTPResponse | None]:
    """Ask by GET and yield the answer, None where the PACS says that it has nothing.

    Raises
    ------
    PeerUnreachable, PeerNotTrusted, QueryRefused
        If it does not answer, or refuses.
    """
    url = pacs.dicomweb_url.rstrip("/") + path
    headers = {"Accept": accept} | _authorization(pacs)
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http(s) only, by Pacs
    try:
        with _opener(pacs).open(request, timeout=pacs.timeout_s) as answer:
            yield None if answer.status in NOTHING_FOUND else answer
    except urllib.error.HTTPError as error:
        with error:
            if error.code not in NOTHING_FOUND:
                raise QueryRefused(pacs=pacs.name, status=error.code) from error
        yield None
    except (OSError, HTTPException) as error:
        found = pacs.callee.connection_error(error) if isinstance(error, OSError) else None
        if isinstance(found, PeerNotTrusted):
            raise found from error
        # Its text may quote what the PACS answered.
        what = "does not answer by DICOMweb: check its address and the network."
        raise pacs.callee.unreachable(what, reason=type(error).__name__) from error


def _opener(pacs: Pacs) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [_SamePlace()]
    if pacs.dicomweb_url.startswith("https://"):
        handlers.append(urllib.request.HTTPSHandler(context=_context(pacs)))
    return urllib.request.build_opener(*handlers)


def _context(pacs: Pacs) -> ssl.SSLContext:
    # As they are now: a renewed certificate needs no restart.
    return replace(pacs.callee, tls=pacs.client_tls).tls_context()


def _authorization(pacs: Pacs) -> dict[str, str]:
    return {"Authorization": f"Bearer {read_token(pacs)}"} if pacs.token_file else {}


def read_token(pacs: Pacs) -> str:
    """Return the bearer token, read anew each time: who renews it restarts nothing.

    Raises
    ------
    PeerNotTrusted
        If the file cannot be used; what waits goes on waiting.
    """
    try:
        check_token(pacs)
        assert pacs.token_file is not None  # noqa: S101 - by the caller
        return pacs.token_file.read_text(encoding="ascii").strip()
    except (ConfigError, OSError, ValueError) as error:
        raise PeerNotTrusted(
            "The token of the PACS cannot be read: mend token_file.", pacs=pacs.name
        ) from error


def check_token(pacs: Pacs) -> None:
    """Refuse a token that is missing, is none, or lies open to others.

    Raises
    ------
    ConfigError
        If so.
    """
    if pacs.token_file is None:
        return
    try:
        state = pacs.token_file.stat()
        text = pacs.token_file.read_text(encoding="ascii") if state.st_size <= _MOST_TOKEN else ""
    except (OSError, ValueError) as error:
        raise ConfigError("The token of a PACS cannot be read.", pacs=pacs.name) from error
    if state.st_mode & 0o077:
        raise ConfigError("Others can read the token of a PACS: chmod 600.", pacs=pacs.name)
    if not text.strip() or any(not " " < letter < "\x7f" for letter in text.strip()):
        raise ConfigError("The token of a PACS is none: one word, nothing else.", pacs=pacs.name)
