"""Accounts, as an administrator changes them on a page.

In: forms, with the administrator's own password.  Out: changed accounts, each change in the audit trail.
Never: a change without the password typed anew; a service without an administrator; a password shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field

from wetread.errors import AccessError, ConfigError, NotNow
from wetread.identity import Role
from wetread.identity.people import People
from wetread.store.accounts import AccountRow
from wetread.web.access import needs
from wetread.web.admin import ADMIN
from wetread.web.eyes import Eyes, Look
from wetread.web.login import refusal
from wetread.web.proof import prove
from wetread.web.site import Site

#: No control characters.
_PLAIN = r"^[^\x00-\x1f\x7f]*$"
#: What somebody can be made here; programs get tokens, by command.
ROLES = tuple(role for role in Role if role is not Role.SERVICE)
_NO_ACCOUNT = "There is no account yet: the first administrator is made on /first-run."
_OTHERWISE = (
    "Accounts are changed by an administrator with a password here:"
    " `wetread users add NAME --role administrator` on the machine makes one."
)


class Deed(StrEnum):
    """What can be done to an account."""

    ADD = "add"
    DISABLE = "disable"
    ENABLE = "enable"
    UNLOCK = "unlock"
    SET_ROLE = "set-role"
    RESET_PASSWORD = "reset-password"  # noqa: S105 - a word, not a secret
    RESET_TOTP = "reset-totp"
    REQUIRE_TOTP = "require-totp"


class AccountForm(BaseModel):
    """What the form holds."""

    deed: Deed
    name: str = Field(min_length=1, max_length=64, pattern=_PLAIN)
    role: Role = Role.RADIOLOGIST
    display_name: str = Field(default="", max_length=128, pattern=_PLAIN)
    #: For ``add`` and ``reset-password``: must be changed at once.
    new: str = Field(default="", max_length=1024)
    #: Of who asks.
    password: str = Field(default="", max_length=1024)
    code: str = Field(default="", max_length=16)


def make_admin_accounts(site: Site) -> APIRouter:
    """Return the routes of accounts."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @router.get("/admin/accounts")
    @needs(*ADMIN)
    def accounts(eyes: Look) -> HTMLResponse:
        return HTMLResponse(_page(site, eyes))

    @router.post("/admin/accounts")
    @needs(*ADMIN)
    def change_account(eyes: Look, form: Annotated[AccountForm, Form()]) -> Response:
        try:
            has_accounts = site.identity.accounts.has_any()
            prove(eyes, form.password, form.code, _OTHERWISE if has_accounts else _NO_ACCOUNT)
            _require_administrator(site, form)
            _DEEDS[form.deed](site.identity.people, form, site.identity.now(), eyes.principal.name)
        except (NotNow, ConfigError) as error:
            return HTMLResponse(_page(site, eyes, form, error.message), 409)
        except AccessError as error:
            return refusal(_page(site, eyes, form, error.message), error)
        return RedirectResponse("/admin/accounts", status_code=303)

    return router


def _require_administrator(site: Site, form: AccountForm) -> None:
    """Refuse what would leave nobody who can let others in."""
    is_loss = form.deed is Deed.DISABLE or (
        form.deed is Deed.SET_ROLE and form.role is not Role.ADMINISTRATOR
    )
    if not is_loss or site.identity.oidc is not None:
        return
    name = site.identity.people.get(form.name).name
    others = [
        row
        for row in site.identity.accounts.list_all()
        if row.is_active and row.role == Role.ADMINISTRATOR and row.name != name
    ]
    if not others:
        raise NotNow("Nobody else is an active administrator: add one first.")


def _add(people: People, form: AccountForm, now: datetime, by: str) -> None:
    people.add(
        form.name,
        form.role,
        form.new,
        now,
        by=by,
        display_name=form.display_name.strip(),
        must_change_password=True,
    )


_Change = Callable[[People, AccountForm, datetime, str], None]
_DEEDS: Mapping[Deed, _Change] = {
    Deed.ADD: _add,
    Deed.DISABLE: lambda people, form, now, by: people.set_active(form.name, False, now, by=by),
    Deed.ENABLE: lambda people, form, now, by: people.set_active(form.name, True, now, by=by),
    Deed.UNLOCK: lambda people, form, now, by: people.unlock(form.name, now, by=by),
    Deed.SET_ROLE: lambda people, form, now, by: people.set_role(form.name, form.role, now, by=by),
    Deed.RESET_PASSWORD: lambda people, form, now, by: people.reset_password(form.name, form.new, now, by=by),
    Deed.RESET_TOTP: lambda people, form, now, by: people.reset_totp(form.name, now, by=by),
    Deed.REQUIRE_TOTP: lambda people, form, now, by: people.require_totp(form.name, True, now, by=by),
}


def _page(site: Site, eyes: Eyes, form: AccountForm | None = None, refused: str = "") -> str:
    now = site.identity.now()
    return site.render(
        "admin_accounts.html",
        eyes.principal,
        accounts=[_describe(row, now) for row in site.identity.accounts.list_all()],
        roles=[role.value for role in ROLES],
        deeds=[one.value for one in Deed if one is not Deed.ADD],
        form=form,
        refused=refused,
        can_change=bool(eyes.principal.account_id),
    )


def _describe(row: AccountRow, now: datetime) -> Mapping[str, object]:
    is_locked = row.locked_until is not None and now.timestamp() < row.locked_until
    how = "OpenID Connect" if row.subject else "password and app" if row.totp_secret else "password"
    return {
        "name": row.name,
        "display_name": row.display_name,
        "role": row.role,
        "sources": ", ".join(row.sources) if row.sources is not None else "all",
        "state": "disabled" if not row.is_active else "locked" if is_locked else "active",
        "how": how,
        "must": [
            told
            for is_due, told in (
                (row.must_change_password, "must change the password"),
                (row.must_use_totp and not row.totp_secret, "must set up an app"),
            )
            if is_due
        ],
    }
