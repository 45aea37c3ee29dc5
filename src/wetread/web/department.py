"""The department at a glance: how many studies, how long they take, what waits, where readers agree.

In: requests.  Out: HTML, CSV.  Never: a figure without its number and interval; who a patient is.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse

from wetread.domain.reading import Priority
from wetread.registry.lineup import stand
from wetread.stats.quantile import quantile
from wetread.store.flow import Stretch
from wetread.store.turnaround import MOST, Turnaround
from wetread.web.access import needs
from wetread.web.eyes import Eyes, Look
from wetread.web.flow_view import draw, stretch_of, sum_up
from wetread.web.models import AgreementView, view_agreement
from wetread.web.pages import PAGE
from wetread.web.site import Site
from wetread.web.words import format_time
from wetread.worklist import describe_duration

Days = Annotated[int, Query(ge=1, le=366)]
_HEAD = ("what", "priority", "n", "share", "seconds", "low", "high")
_WHOLE = 100.0

Part = Callable[[Turnaround], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One quantile of one duration, of the studies of one priority."""

    #: ``"arrived to read"``, ``"arrived to reported"``.
    what: str
    priority: str
    count: int
    #: 0.5 or 0.9.
    share: float
    #: NaN where no study has it, or too few for an end.
    seconds: float
    low: float
    high: float
    #: Share of the longest of all, in %: of the bar, and of the ends of its interval.
    width: float = 0.0
    low_width: float = 0.0
    high_width: float = 0.0

    @property
    def words(self) -> str:
        """In words, with the interval."""
        if not self.count:
            return "none yet"
        low, high = (_duration(end) if math.isfinite(end) else "" for end in (self.low, self.high))
        interval = f"{low} to {high}" if low and high else f"{low} or more" if low else "too few to say"
        return f"{_duration(self.seconds)} ({interval})"


def make_department(site: Site) -> APIRouter:
    """Return the routes of the department's page."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @router.get("/department")
    @needs(*PAGE)
    def department_page(eyes: Look, days: Days = 30) -> HTMLResponse:
        rows = _rows(site, eyes, days)
        values = {
            "days": days,
            "counts": _counts(rows),
            "spans": _scale(list_spans(rows)),
            "agreement": _agreement(site),
            "is_cut": len(rows) == MOST,
            "pictures": draw(_stretches(site, eyes, days)),
            "answers": sum_up(site.store.alerts.list_since(_since(site, days), eyes.principal.sources)),
            "by_alert": list_by_alert(rows),
        }
        return HTMLResponse(site.render("department.html", eyes.principal, **values))

    @router.get("/department.csv")
    @needs(*PAGE)
    def department_csv(eyes: Look, days: Days = 30) -> Response:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(_HEAD)
        rows = _rows(site, eyes, days)
        by_alert = [replace(span, priority=told) for told, span in list_by_alert(rows)]
        for one in (*list_spans(rows), *by_alert):
            numbers = [f"{n:.0f}" if math.isfinite(n) else "" for n in (one.seconds, one.low, one.high)]
            writer.writerow((one.what, one.priority, one.count, one.share, *numbers))
        name = f"turnaround-{days}-days.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)

    @router.get("/department/flow.csv")
    @needs(*PAGE)
    def flow_csv(eyes: Look, days: Days = 30) -> Response:
        eyes.note_query("the department's numbers")
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(("begins", "arrived", "read", "reported", "waiting at its end"))
        for one in _stretches(site, eyes, days):
            begins = format_time(one.begins_at)
            writer.writerow((begins, one.arrived, one.read, one.reported, one.waiting))
        headers = {"Content-Disposition": f'attachment; filename="flow-{days}-days.csv"'}
        return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)

    return router


def _since(site: Site, days: int) -> float:
    return (site.now() - timedelta(days=days)).timestamp()


def _stretches(site: Site, eyes: Eyes, days: int) -> list[Stretch]:
    width_s, count = stretch_of(days)
    # The last stretch ends now.
    since = site.now().timestamp() - width_s * count
    return site.store.flows.list_stretches(since, width_s, count, eyes.principal.sources)


def _rows(site: Site, eyes: Eyes, days: int) -> list[Turnaround]:
    eyes.note_query("the department's numbers")
    return site.store.turnarounds.list_since(_since(site, days), eyes.principal.sources)


def _counts(rows: Sequence[Turnaround]) -> tuple[tuple[str, int], ...]:
    return (
        ("arrived", len(rows)),
        ("read by a model", sum(one.read_at is not None for one in rows)),
        ("reported", sum(one.reported_at is not None for one in rows)),
        ("wait for a reader", sum(one.reported_at is None for one in rows)),
    )


def list_spans(rows: Sequence[Turnaround]) -> tuple[Span, ...]:
    """Return median and 90th percentile of each duration, by priority."""
    parts: tuple[tuple[str, Part], ...] = (
        ("arrived to read", lambda one: _between(one.received_at, one.read_at)),
        ("arrived to reported", lambda one: _between(one.received_at, one.reported_at)),
    )
    return tuple(
        _span(what, priority, share, [part(one) for one in rows if one.priority is priority])
        for what, part in parts
        for priority in Priority
        for share in (0.5, 0.9)
    )


def list_by_alert(rows: Sequence[Turnaround]) -> tuple[tuple[str, Span], ...]:
    """Return the median time to the report of studies that alerted, and of those that did not."""
    return tuple(
        (told, _span("arrived to reported", Priority.ROUTINE, 0.5, durations))
        for told, is_alerted in (("with an alert", True), ("without", False))
        for durations in [
            [_between(one.received_at, one.reported_at) for one in rows if one.alerted is is_alerted]
        ]
    )


def _between(start: float, end: float | None) -> float | None:
    # A clock that was set back makes no study quicker than nothing.
    return None if end is None else max(0.0, end - start)


def _span(what: str, priority: Priority, share: float, durations: Sequence[float | None]) -> Span:
    known = [one for one in durations if one is not None]
    found = quantile(known, share)
    return Span(
        what=what,
        priority=priority.value,
        count=len(known),
        share=share,
        seconds=found.value,
        low=found.low,
        high=found.high,
    )


def _scale(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Give each bar its width, each kind of duration on a scale of its own."""
    longest: dict[str, float] = {}
    for one in spans:
        ends = [end for end in (one.seconds, one.high) if math.isfinite(end)]
        longest[one.what] = max([longest.get(one.what, 0.0), *ends])
    return tuple(_widen(one, longest[one.what]) for one in spans)


def _widen(one: Span, longest: float) -> Span:
    def share(seconds: float) -> float:
        return round(_WHOLE * seconds / longest, 1) if longest and math.isfinite(seconds) else 0.0

    return Span(
        **{name: getattr(one, name) for name in ("what", "priority", "count", "share")},
        seconds=one.seconds,
        low=one.low,
        high=one.high,
        width=share(one.seconds),
        low_width=share(one.low),
        high_width=share(one.high) or share(one.seconds),
    )


def _agreement(site: Site) -> tuple[tuple[str, AgreementView], ...]:
    entries = stand(site.lineup.packages, site.lineup.states.list_all())
    names = dict.fromkeys(one.model.identity.name for one in entries)
    return tuple(
        (name, view)
        for name in names
        for view in view_agreement(site.store.room.judged(name), site.store.changes.missed(name))
    )


def _duration(seconds: float) -> str:
    return describe_duration(timedelta(seconds=seconds))
