"""Open the index: SQLite in the data folder, or PostgreSQL by its URL.

In: a URL.  Out: an SQLAlchemy engine with the newest schema.  Never: a commit that a power cut can undo.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, ExceptionContext, event
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from wetread.errors import IndexUnavailable, StorageError
from wetread.store.migration import migrate
from wetread.store.turns import Turns

#: How long a writer waits for another process that writes, unless its engine has the option ``patience_s``.
BUSY_TIMEOUT_S = 30.0
#: Key in a connection's notes while it has its turn to write; its value: whether it has written.
_TURN = "wetread.turn"
#: Key in a connection's notes: how long SQLite waits for its lock, as it was told last.
_PATIENCE_MS = "wetread.patience_ms"
_CHECKPOINT_TRIES = 4
#: A transaction in which nothing happens for this long is ended by PostgreSQL: a process that was stopped
#: in the middle must not keep others from its study for ever.
IDLE_TRANSACTION_S = 30.0
#: More than twice the images that ``intake`` takes in at once: each may need two connections.
_POOL_SIZE, _POOL_OVERFLOW = 5, 45

#: libpq's words: how soon a dead network is noticed (seconds; milliseconds for tcp_user_timeout).
_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "wetread",
}


def open_database(url: str) -> Engine:
    """Return an engine on the migrated database at ``url``.

    Raises
    ------
    ConfigError
        If a newer version made it.
    IndexUnavailable
        If it does not answer.
    """
    engine = connect(url)
    try:
        migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def connect(url: str) -> Engine:
    """Return an engine without touching the schema.

    What passes by itself (no connection, a lock not granted in time) is raised as ``IndexUnavailable``.
    """
    engine = (
        _connect_sqlite(url)
        if url.startswith("sqlite")
        else connect_postgresql(url, _POOL_SIZE, _POOL_OVERFLOW)
    )
    event.listen(engine, "handle_error", _translate)
    return engine


def connect_postgresql(url: str, pool_size: int, overflow: int) -> Engine:
    """Return an engine on PostgreSQL; it keeps ``pool_size`` connections and makes ``overflow`` more."""
    engine = sqlalchemy.create_engine(
        url,
        connect_args=_PATIENCE,
        # Whatever the server's default is: rows are locked where more is needed.
        isolation_level="READ COMMITTED",
        pool_size=pool_size,
        max_overflow=overflow,
        # A server that was restarted has forgotten us.
        pool_pre_ping=True,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _set_up_postgresql)
    event.listen(engine, "begin", _limit_wait)
    return engine


def _connect_sqlite(url: str) -> Engine:
    engine = sqlalchemy.create_engine(
        # Parameters are patient data: they never stand in an error.
        url,
        connect_args={"timeout": BUSY_TIMEOUT_S},
        hide_parameters=True,
    )
    event.listen(engine, "connect", _set_up_sqlite)
    turns = Turns()
    event.listen(engine, "begin", partial(_begin_sqlite, turns))
    event.listen(engine, "commit", _note_commit)
    event.listen(engine, "checkin", partial(_end_turn, turns))
    return engine


def _set_up_postgresql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        # Whatever the server's default is: what we acknowledge survives a power cut.
        cursor.execute("SET synchronous_commit = on")
        cursor.execute(f"SET lock_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
        cursor.execute(f"SET idle_in_transaction_session_timeout = {int(IDLE_TRANSACTION_S * 1000)}")
    # A setting of a transaction that is rolled back is rolled back too.
    connection.commit()


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


def _begin_sqlite(turns: Turns, connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("read_only"):
        connection.exec_driver_sql("BEGIN")
        return
    try:
        left_s = turns.take(options.get("patience_s", BUSY_TIMEOUT_S))
    except TimeoutError as error:
        raise IndexUnavailable(reason="others write") from error
    # The turn ends when the connection goes back to the pool: after the commit is on the disk.
    connection.info[_TURN] = False
    left_ms = int(left_s * 1000)
    if connection.info.get(_PATIENCE_MS) != left_ms:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={left_ms}")
        connection.info[_PATIENCE_MS] = left_ms
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _note_commit(connection: Connection) -> None:
    if _TURN in connection.info:
        connection.info[_TURN] = True


def _end_turn(turns: Turns, _connection: Any, record: Any) -> None:
    has_written = record.info.pop(_TURN, None)
    if has_written is not None:
        turns.give(has_written=has_written)


def _limit_wait(connection: Connection) -> None:
    patience_s = connection.get_execution_options().get("patience_s")
    if patience_s is not None:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(patience_s * 1000)}")


def compact(engine: Engine) -> None:
    """Write the database anew without what was deleted, its free pages and log included.

    On PostgreSQL the space of deleted rows is given free to be overwritten; its log and backups are the
    database administrator's.

    Raises
    ------
    StorageError
        If the index is in use for too long.
    """
    try:
        is_clean = _compact(engine)
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise StorageError("The index could not be written anew.", reason=type(error).__name__) from error
    if not is_clean:
        raise StorageError("The log of the index could not be emptied: stop the service and erase again.")


def empty_log(engine: Engine) -> None:
    """Empty the log of SQLite, so that what was overwritten does not stay in it.

    Where a reader holds it up it stays, at most until the last process closes the index. PostgreSQL's log is
    the database administrator's.
    """
    if engine.dialect.name == "sqlite":
        with closing(engine.raw_connection()) as raw, closing(raw.cursor()) as cursor:
            _checkpoint(cursor)


def _compact(engine: Engine) -> bool:
    if engine.dialect.name != "sqlite":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM")
        return True
    # Not within a transaction, which ours all are.
    with closing(engine.raw_connection()) as raw, closing(raw.cursor()) as cursor:
        cursor.execute("VACUUM")
        # Readers of older pages hold it up; each try waits BUSY_TIMEOUT_S for them at most.
        return any(_checkpoint(cursor) for _try in range(_CHECKPOINT_TRIES))


def _checkpoint(cursor: DBAPICursor) -> bool:
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    row = cursor.fetchone()
    return row is not None and row[0] == 0


def _translate(context: ExceptionContext) -> None:
    if context.is_pre_ping:
        # The pool deals with it: it makes a new connection.
        return
    if context.is_disconnect or isinstance(context.sqlalchemy_exception, OperationalError):
        reason = type(context.original_exception).__name__
        raise IndexUnavailable(reason=reason) from context.original_exception
