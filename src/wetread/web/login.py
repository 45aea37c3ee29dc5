"""Sign in and out.

In: the form, or what the provider sent back.  Out: a cookie and the page that was wanted.
Never: a hint what was wrong; a redirect to another site; a session that was there before the sign-in.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from wetread.errors import AccessError, TooManyTries
from wetread.identity import Permission, Principal, trail
from wetread.identity.oidc import ANEW, PENDING_S
from wetread.identity.sign_in import Attempt
from wetread.web.access import Who, address_of, cookie_name, needs, public
from wetread.web.sign_anew import finish_signature
from wetread.web.site import Site

_RETRY_AFTER_S = 60


def make_login(site: Site) -> APIRouter:
    """Return the routes of signing in and out."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
    _add_form(router, site)
    _add_provider(router, site)
    return router


def _add_form(router: APIRouter, site: Site) -> None:
    @router.get("/login")
    @public
    def login_page(request: Request) -> Response:
        wanted = safe_path(request.query_params.get("next", ""))
        if site.identity.is_open():
            return RedirectResponse(wanted, 303)
        if site.first_run is not None and site.first_run.is_needed():
            return RedirectResponse("/first-run", 303)
        return HTMLResponse(_page(site, wanted))

    @router.post("/login")
    @public
    def login(
        request: Request,
        name: Annotated[str, Form()] = "",
        password: Annotated[str, Form()] = "",
        code: Annotated[str, Form()] = "",
        next: Annotated[str, Form()] = "",  # noqa: A002 - what the field is called everywhere
    ) -> Response:
        attempt = Attempt(name=name, password=password, code=code, address=address_of(request))
        wanted = safe_path(next)
        try:
            cookie = site.identity.enter(attempt, request.cookies.get(cookie_name(request), ""))
        except AccessError as error:
            return refusal(_page(site, wanted, str(error)), error)
        return _let_in(site, request, cookie, wanted)

    @router.post("/logout")
    @needs(Permission.PAGES, is_for_newcomers=True)
    def logout(request: Request, who: Who) -> Response:
        name = cookie_name(request)
        site.identity.leave(who, request.cookies.get(name, ""), address_of(request))
        answer = RedirectResponse("/login?out=1", 303)
        answer.delete_cookie(name, secure=request.url.scheme == "https", httponly=True)
        # What the browser still holds of us goes too.
        answer.headers["Clear-Site-Data"] = '"cache", "storage"'
        return answer


def _add_provider(router: APIRouter, site: Site) -> None:
    def pending_name(request: Request) -> str:
        return f"{cookie_name(request)}-oidc"

    @router.get("/login/provider")
    @public
    def go_to_provider(request: Request) -> Response:
        oidc = site.identity.oidc
        if oidc is None:
            raise HTTPException(404)
        wanted = safe_path(request.query_params.get("next", ""))
        try:
            started = oidc.begin(_redirect_uri(request), wanted)
        except AccessError as error:
            return refusal(_page(site, wanted, str(error)), error)
        answer = RedirectResponse(started.url, 303)
        # Lax: it must come along when the provider sends the browser back.
        answer.set_cookie(
            pending_name(request),
            started.pending,
            max_age=PENDING_S,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return answer

    @router.get("/login/callback")
    @public
    def come_from_provider(request: Request) -> Response:
        identity, address = site.identity, address_of(request)
        if identity.oidc is None:
            raise HTTPException(404)
        if request.query_params.get("state", "").startswith(ANEW):
            return finish_signature(site, request)
        pending = request.cookies.get(pending_name(request), "")
        old_cookie = request.cookies.get(cookie_name(request), "")
        try:
            person = identity.oidc.finish(pending, request.query_params, identity.now())
            cookie = identity.enter_by_provider(person, address, old_cookie)
        except AccessError as error:
            told = f"OpenID Connect: {error.message}"
            identity.record(trail.not_signed_in(trail.UNKNOWN, address, identity.now(), told))
            answer = refusal(_page(site, "/", str(error)), error)
        else:
            answer = _let_in(site, request, cookie, safe_path(person.wanted))
        answer.delete_cookie(
            pending_name(request), secure=request.url.scheme == "https", httponly=True, samesite="lax"
        )
        return answer


def refusal(page: str, error: AccessError) -> Response:
    """Return a page that says why not, with the status that fits."""
    if isinstance(error, TooManyTries):
        return HTMLResponse(page, 429, headers={"Retry-After": str(_RETRY_AFTER_S)})
    return HTMLResponse(page, 401)


def set_session(site: Site, request: Request, answer: Response, cookie: str) -> None:
    """Give the browser its cookie: for us alone, for as long as it runs, unseen by scripts."""
    # Strict would be lost on the way back from a provider, which begins at another site.
    is_strict = site.identity.oidc is None
    answer.set_cookie(
        cookie_name(request),
        cookie,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict" if is_strict else "lax",
    )


def safe_path(wanted: str) -> str:
    """Return a path of ours, ``/`` for whatever is none: nobody is sent to another site from here."""
    is_path = wanted.startswith("/") and not wanted.startswith(("//", "/\\", "/login", "/logout"))
    if not is_path or not wanted.isprintable() or "\\" in wanted:
        return "/"
    parts = urlsplit(wanted)
    return wanted if not parts.scheme and not parts.netloc else "/"


def _let_in(site: Site, request: Request, cookie: str, wanted: str) -> Response:
    answer = RedirectResponse(wanted, 303)
    set_session(site, request, answer, cookie)
    return answer


def _redirect_uri(request: Request) -> str:
    # The host is one of those that the guard allows.
    return str(request.url_for("come_from_provider"))


def _page(site: Site, wanted: str, refused: str = "", who: Principal | None = None) -> str:
    oidc = site.identity.oidc
    return site.render(
        "login.html",
        who,
        wanted=wanted,
        refused=refused,
        provider=oidc.settings.title if oidc else "",
        has_passwords=oidc is None or site.identity.has_passwords(),
    )
