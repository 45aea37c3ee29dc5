"""The pages for people.

In: requests.  Out: HTML, and the pieces of it that change.  Never: a change by GET.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from wetread.domain.progress import DeliveryState
from wetread.domain.study import study_key
from wetread.store.history import Event
from wetread.store.studies import StudyRow
from wetread.web.listing import list_lines
from wetread.web.site import Site

Key = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
#: ``waiting`` or ``reported``.
Show = Annotated[str, Query(pattern="^(waiting|reported)$")]


def make_pages(site: Site) -> APIRouter:
    """Return the routes of the pages."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
    _add_list(router, site)
    _add_study(router, site)
    _add_changes(router, site)
    return router


def _add_list(router: APIRouter, site: Site) -> None:
    @router.get("/")
    def reading_list(show: Show = "waiting") -> HTMLResponse:
        return HTMLResponse(site.render("list.html", show=show, **_list_values(site, show)))

    @router.get("/fragments/list")
    def list_fragment(request: Request, show: Show = "waiting") -> Response:
        return _fragment(request, site.render("_list.html", show=show, **_list_values(site, show)))

    @router.get("/events")
    def events() -> StreamingResponse:
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(site.pulse.stream(), media_type="text/event-stream", headers=headers)


def _add_study(router: APIRouter, site: Site) -> None:
    @router.get("/studies/{key}")
    def study_page(key: Key) -> HTMLResponse:
        return HTMLResponse(
            site.render("study.html", view=site.views.make(_require_study(site, key), site.now()))
        )

    @router.get("/fragments/studies/{key}")
    def study_fragment(request: Request, key: Key) -> Response:
        view = site.views.make(_require_study(site, key), site.now())
        return _fragment(request, site.render("_study.html", view=view))


def _add_changes(router: APIRouter, site: Site) -> None:
    @router.post("/studies/{key}/report")
    def report(key: Key) -> RedirectResponse:
        _mark(site, _require_study(site, key), is_reported=True)
        return RedirectResponse("/", status_code=303)

    @router.post("/studies/{key}/reopen")
    def reopen(key: Key) -> RedirectResponse:
        _mark(site, _require_study(site, key), is_reported=False)
        return RedirectResponse(f"/studies/{key}", status_code=303)

    @router.post("/deliveries/{delivery_id}/retry")
    def retry(delivery_id: int) -> RedirectResponse:
        delivery = site.store.deliveries.find(delivery_id)
        if delivery is None or site.on_retry is None:
            raise HTTPException(404)
        if delivery.state in (DeliveryState.REFUSED, DeliveryState.FAILED):
            site.on_retry(delivery_id)
        return RedirectResponse(f"/studies/{study_key(delivery.study_instance_uid)}", status_code=303)


def _mark(site: Site, row: StudyRow, *, is_reported: bool) -> None:
    now = site.now()
    site.store.studies.mark_reported(row.study_instance_uid, now if is_reported else None)
    site.store.history.add(
        Event(
            study_instance_uid=row.study_instance_uid,
            revision=row.revision,
            at=now,
            stage="worklist",
            message="Marked as reported." if is_reported else "Put back on the reading list.",
        )
    )


def _list_values(site: Site, show: str) -> dict[str, object]:
    now = site.now()
    lines = list_lines(site.store, now, is_reported=show == "reported")
    return {"lines": lines, "counts": {name: sum(map(test, lines)) for name, test in FILTERS.items()}}


#: The buttons above the list: name -> which lines they show.
FILTERS = {
    "all": lambda _: True,
    "stat": lambda line: line.priority == "stat",
    "urgent": lambda line: line.priority == "urgent",
    "findings": lambda line: line.finding_count > 0,
    "not-read": lambda line: line.state == "not-read",
    "in-progress": lambda line: line.state in ("arriving", "reading"),
    "trouble": lambda line: line.has_delivery_trouble,
}


def _require_study(site: Site, key: str) -> StudyRow:
    row = site.find_study(key)
    if row is None:
        raise HTTPException(404)
    return row


def _fragment(request: Request, html: str) -> Response:
    """Answer 304 where the page already shows this: most pulses concern another study."""
    etag = f'"{hashlib.sha256(html.encode()).hexdigest()[:24]}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    return HTMLResponse(html, headers={"ETag": etag})
