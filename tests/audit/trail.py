"""A trail, and ways to tamper with it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.store import open_store
from wetread.store.audit import Audit
from wetread.store.audit_verify import Finding, verify_index
from wetread.store.database import connect


def make_event(text: str = "", study: str = "1.2.3", actor: str = "CT1") -> AuditEvent:
    return AuditEvent(
        type=AuditEventType.QUERY,
        action=AuditAction.EXECUTE,
        at=datetime.now(UTC),
        actors=(Actor(user_id=actor, is_requestor=True, address="127.0.0.1"),),
        description=text,
        studies=(study,),
    )


def write_trail(folder: Path, count: int) -> None:
    store = open_store(folder)
    for number in range(1, count + 1):
        store.audit.record(make_event(f"event {number}", f"1.2.{number}", f"CT{number}"))
    store.close()


def open_again(folder: Path) -> Audit:
    """The trail of a folder that exists, without the migrations that opening a store runs."""
    engine = connect(f"sqlite:///{folder / 'index.sqlite'}")
    return Audit(engine, folder / "audit.key", folder / "audit.head")


def verify(folder: Path) -> list[Finding]:
    audit = open_again(folder)
    try:
        return list(verify_index(audit.engine, audit.key_file, audit.head_file))
    finally:
        audit.engine.dispose()


def run(audit: Audit, sql: str, **values: Any) -> None:
    with audit.engine.begin() as connection:
        connection.execute(text(sql), values)


def tamper(folder: Path, *statements: str) -> None:
    audit = open_again(folder)
    for sql in statements:
        run(audit, sql)
    audit.engine.dispose()
