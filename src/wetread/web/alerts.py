"""Critical results that nobody has answered, as they stand on top of the list.

In: open alerts.  Out: views.  Never: an alert about a study past ``Eyes``; an alert that is left out unsaid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wetread.domain.alert import Alert
from wetread.web import pseudonym, words
from wetread.web.eyes import Eyes
from wetread.web.listing import Line, make_lines

#: Alerts that are shown by themselves; how many more there are is told.
SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    """One alert on top of the list."""

    id: int
    priority: str
    #: Local time.
    raised_at: str
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsView:
    """All that are open."""

    shown: tuple[AlertView, ...]
    more: int


def view_alerts(eyes: Eyes) -> AlertsView:
    """Return the open alerts of studies that somebody may see, oldest first."""
    store = eyes.site.store
    alerts = store.alerts.list_open(eyes.principal.sources)
    lines = _lines(eyes, alerts[:SHOWN])
    shown = tuple(
        AlertView(
            id=one.id,
            priority=one.priority,
            raised_at=words.format_time(one.raised_at)[:16],
            line=lines[one.study_instance_uid],
        )
        for one in alerts[:SHOWN]
        if one.study_instance_uid in lines
    )
    return AlertsView(shown=shown, more=max(0, len(alerts) - SHOWN))


def _lines(eyes: Eyes, alerts: Sequence[Alert]) -> dict[str, Line]:
    site = eyes.site
    rows = site.store.pages.rows_of({one.study_instance_uid for one in alerts})
    lines = make_lines(site.store, list(rows.values()), site.now())
    return {one.study_instance_uid: one if eyes.knows_names else pseudonym.hide_in_line(one) for one in lines}
