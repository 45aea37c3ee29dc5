"""One at a time counts, expects or begins a study.

In: a transaction and a study's UID.  Out: nobody else is at it until the transaction ends.
Never: a wait on SQLite, whose transactions have begun with IMMEDIATE.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, select

_LOCK = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("uid"), 2)))


def lock_study(connection: Connection, study_instance_uid: str) -> None:
    """Let nobody else count or begin this study until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"uid": study_instance_uid})
