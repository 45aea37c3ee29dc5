"""Who is told of which workitem, and what they are still to be told.

In: subscriptions, reports.  Out: reports that are due, each until it is acknowledged.
Never: a report that is lost with a process, or sent by two at once.

References
----------
PS3.4 CC.2.3 (subscriptions) and CC.2.4 (event reports).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, update

from wetread.domain.workitem import FILTERED_UID, GLOBAL_UID, Attributes, Change, EventType, Report, Workitem
from wetread.domain.workitem_match import matches
from wetread.store import schema

_WELL_KNOWN = (GLOBAL_UID, FILTERED_UID)
_TABLE, _REPORT = schema.workitem_subscription, schema.workitem_report


class Channel(StrEnum):
    """How a subscriber is told."""

    DIMSE = "dimse"
    WEB = "web"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Somebody wants to be told."""

    aet: str
    channel: Channel
    #: Of one workitem, or a well-known one.
    workitem_uid: str
    #: Who asked for it.
    owner: str
    #: Whose workitems they may see; None: all.
    sources: tuple[str, ...] | None = None
    has_lock: bool = False
    #: Of a filtered one.
    keys: Attributes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueReport:
    """Something that a subscriber is still to be told."""

    id: int
    aet: str
    workitem_uid: str
    type: EventType
    attributes: Attributes
    #: Seconds since 1970.
    reported_at: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """All subscriptions and reports."""

    engine: Engine

    def add(self, one: Subscription, existing: Iterable[tuple[str, Report]], at: float) -> None:
        """Subscribe somebody, and tell them how the workitems stand.

        Parameters
        ----------
        existing
            UIDs of the workitems that there are and that it is about, each with its state.
        """
        now = [(uid, report) for uid, report in existing if uid not in _WELL_KNOWN]
        with self.engine.begin() as connection:
            for uid in dict.fromkeys([one.workitem_uid, *(uid for uid, _ in now)]):
                _put(connection, one, uid)
            rows = [_report_row(one.aet, one.channel, uid, report, at) for uid, report in now]
            if rows:
                connection.execute(insert(_REPORT), rows)

    def remove(self, aet: str, channel: Channel, workitem_uid: str) -> None:
        """End a subscription; a global one with all that it has brought."""
        where = [_TABLE.c.aet == aet, _TABLE.c.channel == channel.value]
        if workitem_uid not in _WELL_KNOWN:
            where.append(_TABLE.c.workitem_uid == workitem_uid)
        with self.engine.begin() as connection:
            connection.execute(delete(_TABLE).where(*where))

    def suspend(self, aet: str, channel: Channel) -> None:
        """Tell somebody of no new workitems any more; those that they know of stay."""
        where = [
            _TABLE.c.aet == aet,
            _TABLE.c.channel == channel.value,
            _TABLE.c.workitem_uid.in_(_WELL_KNOWN),
        ]
        with self.engine.begin() as connection:
            connection.execute(delete(_TABLE).where(*where))

    def list_for(self, aet: str, channel: Channel) -> list[Subscription]:
        """Return what somebody has subscribed to."""
        query = select(_TABLE).where(_TABLE.c.aet == aet, _TABLE.c.channel == channel.value)
        with self.engine.connect().execution_options(read_only=True) as connection:
            return [_subscription(row) for row in connection.execute(query).mappings()]

    def find_owner(self, aet: str, channel: Channel) -> str:
        """Return who subscribed under a title, ``""`` where nobody has."""
        query = select(_TABLE.c.owner).where(_TABLE.c.aet == aet, _TABLE.c.channel == channel.value).limit(1)
        with self.engine.connect().execution_options(read_only=True) as connection:
            return connection.execute(query).scalar() or ""

    def announce(self, report: Report, at: float) -> None:
        """Tell everybody who subscribed by DIMSE to all workitems something of ourselves."""
        query = select(_TABLE.c.aet).where(_TABLE.c.channel == Channel.DIMSE.value)
        with self.engine.begin() as connection:
            aets = connection.execute(query.distinct()).scalars().all()
            rows = [_report_row(aet, Channel.DIMSE, GLOBAL_UID, report, at) for aet in aets]
            if rows:
                connection.execute(insert(_REPORT), rows)

    def list_due(self, channel: Channel, aet: str = "", limit: int = 200) -> list[DueReport]:
        """Return reports in the order in which they were made; also those that wait for another try."""
        where = [_REPORT.c.channel == channel.value, *([_REPORT.c.aet == aet] if aet else [])]
        query = select(_REPORT).where(*where).order_by(_REPORT.c.id).limit(limit)
        with self.engine.connect().execution_options(read_only=True) as connection:
            return [_due(row) for row in connection.execute(query).mappings()]

    def list_waiting(self, channel: Channel) -> list[str]:
        """Return who is still to be told something."""
        query = select(_REPORT.c.aet).where(_REPORT.c.channel == channel.value).distinct()
        with self.engine.connect().execution_options(read_only=True) as connection:
            return list(connection.execute(query).scalars())

    def take(self, report_id: int, now: float, until: float) -> bool:
        """Take a report to tell it; False where it is not time yet, or another process does."""
        # Far ahead: somebody has set the clock back since.
        is_free = (_REPORT.c.next_at <= now) | (_REPORT.c.next_at > now + 2 * (until - now))
        mine = update(_REPORT).where(_REPORT.c.id == report_id, is_free)
        with self.engine.begin() as connection:
            taken = connection.execute(mine.values(next_at=until, attempts=_REPORT.c.attempts + 1))
        return taken.rowcount == 1

    def put_off(self, report_id: int, until: float) -> None:
        """Have a report told later."""
        with self.engine.begin() as connection:
            connection.execute(update(_REPORT).where(_REPORT.c.id == report_id).values(next_at=until))

    def end(self, report_ids: Iterable[int]) -> None:
        """Forget reports that were taken, or that nobody will take any more."""
        with self.engine.begin() as connection:
            connection.execute(delete(_REPORT).where(_REPORT.c.id.in_(tuple(report_ids))))

    def remove_old(self, before: float) -> None:
        """Forget reports that nobody fetched."""
        with self.engine.begin() as connection:
            connection.execute(delete(_REPORT).where(_REPORT.c.reported_at < before))


