"""Open the index: SQLite in the data folder, or PostgreSQL by its URL.

In: a URL.  Out: an SQLAlchemy engine with the newest schema.  Never: a commit that a power cut can undo.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy import Engine, event

from wetread.errors import StorageError
from wetread.store.migration import migrate

#: How long a writer waits for another one.
BUSY_TIMEOUT_S = 30.0
_CHECKPOINT_TRIES = 4


def open_database(url: str) -> Engine:
    """Return an engine on the migrated database at ``url``.

    Raises
    ------
    ConfigError
        If a newer version made it.
    """
    engine = connect(url)
    try:
        migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def connect(url: str) -> Engine:
    """Return an engine without touching the schema."""
    if not url.startswith("sqlite"):
        return sqlalchemy.create_engine(url, hide_parameters=True)
    engine = sqlalchemy.create_engine(
        # Parameters are patient data: they never stand in an error.
        url,
        connect_args={"timeout": BUSY_TIMEOUT_S},
        hide_parameters=True,
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    # We begin transactions ourselves (below), so that a reader never turns into a blocked writer.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # FULL: in WAL mode only this makes a commit survive a power cut (sqlite.org/pragma.html).
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # What was deleted is patient data: it is overwritten, not only unlinked.
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN" if options.get("read_only") else "BEGIN IMMEDIATE")


def compact(engine: Engine) -> None:
    """Write the database anew without what was deleted, its free pages and log included.

    On PostgreSQL the space of deleted rows is given free to be overwritten; its log and backups are the
    database administrator's.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM")
        if engine.dialect.name != "sqlite":
            return
        for _try in range(_CHECKPOINT_TRIES):
            # Readers of older pages hold it up; each waits BUSY_TIMEOUT_S for them at most.
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
            if not busy:
                return
    raise StorageError("The log of the index could not be emptied: stop the service and erase again.")
