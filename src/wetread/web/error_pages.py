"""What is answered where something is not: a page for people, JSON for programs.

In: what was raised.  Out: an answer.  Never: the inside of a bug; a value that was sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from wetread.errors import (
    AccessError,
    InputError,
    InvalidQuery,
    InvalidRule,
    NoPixels,
    NotAcceptable,
    NotHeld,
    NotNow,
    StateRefused,
    StorageError,
    UnknownModel,
)
from wetread.identity.principal import Obligation
from wetread.web.access import DutyFirst, SignInNeeded
from wetread.web.api.failure import answer_failure, is_api, status_of_invalid
from wetread.web.guard import NO_STORE, SECURITY_HEADERS
from wetread.web.site import Site

#: Whoever asked, or who sent the object, can put it right.
_STATUS: dict[type[Exception], int] = {
    InvalidQuery: 400,
    NotAcceptable: 406,
    NotHeld: 404,
    NotNow: 409,
    StateRefused: 409,
    UnknownModel: 404,
    NoPixels: 404,
    InputError: 422,
    InvalidRule: 422,
    # Neither shown nor changed: what cannot be recorded does not happen.
    StorageError: 503,
    Exception: 500,
}
#: Starlette answers a bug outside of all middleware: the headers must come from here.
_HEADERS = SECURITY_HEADERS | {"Cache-Control": NO_STORE}


@dataclass(frozen=True, slots=True)
class _Answers:
    site: Site

    def answer(self, request: Request, status: int, error: Exception, **more: str) -> Response:
        phrase, headers = HTTPStatus(status).phrase, _HEADERS | more
        if is_api(request.url.path):
            return answer_failure(status, error, headers)
        if _is_for_programs(request):
            return JSONResponse({"error": _told(error) or phrase}, status, headers=headers)
        who = getattr(request.state, "principal", None)
        page = self.site.render("error.html", who, status=status, phrase=phrase)
        return HTMLResponse(page, status, headers=headers)

    def answered(self, status: int) -> Callable[[Request, Exception], Response]:
        return lambda request, error: self.answer(request, status, error)


def add_error_pages(app: FastAPI, site: Site) -> None:
    """Say what is answered to what is raised."""
    answers = _Answers(site)

    @app.exception_handler(HTTPException)
    def http_error(request: Request, error: HTTPException) -> Response:
        return answers.answer(request, error.status_code, error, **(error.headers or {}))

    @app.exception_handler(SignInNeeded)
    def sign_in(request: Request, error: SignInNeeded) -> Response:
        if request.scope.get("method") == "GET" and _is_navigation(request):
            return RedirectResponse(f"/login?{urlencode({'next': _path_of(request)})}", 303)
        return answers.answer(request, 401, error, **{"WWW-Authenticate": 'Bearer realm="wetread"'})

    @app.exception_handler(DutyFirst)
    def duty(request: Request, error: DutyFirst) -> Response:
        if request.scope.get("method") == "GET" and _is_navigation(request):
            is_password = request.state.principal.obligation is Obligation.CHANGE_PASSWORD
            return RedirectResponse("/account" if is_password else "/account/totp", 303)
        return answers.answer(request, 403, error)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        # An address that cannot be one of ours is not found, whatever is wrong with it.
        status = status_of_invalid(error) if is_api(request.url.path) else 404
        return answers.answer(request, status, error)

    for kind, status in _STATUS.items():
        app.add_exception_handler(kind, answers.answered(status))


def _told(error: Exception) -> str:
    """Return what whoever asked can put right, ``""`` where it is nothing of theirs."""
    return str(error) if isinstance(error, AccessError | InputError) else ""


def _is_for_programs(request: Request) -> bool:
    return request.url.path.startswith(("/health", "/dicom-web/", "/wado"))


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
