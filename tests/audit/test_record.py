"""The trail: every entry has its place, whoever writes."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from tests.stores import open_store
from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
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
