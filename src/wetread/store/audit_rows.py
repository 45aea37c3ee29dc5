"""Read the audit trail: entries one after the other, and how far they were handed on.

In: the index.  Out: entries.  Never: the whole trail in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from wetread.errors import StorageError
from wetread.store import schema

#: Rows held at once.
_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the trail."""

    sequence: int
    message: str
    digest: str
    #: Seconds since 1970.
    at: float
    event: str
    actor: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True)
class AuditRows:
    """Questions about the trail."""

    engine: Engine

    def list_last(self, count: int, *, study: str = "", actor: str = "", event: str = "") -> list[Entry]:
        """Return the last entries, oldest first; of a study, an actor and a kind where they are given."""
        table = schema.audit
        query = select(table).order_by(table.c.sequence.desc()).limit(count)
        if study:
            # An entry may be about several studies; the column holds the first.
            about = table.c.message.contains(f'ParticipantObjectID="{study}"', autoescape=True)
            query = query.where((table.c.study_instance_uid == study) | about)
        if actor:
            query = query.where(table.c.actor == actor)
        if event:
            query = query.where(table.c.event == event)
        with self._reading() as connection:
            return [Entry(**row) for row in connection.execute(query).mappings()][::-1]

    def list_after(self, sequence: int, count: int) -> list[Entry]:
        """Return the entries that follow a number, in order.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        table = schema.audit
        query = select(table).where(table.c.sequence > sequence).order_by(table.c.sequence).limit(count)
        try:
            with self._reading() as connection:
                return [Entry(**row) for row in connection.execute(query).mappings()]
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error

    def find_digest(self, sequence: int) -> str | None:
        """Return the digest of an entry, None where there is none."""
        query = select(schema.audit.c.digest).where(schema.audit.c.sequence == sequence)
        with self._reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def count_waiting(self) -> int:
        """Return how many entries no collector has yet."""
        last = select(func.max(schema.audit.c.sequence)).scalar_subquery()
        with self._reading() as connection:
            row = connection.execute(select(last, schema.audit_head.c.forwarded)).first()
        return max(0, (row[0] or 0) - row[1]) if row is not None else 0

    def get_forwarded(self) -> int:
        """Return the number of the last entry that the collector has.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        try:
            with self._reading() as connection:
                return connection.execute(select(schema.audit_head.c.forwarded)).scalar_one_or_none() or 0
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error

    def set_forwarded(self, sequence: int) -> None:
        """Note how far the collector has the trail.

        Raises
        ------
        StorageError
            If the index refuses.
        """
        try:
            with self.engine.begin() as connection:
                connection.execute(update(schema.audit_head).values(forwarded=sequence))
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error

    def _reading(self) -> Connection:
        return self.engine.connect().execution_options(read_only=True)


def iter_entries(
    connection: Connection, first: int | None = None, last: int | None = None
) -> Iterator[Entry]:
    """Yield the entries from one number to another, in order, a few at a time."""
    table = schema.audit
    query = select(table).order_by(table.c.sequence)
    if first is not None:
        query = query.where(table.c.sequence >= first)
    if last is not None:
        query = query.where(table.c.sequence <= last)
    rows = connection.execution_options(yield_per=_BATCH).execute(query).mappings()
    for row in rows:
        yield Entry(**row)
