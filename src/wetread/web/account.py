"""One's own account: password, second factor, what one may do.

In: forms.  Out: the account page.  Never: another account than one's own; a change without the password.
"""

from __future__ import annotations

from typing import Annotated

import segno
from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup

from wetread.errors import AccessError, WeakPassword
from wetread.identity import Permission, Principal, PrincipalKind
from wetread.identity.principal import Obligation
from wetread.identity.sign_in import Attempt
from wetread.identity.totp import new_secret, secret_uri
from wetread.store.accounts import AccountRow
from wetread.web.access import Who, address_of, cookie_name, needs
from wetread.web.login import refusal, set_session
from wetread.web.site import Site

_needs_account = needs(Permission.PAGES, is_for_newcomers=True)


def make_account(site: Site) -> APIRouter:
    """Return the routes of one's own account."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
    _add_password(router, site)
    _add_totp(router, site)
    return router


def _add_password(router: APIRouter, site: Site) -> None:
    @router.get("/account")
    @_needs_account
    def account_page(request: Request, who: Who) -> HTMLResponse:
        return HTMLResponse(_page(site, who, done=request.query_params.get("done", "")))

    @router.post("/account/password")
    @_needs_account
    def change_password(
        request: Request,
        who: Who,
        password: Annotated[str, Form()] = "",
        code: Annotated[str, Form()] = "",
        new: Annotated[str, Form()] = "",
        again: Annotated[str, Form()] = "",
    ) -> Response:
        _require_password(site, who)
        attempt = Attempt(name=who.name, password=password, code=code, address=address_of(request))
        try:
            if new != again:
                raise WeakPassword("The new password was not typed twice alike.")
            site.identity.people.change_own_password(attempt, new, site.identity.now())
        except AccessError as error:
            return refusal(_page(site, who, refused=str(error)), error)
        return _go_on(site, request, who, "password")


def _add_totp(router: APIRouter, site: Site) -> None:
    @router.get("/account/totp")
    @_needs_account
    def totp_page(who: Who) -> HTMLResponse:
        _require_password(site, who)
        return HTMLResponse(_totp_page(site, who, new_secret()))

    @router.post("/account/totp")
    @_needs_account
    def set_up_totp(
        request: Request,
        who: Who,
        secret: Annotated[str, Form()] = "",
        new: Annotated[str, Form()] = "",
        password: Annotated[str, Form()] = "",
        code: Annotated[str, Form()] = "",
    ) -> Response:
        _require_password(site, who)
        attempt = Attempt(name=who.name, password=password, code=code, address=address_of(request))
        try:
            site.identity.people.set_own_totp(attempt, secret, new, site.identity.now())
        except AccessError as error:
            return refusal(_totp_page(site, who, new_secret(), str(error)), error)
        return _go_on(site, request, who, "totp")


def _require_password(site: Site, who: Principal) -> AccountRow:
    """Return the account of somebody who signs in by password; others have nothing to change here."""
    row = site.identity.accounts.find(who.name) if who.kind is PrincipalKind.LOCAL else None
    if row is None:
        raise HTTPException(404)
    return row


def _go_on(site: Site, request: Request, who: Principal, done: str) -> Response:
    """Every session of the account has ended: this browser gets a new one."""
    if who.account_id is None:
        raise HTTPException(404)
    old = request.cookies.get(cookie_name(request), "")
    cookie = site.identity.admit(who.account_id, who.name, address_of(request), old, "password")
    answer = RedirectResponse(f"/account?done={done}", 303)
    set_session(site, request, answer, cookie)
    return answer


def _page(site: Site, who: Principal, *, refused: str = "", done: str = "") -> str:
    is_local = who.kind is PrincipalKind.LOCAL
    return site.render(
        "account.html",
        who,
        me=who,
        refused=refused,
        done=done,
        permissions=[one.value for one in Permission if who.may(one)],
        has_password=is_local,
        has_totp=is_local and bool(_require_password(site, who).totp_secret),
        must_change=who.obligation is Obligation.CHANGE_PASSWORD,
    )


def _totp_page(site: Site, who: Principal, secret: str, refused: str = "") -> str:
    picture = segno.make(secret_uri(secret, who.name), micro=False)
    return site.render(
        "totp.html",
        who,
        secret=secret,
        grouped=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        refused=refused,
        has_totp=bool(_require_password(site, who).totp_secret),
        must_set_up=who.obligation is Obligation.SET_UP_TOTP,
        # Made by us from letters and digits: nothing in it to escape.
        picture=Markup(picture.svg_inline(scale=5, border=3, dark="#000", light="#fff")),  # noqa: S704
    )
