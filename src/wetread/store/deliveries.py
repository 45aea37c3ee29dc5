"""What must go where, and how far it is.

In: documents and destinations.  Out: rows by state.  Never: "sent" without an acknowledgement.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Update, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.progress import DeliveryState
from wetread.errors import StorageError
from wetread.store import schema
from wetread.store.standing import document_stands


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One document on its way to one destination."""

    id: int
    document_id: int
    destination: str
    study_instance_uid: str
    revision: int
    state: DeliveryState
    attempts: int
    problem_code: str
    message: str
    #: Seconds since 1970.
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What one destination lacks."""

    destination: str
    counts: dict[DeliveryState, int]
    #: When the oldest Reading of which something waits was made, seconds since 1970; None: nothing waits.
    waiting_since: float | None
    #: The newest problem with any of it, and with which study; ``""`` where there was none.
    problem_code: str
    message: str
    problem_study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What became of one delivery at a try."""

    id: int
    state: DeliveryState
    problem_code: str = ""
    message: str = ""


#: What nobody tries again unless somebody asks.
DEAD = (DeliveryState.FAILED, DeliveryState.REFUSED)
#: What a destination does not have.
NOT_THERE = (DeliveryState.WAITING, *DEAD)
_NOT_THERE = [state.value for state in NOT_THERE]


@dataclass(frozen=True, slots=True)
class StudyRevision:
    """Which revision of a study something is delivered of, and since when."""

    study_instance_uid: str
    revision: int
    #: Seconds since 1970.
    at: float


