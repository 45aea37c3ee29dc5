"""Of several processes on one database, one asks a PACS; when it ends, however that is, another may."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from tests.path.service import await_true
from tests.postgres import Cluster, database_name
from wetread.errors import StorageError
from wetread.store.database import connect
from wetread.store.fetches import Fetches
from wetread.store.settings import StoreSettings, read_database_url


def test_one_owner_at_a_time(cluster: Cluster, tmp_path: Path) -> None:
    url = read_database_url(StoreSettings(database=cluster.create(database_name(tmp_path))))
    first, second = Fetches(connect(url)), Fetches(connect(url))
    with first.owner("archive") as is_mine:
        assert is_mine()
        with second.owner("archive") as is_theirs, second.owner("other") as is_other:
            assert not is_theirs()
            assert is_other()
    with second.owner("archive") as is_theirs:
        assert is_theirs()
    with pytest.raises((StorageError, DBAPIError)):
        _lose(first, second)
    for one in (first, second):
        one.engine.dispose()


def _lose(first: Fetches, second: Fetches) -> None:
    """Cut the owner's connection: it is the owner no more, and hears of it."""
    with first.owner("archive") as is_mine:
        with second.engine.begin() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_locks"
                " WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database"
                " WHERE datname = current_database())"
            )
        await_true(lambda: _is_owner(second), 30, "the place")
        is_mine()


def _is_owner(fetches: Fetches) -> bool:
    with fetches.owner("archive") as is_mine:
        return is_mine()
