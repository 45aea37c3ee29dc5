"""Studies to fetch, and how it goes.

In: what is wanted of which PACS, and what became of it.  Out: rows in the order in which they are fetched.
Never: a study twice; one that was deleted here, unless somebody asks for it; a claim that outlives its owner.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from wetread.domain.audit import AuditEventType
from wetread.domain.fetching import FetchReason, FetchState
from wetread.domain.problem import ProblemCode
from wetread.errors import StudyDeleted
from wetread.store import schema
from wetread.store.text import clean_text

#: Neither waiting nor under way.
SETTLED = (FetchState.FETCHED, FetchState.SKIPPED, FetchState.FAILED)
#: PostgreSQL's advisory locks have two numbers; ours begin with this one.
_LOCK_CLASS = 7_301
#: Instances asked for in one question.
_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRow:
    """One study of one PACS."""

    id: int
    study_instance_uid: str
    pacs: str
    reason: FetchReason
    priority: int
    for_study: str
    backfill_id: int | None
    study_date: str
    state: FetchState
    attempts: int
    expected_instances: int | None
    problem_code: str
    message: str
    #: Seconds since 1970.
    wanted_at: float
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A study that somebody wants."""

    study_instance_uid: str
    pacs: str
    reason: FetchReason
    for_study: str = ""
    backfill_id: int | None = None
    study_date: str = ""
    expected_instances: int | None = None
    #: ``FETCHED``: all of it is here already; ``SKIPPED``: it is not wanted. Either is only noted.
    state: FetchState = FetchState.WAITING
    #: Why it is not wanted.
    message: str = ""


_ROW = [schema.fetch.c[one.name] for one in fields(FetchRow)]
_table = schema.fetch


