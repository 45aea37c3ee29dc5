"""What studies are here for: to be read and shown, to be compared with, or to be read when there is time.

In: a study and a purpose.  Out: rows of ``study``.  Never: less for a study than it was here for before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, case, or_, select, update

from wetread.domain.fetching import FetchReason, FetchState, Purpose
from wetread.domain.progress import DeliveryState, StudyState
from wetread.store import schema

_WEIGHT = {Purpose.PRIOR: 0, Purpose.BACKFILL: 1, Purpose.LIVE: 2}
_table = schema.study
#: What is to be read now has to look like it.
_RESTATE = case(
    (_table.c.instance_count > _table.c.covered_count, StudyState.ARRIVING.value), else_=_table.c.state
)

#: Why we fetch it at this moment.
_FIND_REASON = (
    select(schema.fetch.c.reason)
    .where(schema.fetch.c.study_instance_uid == bindparam("study"))
    .where(schema.fetch.c.state == FetchState.FETCHING.value)
    .order_by(schema.fetch.c.priority)
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Purposes:
    """What all studies are here for."""

    engine: Engine

    def has_live_waiting(self) -> bool:
        """Tell whether a live study is arriving, waits to be read, or is being read."""
        revision = schema.revision
        unfinished = select(revision.c.study_instance_uid).where(revision.c.finished_at.is_(None))
        query = select(_table.c.study_instance_uid).where(
            _table.c.purpose == Purpose.LIVE.value,
            or_(
                _table.c.instance_count > _table.c.covered_count,
                _table.c.study_instance_uid.in_(unfinished),
            ),
        )
        with self.engine.connect().execution_options(read_only=True) as connection:
            return connection.execute(query.limit(1)).first() is not None

    def list_backfilled_waiting(self) -> set[str]:
        """Return the studies of backfills of which something waits to be delivered."""
        delivery = schema.delivery.c
        query = (
            select(delivery.study_instance_uid)
            .join(_table, _table.c.study_instance_uid == delivery.study_instance_uid)
            .where(delivery.state == DeliveryState.WAITING.value, _table.c.purpose == Purpose.BACKFILL.value)
            .distinct()
        )
        with self.engine.connect().execution_options(read_only=True) as connection:
            return set(connection.execute(query).scalars())

    def add(self, study_instance_uid: str, purpose: Purpose) -> bool:
        """Let a study be here for something more: a prior is read, a backfill is live; False: it was so."""
        raised = [one.value for one in Purpose if _WEIGHT[one] < _WEIGHT[purpose]]
        change: dict[str, Any] = {"purpose": purpose.value, "state": _RESTATE}
        if purpose is Purpose.LIVE:
            change["reported_at"] = None
        with self.engine.begin() as connection:
            done = connection.execute(
                update(_table)
                .where(_table.c.study_instance_uid == study_instance_uid, _table.c.purpose.in_(raised))
                .values(**change)
            )
            return done.rowcount == 1

    def close_prior(self, study_instance_uid: str) -> None:
        """Mark a prior that has come as not read: it is here to be compared with."""
        with self.engine.begin() as connection:
            connection.execute(
                update(_table)
                .where(_table.c.study_instance_uid == study_instance_uid)
                .where(_table.c.purpose == Purpose.PRIOR.value)
                .values(state=StudyState.NOT_READ.value)
            )


def arriving_purpose(connection: Connection, study: str, known: str | None, now: float) -> dict[str, Any]:
    """Return what a study is here for whose image comes now, as columns of its row.

    Parameters
    ----------
    known
        What it was here for until now; None: it is new. Not live it is only while it is fetched for that.
    """
    reason = None
    if known != Purpose.LIVE.value:
        reason = connection.execute(_FIND_REASON, {"study": study}).scalar_one_or_none()
    purpose = Purpose.LIVE if reason is None else FetchReason(reason).purpose
    # What is not live was never on the reading list.
    return {"purpose": purpose.value, "reported_at": None if purpose is Purpose.LIVE else now}
