"""What happened to each study, in order.

In: a stage and a sentence.  Out: events.  Never: a stop that is only in a log; patient names.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Engine, exists, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from wetread.errors import StorageError
from wetread.store import schema
from wetread.store.text import clean_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened."""

    #: ``""`` where it concerns no study, e.g. a refused association.
    study_instance_uid: str = ""
    revision: int = 0
    at: datetime
    #: The stage's name, e.g. ``receive``.
    stage: str
    #: ``info`` or ``problem``.
    level: str = "info"
    code: str = ""
    message: str


@dataclass(frozen=True, slots=True)
class History:
    """The events of all studies."""

    engine: Engine

    def add(self, event: Event) -> None:
        """Keep an event.

        Raises
        ------
        StorageError
            If the index refuses.
        """
        try:
            with self.engine.begin() as connection:
                self.add_in(connection, event)
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error

    def add_in(self, connection: Connection, event: Event) -> None:
        """Keep an event in the caller's transaction, so that what it tells of and the event are one.

        Raises
        ------
        SQLAlchemyError
            If the index refuses.
        """
        row = insert(schema.event).values(
            study_instance_uid=event.study_instance_uid,
            revision=event.revision,
            at=event.at.timestamp(),
            stage=event.stage,
            level=event.level,
            code=event.code,
            message=clean_text(event.message),
        )
        connection.execute(row)

    def list_for_study(self, study_instance_uid: str) -> list[Event]:
        """Return a study's events, oldest first."""
        return self._select(schema.event.c.study_instance_uid == study_instance_uid)

    def list_newest(self, limit: int = 200) -> list[Event]:
        """Return the last events of all studies, newest first."""
        return self._select(limit=limit, newest_first=True)

    def last_problems(self, study_instance_uids: list[str]) -> dict[str, str]:
        """Return the sentence of each study's last problem, where it had one."""
        table = schema.event
        last = (
            select(func.max(table.c.id))
            .where(table.c.study_instance_uid.in_(study_instance_uids))
            .where(table.c.level == "problem")
            .group_by(table.c.study_instance_uid)
        )
        query = select(table.c.study_instance_uid, table.c.message).where(table.c.id.in_(last))
        with self.engine.connect().execution_options(read_only=True) as connection:
            return {row.study_instance_uid: row.message for row in connection.execute(query)}

    def last_id(self) -> int:
        """Return the number of the newest event: it grows whenever something happened.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        try:
            with self.engine.connect().execution_options(read_only=True) as connection:
                return connection.execute(select(func.max(schema.event.c.id))).scalar_one() or 0
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error

    def pulse(self, sources: Collection[str] | None = None) -> str:
        """Return a text that changes whenever something that pages show has changed; cheap to ask.

        Parameters
        ----------
        sources
            Only of studies that came from these; None: of all.
        """
        newest = [
            schema.event.c.id,
            schema.study.c.last_received_at,
            schema.study.c.reported_at,
            schema.revision.c.begun_at,
            schema.revision.c.finished_at,
            schema.reading.c.id,
            schema.document.c.id,
            schema.delivery.c.id,
            schema.delivery.c.updated_at,
        ]
        query = select(*[_newest(column, sources).scalar_subquery() for column in newest])
        with self.engine.connect().execution_options(read_only=True) as connection:
            return "/".join(str(value or 0) for value in connection.execute(query).one())

    def _select(
        self, *where: ColumnElement[bool], limit: int | None = None, newest_first: bool = False
    ) -> list[Event]:
        order = schema.event.c.id.desc() if newest_first else schema.event.c.id
        query = select(schema.event).where(*where).order_by(order).limit(limit)
        with self.engine.connect().execution_options(read_only=True) as connection:
            rows = connection.execute(query).mappings().all()
        return [_event(dict(row)) for row in rows]


def _event(row: dict[str, Any]) -> Event:
    row.pop("id")
    row["at"] = datetime.fromtimestamp(row["at"], UTC)
    return Event(**row)


def _newest(column: Column[Any], sources: Collection[str] | None) -> Any:
    """Return the question for the highest value, of what belongs to studies from these sources."""
    if sources is None:
        return select(func.max(column))
    # From the newest on, until one is theirs.
    known = select(column).where(column.is_not(None), _of(column.table, sources))
    return known.order_by(column.desc()).limit(1)


def _of(table: Any, sources: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a row belongs to a study from these sources."""
    study, reading, document = schema.study, schema.reading, schema.document
    is_theirs = study.c.source.in_(tuple(sources))
    if table is study:
        return is_theirs
    if table is document:
        mine = (
            document.c.reading_id == reading.c.id,
            reading.c.study_instance_uid == study.c.study_instance_uid,
        )
        return exists(select(reading.c.id).where(*mine, is_theirs).correlate(document))
    same = study.c.study_instance_uid == table.c.study_instance_uid
    return exists(select(study.c.study_instance_uid).where(same, is_theirs).correlate(table))