@dataclass(frozen=True, slots=True)
class Fetches:
    """All rows."""

    engine: Engine

    def want(self, want: Want, now: datetime) -> FetchRow:
        """Note that a study is wanted; what is known of it stays, what is more urgent goes first.

        A study that was fetched is wanted again where the PACS tells of another number of instances, or
        where somebody asks.
        """
        try:
            return self._want(want, now)
        except IntegrityError:
            # Another process was quicker: now there is a row.
            return self._want(want, now)

    def _want(self, want: Want, now: datetime) -> FetchRow:
        with self.engine.begin() as connection:
            row = self._find(connection, want.study_instance_uid, want.pacs, lock=True)
            if row is None:
                connection.execute(insert(_table).values(**_new_row(connection, want, now)))
            elif change := _change(row, want):
                connection.execute(
                    update(_table).where(_table.c.id == row.id).values(**change, updated_at=now.timestamp())
                )
            found = self._find(connection, want.study_instance_uid, want.pacs)
        assert found is not None  # noqa: S101 - it was just written
        return found

    def find(self, study_instance_uid: str, pacs: str) -> FetchRow | None:
        """Return a row, None where there is none."""
        with self._reading() as connection:
            return self._find(connection, study_instance_uid, pacs)

    def get(self, fetch_id: int) -> FetchRow | None:
        """Return a row by its number, None where there is none."""
        rows = self._list(_table.c.id == fetch_id)
        return rows[0] if rows else None

    def list_waiting(self, pacs: str, ranks: Collection[int], limit: int = 200) -> list[FetchRow]:
        """Return what waits for a PACS with these places in line, in the order in which it is fetched."""
        return self._list(
            _table.c.pacs == pacs,
            _table.c.priority.in_(tuple(ranks)),
            _table.c.state == FetchState.WAITING.value,
            order=(_table.c.priority, _table.c.study_date.desc(), _table.c.id),
            limit=limit,
        )

    def list_for_study(self, study_instance_uid: str) -> list[FetchRow]:
        """Return the priors that are fetched for a study."""
        return self._list(_table.c.for_study == study_instance_uid)

    def list_by_state(self, *states: FetchState, pacs: str = "", limit: int | None = None) -> list[FetchRow]:
        """Return rows, oldest first; ``""``: of every PACS."""
        where = [_table.c.state.in_([state.value for state in states])]
        return self._list(*where, *([_table.c.pacs == pacs] if pacs else []), limit=limit)

    def count_by_state(self, pacs: str = "", backfill_id: int | None = None) -> dict[FetchState, int]:
        """Return how many rows are in each state."""
        query = select(_table.c.state, func.count()).group_by(_table.c.state)
        if pacs:
            query = query.where(_table.c.pacs == pacs)
        if backfill_id is not None:
            query = query.where(_table.c.backfill_id == backfill_id)
        with self._reading() as connection:
            return {FetchState(state): count for state, count in connection.execute(query)}

    def begin(self, fetch_id: int, now: datetime) -> bool:
        """Note that a try begins; False where it does not wait any more."""
        with self.engine.begin() as connection:
            done = connection.execute(
                update(_table)
                .where(_table.c.id == fetch_id, _table.c.state == FetchState.WAITING.value)
                .values(
                    state=FetchState.FETCHING.value,
                    attempts=_table.c.attempts + 1,
                    updated_at=now.timestamp(),
                )
            )
            return done.rowcount == 1

    def end(
        self,
        fetch_id: int,
        state: FetchState,
        now: datetime,
        *,
        code: str = "",
        message: str = "",
        is_try: bool = True,
    ) -> None:
        """Note how a try ended; ``is_try`` False: it was interrupted and does not count.

        Where the study was deleted meanwhile, it stays skipped.
        """
        values: dict[str, Any] = {
            "state": state.value,
            "problem_code": code,
            "message": clean_text(message),
            "updated_at": now.timestamp(),
        }
        if not is_try:
            values["attempts"] = _table.c.attempts - 1
        with self.engine.begin() as connection:
            connection.execute(
                update(_table)
                .where(_table.c.id == fetch_id, _table.c.state == FetchState.FETCHING.value)
                .values(**values)
            )

    def retry(self, ids: Collection[int], now: datetime) -> int:
        """Let what failed or was skipped wait again; returns how many."""
        again = [FetchState.FAILED.value, FetchState.SKIPPED.value]
        values = {"state": FetchState.WAITING.value, "attempts": 0, "problem_code": "", "message": ""}
        with self.engine.begin() as connection:
            done = connection.execute(
                update(_table)
                .where(_table.c.id.in_(tuple(ids)), _table.c.state.in_(again))
                .values(**values, updated_at=now.timestamp())
            )
            return int(done.rowcount)

    def skip_waiting(self, backfill_id: int, why: str, now: datetime) -> int:
        """Take what waits for a backfill out of the line; returns how many."""
        with self.engine.begin() as connection:
            done = connection.execute(
                update(_table)
                .where(_table.c.backfill_id == backfill_id, _table.c.reason == FetchReason.BACKFILL.value)
                .where(_table.c.state == FetchState.WAITING.value)
                .values(state=FetchState.SKIPPED.value, message=why, updated_at=now.timestamp())
            )
            return int(done.rowcount)

    def release(self, pacs: str, ranks: Collection[int], now: datetime) -> int:
        """Let wait again what somebody had begun who is no more; call it as the ``owner`` of these places."""
        with self.engine.begin() as connection:
            done = connection.execute(
                update(_table)
                .where(_table.c.pacs == pacs, _table.c.priority.in_(tuple(ranks)))
                .where(_table.c.state == FetchState.FETCHING.value)
                .values(state=FetchState.WAITING.value, updated_at=now.timestamp())
            )
            return int(done.rowcount)

    def refuse_other_patient(self, study_instance_uid: str, patient_id: str) -> bool:
        """Tell whether an image is of another patient than the prior that is fetched just now; note it there.

        What comes by C-MOVE is judged by this at our own port, whatever process that is in.
        """
        current, wanted = schema.study, _table
        query = (
            select(wanted.c.id)
            .join(current, current.c.study_instance_uid == wanted.c.for_study)
            .where(wanted.c.study_instance_uid == study_instance_uid)
            .where(wanted.c.state == FetchState.FETCHING.value)
            .where(func.trim(current.c.patient_id) != patient_id.strip())
        )
        with self._reading() as connection:
            rows = connection.execute(query).scalars().all()
        if not rows:
            return False
        noted = update(_table).where(_table.c.id.in_(rows), _table.c.state == FetchState.FETCHING.value)
        with self.engine.begin() as connection:
            connection.execute(noted.values(problem_code=ProblemCode.OTHER_PATIENT.value))
        return True

    def is_open(self, study_instance_uid: str, *states: FetchState) -> bool:
        """Tell whether a study is in one of these states with any PACS."""
        query = select(_table.c.id).where(
            _table.c.study_instance_uid == study_instance_uid,
            _table.c.state.in_([state.value for state in states]),
        )
        with self._reading() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def list_held(self, sop_instance_uids: Collection[str]) -> set[str]:
        """Return those of these instances that are here: images, and results of ours."""
        uids = sorted(sop_instance_uids)
        held: set[str] = set()
        with self._reading() as connection:
            for start in range(0, len(uids), _BATCH):
                some = uids[start : start + _BATCH]
                for column in (schema.instance.c.sop_instance_uid, schema.document.c.sop_instance_uid):
                    held.update(connection.execute(select(column).where(column.in_(some))).scalars())
        return held

    @contextmanager
    def owner(self, name: str) -> Iterator[Callable[[], bool]]:
        """Be the only process that sees to something, as long as this lasts; yields whether we are.

        PostgreSQL gives the place free when the connection of its owner ends, however that ends.
        """
        if self.engine.dialect.name != "postgresql":
            # One process has the index to itself.
            yield lambda: True
            return
        lock = func.pg_try_advisory_lock(_LOCK_CLASS, func.hashtext(name))
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # Closed at the end and not kept for others: with it goes the lock.
            connection.detach()
            is_owner = bool(connection.execute(select(lock)).scalar_one())

            def holds() -> bool:
                # On the connection that holds it: where that is lost, so is the place.
                return is_owner and connection.execute(select(1)).scalar_one() == 1

            yield holds

    def _find(self, connection: Connection, study: str, pacs: str, *, lock: bool = False) -> FetchRow | None:
        query = select(*_ROW).where(_table.c.study_instance_uid == study, _table.c.pacs == pacs)
        row = connection.execute(query.with_for_update() if lock else query).mappings().first()
        return None if row is None else _fetch_row(dict(row))

    def _reading(self) -> Connection:
        return self.engine.connect().execution_options(read_only=True)

    def _list(
        self,
        *where: ColumnElement[bool],
        order: tuple[ColumnElement[Any], ...] = (_table.c.id,),
        limit: int | None = None,
    ) -> list[FetchRow]:
        query = select(*_ROW).where(*where).order_by(*order).limit(limit)
        with self._reading() as connection:
            return [_fetch_row(dict(row)) for row in connection.execute(query).mappings()]


