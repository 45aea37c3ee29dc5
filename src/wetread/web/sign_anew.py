"""A signature of who signs in by OpenID Connect: the provider asks them anew, then that text is signed.

In: the form of a report; what the provider sent back.  Out: a draft that is kept; a signed report.
Never: a signature on another text than was shown, by somebody else than who is signed in, or twice.

The text is kept as a draft before the browser leaves, so that it is there whatever happens on the way. What
is to be signed goes along as the draft's number and the digest of the text, sealed in a cookie; a newer
draft, a newer revision of the study or another text refuses.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import asdict, dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from wetread.domain.report import Report, Section
from wetread.errors import AccessError, NotNow, ProviderRefused
from wetread.identity import Permission, Principal, PrincipalKind, trail
from wetread.identity.oidc import ANEW_S, OpenIdConnect
from wetread.web.access import address_of, cookie_name, needs, proof_of
from wetread.web.eyes import Eyes, Look
from wetread.web.pages import PAGE, Key
from wetread.web.report import LARGEST_BODY, Written, keep_signed, make_draft, make_signed, show_again
from wetread.web.site import Site
from wetread.web.trail import Visitor

_KEY = re.compile("[0-9a-f]{16}")
_NO_PROVIDER = "This account signs with its password."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    """What somebody is about to sign."""

    study_instance_uid: str
    account_id: int
    #: Number of the draft that holds the text.
    version: int
    #: Of the study, as the page showed it.
    revision: int
    digest: str


def make_sign_anew(site: Site) -> APIRouter:
    """Return the routes."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @router.post("/studies/{key}/sign-anew", max_body_size=LARGEST_BODY)
    @needs(*PAGE, Permission.REPORT)
    def sign_anew(request: Request, eyes: Look, key: Key, written: Annotated[Written, Form()]) -> Response:
        row = eyes.find_study(key)
        draft = make_draft(site, eyes, row, written)
        try:
            oidc, account_id = _require_provider(site, eyes.principal)
            report = make_signed(site, eyes, row, written.sections(Section), written.revision)
            proposed = site.views.propose(row).sentences
            sections = {one: text for one, text in draft.sections.items() if one in _sections_of(report)}
            kept = site.store.reports.save(
                replace(draft, sections=sections, proposed=proposed), seen=written.seen
            )
            pending = _Pending(
                study_instance_uid=row.study_instance_uid,
                account_id=account_id,
                version=kept.id,
                revision=written.revision,
                digest=_digest(report),
            )
            uri = str(request.url_for("come_from_provider"))
            started = oidc.begin(uri, json.dumps(asdict(pending)), is_anew=True)
        except AccessError as error:
            return show_again(site, eyes, key, error.message, draft)
        # No redirect: a form of ours is sent to no other host, nor may its answer send it there.
        page = site.render("sign_anew.html", eyes.principal, url=started.url, title=oidc.settings.title)
        answer = HTMLResponse(page, headers={"Refresh": f"0; url={started.url}"})
        answer.set_cookie(
            pending_cookie(request),
            f"{key}.{started.pending}",
            max_age=ANEW_S,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return answer

    return router


def finish_signature(site: Site, request: Request) -> Response:
    """Sign what somebody was sent to the provider for, and show the report; or say why not."""
    key, _, pending = request.cookies.get(pending_cookie(request), "").partition(".")
    answer = RedirectResponse(_finish(site, request, key, pending), 303)
    answer.delete_cookie(
        pending_cookie(request), secure=request.url.scheme == "https", httponly=True, samesite="lax"
    )
    return answer


def pending_cookie(request: Request) -> str:
    """Return the name of the cookie that waits for the way back."""
    return f"{cookie_name(request)}-sign"


def _finish(site: Site, request: Request, key: str, pending: str) -> str:
    """Return where to go."""
    identity, address = site.identity, address_of(request)
    who = identity.resolve(proof_of(request, is_background=False))
    if _KEY.fullmatch(key) is None:
        return "/"
    page = f"/studies/{key}"
    if who is None:
        return f"/login?next={page}"
    try:
        oidc, account_id = _require_provider(site, who)
        person = oidc.finish(pending, request.query_params, identity.now(), is_anew=True)
    except AccessError as error:
        told = f"OpenID Connect, to sign a report: {error.message}"
        identity.record(trail.not_signed_in(who.name, address, identity.now(), told))
        return f"{page}?unsigned=provider"
    asked = _Pending(**json.loads(person.wanted))
    try:
        who = identity.prove_by_provider(who, person, address)
    except ProviderRefused:
        return f"{page}?unsigned=person"
    may_sign = all(who.may(one) for one in (*PAGE, Permission.REPORT))
    if not may_sign or asked.account_id != account_id:
        return f"{page}?unsigned=person"
    eyes = Eyes(site=site, visitor=Visitor(principal=who, address=address))
    return page + _sign(site, eyes, key, asked)


def _sign(site: Site, eyes: Eyes, key: str, pending: _Pending) -> str:
    """Return what is added to the address of the page: ``""`` where it was signed."""
    row = eyes.find_study(key)
    if row.study_instance_uid != pending.study_instance_uid:
        raise HTTPException(404)
    newest = site.store.reports.list_for_study(row.study_instance_uid)[-1:]
    if [one.id for one in newest] != [pending.version]:
        return "?unsigned=changed"
    try:
        report = make_signed(site, eyes, row, newest[0].sections, pending.revision)
        if not hmac.compare_digest(_digest(report), pending.digest):
            return "?unsigned=changed"
        keep_signed(site, eyes, row, report, seen=pending.version)
    except NotNow:
        return "?unsigned=study"
    return ""


def _require_provider(site: Site, who: Principal) -> tuple[OpenIdConnect, int]:
    oidc = site.identity.oidc
    if oidc is None or who.kind is not PrincipalKind.OIDC or who.account_id is None:
        raise NotNow(_NO_PROVIDER)
    return oidc, who.account_id


def _sections_of(report: Report) -> set[Section]:
    """Return what belongs to the draft of what is signed: of an addendum nothing else."""
    return {Section.ADDENDUM} if Section.ADDENDUM in report.sections else set(Section)


def _digest(report: Report) -> str:
    """Return the digest of what is signed, whoever signs it and when."""
    said = [report.study_instance_uid, report.revision, report.state.value, sorted(report.sections.items())]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
