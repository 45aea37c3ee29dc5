"""What may be deleted, and why the rest is kept.

In: ``[retention]``, the clock, how full the disk is.  Out: verdicts; studies deleted, each audited.
Never: a study deleted that is undelivered, unread, on legal hold, still on the reading list or too new;
a full disk about which nothing is said.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, func, or_, select, true

from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.domain.fetching import FetchState, Purpose
from wetread.domain.progress import DeliveryState, StudyState
from wetread.store import schema
from wetread.store.erasure import delete_study
from wetread.store.store import Store

DAY_S = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """``[retention]``: how long studies stay; without ``days`` and ``disk_percent`` for ever."""

    #: A study goes so long after its last image came; a younger one never does.
    days: int | None = None
    #: While the data folder's file system is fuller than this, the oldest studies go.
    disk_percent: float | None = None
    #: Whether studies stay that nobody took off the reading list.
    keep_unreported: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The settings, and what else the verdict hangs on."""

    settings: RetentionSettings
    #: Destinations that are asked whether they have what they acknowledged: acknowledged is not enough there.
    asked_destinations: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One study, and why it is kept."""

    study_instance_uid: str
    #: Seconds since 1970.
    last_received_at: float
    #: Why it must be kept whatever its age; ``""``: nothing speaks against it.
    kept_because: str
    #: It is older than ``days``.
    is_due: bool
    #: When its age alone takes it, seconds since 1970; None: something else keeps it, or age takes nothing.
    goes_at: float | None
    #: Who handed in its first image.
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run did."""

    deleted: int
    #: Reason -> studies that are kept for it.
    kept: Mapping[str, int]
    #: How full the file system is above the mark; None: not above, or no mark.
    disk_percent: float | None = None
    #: More is to do than one run does.
    is_unfinished: bool = False


def judge(store: Store, policy: Policy, now: datetime) -> list[Verdict]:
    """Return a verdict for every study, oldest first."""
    with store.engine.connect().execution_options(read_only=True) as connection:
        return _judge(connection, policy, now)


def run_retention(store: Store, policy: Policy, now: datetime, *, limit: int = 1000) -> Outcome:
    """Delete what is due, at most ``limit`` studies.

    Raises
    ------
    StorageError
        If index or disk refuse.
    """
    verdicts = judge(store, policy, now)
    free = [verdict for verdict in verdicts if not verdict.kept_because]
    deleted = 0
    for verdict in free:
        by_age = verdict.is_due
        # Without ``days`` the disk alone decides; with it, nothing younger goes for the disk either.
        by_disk = policy.settings.days is None and _excess(store, policy) is not None
        if not by_age and not by_disk:
            break
        if deleted == limit:
            return Outcome(deleted=deleted, kept=_count(verdicts), is_unfinished=True)
        deleted += _delete(store, policy, verdict, now, _why(policy.settings, by_age=by_age))
    return Outcome(deleted=deleted, kept=_count(verdicts), disk_percent=_excess(store, policy))


def disk_percent(store: Store) -> float:
    """Return how full the file system of the data folder is, as users of it see it."""
    usage = shutil.disk_usage(store.data)
    # Some blocks are reserved for root: total is not used + free.
    return 100.0 * usage.used / (usage.used + usage.free)


def measure_images(store: Store) -> tuple[int, int]:
    """Return how many objects senders handed in, and the size of their files in bytes."""
    table = schema.instance.c
    query = select(func.count(), func.coalesce(func.sum(table.size), 0))
    with store.engine.connect().execution_options(read_only=True) as connection:
        count, size = connection.execute(query).one()
    return int(count), int(size)


def _excess(store: Store, policy: Policy) -> float | None:
    mark = policy.settings.disk_percent
    if mark is None:
        return None
    full = disk_percent(store)
    return full if full > mark else None


def _why(settings: RetentionSettings, *, by_age: bool) -> str:
    return (
        f"older than {settings.days} days" if by_age else f"the disk is over {settings.disk_percent:g} % full"
    )


