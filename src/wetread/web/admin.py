"""The pages of administration: how the service is, where results go, what was recorded.

In: requests.  Out: HTML; connections tried.
Never: who a patient is; a change by GET; a setting changed (that is ``wetread.toml``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from wetread.deliver.destination import Destination, Verify
from wetread.deliver.probe import probe as probe_destination
from wetread.dicom.audit_message import describe
from wetread.domain.alert import CallState
from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.domain.probe import Probe
from wetread.domain.study import study_key
from wetread.fetch.pacs import Pacs
from wetread.fetch.probe import probe as probe_pacs
from wetread.identity import Permission
from wetread.store.audit_rows import AuditRows, Entry
from wetread.store.census import take_census
from wetread.web.access import needs
from wetread.web.eyes import Eyes, Look
from wetread.web.pages import PAGE
from wetread.web.site import Site
from wetread.web.words import format_time

#: Who may see these pages.
ADMIN = (*PAGE, Permission.ADMINISTER)
#: Entries of the audit trail that are shown.
SHOWN = 200
#: Events that are looked through for problems.
_RECENT = 200
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerView:
    """One system that we call."""

    name: str
    #: ``destination`` or ``pacs``.
    role: str
    address: str
    #: What it gets, or is asked for.
    told: str
    is_encrypted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryView:
    """One entry of the audit trail."""

    sequence: int
    at: str
    what: str
    outcome: str
    actor: str
    #: ``""``: about none.
    study_key: str
    told: str


class AuditAsked(BaseModel):
    """What the form of the audit trail holds."""

    study: str = Field(default="", pattern="^([0-9a-f]{16})?$")
    actor: str = Field(default="", max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")
    event: AuditEventType | None = None


def make_admin(site: Site) -> APIRouter:
    """Return the routes of administration, but for those of accounts."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
    _add_overview(router, site)
    _add_connections(router, site)
    _add_audit(router, site)
    return router


def _add_overview(router: APIRouter, site: Site) -> None:
    @router.get("/admin")
    @needs(*ADMIN)
    def overview(eyes: Look) -> HTMLResponse:
        eyes.note_query("administration")
        census = take_census(site.store)
        calls = site.store.alerts.list_calls(CallState.WAITING, CallState.FAILED)
        values = {
            "census": census,
            "disk_used": round(100 * (1 - census.disk_free / census.disk_size)) if census.disk_size else 0,
            "free_gib": census.disk_free // _GIB,
            "retention": site.installation.retention,
            "alerts": site.installation.alerts,
            "open_alerts": len(site.store.alerts.list_open()),
            "failed_calls": sum(one.state is CallState.FAILED for one in calls),
            "destinations": eyes.list_destinations(letters=0),
            "workers": census.workers,
            "audit": site.audit_backlog() if site.audit_backlog else None,
            "problems": _problems(site),
        }
        return HTMLResponse(site.render("admin.html", eyes.principal, **values))


def _problems(site: Site) -> list[dict[str, str]]:
    """Return what went wrong lately, without the sentences: they may name the patient."""
    return [
        {
            "at": format_time(one.at.timestamp()),
            "stage": one.stage,
            "code": one.code,
            "key": study_key(one.study_instance_uid) if one.study_instance_uid else "",
        }
        for one in site.store.history.list_newest(_RECENT)
        if one.level == "problem"
    ][:20]


def _add_connections(router: APIRouter, site: Site) -> None:
    @router.get("/admin/connections")
    @needs(*ADMIN)
    def connections(eyes: Look) -> HTMLResponse:
        return HTMLResponse(_connections(site, eyes))

    @router.post("/admin/connections/test")
    @needs(*ADMIN)
    def test_connection(
        eyes: Look,
        role: Annotated[str, Form(pattern="^(destination|pacs)$")],
        name: Annotated[str, Form(max_length=256)],
    ) -> HTMLResponse:
        found = _probe(site, eyes, role, name)
        return HTMLResponse(_connections(site, eyes, (role, name), found))


