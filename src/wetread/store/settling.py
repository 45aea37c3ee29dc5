"""Which Readings readers have changed since a report of ours said so, and the reports that say it.

In: each change and judgement; what was composed of them.  Out: what no report says yet.
Never: a report of changes that have gone on since; one change in two reports; one without its audit entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.audit import AuditEvent
from wetread.domain.document import Document
from wetread.errors import StorageError
from wetread.store import schema
from wetread.store.audit import Audit
from wetread.store.history import Event, History
from wetread.store.readings import Readings
from wetread.store.study_lock import lock_study

_TABLE, _READING, _STUDY = schema.settling, schema.reading, schema.study


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """A Reading of which no report says what readers changed last."""

    reading_digest: str
    study_instance_uid: str
    #: Grows with each change.
    version: int
    #: Seconds since 1970.
    changed_at: float
    #: ``Left.state`` of the newest report; ``""``: as the model left it.
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a new report says, and where it goes."""

    #: ``Left.state``.
    state: str
    reading_id: int
    #: Of the study, when it was composed.
    revision: int
    documents: Sequence[Document]
    #: What else belongs to the transaction, given the numbers of the documents.
    beside: Callable[[Connection, list[int]], None]


@dataclass(frozen=True, slots=True)
class Settlings:
    """All of them."""

    engine: Engine
    audit: Audit
    readings: Readings

    def list_open(self) -> list[Unsettled]:
        """Return what no report says yet, of Readings that stand, the oldest first.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        columns = [_TABLE.c[name] for name in Unsettled.__dataclass_fields__]
        query = (
            select(*columns)
            .join(_READING, _READING.c.digest == _TABLE.c.reading_digest)
            .where(_TABLE.c.is_open, ~_READING.c.superseded)
            .order_by(_TABLE.c.changed_at)
        )
        try:
            with self.engine.connect().execution_options(read_only=True) as connection:
                return [Unsettled(**row) for row in connection.execute(query).mappings()]
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error

    def settle(self, row: Unsettled, settled: Settled, *, told: Event, event: AuditEvent) -> bool:
        """Keep a report with its deliveries: all or nothing, and once.

        Returns
        -------
        bool
            Whether it was kept: not where somebody changed something since, more images came, or another
            process was first.

        Raises
        ------
        StorageError
            If disk or index refuse.
        """
        study = row.study_instance_uid
        try:
            with self.engine.begin() as connection:
                lock_study(connection, study)
                if not _is_at(connection, study, settled.revision):
                    return False
                if not self._close(connection, row, settled.state):
                    return False
                ids = self.readings.add_signed(connection, study, settled.reading_id, settled.documents)
                settled.beside(connection, ids)
                History(self.engine).add_in(connection, told)
                self.audit.record_in(connection, event)
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error
        self.audit.note_end()
        return True

    def close(self, row: Unsettled, told: Event | None = None) -> None:
        """Note that there is nothing to be reported of a Reading until the next change.

        Raises
        ------
        StorageError
            If the index refuses.
        """
        try:
            with self.engine.begin() as connection:
                if self._close(connection, row, row.state) and told is not None:
                    History(self.engine).add_in(connection, told)
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error

    def _close(self, connection: Connection, row: Unsettled, state: str) -> bool:
        """Return whether it is as it was looked at; then it is closed."""
        mine = (_TABLE.c.reading_digest == row.reading_digest, _TABLE.c.version == row.version)
        values = update(_TABLE).where(*mine, _TABLE.c.is_open).values(is_open=False, state=state)
        return bool(connection.execute(values).rowcount)


def note_change(connection: Connection, study: str, reading_digest: str, at: float) -> None:
    """Note that readers changed or judged something, within the transaction that keeps what.

    The study is locked: nobody else notes the same at once.
    """
    mine = _TABLE.c.reading_digest == reading_digest
    values = {"version": _TABLE.c.version + 1, "changed_at": at, "is_open": True}
    if not connection.execute(update(_TABLE).where(mine).values(values)).rowcount:
        connection.execute(
            insert(_TABLE).values(
                reading_digest=reading_digest,
                study_instance_uid=study,
                version=1,
                changed_at=at,
                is_open=True,
                state="",
            )
        )


def note_reported(connection: Connection, reading_digest: str, state: str) -> None:
    """Note that a report that is kept in this transaction says all that readers changed."""
    mine = _TABLE.c.reading_digest == reading_digest
    connection.execute(update(_TABLE).where(mine).values(is_open=False, state=state))


def _is_at(connection: Connection, study: str, revision: int) -> bool:
    """Tell whether a study is at this revision, with no image that waits to be read."""
    query = select(_STUDY.c.revision, _STUDY.c.instance_count, _STUDY.c.covered_count).where(
        _STUDY.c.study_instance_uid == study
    )
    row = connection.execute(query).first()
    return row is not None and row.revision == revision and row.instance_count <= row.covered_count
