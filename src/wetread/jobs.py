"""The engine's rows of jobs, for whoever looks at the queue: from any process, with or without an engine.

In: the URL of the engine's database.  Out: what waits and what runs; another place in the line.
Never: a job begun or ended here; what a job was given or has returned.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from wetread.errors import StorageError

TABLE = "workflow_status"
_COLUMNS = "workflow_uuid, status, executor_id, priority, created_at, started_at_epoch_ms"
_RUNNING = "PENDING"
_OPEN = ("ENQUEUED", _RUNNING, "DELAYED")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One job that waits or runs."""

    key: str
    is_running: bool
    #: The process that runs it; ``""``: it waits.
    worker: str
    #: Lower runs first.
    priority: int
    #: Seconds since 1970: handed to the engine, or begun.
    since: float


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of one engine; each question has a connection of its own."""

    url: str

    def list_open(self, prefix: str) -> list[JobRow]:
        """Return what runs and what waits, in the order in which it will be taken.

        Parameters
        ----------
        prefix
            Of the keys, e.g. ``"read/"``; without wildcards of SQL.

        Raises
        ------
        StorageError
            If the database does not answer.
        """
        with self._connect() as (connection, place):
            if not place:
                return []
            states = ", ".join(f"'{one}'" for one in _OPEN)
            query = (
                f"SELECT {_COLUMNS} FROM {place}"  # noqa: S608 - our own words
                f" WHERE workflow_uuid LIKE :prefix AND status IN ({states}) ORDER BY priority, created_at"
            )
            rows = connection.execute(text(query), {"prefix": f"{prefix}%"}).all()
        found = [
            JobRow(
                key=key,
                is_running=status == _RUNNING,
                worker=worker or "" if status == _RUNNING else "",
                priority=priority or 0,
                since=((started if status == _RUNNING else None) or created) / 1000,
            )
            for key, status, worker, priority, created, started in rows
        ]
        return sorted(found, key=lambda one: not one.is_running)

    def put(self, key: str, priority: int) -> bool:
        """Give a job that waits another place in the line; False where it does not wait any more.

        Raises
        ------
        StorageError
            If the database does not answer.
        """
        with self._connect() as (connection, place):
            if not place:
                return False
            statement = (
                f"UPDATE {place} SET priority = :priority"  # noqa: S608 - our own words
                " WHERE workflow_uuid = :key AND status = 'ENQUEUED'"
            )
            done = connection.execute(text(statement), {"priority": priority, "key": key})
            connection.commit()
            return done.rowcount == 1

    @contextmanager
    def _connect(self) -> Iterator[tuple[Connection, str]]:
        """Yield a connection and the table's name; ``""``: no engine has ever run here."""
        engine = sqlalchemy.create_engine(self.url, poolclass=NullPool)
        schema = None if engine.dialect.name == "sqlite" else "dbos"
        try:
            with engine.connect() as connection:
                is_there = sqlalchemy.inspect(connection).has_table(TABLE, schema=schema)
                yield connection, (f"{schema}.{TABLE}" if schema else TABLE) if is_there else ""
        except SQLAlchemyError as error:
            raise StorageError("The queue cannot be read.", reason=type(error).__name__) from error
        finally:
            engine.dispose()