@dataclass(frozen=True, slots=True)
class Deliveries:
    """The delivery table: the truth about what left."""

    engine: Engine

    def plan(
        self, study_instance_uid: str, revision: int, document_ids: list[int], destination: str, now: datetime
    ) -> None:
        """Note that the documents that stand must go to a destination; what is noted stays as it is.

        What was noted for it and stands no more is superseded, unless it has arrived there.

        Parameters
        ----------
        document_ids
            All documents of the Readings that stand, of whatever revision.
        """
        table = schema.delivery
        with self.engine.begin() as connection:
            connection.execute(
                update(table)
                .where(table.c.study_instance_uid == study_instance_uid)
                .where(table.c.destination == destination)
                .where(table.c.document_id.not_in(document_ids))
                .where(table.c.state.in_(_NOT_THERE))
                .values(state=DeliveryState.SUPERSEDED.value, updated_at=now.timestamp())
            )
            known = set(
                connection.execute(
                    select(table.c.document_id)
                    .where(table.c.destination == destination)
                    .where(table.c.document_id.in_(document_ids))
                ).scalars()
            )
            place = StudyRevision(study_instance_uid, revision, now.timestamp())
            rows = [
                _waiting(place, document_id, destination)
                for document_id in document_ids
                if document_id not in known
            ]
            if rows:
                connection.execute(insert(table), rows)

    def add_in(
        self, connection: Connection, study: StudyRevision, document_ids: Collection[int], destination: str
    ) -> None:
        """Note that new documents must go to a destination, within the caller's transaction."""
        rows = [_waiting(study, number, destination) for number in document_ids]
        if rows:
            connection.execute(insert(schema.delivery), rows)

    def list_standing(self, study_instance_uid: str, revision: int, destination: str) -> list[DeliveryRow]:
        """Return the deliveries that ``list_for`` returns, of Readings that are not superseded."""
        table = schema.delivery
        return self._rows(
            table.c.study_instance_uid == study_instance_uid,
            table.c.revision == revision,
            table.c.destination == destination,
            stands(),
        )

    def list_for(self, study_instance_uid: str, revision: int, destination: str) -> list[DeliveryRow]:
        """Return the deliveries of one revision to one destination."""
        table = schema.delivery
        return self._rows(
            table.c.study_instance_uid == study_instance_uid,
            table.c.revision == revision,
            table.c.destination == destination,
        )

    def list_for_study(self, study_instance_uid: str) -> list[DeliveryRow]:
        """Return all deliveries of a study."""
        return self._rows(schema.delivery.c.study_instance_uid == study_instance_uid)

    def find(self, delivery_id: int) -> DeliveryRow | None:
        """Return one delivery, None where there is none."""
        rows = self._rows(schema.delivery.c.id == delivery_id)
        return rows[0] if rows else None

    def count_by_study(
        self, study_instance_uids: list[str]
    ) -> dict[str, dict[str, dict[DeliveryState, int]]]:
        """Return study -> destination -> state -> documents, of the Readings that stand."""
        table = schema.delivery
        columns = (table.c.study_instance_uid, table.c.destination, table.c.state)
        query = (
            select(*columns, func.count())
            .where(table.c.study_instance_uid.in_(study_instance_uids), stands())
            .group_by(*columns)
            .order_by(*columns)
        )
        counts: dict[str, dict[str, dict[DeliveryState, int]]] = {}
        with self.engine.connect().execution_options(read_only=True) as connection:
            for uid, destination, state, count in connection.execute(query):
                counts.setdefault(uid, {}).setdefault(destination, {})[DeliveryState(state)] = count
        return counts

    def list_by_state(
        self,
        *states: DeliveryState,
        destination: str = "",
        study_instance_uid: str = "",
        sources: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[DeliveryRow]:
        """Return the deliveries in any of these states, oldest first.

        Of Readings that stand, unless those of others are asked for, too.

        Parameters
        ----------
        destination, study_instance_uid
            Only of these; ``""``: of all.
        sources
            Only of studies that came from these; None: of all.
        """
        table = schema.delivery
        where = [table.c.state.in_([state.value for state in states]), *_from(sources)]
        # What is superseded belongs to no Reading that stands.
        where += [] if DeliveryState.SUPERSEDED in states else [stands()]
        where += [table.c.destination == destination] if destination else []
        where += [table.c.study_instance_uid == study_instance_uid] if study_instance_uid else []
        return self._rows(*where, limit=limit)

    def list_lacks(self, sources: Sequence[str] | None = None) -> list[Lack]:
        """Return what each destination lacks, by name; of studies from these sources (None: all)."""
        table, reading = schema.delivery, schema.reading
        where = [table.c.state.in_(_NOT_THERE), document_stands(), *_from(sources)]
        joined = table.join(schema.document, schema.document.c.id == table.c.document_id).join(
            reading, reading.c.id == schema.document.c.reading_id
        )
        query = (
            select(table.c.destination, table.c.state, func.count(), func.min(reading.c.made_at))
            .select_from(joined)
            .where(*where)
            .group_by(table.c.destination, table.c.state)
            .order_by(table.c.destination)
        )
        last = (
            select(table.c.problem_code, table.c.message, table.c.study_instance_uid)
            .select_from(joined)
            .where(*where, table.c.problem_code != "")
            # Negated: else SQLite walks through every delivery by its time to find the last that has one.
            .order_by(-table.c.updated_at)
            .limit(1)
        )
        counts: dict[str, dict[DeliveryState, int]] = {}
        since: dict[str, float] = {}
        with self.engine.connect().execution_options(read_only=True) as connection:
            for name, state, count, oldest in connection.execute(query):
                counts.setdefault(name, {})[DeliveryState(state)] = count
                if state == DeliveryState.WAITING.value:
                    since[name] = oldest
            problems = {
                name: connection.execute(last.where(table.c.destination == name)).first() for name in counts
            }
        return [
            Lack(
                destination=name,
                counts=counted,
                waiting_since=since.get(name),
                problem_code=problem.problem_code if problem else "",
                message=problem.message if problem else "",
                problem_study_instance_uid=problem.study_instance_uid if problem else "",
            )
            for name, counted in counts.items()
            for problem in [problems[name]]
        ]

    def list_unsettled(self, asked: list[str], most_asks: int) -> list[DeliveryRow]:
        """Return what waits, and what these destinations can still be asked for, oldest first."""
        table = schema.delivery
        is_asked = (
            (table.c.state == DeliveryState.SENT.value)
            & table.c.destination.in_(asked)
            & (table.c.attempts < most_asks)
        )
        return self._rows((table.c.state == DeliveryState.WAITING.value) | is_asked)

    def record(
        self, delivery_id: int, state: DeliveryState, now: datetime, problem_code: str = "", message: str = ""
    ) -> None:
        """Note the outcome of a try, as ``record_all`` does."""
        self.record_all([Tried(id=delivery_id, state=state, problem_code=problem_code, message=message)], now)

    def record_all(
        self,
        tries: Sequence[Tried],
        now: datetime,
        beside: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        """Note the outcomes of one try of several documents, all or none.

        What happened is always noted; that it must be tried again only where nothing newer took its place.

        Parameters
        ----------
        beside
            What else belongs to the same transaction.
        """
        with self.engine.begin() as connection:
            for tried in tries:
                connection.execute(_outcome(tried, now))
            beside(connection)

    def retry(
        self,
        delivery_ids: Collection[int],
        now: datetime,
        beside: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        """Put refused or failed deliveries back to waiting: the operator's second chance.

        Parameters
        ----------
        beside
            What else belongs to the same transaction.

        Raises
        ------
        StorageError
            If the index refuses.
        """
        table = schema.delivery
        dead = [state.value for state in DEAD]
        try:
            with self.engine.begin() as connection:
                connection.execute(
                    update(table)
                    .where(table.c.id.in_(delivery_ids), table.c.state.in_(dead), stands())
                    .values(state=DeliveryState.WAITING.value, attempts=0, updated_at=now.timestamp())
                )
                beside(connection)
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error

    def count_by_state(self) -> dict[tuple[str, DeliveryState], int]:
        """Return (destination, state) -> number of documents."""
        table = schema.delivery
        query = select(table.c.destination, table.c.state, func.count()).group_by(
            table.c.destination, table.c.state
        )
        with self.engine.connect().execution_options(read_only=True) as connection:
            return {(name, DeliveryState(state)): count for name, state, count in connection.execute(query)}

    def count_arrived(self) -> dict[str, int]:
        """Return destination -> number of documents that it ever acknowledged."""
        counts: dict[str, int] = {}
        for (destination, state), count in self.count_by_state().items():
            if state in (DeliveryState.SENT, DeliveryState.VERIFIED):
                counts[destination] = counts.get(destination, 0) + count
        return counts

    def _rows(self, *where: ColumnElement[bool], limit: int | None = None) -> list[DeliveryRow]:
        query: Any = select(schema.delivery).where(*where).order_by(schema.delivery.c.id).limit(limit)
        with self.engine.connect().execution_options(read_only=True) as connection:
            rows = connection.execute(query).mappings().all()
        return [DeliveryRow(**{**row, "state": DeliveryState(row["state"])}) for row in rows]


def _outcome(tried: Tried, now: datetime) -> Update:
    table = schema.delivery
    count = 0 if tried.state is DeliveryState.VERIFIED else 1
    open_states = [DeliveryState.WAITING.value, DeliveryState.SENT.value]
    unless = () if tried.state is not DeliveryState.WAITING else (table.c.state.in_(open_states),)
    return (
        update(table)
        .where(table.c.id == tried.id, *unless)
        .values(
            state=tried.state.value,
            attempts=table.c.attempts + count,
            problem_code=tried.problem_code,
            message=tried.message,
            updated_at=now.timestamp(),
        )
    )


def _waiting(study: StudyRevision, document_id: int, destination: str) -> dict[str, Any]:
    return {
        "document_id": document_id,
        "destination": destination,
        "study_instance_uid": study.study_instance_uid,
        "revision": study.revision,
        "state": DeliveryState.WAITING.value,
        "attempts": 0,
        "problem_code": "",
        "message": "",
        "updated_at": study.at,
    }


def stands() -> ColumnElement[bool]:
    """Hold where a delivery's document stands."""
    # Asked row by row: of the deliveries of one page, not of every document that there is.
    document, reading = schema.document, schema.reading
    standing = (
        select(document.c.id)
        .join(reading, reading.c.id == document.c.reading_id)
        .where(document.c.id == schema.delivery.c.document_id, document_stands())
        .correlate(schema.delivery)
    )
    return standing.exists()


def _from(sources: Sequence[str] | None) -> list[ColumnElement[bool]]:
    """Hold where a delivery's study came from these sources; None: anywhere."""
    if sources is None:
        return []
    studies = select(schema.study.c.study_instance_uid).where(schema.study.c.source.in_(tuple(sources)))
    return [schema.delivery.c.study_instance_uid.in_(studies)]
