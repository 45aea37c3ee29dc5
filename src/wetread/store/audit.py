"""The audit trail: one row per event, each digest covering the row before.

In: ``AuditEvent``.  Out: rows of ``audit``, the end of the chain in the index and in ``audit.head``.
Never: a gap, a row without its place in the chain; a broken chain that is silently gone on with.

The note of the end may lag behind the table (a crash came between), it never leads. Before each entry the
noted end is looked for in the table: who cuts the table and lets the service go on is told of by an entry.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from wetread.dicom.audit_message import encode_event, summarize
from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType, AuditOutcome
from wetread.errors import StorageError
from wetread.store import schema
from wetread.store.chain import (
    End,
    genesis,
    make_key,
    next_digest,
    place_end,
    prepare_end,
    read_end,
    read_key,
    write_end,
)
from wetread.store.together import writing

#: Subtype of the entry that says that the trail was tampered with; ``verify`` reports each.
TRAIL_BROKEN = "audit-trail-broken"

_HEAD = select(schema.audit_head).where(schema.audit_head.c.id == 1).with_for_update()
_LAST = (
    select(schema.audit.c.sequence, schema.audit.c.digest).order_by(schema.audit.c.sequence.desc()).limit(1)
)
# Built once: building a statement costs more than running it.
_INSERT = insert(schema.audit)
_MOVE_HEAD = (
    update(schema.audit_head)
    .where(schema.audit_head.c.id == 1)
    .values(sequence=bindparam("to_sequence"), digest=bindparam("to_digest"))
)


@dataclass(slots=True)
class _Memory:
    """What this process knows by itself: an attacker cannot set it back."""

    key: bytes | None = None
    end: End | None = None
    #: Writes notes of the end to the disk while their entries are.
    notary: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, "notary"))


@dataclass(frozen=True, slots=True)
class Audit:
    """The trail of one index."""

    engine: Engine
    key_file: Path
    head_file: Path
    #: Names this installation in every message.
    source: str = "wetread"
    _memory: _Memory = field(default_factory=_Memory, repr=False)

    def record(self, event: AuditEvent) -> None:
        """Append an event, in a transaction of its own; it is durable when this returns.

        Never call it inside of another transaction: see ``record_in``.

        Raises
        ------
        StorageError
            If it cannot be written: what was to be recorded must not happen then.
        """
        with ExitStack() as after:
            note: Future[Path] | None = None
            try:
                with writing(self.engine) as connection:
                    end = self._append(connection, event)
                    # Written to the disk while the entry is, and put into its place after it: it never leads.
                    note = self._memory.notary.submit(self._prepare, end, after)
            except SQLAlchemyError as error:
                raise StorageError(
                    "The audit trail cannot be written.", reason=type(error).__name__
                ) from error
            finally:
                # What was prepared is put away by ``after``: not before it is there.
                wait([note] if note else [])
            self._note(end, note.result())

    def record_in(self, connection: Connection, event: AuditEvent) -> None:
        """Append an event in the caller's transaction, so that a change and its entry are one.

        Call it last in the transaction (on PostgreSQL it locks the end of the chain until the commit), and
        ``note_end`` after the commit.

        Raises
        ------
        StorageError
            If the key is gone.
        SQLAlchemyError
            If the index refuses.
        """
        self._append(connection, event)

    def note_end(self) -> None:
        """Note the committed end outside of the database; without it the note lags until the next ``record``.

        Raises
        ------
        StorageError
            If index or note refuse.
        """
        try:
            with self.engine.connect().execution_options(read_only=True) as connection:
                last = connection.execute(_LAST).first()
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error
        if last is not None:
            end = End(sequence=last.sequence, digest=last.digest)
            with ExitStack() as after:
                self._note(end, self._prepare(end, after))

    def _prepare(self, end: End, after: ExitStack) -> Path:
        return after.enter_context(prepare_end(self.head_file, self._get_key(may_make=False), end))

    def _note(self, end: End, prepared: Path) -> None:
        known = self._memory.end
        if known is None or known.sequence < end.sequence:
            self._memory.end = end
        place_end(self.head_file, self._get_key(may_make=False), end, prepared)

    def _append(self, connection: Connection, event: AuditEvent) -> End:
        # On PostgreSQL this locks the row until the commit; SQLite has begun with IMMEDIATE.
        head = connection.execute(_HEAD).first()
        last = connection.execute(_LAST).first()
        key = self._get_key(may_make=last is None)
        end = End(sequence=last.sequence, digest=last.digest) if last is not None else genesis(key)
        broken, reached = self._find_break(connection, key, head, end)
        if broken:
            # No number is used twice: what was cut off stays a gap.
            end = self._insert(connection, key, end, reached + 1, _broken_event(broken))
        end = self._insert(connection, key, end, end.sequence + 1, event)
        moved = connection.execute(_MOVE_HEAD, {"to_sequence": end.sequence, "to_digest": end.digest})
        if moved.rowcount == 0:
            first = {"id": 1, "forwarded": 0, "sequence": end.sequence, "digest": end.digest}
            connection.execute(insert(schema.audit_head), first)
        return end

    def _insert(
        self, connection: Connection, key: bytes, after: End, sequence: int, event: AuditEvent
    ) -> End:
        message = encode_event(event, self.source)
        digest = next_digest(key, after.digest, sequence, message)
        found = summarize(message)
        row = {
            "sequence": sequence,
            "message": message,
            "digest": digest,
            "at": found.at,
            "event": found.event,
            "actor": found.actor,
            "study_instance_uid": found.study_instance_uid,
        }
        connection.execute(_INSERT, row)
        return End(sequence=sequence, digest=digest)

    def _get_key(self, *, may_make: bool) -> bytes:
        if self._memory.key is None:
            key = read_key(self.key_file)
            if key is None and not may_make:
                raise StorageError("The audit key is gone: put it back from where you keep a copy.")
            self._memory.key = key or make_key(self.key_file)
        return self._memory.key

    def _find_break(self, connection: Connection, key: bytes, head: Any, end: End) -> tuple[str, int]:
        """Return what shows that the trail was tampered with ("": nothing), and its highest known number."""
        try:
            noted = read_end(self.head_file, key)
        except ValueError:
            return "The note of its end (audit.head) was changed or belongs to another key.", end.sequence
        if noted is None:
            if end.sequence > 0:
                return "The note of its end (audit.head) was removed.", end.sequence
            # Before the first entry: from here on there is always a note.
            write_end(self.head_file, key, end)
        for known in (self._memory.end, noted):
            if known is not None and known.sequence > 0 and not _has(connection, known, end):
                reached = max(known.sequence, end.sequence)
                return f"It had {known.sequence} entries, the last with digest {known.digest}.", reached
        expected = (end.sequence, end.digest if end.sequence else "")
        if head is None or (head.sequence, head.digest) != expected:
            return "The end in the index (audit_head) does not belong to the last entry.", end.sequence
        return "", end.sequence


def _has(connection: Connection, known: End, end: End) -> bool:
    if known == end:
        return True
    query = select(schema.audit.c.digest).where(schema.audit.c.sequence == known.sequence)
    return connection.execute(query).scalar_one_or_none() == known.digest


def _broken_event(description: str) -> AuditEvent:
    return AuditEvent(
        type=AuditEventType.SECURITY_ALERT,
        subtype=TRAIL_BROKEN,
        action=AuditAction.EXECUTE,
        at=datetime.now(UTC),
        outcome=AuditOutcome.MAJOR_FAILURE,
        description=f"The audit trail was tampered with before this entry. {description}",
        actors=(Actor(user_id="wetread", role="110150"),),
    )
