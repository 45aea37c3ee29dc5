"""Who may talk to the pages, and what a browser may do with them.

In: requests.  Out: the same, or a refusal; answers with security headers.
Never: an answer to a foreign host name (DNS rebinding) or to a form on another site (CSRF).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

#: Names under which this machine is reached by itself.
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
#: Of OHIF, on the addresses of its own files only: it compiles decoders from text, and styles as it goes.
#: It may be framed by our own pages, and neither loads nor tells anything elsewhere. The digests are those of
#: the scripts within its page, as ``web.ohif.prepare`` leaves it.
VIEWER_PREFIX = "/ohif/"
VIEWER_HEADERS = SECURITY_HEADERS | {
    "Content-Security-Policy": (
        "default-src 'self'; "
        "script-src 'self' 'sha256-Ds0n/vlPiOQAFeYNdfCCxOVKFxAZcTNw01Pl0dDOhOE=' "
        "'sha256-8LJodUBvwevfWNpsr9nK1KHVLbkk8x9qkNuwcNyPXf0=' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' blob: data:; worker-src 'self' blob:; frame-src 'self' blob:; "
        "object-src 'self' blob:; form-action 'self'; frame-ancestors 'self'; base-uri 'self'"
    ),
    "X-Frame-Options": "SAMEORIGIN",
}
#: Patient data stays out of the browser's cache.
NO_STORE = "no-store"

#: A year of nothing but HTTPS.
STRICT_TRANSPORT = "max-age=31536000"

RawHeader = tuple[bytes, bytes]


def _raw(name: str, value: str) -> RawHeader:
    # As ASGI has them: in small letters.
    return name.lower().encode(), value.encode()


# Put together once: they go with every answer.
_OURS = {_raw(name, value)[0]: _raw(name, value) for name, value in SECURITY_HEADERS.items()}
_OF_THE_VIEWER = {_raw(name, value)[0]: _raw(name, value) for name, value in VIEWER_HEADERS.items()}
_STRICT = _raw("Strict-Transport-Security", STRICT_TRANSPORT)
_CACHE_CONTROL = _raw("Cache-Control", NO_STORE)

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: No form can send these, and a script of another page only after a question that is never answered (CORS).
_PROGRAMS_TYPES = ("multipart/related", "application/dicom", "application/json")


class Guard:
    """ASGI middleware: checks Host and Origin, adds the headers."""

    def __init__(self, app: ASGIApp, allowed_hosts: frozenset[str], *, needs_https: bool = False) -> None:
        self._app = app
        self._allowed_hosts = allowed_hosts
        self._needs_https = needs_https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse or pass on."""
        if scope["type"] == "websocket":
            refusal = self._check_socket(scope)
            app = WebSocketClose(reason=refusal[:100]) if refusal else self._app
            await app(scope, receive, _without_answers(send))
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = _OF_THE_VIEWER if scope["path"].startswith(VIEWER_PREFIX) else _OURS
                message["headers"] = _guarded(
                    message["headers"], ours.values(), is_encrypted=scope["scheme"] == "https"
                )
            await send(message)

        headers = Headers(scope=scope)
        refusal = check_request(scope["method"], headers, self._allowed_hosts)
        if self._needs_https and not refusal:
            refusal = check_scheme(scope["scheme"], headers)
        app = _refuse(scope["path"], refusal) if refusal else self._app
        await app(scope, receive, send_guarded)

    def _check_socket(self, scope: Scope) -> str:
        """Return why a WebSocket is refused: a page of another site may not open one in our reader's name."""
        headers = Headers(scope=scope)
        refusal = check_request("GET", headers, self._allowed_hosts)
        origin = headers.get("origin", "")
        if origin and not _is_own_origin(origin, headers.get("host", "")):
            refusal = "This connection did not come from our own pages.\n"
        if self._needs_https and not refusal:
            refusal = check_scheme(scope["scheme"], headers)
        return refusal


def _without_answers(send: Send) -> Send:
    """Close a WebSocket that is refused before it opens: uvicorn takes an answer for a bug, and logs it."""

    async def send_closing(message: Message) -> None:
        if message["type"] == "websocket.http.response.start":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        elif message["type"] != "websocket.http.response.body":
            await send(message)

    return send_closing


def _refuse(path: str, refusal: str) -> ASGIApp:
    if path.startswith("/api/"):
        return JSONResponse({"code": "not-allowed", "message": refusal.strip(), "details": []}, 403)
    return PlainTextResponse(refusal, status_code=403)


def check_request(method: str, headers: Headers, allowed_hosts: frozenset[str]) -> str:
    """Return why a request is refused, ``""`` where it is not."""
    host = headers.get("host", "")
    if host_name(host) not in allowed_hosts:
        return "This host name is not allowed: use localhost, or add it to the configuration.\n"
    is_ours = _is_own_origin(headers.get("origin", ""), host) or _is_program(headers)
    if method not in _SAFE_METHODS and not is_ours:
        return "This change did not come from our own pages.\n"
    return ""


def check_scheme(scheme: str, headers: Headers) -> str:
    """Return why a request is refused that may have crossed a network as clear text, ``""`` otherwise."""
    if scheme in ("https", "wss") or host_name(headers.get("host", "")) in LOOPBACK_HOSTS:
        return ""
    return "Use https://. (A proxy in front must send X-Forwarded-Proto, and be in web.trusted_proxies.)\n"


def _is_own_origin(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


def _is_program(headers: Headers) -> bool:
    """Tell whether a program asks: no page of another site can make a browser send this."""
    # A browser says where a change comes from, and has our cookie: a program has neither.
    if any(name in headers for name in ("origin", "cookie", "sec-fetch-site")):
        return "origin" not in headers and _has_token(headers)
    return _has_token(headers) or headers.get("content-type", "").lower().startswith(_PROGRAMS_TYPES)


def _has_token(headers: Headers) -> bool:
    return headers.get("authorization", "").lower().startswith("bearer ")


@lru_cache(maxsize=256)
def host_name(host: str) -> str:
    """Return the name of a Host header without port and brackets; ``""`` where it is malformed."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _guarded(
    headers: Iterable[RawHeader], ours: Iterable[RawHeader], *, is_encrypted: bool
) -> list[RawHeader]:
    """Return an answer's headers with ours, which stand whatever a route has said."""
    said = [(name, value) for name, value in headers if name not in _OURS]
    said += ours
    if is_encrypted:
        said.append(_STRICT)
    if not any(name == _CACHE_CONTROL[0] for name, _ in said):
        said.append(_CACHE_CONTROL)
    return said