def _probe(site: Site, eyes: Eyes, role: str, name: str) -> tuple[Probe, ...]:
    # Only what is configured is called: a form names nobody else.
    if role == "destination":
        for destination in site.installation.destinations:
            if destination.name == name:
                eyes.note_query(f"test of the destination {name}")
                return probe_destination(destination)
    else:
        for pacs in site.installation.pacs:
            if pacs.name == name:
                eyes.note_query(f"test of the PACS {name}")
                return probe_pacs(pacs)
    raise HTTPException(404)


def _connections(
    site: Site, eyes: Eyes, tested: tuple[str, str] = ("", ""), found: tuple[Probe, ...] = ()
) -> str:
    peers = [
        *map(_destination_view, site.installation.destinations),
        *map(_pacs_view, site.installation.pacs),
    ]
    return site.render("admin_connections.html", eyes.principal, peers=peers, tested=tested, found=found)


def _destination_view(one: Destination) -> PeerView:
    who = f"{one.aet}@" if one.aet else ""
    is_asked = one.verify is not Verify.NONE
    asked = f"asked afterwards by {one.verify.value}" if is_asked else "not asked afterwards"
    return PeerView(
        name=one.name,
        role="destination",
        address=f"{who}{one.host}:{one.port}",
        told=f"gets {', '.join(kind.value for kind in one.kinds)}; {asked}",
        is_encrypted=one.tls,
    )


def _pacs_view(one: Pacs) -> PeerView:
    ways = [
        f"search {one.search.value}" if one.search else "",
        f"fetch {one.retrieve.value}" if one.retrieve else "",
    ]
    ways += ["watched" if one.watch.on else "", "priors" if one.priors.on else ""]
    return PeerView(
        name=one.name,
        role="pacs",
        address=" ".join(part for part in (one.to, one.dicomweb_url) if part),
        told=", ".join(way for way in ways if way),
        is_encrypted=one.needs_tls,
    )


def _add_audit(router: APIRouter, site: Site) -> None:
    def render(
        eyes: Eyes, asked: AuditAsked, entries: list[EntryView] | None, told: str = ""
    ) -> HTMLResponse:
        kinds = {one.value: one.name.replace("_", " ").lower() for one in AuditEventType}
        page = site.render(
            "admin_audit.html", eyes.principal, asked=asked, entries=entries, kinds=kinds, told=told
        )
        return HTMLResponse(page)

    @router.get("/admin/audit")
    @needs(*ADMIN)
    def audit_page(eyes: Look) -> HTMLResponse:
        return render(eyes, AuditAsked(), None)

    @router.post("/admin/audit")
    @needs(*ADMIN)
    def search_audit(eyes: Look, asked: Annotated[AuditAsked, Form()]) -> HTMLResponse:
        study = ""
        if asked.study:
            row = site.store.studies.find_by_key(asked.study)
            if row is None:
                return render(eyes, asked, [], "There is no study of this key here now.")
            study = row.study_instance_uid
        # First, so that the answer shows who asked.
        site.store.audit.record(_used(eyes))
        rows = AuditRows(site.store.engine)
        event = asked.event.value if asked.event else ""
        found = rows.list_last(SHOWN, study=study, actor=asked.actor.strip(), event=event)
        return render(eyes, asked, [_entry(one) for one in reversed(found)])


def _used(eyes: Eyes) -> AuditEvent:
    """Somebody read the trail (PS3.15 A.5.3.2)."""
    who = Actor(user_id=eyes.principal.name, is_requestor=True, address=eyes.visitor.address)
    return AuditEvent(
        type=AuditEventType.AUDIT_LOG_USED,
        action=AuditAction.READ,
        at=eyes.site.now(),
        actors=(who,),
        description="The audit trail was searched on its page.",
    )


def _entry(entry: Entry) -> EntryView:
    what, outcome, actor, study, told = describe(entry.message)
    uid = "" if study == "-" else study
    return EntryView(
        sequence=entry.sequence,
        at=format_time(entry.at),
        what=what,
        outcome=outcome.partition(" ")[2],
        actor=actor,
        study_key=study_key(uid) if uid else "",
        # A UID leads to the patient for who can ask the PACS.
        told=told.replace(uid, "…") if uid else told,
    )
