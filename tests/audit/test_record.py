"""The trail: every entry has its place, whoever writes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import DatabaseError

from tests.stores import open_store
from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.errors import StorageError
from wetread.store import schema
from wetread.store.chain import genesis, next_digest, read_end, read_key


def make_event(text: str = "") -> AuditEvent:
    return AuditEvent(
        type=AuditEventType.QUERY,
        action=AuditAction.EXECUTE,
        at=datetime.now(UTC),
        actors=(Actor(user_id="CT1", is_requestor=True, address="127.0.0.1"),),
        description=text,
        studies=("1.2.3",),
    )


def test_entries_follow_each_other(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for number in range(5):
        store.audit.record(make_event(f"event {number}"))
    with store.engine.begin() as connection:
        store.audit.record_in(connection, make_event("in a transaction"))
    store.audit.note_end()
    key = read_key(tmp_path / "audit.key")
    assert key is not None
    assert (tmp_path / "audit.key").stat().st_mode & 0o777 == 0o600
    with store.engine.connect() as connection:
        rows = connection.execute(select(schema.audit).order_by(schema.audit.c.sequence)).all()
        head = connection.execute(select(schema.audit_head)).one()
    assert [row.sequence for row in rows] == [1, 2, 3, 4, 5, 6]
    digest = genesis(key).digest
    for row in rows:
        digest = next_digest(key, digest, row.sequence, row.message)
        assert row.digest == digest
        assert (row.actor, row.event, row.study_instance_uid) == ("CT1", "110112", "1.2.3")
    end = read_end(tmp_path / "audit.head", key)
    assert end is not None
    assert (end.sequence, end.digest) == (head.sequence, head.digest) == (6, digest)
    store.close()


def test_a_note_that_was_prepared_never_leads(tmp_path: Path) -> None:
    """The note is written while the entry is: where the entry fails, the note must not take its place."""
    store = open_store(tmp_path)
    store.audit.record(make_event())

    def refuse(_connection: object) -> None:
        raise DatabaseError("COMMIT", {}, Exception("disk full"))

    event.listen(store.engine, "commit", refuse)
    with pytest.raises(StorageError):
        store.audit.record(make_event())
    event.remove(store.engine, "commit", refuse)
    key = read_key(tmp_path / "audit.key")
    assert key is not None
    end = read_end(tmp_path / "audit.head", key)
    assert end is not None
    assert end.sequence == 1
    assert [path.name for path in tmp_path.glob(".audit.head.*")] == []
    # The number of the entry that failed is free, and nothing looks like tampering.
    store.audit.record(make_event())
    with store.engine.connect() as connection:
        assert connection.execute(select(schema.audit.c.sequence)).scalars().all() == [1, 2]
    store.close()
