"""The trail on PostgreSQL: the same chain, one row locked instead of the whole database."""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import text

from tests.audit.trail import make_event
from tests.postgres import database_name, requires_postgresql, shared_cluster
from wetread.store import open_store
from wetread.store.audit_rows import AuditRows
from wetread.store.audit_verify import verify_index
from wetread.store.settings import StoreSettings, read_database_url


@requires_postgresql
def test_writers_at_once_and_a_cut(tmp_path: Path) -> None:
    url = read_database_url(StoreSettings(database=shared_cluster().create(database_name(tmp_path))))
    # As two processes on one data folder: each with a memory and connections of its own.
    stores = [open_store(tmp_path, url) for _ in range(2)]
    faults: list[Exception] = []

    def write(number: int) -> None:
        try:
            for _ in range(10):
                stores[number % 2].audit.record(make_event(f"thread {number}"))
        except Exception as error:  # noqa: BLE001 - told below
            faults.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    store = stores[0]
    audit = store.audit
    entries = AuditRows(store.engine).list_after(0, 1000)
    assert [entry.sequence for entry in entries] == list(range(1, 61))
    assert list(verify_index(store.engine, audit.key_file, audit.head_file)) == []
    with store.engine.begin() as connection:
        connection.execute(text("DELETE FROM audit WHERE sequence > 58"))
        connection.execute(
            text(
                "UPDATE audit_head SET sequence = 58, digest = (SELECT digest FROM audit WHERE sequence = 58)"
            )
        )
    lines = [str(one) for one in verify_index(store.engine, audit.key_file, audit.head_file)]
    assert lines == ["entry 59: 59 to 60 are missing at the end: audit.head knows of them"]
    for one in stores:
        one.close()
