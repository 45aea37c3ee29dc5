"""A backup brings everything back, and nothing that a backup says is trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Table, select

from tests.keeping.ward import NOW, OLD, files, make_study, policy, read, send
from tests.stores import database_url, open_store
from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.domain.progress import StudyState
from wetread.errors import ConfigError, StorageError
from wetread.store import Store, schema
from wetread.store import backup as backup_module
from wetread.store.backup import back_up, verify_backup
from wetread.store.manifest import Manifest
from wetread.store.reconcile import Reconciliation, reconcile
from wetread.store.restore import restore
from wetread.store.retention import run_retention


@pytest.fixture
def store(tmp_path: Path):
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def ward(store: Store) -> Store:
    """One study delivered, one arriving, a conflict, accounts of nobody, three audit entries."""
    make_study(store, 1)
    send(store, 2, 1)
    send(store, 1, 1, content=b"other")
    for number in range(3):
        store.audit.record(
            AuditEvent(
                type=AuditEventType.QUERY,
                action=AuditAction.EXECUTE,
                at=OLD,
                description=str(number),
                actors=(Actor(user_id="tester"),),
            )
        )
    return store


def bring_back(tmp_path: Path) -> Manifest:
    data = tmp_path / "new"
    return restore(tmp_path / "backup", data, NOW, by="tester", database_url=database_url(data))


def _kept(table: Table) -> list[Column[Any]]:
    return [column for column in table.c if column.name != "metadata"]


def rows(store: Store) -> dict[str, list[object]]:
    left_out = {"audit", "audit_head", "session", "worker"}
    with store.engine.connect() as connection:
        # Headers as JSON are no part of a backup: the files have them.
        return {
            table.name: sorted(map(repr, connection.execute(select(*_kept(table))).all()))
            for table in schema.metadata.sorted_tables
            if table.name not in left_out
        }


def test_what_is_restored_is_what_was_backed_up(ward: Store, tmp_path: Path) -> None:
    back_up(ward, tmp_path / "backup", NOW)
    bring_back(tmp_path)
    again = open_store(tmp_path / "new")
    assert rows(again) == rows(ward)
    assert files(again) == files(ward)
    assert all((again.data / name).read_bytes() == (ward.data / name).read_bytes() for name in files(ward))
    assert reconcile(again) == Reconciliation()
    # It works on: the next numbers are free.
    send(again, 3, 1)
    send(again, 2, 1, content=b"another")
    with again.engine.connect() as connection:
        entries = connection.execute(select(schema.audit).order_by(schema.audit.c.sequence)).all()
    again.close()
    assert [entry.event for entry in entries] == [AuditEventType.QUERY] * 3 + [AuditEventType.IMPORT]


def test_a_backup_is_only_its_owners(ward: Store, tmp_path: Path) -> None:
    back_up(ward, tmp_path / "backup", NOW)
    held = [tmp_path / "backup", *(tmp_path / "backup").rglob("*")]
    assert [path for path in held if path.stat().st_mode & 0o077] == []


def test_the_second_time_only_what_is_new_is_copied_and_what_is_gone_goes(ward: Store, tmp_path) -> None:
    out = tmp_path / "backup"
    first = back_up(ward, out, NOW)
    assert first.copied == len(files(ward)) + 1  # the audit key
    send(ward, 2, 2)
    assert back_up(ward, out, NOW).copied == 1
    run_retention(ward, policy(days=30), NOW)
    back_up(ward, out, NOW)
    assert verify_backup(out) == []
    kept = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert {name for name in kept if not name.startswith("tables/")} == {
        *files(ward),
        "audit.key",
        "manifest.json",
    }


def test_a_study_deleted_while_it_is_copied_is_not_half_in_the_backup(
    ward: Store, tmp_path: Path, monkeypatch
) -> None:
    real, calls = backup_module._copy_all, []

    def late(*arguments):
        calls.append(1)
        if len(calls) == 1:
            run_retention(ward, policy(days=30), NOW)
        return real(*arguments)

    monkeypatch.setattr(backup_module, "_copy_all", late)
    report = back_up(ward, tmp_path / "backup", NOW)
    assert report.missing == 0
    bring_back(tmp_path)
    again = open_store(tmp_path / "new")
    assert [row.study_instance_uid for row in again.studies.list_newest()] == ["1.2.2"]
    assert reconcile(again) == Reconciliation()
    again.close()


def test_a_file_that_was_lost_before_is_told_and_the_rest_is_kept(ward: Store, tmp_path: Path) -> None:
    ward.intake.instances.path("1.2.2.1").unlink()
    assert back_up(ward, tmp_path / "backup", NOW).missing == 1
    done = bring_back(tmp_path)
    assert len(done.missing) == 1


def test_what_was_being_read_is_due_again(ward: Store, tmp_path: Path) -> None:
    ward.studies.begin_revision("1.2.2", "quiet", OLD)
    back_up(ward, tmp_path / "backup", NOW)
    bring_back(tmp_path)
    again = open_store(tmp_path / "new")
    assert [row.study_instance_uid for row in again.studies.list_unfinished_revisions()] == ["1.2.2"]
    assert again.studies.find("1.2.2").state is StudyState.READING
    again.close()


@pytest.mark.parametrize("harm", ["changed", "gone", "cut"])
def test_a_damaged_backup_is_not_restored(ward: Store, tmp_path: Path, harm: str) -> None:
    out = tmp_path / "backup"
    back_up(ward, out, NOW)
    victim = next(out.glob("instances/*/*"))
    if harm == "gone":
        victim.unlink()
    else:
        victim.write_bytes(b"X" * victim.stat().st_size if harm == "changed" else b"")
    assert len(verify_backup(out)) == 1
    with pytest.raises(StorageError, match="damaged"):
        bring_back(tmp_path)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "name", ["../escaped", "/tmp/escaped", "instances/../../escaped", "readings", "index.sqlite", "", "a\0b"]
)
def test_a_name_that_leads_elsewhere_is_refused(ward: Store, tmp_path: Path, name: str) -> None:
    out = tmp_path / "backup"
    back_up(ward, out, NOW)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["files"][name] = {"sha256": "0" * 64, "size": 0, "mtime_ns": 0}
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StorageError, match="no place"):
        bring_back(tmp_path)
    assert not (tmp_path / "new").exists()


def test_links_are_not_followed_into_or_out_of_a_backup(ward: Store, tmp_path: Path) -> None:
    out, outside = tmp_path / "backup", tmp_path / "outside"
    outside.mkdir()
    out.mkdir()
    (out / "instances").symlink_to(outside)
    with pytest.raises(StorageError, match="link"):
        back_up(ward, out, NOW)
    assert list(outside.iterdir()) == []
    (out / "instances").unlink()
    back_up(ward, out, NOW)
    victim = next(out.glob("instances/*/*"))
    secret = outside / "secret"
    secret.write_bytes(victim.read_bytes())
    victim.unlink()
    victim.symlink_to(secret)
    with pytest.raises(StorageError, match="link"):
        bring_back(tmp_path)


def test_nothing_is_overwritten(ward: Store, tmp_path: Path) -> None:
    back_up(ward, tmp_path / "backup", NOW)
    with pytest.raises(ConfigError, match="empty"):
        restore(tmp_path / "backup", ward.data, NOW, by="tester")


def test_a_backup_of_a_newer_version_is_refused(ward: Store, tmp_path: Path) -> None:
    out = tmp_path / "backup"
    back_up(ward, out, NOW)
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps(manifest | {"revision": "9999"}))
    with pytest.raises(ConfigError, match="newer"):
        bring_back(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 2}', "[" * 100_000])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "manifest.json").write_text(text)
    with pytest.raises(StorageError):
        bring_back(tmp_path)


def test_a_read_study_is_not_read_again_after_it_was_restored(ward: Store, tmp_path: Path) -> None:
    read(ward, 2)
    back_up(ward, tmp_path / "backup", NOW)
    bring_back(tmp_path)
    again = open_store(tmp_path / "new")
    assert again.studies.list_due() == []
    assert again.studies.list_unfinished_revisions() == []
    again.close()