def _fetch_row(row: dict[str, Any]) -> FetchRow:
    return FetchRow(**row | {"reason": FetchReason(row["reason"]), "state": FetchState(row["state"])})


def _new_row(connection: Connection, want: Want, now: datetime) -> dict[str, Any]:
    is_deleted = want.reason is not FetchReason.ASKED and _was_deleted(connection, want)
    return {
        "study_instance_uid": want.study_instance_uid,
        "pacs": want.pacs,
        "reason": want.reason.value,
        "priority": want.reason.rank,
        "for_study": want.for_study,
        "backfill_id": want.backfill_id,
        "study_date": want.study_date[:8],
        "state": (FetchState.SKIPPED if is_deleted else want.state).value,
        "expected_instances": want.expected_instances,
        "problem_code": StudyDeleted.code if is_deleted else "",
        "message": StudyDeleted().message if is_deleted else clean_text(want.message),
        "wanted_at": now.timestamp(),
        "updated_at": now.timestamp(),
    }


def _change(row: FetchRow, want: Want) -> dict[str, Any]:
    """Return what changes in a row that is there already."""
    change: dict[str, Any] = {}
    if want.for_study and not row.for_study:
        change["for_study"] = want.for_study
    if want.backfill_id is not None and row.backfill_id is None:
        change["backfill_id"] = want.backfill_id
    if row.state is FetchState.FETCHING:
        # What it is fetched for was said to whoever takes its images in.
        return change
    is_wanted = want.state is not FetchState.SKIPPED
    if is_wanted and want.reason.weight > row.reason.weight:
        change["reason"] = want.reason.value
    if want.state is FetchState.WAITING and want.reason.rank < row.priority:
        change["priority"] = want.reason.rank
    is_asked = want.reason is FetchReason.ASKED
    if row.problem_code == StudyDeleted.code and not is_asked:
        return change
    told = want.expected_instances
    has_grown = told is not None and told != row.expected_instances
    if has_grown or (is_asked and row.state in SETTLED) or (row.state is FetchState.SKIPPED and is_wanted):
        change |= {"state": want.state.value, "message": clean_text(want.message)}
        change |= {"attempts": 0, "problem_code": "", "priority": want.reason.rank}
        change["expected_instances"] = row.expected_instances if told is None else told
    return change


def _was_deleted(connection: Connection, want: Want) -> bool:
    """Tell whether a study was deleted here; a prior may come again that only was too old to keep."""
    table = schema.audit
    query = select(table.c.sequence).where(
        table.c.study_instance_uid == want.study_instance_uid,
        table.c.event == AuditEventType.STUDY_DELETED.value,
    )
    if want.reason is FetchReason.PRIOR:
        query = query.where(table.c.actor != "retention")
    return connection.execute(query.limit(1)).first() is not None
