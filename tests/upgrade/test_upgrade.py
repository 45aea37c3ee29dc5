"""A data folder of version 0.1.0, killed in the middle of its work, goes on with today's service."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pynetdicom import AE, StoragePresentationContexts, evt

from tests.path.service import Service
from tests.ports import free_port
from wetread.domain.progress import DeliveryState, StudyState
from wetread.errors import ConfigError
from wetread.store import open_store
from wetread.store.migration import newest_revision

PACKED = Path(__file__).parent / "data-0.1.0.tar.xz"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The unpacked data folder's parent."""
    with tarfile.open(PACKED) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.fixture
def pacs() -> Iterator[tuple[int, Counter[str]]]:
    """A destination that counts how often it gets each object."""
    got: Counter[str] = Counter()

    def keep(event: evt.Event) -> int:
        got[str(event.request.AffectedSOPInstanceUID)] += 1
        return 0x0000

    ae = AE("PACS")
    for context in StoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    yield server.server_address[1], got
    server.shutdown()


def studies_of(data: Path) -> dict[str, str]:
    """State name, as make_data.py gives it, to Study Instance UID; asked without migrating."""
    with closing(sqlite3.connect(data / "index.sqlite")) as index:
        rows = index.execute("SELECT patient_id, study_instance_uid FROM study").fetchall()
    return {patient.removeprefix("OLD-"): uid for patient, uid in rows}


def ask(path: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as index:
        return index.execute(question).fetchall()


def test_everything_queued_is_read_and_delivered_once(folder: Path, pacs) -> None:
    port, got = pacs
    studies = studies_of(folder / "data")
    readings = set(ask(folder / "data/index.sqlite", "SELECT digest FROM reading"))
    events = ask(folder / "data/index.sqlite", "SELECT * FROM event")
    destination = f'[[destinations]]\nname = "pacs"\nto = "PACS@127.0.0.1:{port}"\nverify = "none"\n'
    service = Service(
        folder=folder,
        dicom_port=free_port(),
        http_port=free_port(),
        config=f"{destination}[study]\nquiet_s = 2\n",
    )
    try:
        service.start()
        for uid in studies.values():
            service.await_delivered(uid)
    finally:
        service.stop()
    with service.store() as store:
        for name, uid in studies.items():
            assert store.studies.find(uid).state is StudyState.READ, name
            assert store.studies.find(uid).source == "WETREAD"
            (reading,) = store.readings.list_for_study(uid)
            assert store.readings.load(reading.digest).study_instance_uid == uid
            states = {row.state for row in store.deliveries.list_for_study(uid)}
            assert states == {DeliveryState.SENT}, name
        sent = {
            document.sop_instance_uid
            for name, uid in studies.items()
            if name != "delivered"
            for row in store.readings.list_for_study(uid)
            for document in store.readings.list_documents(row.id)
            if document.sop_instance_uid and document.sop_instance_uid in got
        }
    # Each once, and nothing of the study that 0.1.0 had delivered.
    assert set(got) == sent
    assert set(got.values()) == {1}
    index = folder / "data/index.sqlite"
    assert readings <= set(ask(index, "SELECT digest FROM reading"))
    assert ask(index, "SELECT * FROM event")[: len(events)] == events
    assert ask(index, "SELECT COUNT(*) FROM conflict") == [(1,)]


def test_the_index_of_before_is_kept_until_the_next_upgrade(folder: Path) -> None:
    data = folder / "data"
    (data / "index.sqlite.before-0001").write_bytes(b"of an earlier upgrade")
    before = ask(data / "index.sqlite", "SELECT * FROM event")
    open_store(data).close()
    copy = data / f"index.sqlite.before-{newest_revision()}"
    assert ask(copy, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert ask(copy, "SELECT * FROM event") == before
    assert copy.stat().st_mode & 0o077 == 0
    assert not (data / "index.sqlite.before-0001").exists()
    stamp = copy.stat().st_mtime_ns
    open_store(data).close()
    assert copy.stat().st_mtime_ns == stamp


def test_a_folder_of_a_newer_version_is_refused_and_left_alone(folder: Path) -> None:
    data = folder / "data"
    open_store(data).close()
    with closing(sqlite3.connect(data / "index.sqlite")) as index, index:
        index.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="newer version"):
        open_store(data)
    assert ask(data / "index.sqlite", "SELECT version_num FROM alembic_version") == [("9999",)]


#: Stops the migration dead behind the statement of this number.
_KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from wetread.store import open_store
seen = 0
@event.listens_for(Engine, "after_cursor_execute")
def count(_connection, _cursor, statement, *_rest):
    global seen
    seen += statement.lstrip().upper().startswith(("CREATE", "ALTER", "UPDATE", "INSERT"))
    if seen == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
open_store(Path(sys.argv[1]))
"""


def test_a_migration_that_is_killed_leaves_the_index_as_it_was(folder: Path) -> None:
    data, pristine = folder / "data", folder / "pristine.sqlite"
    with closing(sqlite3.connect(data / "index.sqlite")) as index:
        tables = index.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
        index.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(data / "index.sqlite", pristine)
    for statement in (1, 8, 16):
        died = subprocess.run([sys.executable, "-c", _KILLED, str(data), str(statement)], check=False)
        assert died.returncode == -signal.SIGKILL
        assert ask(data / "index.sqlite", "SELECT version_num FROM alembic_version") == [("0001",)]
        assert ask(data / "index.sqlite", "SELECT sql FROM sqlite_master ORDER BY name") == tables
    open_store(data).close()
    assert ask(data / "index.sqlite", "SELECT version_num FROM alembic_version") == [(newest_revision(),)]
    rows = ask(data / "index.sqlite", "SELECT COUNT(*) FROM instance")
    assert rows == ask(pristine, "SELECT COUNT(*) FROM instance")
