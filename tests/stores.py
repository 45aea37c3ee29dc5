"""The one way in which tests open a store: on SQLite, or with WETREAD_TEST_DATABASE=postgresql on that.

A test that is about SQLite itself carries ``@pytest.mark.sqlite`` and is left out of the other run.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from tests.postgres import database_name, shared_cluster
from wetread.store import Store
from wetread.store import open_store as open_any_store
from wetread.store.keys import EncryptionSettings
from wetread.store.place import take_place
from wetread.store.settings import StoreSettings, read_database_url

ON_POSTGRESQL = os.environ.get("WETREAD_TEST_DATABASE") == "postgresql"


def database_url(data: Path) -> str:
    """URL of the database of a data folder, as SQLAlchemy wants it; "" for SQLite in the folder."""
    if not ON_POSTGRESQL:
        return ""
    return read_database_url(StoreSettings(database=shared_cluster().create(database_name(data))))


def open_store(data: Path, encryption: EncryptionSettings | None = None) -> Store:
    return open_any_store(data, database_url(data), encryption=encryption)


def own_folder(store: Store) -> Store:
    """Become a service on the data folder, as `wetread serve` does; returns the store to work with."""
    if ON_POSTGRESQL:
        return take_place(store, f"test-{secrets.token_hex(8)}")
    store.own()
    return store


def store_table(data: Path) -> str:
    """Lines of wetread.toml that name the database of a data folder."""
    return f'[store]\ndatabase = "{database_url(data)}"\n' if ON_POSTGRESQL else ""
