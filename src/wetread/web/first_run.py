"""The page that makes the first administrator, and is gone then.

In: a form with the code that the service printed.  Out: an account, signed in.
Never: anything once there is an account; what is patient data.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from wetread.errors import AccessError, ConfigError
from wetread.identity.first_run import FirstRun
from wetread.identity.sign_in import Attempt
from wetread.web.access import address_of, cookie_name, public
from wetread.web.login import refusal, set_session
from wetread.web.site import Site


def make_first_run(site: Site) -> APIRouter:
    """Return the route ``/first-run``."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @router.get("/first-run")
    @public
    def first_run_page() -> HTMLResponse:
        _require(site)
        return HTMLResponse(site.render("first_run.html", refused="", name=""))

    @router.post("/first-run")
    @public
    def make_first(
        request: Request,
        code: Annotated[str, Form(max_length=64)] = "",
        name: Annotated[str, Form(max_length=64)] = "",
        password: Annotated[str, Form(max_length=1024)] = "",
        again: Annotated[str, Form(max_length=1024)] = "",
    ) -> Response:
        first_run = _require(site)
        attempt = Attempt(name=name, password=password, address=address_of(request))
        try:
            first_run.make(code, attempt, again)
        except (AccessError, ConfigError) as error:
            page = site.render("first_run.html", refused=error.message, name=name)
            return refusal(page, error) if isinstance(error, AccessError) else HTMLResponse(page, 401)
        cookie = site.identity.enter(attempt, request.cookies.get(cookie_name(request), ""))
        answer = RedirectResponse("/", 303)
        set_session(site, request, answer, cookie)
        return answer

    return router


def _require(site: Site) -> FirstRun:
    if site.first_run is None or not site.first_run.is_needed():
        raise HTTPException(404)
    return site.first_run
