"""Put the pages together.

In: store, models, hooks.  Out: a FastAPI application.  Never: a bind address (that is the server's).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from wetread.domain.model import Model
from wetread.store import Store
from wetread.web.api import make_api
from wetread.web.documents import make_documents
from wetread.web.guard import LOOPBACK_HOSTS, NO_STORE, SECURITY_HEADERS, Guard
from wetread.web.live import Pulse
from wetread.web.pages import make_pages
from wetread.web.site import Site, load_templates
from wetread.web.study import StudyViews

#: How often the index is asked for changes: with the fetch well under a second to the screen.
POLL_S = 0.5


def _utc_now() -> datetime:
    return datetime.now(UTC)


def create_web(
    store: Store,
    models: Mapping[str, Model],
    *,
    on_retry: Callable[[int], None] | None = None,
    allowed_hosts: Iterable[str] = (),
    poll_s: float = POLL_S,
    now: Callable[[], datetime] = _utc_now,
) -> FastAPI:
    """Return the application: reading list, study pages, JSON.

    Parameters
    ----------
    models
        Registered models by name: titles, and which ones a study was not considered for.
    on_retry
        Called with the number of a refused or failed delivery that somebody wants tried again;
        None: no such button.
    allowed_hosts
        Host names beside loopback under which the pages may be asked for.
    poll_s
        How often the index is asked for changes, seconds.

    Notes
    -----
    ``app.state.pulse.stop()`` ends the open event streams: call it before the server is told to
    stop, which otherwise waits for them.
    """
    site = Site(
        store=store,
        views=StudyViews(store, models),
        templates=load_templates(),
        pulse=Pulse(store.history.pulse, poll_s),
        now=now,
        on_retry=on_retry,
    )
    # FastAPI's own documentation pages load scripts from elsewhere.
    app = FastAPI(title="Wetread", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.pulse = site.pulse
    for router in (make_pages(site), make_documents(site), make_api(site)):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    _add_error_pages(app, site)
    hosts = frozenset(host.strip("[]").lower() for host in allowed_hosts)
    app.add_middleware(Guard, allowed_hosts=LOOPBACK_HOSTS | hosts)
    return app


def _add_error_pages(app: FastAPI, site: Site) -> None:
    # Starlette answers a bug outside of all middleware: the headers must come from here.
    headers = SECURITY_HEADERS | {"Cache-Control": NO_STORE}

    def answer(request: Request, status: int) -> Response:
        phrase = HTTPStatus(status).phrase
        if request.url.path.startswith(("/api/", "/health")):
            return JSONResponse({"error": phrase}, status, headers=headers)
        page = site.templates.get_template("error.html").render(status=status, phrase=phrase)
        return HTMLResponse(page, status, headers=headers)

    @app.exception_handler(HTTPException)
    def http_error(request: Request, error: HTTPException) -> Response:
        return answer(request, error.status_code)

    # An address that cannot be one of ours is not found, whatever is wrong with it.
    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, _: RequestValidationError) -> Response:
        return answer(request, 404)

    @app.exception_handler(Exception)
    def bug(request: Request, _: Exception) -> Response:
        return answer(request, 500)
