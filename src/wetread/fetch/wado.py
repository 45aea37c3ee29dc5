"""WADO-RS: fetch objects over HTTP.

In: a ``Pacs``, what is wanted.  Out: objects with ``Taking``, as they are stored at the PACS.
Never: a whole study in memory; a body that is read on where nobody wants it.

References
----------
PS3.18 10.4 (retrieve), 8.7.3.5.2 (transfer syntax of what is retrieved).
"""

from __future__ import annotations

from http.client import HTTPException, HTTPResponse
from urllib.parse import quote

from wetread.errors import RetrieveRefused
from wetread.fetch.retrieval import Retrieval, Wanted
from wetread.fetch.suboperations import Transfer
from wetread.fetch.taking import Taking
from wetread.fetch.web import open_answer

_PIECE = 256 << 10
#: As stored, whatever that is.
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def retrieve_study(transfer: Transfer, taking: Taking) -> Retrieval:
    """Fetch by WADO-RS; raises ``PeerError`` where the PACS does not answer or refuses."""
    total = Retrieval()
    for series, uids in transfer.wanted.iter_requests(most_named=1):
        transfer.stopper.check()
        before = transfer.count()
        with open_answer(transfer.pacs, _path(transfer.wanted, series, uids), _ACCEPT) as answer:
            if answer is None:
                total.failed += 1
                total.status = total.status or "404"
                continue
            _take(transfer, taking, answer)
        total.completed += transfer.count() - before
    return total


def _path(wanted: Wanted, series: str, uids: tuple[str, ...]) -> str:
    path = f"/studies/{quote(wanted.study_instance_uid)}"
    return f"{path}/series/{quote(series)}/instances/{quote(uids[0])}" if uids else path


def _take(transfer: Transfer, taking: Taking, answer: HTTPResponse) -> None:
    encoding = answer.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("", "identity"):
        raise RetrieveRefused(
            "The PACS sends a compressed body, which was not asked for.", encoding=encoding[:32]
        )
    try:
        body = taking.open_body(answer.headers.get("Content-Type", ""))
        while data := answer.read1(_PIECE):
            transfer.stopper.check()
            body.feed(data)
        # ``http.client`` tells a body that ends too early by its length, or by its last boundary.
        if answer.length:
            raise transfer.pacs.callee.unreachable("broke off in the middle of a body.")
        body.end()
    except ValueError as error:
        raise RetrieveRefused(f"The PACS answers what is no study: {error}") from error
    except (OSError, HTTPException) as error:
        what = "broke off in the middle of a body."
        raise transfer.pacs.callee.unreachable(what, reason=type(error).__name__) from error
