"""The page of what is fetched: how each PACS answers, what waits and what failed, how far backfills are.

In: requests.  Out: HTML, fetches that wait again.  Never: a change by GET; a study of senders that are not
theirs; a patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from wetread.domain.audit import Actor
from wetread.domain.fetching import FetchState
from wetread.identity import Permission
from wetread.steps.again import retry_fetches
from wetread.store import Store
from wetread.store.backfills import BackfillRow, Progress
from wetread.store.fetches import FetchRow
from wetread.web.access import needs
from wetread.web.eyes import Eyes, Look
from wetread.web.pages import PAGE, answer_fragment
from wetread.web.site import Site
from wetread.web.words import format_date, format_time

#: No larger than a row's number can be on any database.
Number = Annotated[int, Query(ge=0, lt=2**31)]
#: Failed studies shown of one PACS.
SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedView:
    """A study that was not fetched."""

    id: int
    day: str
    reason: str
    attempts: int
    updated_at: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PacsView:
    """One PACS."""

    name: str
    asked_at: str
    answered_at: str
    code: str
    message: str
    waiting: int
    fetched: int
    failed: int
    rows: tuple[FailedView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillView:
    """One backfill."""

    row: BackfillRow
    progress: Progress
    left: str


def make_fetch(site: Site) -> APIRouter:
    """Return the routes of what is fetched."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    def render(template: str, eyes: Eyes) -> str:
        pulse = site.pulse.now(eyes.principal.sources)
        values = {"several": _list_pacs(site.store, eyes), "backfills": _list_backfills(site)}
        return site.render(template, eyes.principal, pulse=pulse, **values)

    @router.get("/fetch")
    @needs(*PAGE)
    def page(eyes: Look) -> HTMLResponse:
        return HTMLResponse(render("fetch.html", eyes))

    @router.get("/fragments/fetch")
    @needs(*PAGE, is_background=True)
    def fragment(request: Request, eyes: Look) -> Response:
        return answer_fragment(request, render("_fetch.html", eyes))

    @router.post("/fetch/retry")
    @needs(*PAGE, Permission.RETRY)
    def retry(eyes: Look, number: Number) -> RedirectResponse:
        row = site.store.fetches.get(number)
        # Whoever sees some senders' studies only does not see from where others come.
        if row is None or eyes.principal.sources is not None:
            raise HTTPException(404)
        visitor = eyes.visitor
        actor = Actor(user_id=visitor.principal.name, is_requestor=True, address=visitor.address)
        retry_fetches(site.store, [row], actor, site.now())
        return RedirectResponse("/fetch", status_code=303)

    return router


def _list_pacs(store: Store, eyes: Eyes) -> tuple[PacsView, ...]:
    failed: dict[str, list[FetchRow]] = {}
    if eyes.principal.sources is None:
        for row in store.fetches.list_by_state(FetchState.FAILED):
            failed.setdefault(row.pacs, []).append(row)
    views = []
    for known in store.pacs.list_all():
        counts = store.fetches.count_by_state(known.name)
        view = PacsView(
            name=known.name,
            asked_at=format_time(known.asked_at),
            answered_at=format_time(known.answered_at) if known.answered_at else "never",
            code=known.problem_code,
            message=known.message,
            waiting=counts.get(FetchState.WAITING, 0) + counts.get(FetchState.FETCHING, 0),
            fetched=counts.get(FetchState.FETCHED, 0),
            failed=counts.get(FetchState.FAILED, 0),
            rows=tuple(map(_view, failed.get(known.name, [])[:SHOWN])),
        )
        views.append(view)
    return tuple(views)


def _view(row: FetchRow) -> FailedView:
    return FailedView(
        id=row.id,
        day=format_date(row.study_date) or "no date",
        reason=row.reason.value,
        attempts=row.attempts,
        updated_at=format_time(row.updated_at),
        code=row.problem_code,
        message=row.message,
    )


def _list_backfills(site: Site) -> tuple[BackfillView, ...]:
    now = site.now()
    views = []
    for row in site.store.backfills.list_all():
        progress = site.store.backfills.progress(row, now)
        left = str(timedelta(seconds=round(progress.left_s))) if progress.left_s is not None else ""
        views.append(BackfillView(row=row, progress=progress, left=left))
    return tuple(reversed(views))
