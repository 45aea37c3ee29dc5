"""Backup, restore and erasure beside a service that works."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE, StoragePresentationContexts, evt
from sqlalchemy import select

from tests.path.service import Service, await_true
from tests.ports import free_port
from tests.stores import store_table
from tests.upgrade.test_upgrade import PACKED
from wetread.domain.progress import DeliveryState, StudyState
from wetread.store import Store, schema
from wetread.store.keys import make_key_file

pytestmark = pytest.mark.skipif(
    shutil.which("storescu") is None, reason="storescu is not installed (apt install dcmtk)."
)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Patient ID -> images of one readable study each, in slice order."""
    folder = tmp_path_factory.mktemp("scans")
    with tarfile.open(PACKED) as archive:
        archive.extractall(folder, filter="data")
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in folder.glob("data/instances/*/*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        found.setdefault(header.PatientID, []).append((int(header.InstanceNumber), path))
    return {patient: [path for _number, path in sorted(paths)] for patient, paths in found.items()}


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


@pytest.fixture
def make(tmp_path: Path) -> Iterator:
    made: list[Service] = []

    def start(name: str, pacs_port: int, quiet_s: int, more: str = "") -> Service:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        destination = f'[[destinations]]\nname = "pacs"\nto = "PACS@127.0.0.1:{pacs_port}"\nverify = "none"\n'
        config = f"{destination}[study]\nquiet_s = {quiet_s}\n{more}"
        service = Service(folder=folder, dicom_port=free_port(), http_port=free_port(), config=config)
        made.append(service)
        service.start()
        return service

    yield start
    for service in made:
        service.stop()


def scan(paths: list[Path], service: Service) -> None:
    command = ["storescu", "-aet", "SCANNER", "-aec", "WETREAD", "127.0.0.1", str(service.dicom_port)]
    subprocess.run([*command, *map(str, paths)], check=True, capture_output=True)


def wetread(*arguments: object, status: int = 0) -> str:
    command = [str(Path(sys.executable).parent / "wetread"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout


def config_of(service: Service) -> Path:
    return service.folder / "wetread.toml"


def bring_back(backup: Path, folder: Path, more: str = "", status: int = 0) -> None:
    """Restore a backup for the service of a folder."""
    folder.mkdir(exist_ok=True)
    config = folder / "restore.toml"
    config.write_text(store_table(folder / "data") + more)
    wetread("restore", backup, "--data", folder / "data", "--config", config, status=status)


def uid_of(paths: list[Path]) -> str:
    return str(pydicom.dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)


def known(store: Store) -> set[str]:
    return {uid for uid, _study in store.intake.iter_known()}


def test_what_was_acknowledged_before_the_backup_comes_back_and_drains(
    make, scans, pacs, tmp_path: Path
) -> None:
    port, got = pacs
    # The first is read, and its destination is dead; the second streams in while the backup is made.
    first, second = scans["OLD-waiting"], scans["OLD-killed"]
    source = make("one", free_port(), 2)
    scan(first, source)
    source.await_state(uid_of(first), StudyState.READ)
    sender = threading.Thread(target=scan, args=(second, source))
    sender.start()
    with source.store() as store:
        await_true(lambda: store.studies.find(uid_of(second)) is not None, 60)
        before = known(store)
        (reading,) = store.readings.list_for_study(uid_of(first))
    backup = tmp_path / "backup"
    wetread("backup", "--out", backup, "--config", config_of(source))
    sender.join()
    source.stop()
    wetread("backup", "--verify", backup)
    bring_back(backup, tmp_path / "two")
    # No engine database: what is due begins again from the index.
    assert not (tmp_path / "two" / "data" / "engine.sqlite").exists()
    target = make("two", port, 2)
    with target.store() as store:
        assert before <= known(store)
    scan(second, target)
    for paths in (first, second):
        target.await_delivered(uid_of(paths))
    with target.store() as store:
        (again,) = store.readings.list_for_study(uid_of(first))
        assert again.digest == reading.digest
        newest = store.studies.find(uid_of(second)).revision
    target.await_delivered(uid_of(second), revision=newest)
    # Nothing twice, though both folders knew the first study's results.
    assert got
    assert set(got.values()) == {1}


def test_an_encrypted_folder_restored_from_before_a_delivery_sends_the_same_objects(
    make, scans, pacs, tmp_path: Path
) -> None:
    port, got = pacs
    paths = scans["OLD-waiting"]
    make_key_file(tmp_path / "key")
    table = f'[encryption]\nkey_file = "{tmp_path / "key"}"\nrefuse_plain = true\n'
    dead = make("one", free_port(), 2, table)
    scan(paths, dead)
    dead.await_state(uid_of(paths), StudyState.READ)
    wetread("backup", "--out", tmp_path / "backup", "--config", config_of(dead))
    assert not [one for one in (tmp_path / "backup").rglob("*.*") if b"Old^Waiting" in one.read_bytes()]
    dead.stop()
    # The PACS gets it, then the folder is lost and the older backup takes its place.
    live = make("one", port, 2, table)
    live.await_delivered(uid_of(paths))
    live.stop()
    delivered = set(got)
    bring_back(tmp_path / "backup", tmp_path / "two", status=1)
    bring_back(tmp_path / "backup", tmp_path / "two", table)
    make("two", port, 2, table).await_delivered(uid_of(paths))
    assert set(got) == delivered


@pytest.mark.sqlite  # the pages and the log of its file
def test_an_erased_patient_is_nowhere_but_in_the_audit_trail(make, scans, pacs, tmp_path: Path) -> None:
    service = make("one", pacs[0], 1)
    erased, other = scans["OLD-killed"], scans["OLD-waiting"]
    scan(erased[:12], service)
    scan(other[:12], service)
    changed = pydicom.dcmread(erased[0])
    changed.WindowCenter = 1
    changed.save_as(tmp_path / "changed.dcm")
    subprocess.run(
        ["storescu", "-aec", "WETREAD", "127.0.0.1", str(service.dicom_port), str(tmp_path / "changed.dcm")],
        check=False,
        capture_output=True,
    )
    for paths in (erased, other):
        service.await_state(uid_of(paths), StudyState.NOT_READ)
    data = service.data
    assert b"Old^Killed" in (data / "index.sqlite").read_bytes() + (data / "index.sqlite-wal").read_bytes()
    wetread("hold", uid_of(erased), "--why", "case 7", "--config", config_of(service))
    erase = ("erase", "--patient-id", "OLD-killed", "--yes", "--config", config_of(service))
    assert "legal hold" in wetread(*erase, status=1)
    wetread("release", uid_of(erased), "--why", "the case ended", "--config", config_of(service))
    shown = wetread(*erase)
    assert uid_of(erased) in shown
    with service.store() as store:
        assert store.studies.find(uid_of(erased)) is None
        assert store.studies.find(uid_of(other)) is not None
        with store.engine.connect() as connection:
            messages = connection.execute(select(schema.audit.c.message)).scalars().all()
    held_by_audit = sum(message.count("OLD-killed") for message in messages)
    found = Counter()
    for path in data.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"Old^Killed" not in content, path
            if path.name.startswith("engine."):
                assert uid_of(erased).encode() not in content or path.name != "engine.sqlite", path
            found["index" if path.name.startswith("index.sqlite") else path.name] += content.count(
                b"OLD-killed"
            )
    # In the index it stands as often as in the messages of the audit trail.
    assert +found == Counter({"index": held_by_audit})
    # The service goes on, and the same images begin a new study.
    scan(erased[:12], service)
    service.await_state(uid_of(erased), StudyState.NOT_READ)


def test_a_study_erased_while_it_is_read_does_not_come_back(make, scans, pacs) -> None:
    service = make("one", pacs[0], 1)
    paths = scans["OLD-killed"]
    scan(paths, service)
    await_true(lambda: any(event.startswith("match:") for event in service.events(uid_of(paths))), 60)
    wetread("erase", "--patient-id", "OLD-killed", "--yes", "--config", config_of(service))
    # A study that comes after it is read when the one before it has ended.
    other = scans["OLD-waiting"]
    scan(other, service)
    service.await_delivered(uid_of(other))
    with service.store() as store:
        assert store.studies.find(uid_of(paths)) is None
        assert store.readings.list_for_study(uid_of(paths)) == []
        assert {row.state for row in store.deliveries.list_for_study(uid_of(other))} == {DeliveryState.SENT}
    assert not list((service.data / "instances").rglob(f"{_name(paths)}*"))
    assert not list(service.data.rglob("*.npy"))


def _name(paths: list[Path]) -> str:
    return paths[0].stem
