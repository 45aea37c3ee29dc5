"""The reading list for people: searched and turned over on the server; saved views; alerts on top.

In: forms.  Out: HTML, and the pieces of it that change.
Never: what is searched for in an address or a saved view; a study past ``Eyes``; a change by GET.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Form, HTTPException, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field

from wetread.domain.lifecycle import ModelState
from wetread.errors import NotNow
from wetread.identity import Permission
from wetread.store.reading_list import Kind, Wanted
from wetread.store.saved_views import SavedView
from wetread.web.access import needs
from wetread.web.alerts import view_alerts
from wetread.web.eyes import Eyes, Look
from wetread.web.pages import PAGE, Number, answer_fragment
from wetread.web.site import Site

#: What the list offers to filter by; others are found by the search.
MODALITIES = ("CT", "MR", "DX", "CR", "US", "MG", "XA", "NM", "PT")
BUTTONS = {
    Kind.ALL: "All",
    Kind.STAT: "Stat",
    Kind.URGENT: "Urgent",
    Kind.OVERDUE: "Overdue",
    Kind.FINDINGS: "Findings",
    Kind.NOT_READ: "Not read",
    Kind.IN_PROGRESS: "In progress",
    Kind.TROUBLE: "Delivery trouble",
    Kind.FREE: "Nobody's",
    Kind.MINE: "Mine",
}

#: ``waiting`` or ``reported``.
Show = Literal["waiting", "reported"]
Modality = Annotated[str, Field(pattern="^[A-Z]{0,16}$")]
ViewNumber = Annotated[int, Path(ge=1, lt=2**31)]


class Asked(BaseModel):
    """What the form above the list holds."""

    show: Show = "waiting"
    kind: Kind = Kind.ALL
    #: The button that was pressed, in place of ``kind``.
    press: Kind | None = None
    modality: Modality = ""
    # No control characters: no attribute has them, and PostgreSQL takes no NUL.
    text: str = Field(default="", max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
    page: int = Field(default=1, ge=1, lt=2**31)

    def to_wanted(self) -> Wanted:
        """Return what the store is asked for."""
        return Wanted(
            is_reported=self.show == "reported",
            kind=self.press or self.kind,
            modality=self.modality,
            text=self.text,
        )


class NewView(BaseModel):
    """What the form that keeps a view holds."""

    title: str = Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")
    show: Show = "waiting"
    kind: Kind = Kind.ALL
    modality: Modality = ""


def make_reading_list(site: Site) -> APIRouter:
    """Return the routes of the list."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
    _add_list(router, site)
    _add_fragments(router, site)
    _add_views(router, site)
    _add_alerts(router, site)
    return router


def _add_list(router: APIRouter, site: Site) -> None:
    @router.get("/")
    @needs(*PAGE)
    def reading_list(
        eyes: Look, show: Show = "waiting", view: Annotated[int, Query(ge=0, lt=2**31)] = 0
    ) -> HTMLResponse:
        return HTMLResponse(_render(site, eyes, "list.html", _of_view(site, eyes, view, show), view))

    @router.post("/")
    @needs(*PAGE)
    def find_in_list(eyes: Look, asked: Annotated[Asked, Form()]) -> HTMLResponse:
        return HTMLResponse(_render(site, eyes, "list.html", asked))


def _add_fragments(router: APIRouter, site: Site) -> None:
    @router.get("/fragments/list")
    @needs(*PAGE, is_background=True)
    def list_fragment(request: Request, eyes: Look, show: Show = "waiting") -> Response:
        return answer_fragment(request, _render(site, eyes, "_list.html", Asked(show=show)))

    @router.post("/fragments/list")
    @needs(*PAGE, is_background=True)
    def found_fragment(request: Request, eyes: Look, asked: Annotated[Asked, Form()]) -> Response:
        return answer_fragment(request, _render(site, eyes, "_list.html", asked))


def _add_views(router: APIRouter, site: Site) -> None:
    @router.post("/views")
    @needs(*PAGE)
    def save_view(eyes: Look, new: Annotated[NewView, Form()]) -> Response:
        filters = {"show": new.show, "kind": new.kind.value, "modality": new.modality}
        try:
            number = site.store.saved_views.save(eyes.principal.name, new.title.strip(), filters)
        except NotNow as error:
            asked = Asked(show=new.show, kind=new.kind, modality=new.modality)
            return HTMLResponse(_render(site, eyes, "list.html", asked, refused=error.message), 409)
        return RedirectResponse(f"/?view={number}", status_code=303)

    @router.post("/views/{view}/forget")
    @needs(*PAGE)
    def forget_view(eyes: Look, view: ViewNumber) -> Response:
        if not site.store.saved_views.forget(eyes.principal.name, view):
            raise HTTPException(404)
        return RedirectResponse("/", status_code=303)


def _add_alerts(router: APIRouter, site: Site) -> None:
    @router.post("/alerts/{alert_id}/acknowledge")
    @needs(*PAGE, Permission.REPORT)
    def acknowledge(eyes: Look, alert_id: Number, to_study: Annotated[bool, Form()] = False) -> Response:
        alert = site.store.alerts.find(alert_id)
        if alert is None:
            raise HTTPException(404)
        row = eyes.find_study_by_uid(alert.study_instance_uid)
        event = site.trail.change(eyes.visitor, row, "Acknowledged an alert.")
        try:
            site.store.alerts.acknowledge(alert, eyes.principal.name, site.now(), event)
        except NotNow as error:
            return HTMLResponse(_render(site, eyes, "list.html", Asked(), refused=error.message), 409)
        return RedirectResponse(f"/studies/{row.key}" if to_study else "/", status_code=303)


def _of_view(site: Site, eyes: Eyes, number: int, show: Show) -> Asked:
    if not number:
        return Asked(show=show)
    for one in site.store.saved_views.list_of(eyes.principal.name):
        if one.id == number:
            return _asked(one)
    raise HTTPException(404)


def _asked(view: SavedView) -> Asked:
    return Asked.model_validate(dict(view.filters))


def _render(site: Site, eyes: Eyes, template: str, asked: Asked, view: int = 0, *, refused: str = "") -> str:
    pulse = site.pulse.now(eyes.principal.sources)
    wanted = asked.to_wanted()
    listed = eyes.list_lines(wanted, asked.page)
    values: dict[str, object] = {
        "pulse": pulse,
        "show": asked.show,
        "listed": listed,
        "lines": listed.lines,
        "counts": {kind.value: count for kind, count in listed.counts.items()},
        "wanted": wanted,
        # On top of every page of it, whatever is searched for.
        "alerts": view_alerts(eyes) if asked.show == "waiting" else None,
        **_troubles(eyes),
    }
    if template == "list.html":
        values |= {**_controls(site, eyes, view), "refused": refused}
    return site.render(template, eyes.principal, **values)


def _controls(site: Site, eyes: Eyes, view: int) -> Mapping[str, object]:
    views = site.store.saved_views.list_of(eyes.principal.name)
    return {
        "buttons": {kind.value: told for kind, told in BUTTONS.items()},
        "modalities": MODALITIES,
        "views": views,
        "view": next((one for one in views if one.id == view), None),
    }


def _troubles(eyes: Eyes) -> Mapping[str, object]:
    # Of what reads in the shadow nothing is seen here.
    entries = [one for one in eyes.site.lineup.entries() if one.state is not ModelState.SHADOW]
    return {
        "troubles": [one.trouble for one in eyes.list_destinations(letters=0) if one.trouble],
        "out_of_service": [one.model.withheld for one in entries if not one.in_service],
    }
