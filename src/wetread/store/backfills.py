"""Backfills: spans of days whose studies are fetched and read, and how far each is.

In: what somebody began.  Out: rows, and progress with an estimate.  Never: a cursor that goes back.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update

from wetread.domain.fetching import BackfillState, FetchState
from wetread.domain.progress import StudyState
from wetread.errors import ConfigError
from wetread.store import schema
from wetread.store.text import clean_text

#: The estimate hangs on what was done in this time, in s.
_RATE_S = 6 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRow:
    """One backfill."""

    id: int
    pacs: str
    rules: tuple[str, ...]
    #: ``YYYYMMDD``.
    date_from: str
    date_to: str
    #: The next day to ask for.
    cursor: str
    state: BackfillState
    #: Whether its results are delivered.
    deliver: bool
    #: Studies that the PACS listed.
    found: int
    problem_code: str
    message: str
    begun_by: str
    #: Seconds since 1970.
    begun_at: float
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a backfill is."""

    days_done: int
    days: int
    found: int
    fetched: int
    waiting: int
    skipped: int
    failed: int
    #: Of those that were fetched.
    read: int
    not_read: int
    #: What is left at the pace of the last hours, in s; None: nothing was done in them, or nothing is left.
    left_s: float | None


_table = schema.backfill


@dataclass(frozen=True, slots=True)
class Backfills:
    """All backfills."""

    engine: Engine

    def begin(self, row: BackfillRow) -> int:
        """Enter a backfill; returns its number (that of ``row`` means nothing)."""
        values = {one.name: getattr(row, one.name) for one in fields(row) if one.name != "id"}
        values |= {"rules": list(row.rules), "state": row.state.value}
        with self.engine.begin() as connection:
            return int(
                connection.execute(insert(_table).values(**values).returning(_table.c.id)).scalar_one()
            )

    def find(self, backfill_id: int) -> BackfillRow | None:
        """Return a backfill, None where there is none."""
        return next((row for row in self.list_all() if row.id == backfill_id), None)

    def list_all(self, *states: BackfillState) -> list[BackfillRow]:
        """Return the backfills in some states, oldest first; none given: in any."""
        query = select(_table).order_by(_table.c.id)
        if states:
            query = query.where(_table.c.state.in_([state.value for state in states]))
        with self._reading() as connection:
            return [_row(dict(row)) for row in connection.execute(query).mappings()]

    def move(self, backfill_id: int, cursor: str, found: int, now: datetime) -> None:
        """Note that a day was asked for."""
        with self.engine.begin() as connection:
            connection.execute(
                update(_table)
                .where(_table.c.id == backfill_id, _table.c.cursor < cursor)
                .values(
                    cursor=cursor,
                    found=_table.c.found + found,
                    problem_code="",
                    message="",
                    updated_at=now.timestamp(),
                )
            )

    def set_state(self, backfill_id: int, state: BackfillState, now: datetime) -> None:
        """Pause, go on, cancel or close.

        Raises
        ------
        ConfigError
            If it has ended already.
        """
        ended = [BackfillState.DONE.value, BackfillState.CANCELLED.value]
        with self.engine.begin() as connection:
            done = connection.execute(
                update(_table)
                .where(_table.c.id == backfill_id, _table.c.state.not_in(ended))
                .values(state=state.value, updated_at=now.timestamp())
            )
        if done.rowcount != 1:
            raise ConfigError("There is no such backfill, or it has ended.", backfill=backfill_id)

    def note_problem(self, backfill_id: int, code: str, message: str, now: datetime) -> None:
        """Note what stands in the way of the next day."""
        values = {"problem_code": code, "message": clean_text(message), "updated_at": now.timestamp()}
        with self.engine.begin() as connection:
            connection.execute(update(_table).where(_table.c.id == backfill_id).values(**values))

    def delivers(self, study_instance_uid: str) -> bool:
        """Tell whether results of a study of a backfill are delivered."""
        fetch = schema.fetch
        query = (
            select(_table.c.deliver)
            .join(fetch, fetch.c.backfill_id == _table.c.id)
            .where(fetch.c.study_instance_uid == study_instance_uid)
        )
        with self._reading() as connection:
            told = list(connection.execute(query).scalars())
        return all(told) if told else True

    def progress(self, row: BackfillRow, now: datetime) -> Progress:
        """Return how far a backfill is."""
        fetch, study = schema.fetch, schema.study
        mine = fetch.c.backfill_id == row.id
        by_state = select(fetch.c.state, func.count()).where(mine).group_by(fetch.c.state)
        read = (
            select(study.c.state, func.count())
            .join(fetch, fetch.c.study_instance_uid == study.c.study_instance_uid)
            .where(mine, fetch.c.state == FetchState.FETCHED.value)
            .group_by(study.c.state)
        )
        since = max(now.timestamp() - _RATE_S, row.begun_at)
        settled = [FetchState.FETCHED.value, FetchState.FAILED.value]
        lately = select(func.count()).where(mine, fetch.c.updated_at >= since, fetch.c.state.in_(settled))
        with self._reading() as connection:
            states = {name: count for name, count in connection.execute(by_state)}  # noqa: C416
            reads = {name: count for name, count in connection.execute(read)}  # noqa: C416
            done_lately = connection.execute(lately).scalar_one()
        days, days_done = _days(row.date_from, row.date_to) + 1, _days(row.date_from, row.cursor)
        waiting = states.get(FetchState.WAITING.value, 0) + states.get(FetchState.FETCHING.value, 0)
        fetched = states.get(FetchState.FETCHED.value, 0)
        wanted = waiting + fetched + states.get(FetchState.FAILED.value, 0)
        left = waiting + (wanted / days_done * (days - days_done) if days_done else 0.0)
        pace_s = (now.timestamp() - since) / done_lately if done_lately else None
        return Progress(
            days_done=days_done,
            days=days,
            found=row.found,
            fetched=fetched,
            waiting=waiting,
            skipped=states.get(FetchState.SKIPPED.value, 0),
            failed=states.get(FetchState.FAILED.value, 0),
            read=reads.get(StudyState.READ.value, 0),
            not_read=reads.get(StudyState.NOT_READ.value, 0),
            left_s=left * pace_s if pace_s is not None and left else None,
        )

    def _reading(self) -> Connection:
        return self.engine.connect().execution_options(read_only=True)


def _row(row: dict[str, Any]) -> BackfillRow:
    return BackfillRow(**row | {"rules": tuple(row["rules"]), "state": BackfillState(row["state"])})


def _days(first: str, last: str) -> int:
    return (_date(last) - _date(first)).days


def _date(text: str) -> date:
    return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()