def _delete(store: Store, policy: Policy, verdict: Verdict, now: datetime, why: str) -> int:
    def keep(connection: Connection, study: str) -> str:
        # Once more, where nothing can change any more: an image may have come since.
        again = _judge(connection, policy, now, study)
        is_younger = verdict.is_due and not again[0].is_due
        return again[0].kept_because or ("more images came" if is_younger else "")

    event = AuditEvent(
        type=AuditEventType.STUDY_DELETED,
        action=AuditAction.DELETE,
        at=now,
        description=f"Deleted by retention: {why}.",
        actors=(Actor(user_id="retention", is_requestor=True),),
        studies=(verdict.study_instance_uid,),
    )
    kept = delete_study(store, verdict.study_instance_uid, event=event, keep=keep, why=why)
    return 0 if kept else 1


def _judge(connection: Connection, policy: Policy, now: datetime, only: str = "") -> list[Verdict]:
    table = schema.study
    held = _studies(connection, schema.hold, only, true())
    unfinished = _studies(connection, schema.revision, only, schema.revision.c.finished_at.is_(None))
    fetched = _studies(connection, schema.fetch, only, schema.fetch.c.state == FetchState.FETCHING.value)
    undelivered = _studies(connection, schema.delivery, only, _is_undelivered(policy))
    columns = (
        *(table.c.study_instance_uid, table.c.state, table.c.instance_count, table.c.covered_count),
        *(table.c.reported_at, table.c.last_received_at, table.c.purpose, table.c.source),
    )
    verdicts = []
    one = table.c.study_instance_uid == only if only else true()
    for row in connection.execute(select(*columns).where(one).order_by(table.c.last_received_at)):
        uid, age_s = row.study_instance_uid, now.timestamp() - row.last_received_at
        reasons = {
            "on legal hold": uid in held,
            "not read yet": uid in unfinished or (row.purpose != Purpose.PRIOR and _is_unread(row)),
            "being fetched": uid in fetched,
            "not delivered": uid in undelivered,
            # Results of ours that came back are nobody's work.
            "still on the reading list": policy.settings.keep_unreported
            and row.reported_at is None
            and row.instance_count > 0,
        }
        days = policy.settings.days
        too_new = days is not None and age_s <= days * DAY_S
        is_kept = any(reasons.values())
        reasons[f"younger than {days} days"] = too_new
        verdicts.append(
            Verdict(
                study_instance_uid=uid,
                last_received_at=row.last_received_at,
                kept_because=next((reason for reason, holds in reasons.items() if holds), ""),
                is_due=days is not None and not too_new,
                source=row.source,
                goes_at=row.last_received_at + days * DAY_S if days is not None and not is_kept else None,
            )
        )
    return verdicts


def _is_unread(row: Any) -> bool:
    is_open = row.state in (StudyState.ARRIVING, StudyState.READING)
    return bool(row.instance_count > row.covered_count or (row.instance_count > 0 and is_open))


def _studies(connection: Connection, table: Table, only: str, where: ColumnElement[bool]) -> set[str]:
    """Return the studies with such a row; ``only`` asks for one of them."""
    query = select(table.c.study_instance_uid).where(where).distinct()
    if only:
        query = query.where(table.c.study_instance_uid == only)
    return set(connection.execute(query).scalars())


def _is_undelivered(policy: Policy) -> ColumnElement[bool]:
    table = schema.delivery
    missing = [DeliveryState.WAITING.value, DeliveryState.FAILED.value, DeliveryState.REFUSED.value]
    asked = table.c.destination.in_(sorted(policy.asked_destinations))
    return or_(table.c.state.in_(missing), and_(table.c.state == DeliveryState.SENT.value, asked))


def _count(verdicts: list[Verdict]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for verdict in verdicts:
        if verdict.kept_because:
            counts[verdict.kept_because] = counts.get(verdict.kept_because, 0) + 1
    return counts
