"""Bring the index to this version's schema, and keep a copy of what it was.

In: an engine on an index of this version or an earlier one.  Out: the same, migrated.
Never: an index that is half migrated; one of a newer version touched; an SQLite index changed without a copy.

All steps are one transaction, on SQLite and PostgreSQL: whatever kills it, the index is as it was.
The copy is for who wants the earlier version back; PostgreSQL's is the database administrator's.
"""

from __future__ import annotations

import importlib.resources
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, func, inspect, select

from wetread.errors import ConfigError
from wetread.store.blobs import sync_file, sync_folder

#: Names our advisory lock in PostgreSQL.
_LOCK = int.from_bytes(b"wetread")


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to a revision, by default the newest.

    Raises
    ------
    ConfigError
        If a newer version of Wetread wrote it; nothing was changed.
    """
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    target = scripts.get_current_head() if revision == "head" else revision
    before = read_revision(engine)
    check_known(before)
    if before == target:
        return
    index = _sqlite_path(engine)
    copy = None
    if index is not None and before is not None:
        copy = index.with_name(f"{index.name}.before-{target}")
        _copy_index(engine, copy, before)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Several processes may start at once: the first migrates, the others find it done.
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    if index is not None and copy is not None:
        _drop_older_copies(index, copy)


def read_revision(engine: Engine) -> str | None:
    """Return the revision of an index, None where it has no tables yet."""
    with engine.connect().execution_options(read_only=True) as connection:
        return _revision(connection)


def newest_revision() -> str:
    """Return the revision that this version works with."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def check_known(revision: str | None) -> None:
    """Refuse what this version does not know.

    Raises
    ------
    ConfigError
        If a newer version wrote it.
    """
    known = {one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise ConfigError(
            "A newer version of Wetread wrote this: install that version, or restore a backup of this one.",
            revision=revision,
            newest_known=newest_revision(),
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(importlib.resources.files("wetread.store") / "migrations"))
    return config


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return MigrationContext.configure(connection).get_current_revision()


def _sqlite_path(engine: Engine) -> Path | None:
    """Return the file of an SQLite index, None for another database or one in memory."""
    name = engine.url.database
    return Path(name) if engine.dialect.name == "sqlite" and name and name != ":memory:" else None


def _copy_index(engine: Engine, copy: Path, revision: str) -> None:
    """Copy the index as it is now, whole or not at all."""
    part = copy.with_name(f".{copy.name}.{os.getpid()}.part")
    try:
        part.touch(mode=0o600)
        # A file of its own, not in WAL mode: one file is the whole copy.
        index = str(engine.url.database)
        with closing(sqlite3.connect(index)) as source, closing(sqlite3.connect(part)) as to:
            source.backup(to)
            to.execute("PRAGMA journal_mode=DELETE")
            (copied,) = to.execute("SELECT version_num FROM alembic_version").fetchone()
        if copied == revision:
            sync_file(part)
            part.replace(copy)
            sync_folder(copy.parent)
        # Otherwise another process has just migrated it, and has the copy.
    finally:
        part.unlink(missing_ok=True)


def _drop_older_copies(index: Path, newest: Path) -> None:
    """Remove the copies of earlier upgrades: this one has succeeded."""
    for path in index.parent.glob(f"{index.name}.before-*"):
        if path != newest:
            path.unlink()
    for path in index.parent.glob(f".{index.name}.before-*.part"):
        path.unlink()
