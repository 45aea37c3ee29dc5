"""Tables as JSON lines: the same for SQLite and PostgreSQL.

In: a connection.  Out: one file of rows per table; and back.
Never: half a snapshot; who is signed in or which processes run; a column that the schema does not have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from sqlalchemy import JSON, Connection, Engine, MetaData, Table, delete, insert, select, text

from wetread.errors import StorageError
from wetread.store import schema

#: What holds for this machine and moment only.
_LEFT_OUT = {"session", "worker", "doomed"}
#: Columns that are made again from the files (``Catalogue.describe_missing``).
_REMADE = {"metadata"}
_ROWS = 500


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Yield a connection that sees the database as it is at its first question, however long it asks."""
    options: dict[str, Any] = {"read_only": True}
    if engine.dialect.name == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"
    with engine.connect().execution_options(**options) as connection:
        yield connection


def dumped_tables() -> list[Table]:
    """Return the tables that a dump holds, those that others refer to first."""
    return [table for table in schema.metadata.sorted_tables if table.name not in _LEFT_OUT]


def dump_table(connection: Connection, table: Table, file: BinaryIO, see: Callable[[Any], None]) -> int:
    """Write a table's rows, and show each to ``see``; returns how many there are."""
    count = 0
    columns = [column for column in table.columns if column.name not in _REMADE]
    result = connection.execution_options(yield_per=_ROWS).execute(select(*columns))
    for row in result.mappings():
        file.write(json.dumps(dict(row), separators=(",", ":"), allow_nan=False).encode() + b"\n")
        see(row)
        count += 1
    return count


def load_tables(connection: Connection, tables: Iterable[tuple[str, BinaryIO]]) -> None:
    """Fill the tables of an index that has none but its own first rows.

    Raises
    ------
    StorageError
        If a line is no row of its table.
    """
    held = MetaData()
    held.reflect(connection)
    files = dict(tables)
    known = [table for table in held.sorted_tables if table.name in files]
    if len(known) != len(files):
        raise StorageError("The backup has a table that its version does not know.")
    for table in reversed(known):
        connection.execute(delete(table))
    for table in known:
        for column in table.columns:
            if isinstance(column.type, JSON):
                # NULL is NULL again, not the JSON word for it.
                column.type = JSON(none_as_null=True)
        for rows in _read_rows(table, files[table.name]):
            connection.execute(insert(table), rows)
        _set_counter(connection, table)


def _read_rows(table: Table, file: BinaryIO) -> Iterator[list[dict[str, Any]]]:
    names = set(table.columns.keys()) - _REMADE
    rows: list[dict[str, Any]] = []
    for line in file:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise StorageError("The backup has a line that is no row.", table=table.name) from error
        if not isinstance(row, dict) or set(row) != names:
            raise StorageError("The backup has a row that does not fit its table.", table=table.name)
        rows.append(row)
        if len(rows) == _ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _set_counter(connection: Connection, table: Table) -> None:
    """Let new rows get numbers behind those that were filled in."""
    if connection.dialect.name != "postgresql" or "id" not in table.columns:
        return
    # The name is one of our own schema's.
    name = table.name
    connection.execute(
        text(
            f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), m) "  # noqa: S608
            f'FROM (SELECT max(id) AS m FROM "{name}") AS ids '
            f"WHERE m IS NOT NULL AND pg_get_serial_sequence('{name}', 'id') IS NOT NULL"
        )
    )
