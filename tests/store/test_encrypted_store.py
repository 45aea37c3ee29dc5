"""The store with a key: what was promised without one holds as well."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from tests.domain.test_reading import make_reading
from wetread.dicom.digest import digest_data_set
from wetread.dicom.header import read_instance
from wetread.domain.document import Document, DocumentKind
from wetread.domain.progress import Acceptance
from wetread.domain.reading import digest
from wetread.errors import ConfigError
from wetread.imaging.pixels import read_frames
from wetread.receive.spool import Spool
from wetread.store import Store, open_store
from wetread.store.intake import Arrived
from wetread.store.keys import EncryptionSettings, make_key_file
from wetread.store.reconcile import Reconciliation, reconcile

CT = Path(str(get_testdata_file("CT_small.dcm")))
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> EncryptionSettings:
    make_key_file(tmp_path / "key")
    return EncryptionSettings(key_file=tmp_path / "key")


@pytest.fixture
def store(tmp_path: Path, settings: EncryptionSettings) -> Iterator[Store]:
    opened = open_store(tmp_path / "data", encryption=settings)
    yield opened
    opened.close()


def arrive(store: Store, source: Path = CT) -> Arrived:
    spool = Spool(store.intake.incoming, store.vault)
    data = source.read_bytes()
    spool.begin(memoryview(data[:1000]))
    spool.write(memoryview(data[1000:]))
    spool.finish()
    assert spool.error is None
    content_digest, size = digest_data_set(spool.path, spool.opener)
    instance = read_instance(spool.path, spool.opener)
    return Arrived(instance=instance, content_digest=content_digest, size=size, received_at=NOW, source="CT")


def changed(tmp_path: Path) -> Path:
    other = tmp_path / "other.dcm"
    data = CT.read_bytes()
    other.write_bytes(data[:-600] + bytes(one ^ 1 for one in data[-600:-500]) + data[-500:])
    return other


def is_plain(store: Store) -> list[Path]:
    """Return the files beside the index that show the patient of the test file."""
    files = [path for path in store.data.rglob("*") if path.is_file() and "index.sqlite" not in path.name]
    return [path for path in files if b"CompressedSamples" in path.read_bytes()]


def test_an_image_is_encrypted_from_its_first_byte_on_and_reads_as_it_was(store: Store) -> None:
    arrived = arrive(store)
    assert is_plain(store) == []
    assert store.intake.accept(arrived) is Acceptance.ACCEPTED
    assert is_plain(store) == []
    study = store.studies.load(arrived.instance.study_instance_uid)
    assert study is not None
    (instance,) = study.series[0].instances
    with instance.open() as file:
        assert file.read() == CT.read_bytes()
    assert (read_frames(instance) == read_frames(read_instance(CT))).all()
    assert arrived.content_digest == digest_data_set(CT)[0]


def test_the_same_again_and_another_one(store: Store, tmp_path: Path) -> None:
    store.intake.accept(arrive(store))
    assert store.intake.accept(arrive(store)) is Acceptance.REPEATED
    other = changed(tmp_path)
    assert store.intake.accept(arrive(store, other)) is Acceptance.CONFLICT
    (kept,) = store.intake.conflicts.iter_paths()
    with store.vault.open(kept) as file:
        assert file.read() == other.read_bytes()
    assert not list(store.intake.incoming.iterdir())
    assert is_plain(store) == []


def test_readings_and_documents(store: Store) -> None:
    reading = make_reading()
    row = store.readings.save(reading)
    assert digest(store.readings.load(row.digest)) == row.digest
    document = Document(
        kind=DocumentKind.TEXT,
        ordinal=1,
        sop_instance_uid="1.2",
        sop_class_uid="1.3",
        series_instance_uid="1.4",
        title="t",
        data=b"CompressedSamples",
    )
    store.readings.save_documents(row.id, (document,))
    (held,) = store.readings.list_documents(row.id)
    assert store.readings.load_document(held).data == document.data
    assert is_plain(store) == []


def test_reconcile_takes_in_a_whole_file_and_sets_a_torn_one_aside(store: Store) -> None:
    arrived = arrive(store)
    uid = arrived.instance.sop_instance_uid
    store.intake.instances.take(uid, arrived.instance.path)
    torn = store.intake.instances.write("1.2.3", CT.read_bytes())
    torn.write_bytes(torn.read_bytes()[:-1])
    assert reconcile(store) == Reconciliation(indexed=1, set_aside=1)
    assert store.intake.find_digest(uid) == arrived.content_digest
    with store.intake.instances.open(uid) as file:
        assert file.read() == CT.read_bytes()
    assert reconcile(store) == Reconciliation()


def test_a_folder_of_before_goes_on(tmp_path: Path, settings: EncryptionSettings) -> None:
    plain = open_store(tmp_path / "data")
    plain.intake.accept(arrive(plain))
    plain.close()
    assert len(is_plain(plain)) == 1
    store = open_store(tmp_path / "data", encryption=settings)
    assert reconcile(store) == Reconciliation()
    assert store.intake.accept(arrive(store)) is Acceptance.REPEATED
    assert store.intake.accept(arrive(store, changed(tmp_path))) is Acceptance.CONFLICT
    store.close()


def test_without_its_key_the_folder_does_not_open(
    store: Store, tmp_path: Path, settings: EncryptionSettings
) -> None:
    store.intake.accept(arrive(store))
    make_key_file(tmp_path / "other")
    for wrong in (EncryptionSettings(), EncryptionSettings(key_file=tmp_path / "other")):
        with pytest.raises(ConfigError, match=store.vault.key_id):
            open_store(store.data, encryption=wrong)
    # A copy with the key opens anywhere.
    shutil.copytree(store.data, tmp_path / "copy")
    copy = open_store(tmp_path / "copy", encryption=settings)
    assert reconcile(copy) == Reconciliation()
    copy.close()
