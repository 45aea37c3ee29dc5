"""The keys of programs, as an administrator makes and revokes them on a page.

In: forms, with the administrator's own password.  Out: tokens, each shown once; all of it in the audit trail.
Never: a token shown again; one made or revoked without the password typed anew; all studies by a slip.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field

from wetread.errors import AccessError, ConfigError, NotNow
from wetread.identity import Role
from wetread.identity.people import check_name
from wetread.identity.tokens import describe_state, read_sources
from wetread.store.tokens import TokenRow
from wetread.web.access import needs
from wetread.web.admin import ADMIN
from wetread.web.eyes import Eyes, Look
from wetread.web.login import refusal
from wetread.web.proof import prove
from wetread.web.site import Site
from wetread.web.words import format_time

_PLAIN = r"^[^\x00-\x1f\x7f]*$"
_OTHERWISE = (
    "Tokens are made and revoked by an administrator with a password here:"
    " `wetread tokens` on the machine does the same."
)


class TokenForm(BaseModel):
    """What the form holds."""

    deed: Literal["make", "revoke"]
    name: str = Field(min_length=1, max_length=64, pattern=_PLAIN)
    role: Role = Role.SERVICE
    #: With commas between them; empty: all.
    sources: str = Field(default="", max_length=1024, pattern=_PLAIN)
    #: Empty: until it is revoked.
    expires_days: str = Field(default="", pattern=r"^([1-9][0-9]{0,3})?$")
    #: Of who asks.
    password: str = Field(default="", max_length=1024)
    code: str = Field(default="", max_length=16)


def make_admin_tokens(site: Site) -> APIRouter:
    """Return the routes of tokens."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @router.get("/admin/tokens")
    @needs(*ADMIN)
    def tokens(eyes: Look) -> HTMLResponse:
        return HTMLResponse(_page(site, eyes))

    @router.post("/admin/tokens")
    @needs(*ADMIN)
    def change_token(eyes: Look, form: Annotated[TokenForm, Form()]) -> Response:
        try:
            prove(eyes, form.password, form.code, _OTHERWISE)
            if form.deed == "make":
                return HTMLResponse(_page(site, eyes, made=(form.name, _make(site, eyes, form))))
            _revoke(site, eyes, form.name)
        except (NotNow, ConfigError) as error:
            return HTMLResponse(_page(site, eyes, form, error.message), 409)
        except AccessError as error:
            return refusal(_page(site, eyes, form, error.message), error)
        return RedirectResponse("/admin/tokens", status_code=303)

    return router


def _make(site: Site, eyes: Eyes, form: TokenForm) -> str:
    now = site.identity.now()
    days = int(form.expires_days) if form.expires_days else None
    return site.identity.tokens.make(
        check_name(form.name),
        form.role,
        now,
        by=eyes.principal.name,
        sources=read_sources(form.sources),
        expires_at=now + timedelta(days=days) if days is not None else None,
    )


def _revoke(site: Site, eyes: Eyes, name: str) -> None:
    if not site.identity.tokens.revoke(name, site.identity.now(), by=eyes.principal.name):
        raise NotNow("No token in use has this name: somebody has revoked it already.")


def _page(
    site: Site,
    eyes: Eyes,
    form: TokenForm | None = None,
    refused: str = "",
    made: tuple[str, str] | None = None,
) -> str:
    now = site.identity.now()
    return site.render(
        "admin_tokens.html",
        eyes.principal,
        tokens=[_describe(row, now) for row in site.identity.tokens.table.list_all()],
        roles=[role.value for role in Role],
        form=form,
        refused=refused,
        made=made,
        can_change=bool(eyes.principal.account_id),
    )


def _describe(row: TokenRow, now: datetime) -> Mapping[str, object]:
    return {
        "name": row.name,
        "role": row.role,
        "sources": ", ".join(row.sources) if row.sources is not None else "all",
        "state": describe_state(row, now),
        "made": format_time(row.created_at),
        "by": row.created_by,
        "expires": format_time(row.expires_at) if row.expires_at is not None else "",
        "used": format_time(row.used_at) if row.used_at is not None else "never",
    }
