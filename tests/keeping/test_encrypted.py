"""Backup, restore, erasure and retention of an encrypted data folder: nothing readable is left anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.keeping.test_backup import rows
from tests.keeping.ward import NOW, files, make_study, policy, send
from tests.stores import database_url, open_store
from wetread.errors import ConfigError, StorageError
from wetread.store import Store, schema
from wetread.store.backup import back_up, verify_backup
from wetread.store.keys import NOTES_NAME, EncryptionSettings, make_key_file, read_key_notes, read_keyring
from wetread.store.patients import Patient, erase_patient
from wetread.store.place import take_place
from wetread.store.reconcile import Reconciliation, reconcile
from wetread.store.restore import restore
from wetread.store.retention import run_retention
from wetread.store.rotation import rotate_keys

#: What stands in the images, the headers and the results of ``ward``, and in the accounts.
READABLE = (b"Secret^Name", b"PatientID", b"pixels ", b"report of", b"picture", b"JBSWY3DP")
TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture
def key(tmp_path: Path) -> EncryptionSettings:
    make_key_file(tmp_path / "key")
    return EncryptionSettings(key_file=tmp_path / "key")


@pytest.fixture
def new_key(tmp_path: Path) -> EncryptionSettings:
    make_key_file(tmp_path / "new-key")
    return EncryptionSettings(key_file=tmp_path / "new-key")


@pytest.fixture
def both(key: EncryptionSettings, new_key: EncryptionSettings, tmp_path: Path) -> EncryptionSettings:
    return EncryptionSettings(key_file=new_key.key_file, old_key_files=(tmp_path / "key",))


@pytest.fixture
def open_any() -> Iterator:
    opened: list[Store] = []

    def open_it(data: Path, encryption: EncryptionSettings) -> Store:
        opened.append(open_store(data, encryption))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def ward(open_any, tmp_path: Path, key: EncryptionSettings) -> Store:
    """One study delivered, one arriving, a conflict, an account with an app."""
    store = open_any(tmp_path / "data", key)
    make_study(store, 1)
    send(store, 2, 1)
    send(store, 1, 1, content=b"pixels that conflict")
    store.accounts.add("anna", "lead", NOW, totp_secret=TOTP)
    return store


def readable(folder: Path) -> set[bytes]:
    found = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return {word for word in READABLE if any(word in content for content in found)}


def restored(tmp_path: Path, name: str, encryption: EncryptionSettings) -> Path:
    data, keyring = tmp_path / name, read_keyring(encryption)
    restore(tmp_path / "backup", data, NOW, by="t", database_url=database_url(data), keyring=keyring)
    return data


def holds_what_it_held(store: Store, ward: Store) -> None:
    assert rows(store) == rows(ward)
    assert files(store) == files(ward)
    for name in files(ward):
        with store.vault.open(store.data / name) as one, ward.vault.open(ward.data / name) as other:
            assert one.read() == other.read()
    account = store.accounts.find("anna")
    assert account is not None
    assert store.accounts.open_totp(account) == TOTP
    assert reconcile(store) == Reconciliation()


def test_a_backup_is_as_encrypted_and_opens_with_its_key(ward, open_any, key, tmp_path: Path) -> None:
    back_up(ward, tmp_path / "backup", NOW)
    assert verify_backup(tmp_path / "backup") == []
    assert readable(tmp_path / "backup") == set()
    again = open_any(restored(tmp_path, "new", key), key)
    holds_what_it_held(again, ward)
    # It works on, and its backup too.
    make_study(again, 3)
    back_up(again, tmp_path / "backup", NOW)
    assert readable(tmp_path / "backup") == set()


def test_without_its_key_nothing_is_restored_and_it_is_named(ward, key, new_key, tmp_path: Path) -> None:
    back_up(ward, tmp_path / "backup", NOW)
    for wrong in (EncryptionSettings(), new_key):
        with pytest.raises(ConfigError, match="old_key_files") as caught:
            restored(tmp_path, "new", wrong)
        assert caught.value.facts["missing_key"] == ward.vault.key_id
        assert not (tmp_path / "new").exists()
    # The database is as empty as it was.
    restored(tmp_path, "new", key)


def test_a_key_changed_after_the_backup(ward, open_any, key, new_key, both, tmp_path: Path) -> None:
    back_up(ward, tmp_path / "backup", NOW)
    old_id = ward.vault.key_id
    ward.close()
    renewed = open_any(ward.data, both)
    rotate_keys(renewed.vault, renewed.accounts)
    with pytest.raises(ConfigError) as caught:
        restored(tmp_path, "none", new_key)
    assert caught.value.facts["missing_key"] == old_id
    data = restored(tmp_path, "new", both)
    assert read_key_notes(data) == (old_id,)
    again = open_any(data, both)
    rotate_keys(again.vault, again.accounts)
    again.close()
    with_new = open_any(data, new_key)
    assert read_key_notes(data) == (with_new.vault.key_id,)
    assert with_new.accounts.open_totp(with_new.accounts.find("anna")) == TOTP
    # The same folder again, brought up to date: it needs the new key alone.
    back_up(renewed, tmp_path / "backup", NOW)
    assert readable(tmp_path / "backup") == set()
    holds_what_it_held(open_any(restored(tmp_path, "last", new_key), new_key), renewed)


def test_a_key_changed_while_the_backup_is_made(ward, both, key, open_any, tmp_path, monkeypatch) -> None:
    """The rows come first and need the old key, what is copied then the new one."""
    from wetread.store import backup

    real = backup._copy_all

    def late(*arguments):
        renewed = open_any(ward.data, both)
        rotate_keys(renewed.vault, renewed.accounts)
        return real(*arguments)

    monkeypatch.setattr(backup, "_copy_all", late)
    back_up(ward, tmp_path / "backup", NOW)
    with pytest.raises(ConfigError, match="not configured"):
        restored(tmp_path, "new", key)
    again = open_any(restored(tmp_path, "new", both), both)
    assert len(read_key_notes(again.data)) == 2
    assert reconcile(again) == Reconciliation()
    assert again.accounts.open_totp(again.accounts.find("anna")) == TOTP


def test_one_damaged_image_does_not_stop_a_restore(ward, open_any, key, tmp_path: Path) -> None:
    path = ward.intake.instances.path("1.2.2.1")
    content = bytearray(path.read_bytes())
    # The identifier of the key in its header.
    content[40] ^= 1
    path.write_bytes(content)
    back_up(ward, tmp_path / "backup", NOW)
    again = open_any(restored(tmp_path, "new", key), key)
    assert files(again) == files(ward)


def test_a_table_of_another_backup_is_not_taken(ward, key, tmp_path: Path) -> None:
    import json

    back_up(ward, tmp_path / "backup", NOW)
    manifest = json.loads((tmp_path / "backup" / "manifest.json").read_text())
    one, other = manifest["tables"]["account"], manifest["tables"]["hold"]
    (tmp_path / "backup" / one).write_bytes((tmp_path / "backup" / other).read_bytes())
    entry = manifest["files"][other]
    manifest["files"][one] = entry
    (tmp_path / "backup" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StorageError, match="does not open"):
        restored(tmp_path, "new", key)


def test_a_plain_backup_of_before_is_restored(open_any, key, tmp_path: Path) -> None:
    plain = open_any(tmp_path / "data", EncryptionSettings())
    make_study(plain, 1)
    plain.accounts.add("anna", "lead", NOW, totp_secret=TOTP)
    back_up(plain, tmp_path / "backup", NOW)
    assert NOTES_NAME not in {path.name for path in (tmp_path / "backup").iterdir()}
    again = open_any(restored(tmp_path, "new", key), key)
    assert reconcile(again) == Reconciliation()
    assert again.accounts.open_totp(again.accounts.find("anna")) == TOTP


def contents(store: Store) -> Iterator[tuple[str, bytes]]:
    """Yield all that the folder and the index hold, as it lies there and decrypted."""
    for path in store.data.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()
            if path.suffix in {".dcm", ".zip", ".npy"} or path.parent.parent.name == "documents":
                with store.vault.open(path) as file:
                    yield f"decrypted {path}", file.read()
    with store.engine.connect() as connection:
        for table in schema.metadata.sorted_tables:
            if not table.name.startswith("audit"):
                yield table.name, repr(connection.execute(select(table)).all()).encode()


def voxels(store: Store, study: int) -> Path:
    """Leave what a reading leaves until its documents are composed, and what a killed model leaves."""
    (row,) = store.readings.list_for_study(f"1.2.{study}")
    key = f"1.2.{study} {row.revision} {row.model_name}"
    path = store.scratch.write(key, f"voxels of {row.study_instance_uid}".encode())
    path.with_name(f"{path.name}.abcd.part").write_bytes(path.read_bytes())
    return path


@pytest.mark.parametrize("way", ["alone", "shared"])
def test_nothing_of_an_erased_patient_is_left(open_any, key, tmp_path: Path, way: str) -> None:
    store = open_any(tmp_path / "data", key)
    if way == "alone":
        store.own()
    else:
        store = take_place(store, "one")
    make_study(store, 1, patient="ERASE-ME")
    make_study(store, 2, patient="KEEP-ME")
    send(store, 1, 1, patient="ERASE-ME", content=b"pixels of ERASE-ME that conflict")
    # Set aside in the other one's study, and without a row.
    send(store, 2, 1, content=b"no DICOM, of ERASE-ME")
    store.intake.conflicts.write("an earlier one", b"no DICOM, of ERASE-ME")
    gone, kept = voxels(store, 1), voxels(store, 2)
    assert any(b"ERASE-ME" in content for _, content in contents(store))
    command = open_any(store.data, key)
    words = {"by": "t", "why": "", "clock": lambda: NOW, "forget_jobs": lambda _studies: None}
    assert erase_patient(command, Patient(patient_id="ERASE-ME"), **words) == []
    left = [(where, content) for where, content in contents(store) if b"ERASE-ME" in content]
    # In the audit trail it stands once; nothing tells which page of SQLite is whose.
    assert [content.count(b"ERASE-ME") for where, content in left if "index.sqlite" in where] in ([], [1])
    assert [where for where, _ in left if "index.sqlite" not in where] == []
    assert not list(gone.parent.iterdir())
    assert kept.exists()
    assert [row.study_instance_uid for row in store.studies.list_newest()] == ["1.2.2"]
    assert reconcile(store) == Reconciliation()


def test_retention_leaves_nothing_behind(open_any, key, tmp_path: Path) -> None:
    store = open_any(tmp_path / "data", key)
    make_study(store, 1, patient="P-GOES")
    make_study(store, 2)
    store.holds.place("1.2.2", "case 7", "tester", NOW)
    path = voxels(store, 1)
    assert run_retention(store, policy(days=30), NOW).deleted == 1
    assert not list(path.parent.iterdir())
    names = {name for name, content in contents(store) if b"P-GOES" in content and "index." not in name}
    assert names == set()
    assert reconcile(store) == Reconciliation()


def test_what_was_set_aside_and_does_not_open_is_told_and_all_else_erased(
    open_any, key, tmp_path: Path
) -> None:
    store = open_any(tmp_path / "data", key)
    make_study(store, 1)
    make_study(store, 2, patient="P2")
    send(store, 2, 1, content=b"other")
    (aside,) = store.intake.conflicts.iter_paths()
    aside.write_bytes(aside.read_bytes()[:-1])
    words = {"by": "t", "why": "", "clock": lambda: NOW, "forget_jobs": lambda _studies: None}
    with pytest.raises(StorageError, match="set aside") as caught:
        erase_patient(store, Patient(patient_id="P1"), **words)
    assert (caught.value.facts["files"], caught.value.facts["kept_on_hold"]) == (1, 0)
    assert aside.exists()
    assert [row.study_instance_uid for row in store.studies.list_newest()] == ["1.2.2"]
    with store.engine.connect() as connection:
        told = connection.execute(select(schema.audit.c.message)).scalars().all()
    assert "1 files set aside do not open" in told[-1]
