"""What keeping promises holds on PostgreSQL too, and a backup goes from either database into the other."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy

from tests.keeping.ward import NOW, make_study, policy, send
from wetread.domain.progress import Acceptance
from wetread.errors import ConfigError
from wetread.store import open_store
from wetread.store.backup import back_up
from wetread.store.database import connect
from wetread.store.migration import migrate, read_revision
from wetread.store.patients import Patient, erase_patient, find_studies
from wetread.store.reconcile import Reconciliation, reconcile
from wetread.store.restore import restore
from wetread.store.retention import run_retention

BINARIES = Path("/usr/lib/postgresql/15/bin")

pytestmark = pytest.mark.skipif(
    not (BINARIES / "initdb").exists(), reason="PostgreSQL 15 is not installed (apt install postgresql)."
)


@pytest.fixture(scope="module")
def make_database() -> Iterator[Callable[[str], str]]:
    """Return a function that makes an empty database and gives its URL; a server runs for this module."""
    # Short: a socket's path has 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="wtpg", dir="/tmp"))
    as_owner: list[str] = []
    if os.geteuid() == 0:
        # The server refuses to run as root.
        shutil.chown(folder, "postgres")
        as_owner = ["runuser", "-u", "postgres", "--"]

    def control(program: str, *words: str) -> None:
        command = [*as_owner, str(BINARIES / program), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)

    database = str(folder / "db")
    control("initdb", "-D", database, "-A", "trust", "-U", "wetread", "--no-sync")
    options = f"-k {folder} -c listen_addresses= -c fsync=off"
    control("pg_ctl", "-D", database, "-o", options, "-l", str(folder / "log"), "-w", "start")

    def make(name: str) -> str:
        url = f"postgresql+psycopg://wetread@/{{}}?host={folder}"
        engine = sqlalchemy.create_engine(url.format("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        engine.dispose()
        return url.format(name)

    yield make
    control("pg_ctl", "-D", database, "-m", "fast", "stop")
    shutil.rmtree(folder, ignore_errors=True)


def test_a_backup_goes_from_either_database_into_the_other(make_database, tmp_path: Path) -> None:
    source = open_store(tmp_path / "one", make_database("one"))
    make_study(source, 1)
    send(source, 1, 1, content=b"other")
    back_up(source, tmp_path / "backup", NOW)
    source.close()
    restore(tmp_path / "backup", tmp_path / "two", NOW, by="tester")
    sqlite = open_store(tmp_path / "two")
    assert reconcile(sqlite) == Reconciliation()
    back_up(sqlite, tmp_path / "backup2", NOW)
    sqlite.close()
    url = make_database("three")
    restore(tmp_path / "backup2", tmp_path / "three", NOW, by="tester", database_url=url)
    again = open_store(tmp_path / "three", url)
    assert reconcile(again) == Reconciliation()
    assert [row.instance_count for row in again.studies.list_newest()] == [2]
    # Numbers go on behind those that were filled in.
    make_study(again, 2)
    assert send(again, 2, 1, content=b"other") is Acceptance.CONFLICT
    again.close()
    with pytest.raises(ConfigError, match="empty"):
        restore(tmp_path / "backup2", tmp_path / "four", NOW, by="tester", database_url=url)


def test_retention_holds_and_erasure(make_database, tmp_path: Path) -> None:
    store = open_store(tmp_path / "data", make_database("keep"))
    make_study(store, 1)
    make_study(store, 2, patient="P2")
    store.holds.place("1.2.2", "case 7", "tester", NOW)
    outcome = run_retention(store, policy(days=30), NOW)
    assert (outcome.deleted, dict(outcome.kept)) == (1, {"on legal hold": 1})
    patient = Patient(patient_id="P2")
    words = {"by": "tester", "why": "", "clock": lambda: NOW, "forget_jobs": lambda _studies: None}
    (kept,) = erase_patient(store, patient, **words)
    assert kept.is_held
    store.holds.release("1.2.2", "case 7 is closed", "tester", NOW)
    assert erase_patient(store, patient, **words) == []
    assert find_studies(store, patient) == []
    store.close()


def test_a_migration_that_fails_leaves_the_index_as_it_was(make_database) -> None:
    engine = connect(make_database("old"))
    migrate(engine, "0001")
    # The last statements of 0002 meet a table that is in their way: all before them is undone.
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE session (id integer)")
    before = sorted(sqlalchemy.inspect(engine).get_table_names())
    with pytest.raises(sqlalchemy.exc.ProgrammingError):
        migrate(engine)
    assert read_revision(engine) == "0001"
    assert sorted(sqlalchemy.inspect(engine).get_table_names()) == before
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE session")
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="newer version"):
        migrate(engine)
    engine.dispose()