def subscribe_all_to(connection: Connection, made: Workitem) -> None:
    """Subscribe to a new workitem whoever wants to know of all, or of such ones."""
    query = select(_TABLE).where(_TABLE.c.workitem_uid.in_(_WELL_KNOWN))
    for row in connection.execute(query).mappings().all():
        one = _subscription(row)
        may_see = one.sources is None or made.source in one.sources
        if may_see and matches(made.attributes, one.keys or {}):
            _put(connection, one, made.uid)


def keep_reports(connection: Connection, change: Change) -> None:
    """Keep what subscribers are to be told of a change."""
    uid, at = change.workitem.uid, change.workitem.changed_at
    if not change.reports:
        return
    query = select(_TABLE.c.aet, _TABLE.c.channel).where(_TABLE.c.workitem_uid == uid)
    rows = [
        _report_row(row.aet, Channel(row.channel), uid, report, at)
        for report in change.reports
        for row in connection.execute(query).all()
    ]
    if rows:
        connection.execute(insert(_REPORT), rows)


def _put(connection: Connection, one: Subscription, uid: str) -> None:
    where = (_TABLE.c.aet == one.aet, _TABLE.c.channel == one.channel.value, _TABLE.c.workitem_uid == uid)
    connection.execute(delete(_TABLE).where(*where))
    connection.execute(
        insert(_TABLE).values(
            aet=one.aet,
            channel=one.channel.value,
            workitem_uid=uid,
            owner=one.owner[:64],
            sources=None if one.sources is None else list(one.sources),
            has_lock=one.has_lock,
            keys=dict(one.keys) if one.keys is not None and uid == FILTERED_UID else None,
        )
    )


def _subscription(row: Mapping[Any, Any]) -> Subscription:
    values = {**row, "channel": Channel(row["channel"])}
    return Subscription(**values | {"sources": None if row["sources"] is None else tuple(row["sources"])})


def _report_row(aet: str, channel: Channel, uid: str, report: Report, at: float) -> dict[str, Any]:
    return {
        "aet": aet,
        "channel": channel.value,
        "workitem_uid": uid,
        "type": int(report.type),
        "attributes": dict(report.attributes),
        "reported_at": at,
        "attempts": 0,
        "next_at": 0.0,
    }


def _due(row: Mapping[Any, Any]) -> DueReport:
    names = ("id", "aet", "workitem_uid", "attributes", "reported_at", "attempts")
    return DueReport(type=EventType(row["type"]), **{name: row[name] for name in names})
