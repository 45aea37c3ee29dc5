"""Put the pages together.

In: store, models, hooks.  Out: a FastAPI application.  Never: a bind address (that is the server's).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from wetread.domain.model import Model
from wetread.errors import (
    AccessError,
    InputError,
    InvalidQuery,
    NoPixels,
    NotAcceptable,
    NotHeld,
    StorageError,
)
from wetread.identity import Identity, make_identity
from wetread.identity.principal import Obligation
from wetread.receive.stow import Stow
from wetread.store import Store
from wetread.web.access import Doorkeeper, DutyFirst, SignInNeeded
from wetread.web.account import make_account
from wetread.web.api import make_api
from wetread.web.deliveries import make_deliveries
from wetread.web.dicomweb import make_dicomweb
from wetread.web.documents import make_documents
from wetread.web.guard import LOOPBACK_HOSTS, NO_STORE, SECURITY_HEADERS, Guard
from wetread.web.live import Pulse
from wetread.web.login import make_login
from wetread.web.pages import make_pages
from wetread.web.site import Site, load_templates
from wetread.web.stow import make_stow
from wetread.web.study import StudyViews
from wetread.web.trail import WebTrail
from wetread.web.wado_uri import make_wado_uri

#: How often the index is asked for changes: with the fetch well under a second to the screen.
POLL_S = 0.5


#: Our forms have a handful of fields; whatever brings more says so itself.
LARGEST_BODY = 64 * 1024
#: Whoever asked, or who sent the object, can put it right.
_STATUS = {InvalidQuery: 400, NotAcceptable: 406, NotHeld: 404, NoPixels: 404, InputError: 422}


def _utc_now() -> datetime:
    return datetime.now(UTC)


def create_web(
    store: Store,
    models: Mapping[str, Model],
    *,
    identity: Identity | None = None,
    on_retry: Callable[[], None] | None = None,
    audit_backlog: Callable[[], tuple[int, str]] | None = None,
    stow: Stow | None = None,
    allowed_hosts: Iterable[str] = (),
    needs_https: bool = False,
    poll_s: float = POLL_S,
    now: Callable[[], datetime] = _utc_now,
) -> FastAPI:
    """Return the application: reading list, study pages, JSON.

    Parameters
    ----------
    models
        Registered models by name: titles, and which ones a study was not considered for.
    identity
        Who is asking; None: by the accounts of the store, with the usual limits.
    on_retry
        Called when refused or failed deliveries wait again because somebody wants it;
        None: no such button.
    audit_backlog
        Asked how many entries of the audit trail wait for their collector, and why; None: there is none.
    stow
        Takes what is handed in by STOW-RS; None: nothing is.
    allowed_hosts
        Host names beside loopback under which the pages may be asked for.
    needs_https
        Whether pages under those names are refused where the last stretch was not HTTPS.
    poll_s
        How often the index is asked for changes, seconds.

    Notes
    -----
    ``app.state.pulse.stop()`` ends the open event streams: call it before the server is told to
    stop, which otherwise waits for them.
    """
    site = Site(
        store=store,
        identity=identity or make_identity(store, now, record=store.audit.record),
        trail=WebTrail(store.audit, now),
        views=StudyViews(store, models),
        templates=load_templates(),
        pulse=Pulse(store.history.pulse, poll_s),
        now=now,
        on_retry=on_retry,
        audit_backlog=audit_backlog,
        stow=stow,
    )
    # FastAPI's own documentation pages load scripts from elsewhere.
    app = FastAPI(
        title="Wetread",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        max_body_size=LARGEST_BODY,
        dependencies=[Depends(Doorkeeper(site.identity))],
    )
    app.state.pulse = site.pulse
    app.state.site = site
    makers = (
        *(make_pages, make_deliveries, make_documents, make_api, make_dicomweb, make_stow, make_wado_uri),
        *(make_login, make_account),
    )
    for router in (make(site) for make in makers):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    _add_error_pages(app, site)
    hosts = frozenset(host.strip("[]").lower() for host in allowed_hosts)
    app.add_middleware(Guard, allowed_hosts=LOOPBACK_HOSTS | hosts, needs_https=needs_https)
    return app


def _add_error_pages(app: FastAPI, site: Site) -> None:
    # Starlette answers a bug outside of all middleware: the headers must come from here.
    headers = SECURITY_HEADERS | {"Cache-Control": NO_STORE}

    def answer(request: Request, status: int, told: str = "", **more: str) -> Response:
        phrase = HTTPStatus(status).phrase
        if _is_for_programs(request):
            return JSONResponse({"error": told or phrase}, status, headers=headers | more)
        who = getattr(request.state, "principal", None)
        page = site.render("error.html", who, status=status, phrase=phrase)
        return HTMLResponse(page, status, headers=headers | more)

    @app.exception_handler(HTTPException)
    def http_error(request: Request, error: HTTPException) -> Response:
        return answer(request, error.status_code)

    @app.exception_handler(SignInNeeded)
    def sign_in(request: Request, _: SignInNeeded) -> Response:
        if request.method == "GET" and _is_navigation(request):
            return RedirectResponse(f"/login?{urlencode({'next': _path_of(request)})}", 303)
        return answer(request, 401, **{"WWW-Authenticate": 'Bearer realm="wetread"'})

    @app.exception_handler(DutyFirst)
    def duty(request: Request, _: DutyFirst) -> Response:
        if request.method == "GET" and _is_navigation(request):
            is_password = request.state.principal.obligation is Obligation.CHANGE_PASSWORD
            return RedirectResponse("/account" if is_password else "/account/totp", 303)
        return answer(request, 403)

    def answered(status: int) -> Callable[[Request, Exception], Response]:
        return lambda request, error: answer(request, status, told=_told(error))

    for kind, status in _STATUS.items():
        app.add_exception_handler(kind, answered(status))
    # An address that cannot be one of ours is not found, whatever is wrong with it.
    app.add_exception_handler(RequestValidationError, answered(404))
    # Neither shown nor changed: what cannot be recorded does not happen.
    app.add_exception_handler(StorageError, answered(503))
    app.add_exception_handler(Exception, answered(500))


def _told(error: Exception) -> str:
    """Return what whoever asked can put right, ``""`` where it is nothing of theirs."""
    return str(error) if isinstance(error, AccessError | InputError) else ""


def _is_for_programs(request: Request) -> bool:
    return request.url.path.startswith(("/api/", "/health", "/dicom-web/", "/wado"))


def _is_navigation(request: Request) -> bool:
    """Tell whether somebody opens a page, and not a page or a program something."""
    path = request.url.path
    if path.startswith("/documents/"):
        return "text/html" in request.headers.get("accept", "")
    is_page = not path.startswith(("/api/", "/fragments/", "/events", "/dicom-web/", "/wado"))
    return is_page and "authorization" not in request.headers


def _path_of(request: Request) -> str:
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path
