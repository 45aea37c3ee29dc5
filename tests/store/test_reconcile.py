"""Index and files agree again after a crash."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file

from tests.store.test_store import NOW
from tests.stores import open_store
from wetread.dicom.digest import digest_data_set
from wetread.dicom.header import read_instance
from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import Acceptance
from wetread.store import Store, intake
from wetread.store.erasure import delete_study, remove_doomed
from wetread.store.intake import Arrived
from wetread.store.reconcile import Reconciliation, reconcile


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


def arrive(store: Store) -> Arrived:
    path = store.intake.incoming / "one.part"
    shutil.copy(str(get_testdata_file("CT_small.dcm")), path)
    content_digest, size = digest_data_set(path)
    return Arrived(
        instance=read_instance(path), content_digest=content_digest, size=size, received_at=NOW, source="TEST"
    )


def place(store: Store, uid: str, data: bytes) -> Path:
    path = store.intake.instances.path(uid)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def test_nothing_to_do(store: Store) -> None:
    store.intake.accept(arrive(store))
    assert reconcile(store) == Reconciliation()


def test_a_whole_file_without_a_row_is_indexed(store: Store) -> None:
    arrived = arrive(store)
    uid = arrived.instance.sop_instance_uid
    place(store, uid, arrived.instance.path.read_bytes())
    assert reconcile(store) == Reconciliation(indexed=1)
    assert store.intake.find_digest(uid) == arrived.content_digest
    assert store.studies.list_newest()[0].instance_count == 1
    # The sender was not answered and sends it again.
    assert store.intake.accept(arrived) is Acceptance.REPEATED


@pytest.mark.parametrize("data", [b"", b"torn"])
def test_a_torn_file_is_set_aside(store: Store, data: bytes) -> None:
    path = place(store, "1.2.3", data)
    assert reconcile(store) == Reconciliation(set_aside=1)
    assert not path.exists()
    assert len(list(store.intake.conflicts.iter_paths())) == 1
    assert store.history.list_newest()[0].code == ProblemCode.UNREADABLE_INSTANCE


def test_a_file_under_another_key_is_set_aside(store: Store) -> None:
    arrived = arrive(store)
    place(store, "1.2.3", arrived.instance.path.read_bytes())
    assert reconcile(store) == Reconciliation(set_aside=1)
    assert list(store.intake.iter_known()) == []


def test_a_row_without_a_file_is_a_problem_and_can_be_sent_again(store: Store) -> None:
    arrived = arrive(store)
    uid, study = arrived.instance.sop_instance_uid, arrived.instance.study_instance_uid
    store.intake.accept(arrived)
    store.intake.instances.path(uid).unlink()
    for _ in range(2):
        assert reconcile(store) == Reconciliation(missing=1)
    problems = [event for event in store.history.list_for_study(study) if event.level == "problem"]
    assert [event.code for event in problems] == [ProblemCode.FILE_MISSING]
    assert store.intake.accept(arrive(store)) is Acceptance.REPEATED
    assert reconcile(store) == Reconciliation()


def test_a_file_that_cannot_be_indexed_never_keeps_the_service_from_starting(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever an index cannot hold (a bug of ours), its file is kept aside and noted, the others go on."""
    arrived = arrive(store)
    uid = arrived.instance.sop_instance_uid
    data = arrived.instance.path.read_bytes()
    arrived.instance.path.unlink()
    place(store, uid, data)

    def overflow(*_arguments: object) -> None:
        raise OverflowError("Python int too large to convert to SQLite INTEGER")

    monkeypatch.setattr("wetread.store.intake._count", overflow)
    assert reconcile(store) == Reconciliation(set_aside=1)
    assert [path.read_bytes() for path in store.intake.conflicts.iter_paths()] == [data]
    assert not store.intake.instances.path(uid).exists()
    assert not list(store.intake.incoming.iterdir())
    assert reconcile(store) == Reconciliation()


def test_a_file_whose_row_is_about_to_be_written_is_left_to_who_stores_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, in_place, go_on = arrive(store), threading.Event(), threading.Event()
    count = intake._count

    def wait_first(*arguments: Any) -> int:
        in_place.set()
        assert go_on.wait(60)
        return count(*arguments)

    monkeypatch.setattr("wetread.store.intake._count", wait_first)
    suspected = threading.Event()
    monkeypatch.setattr(
        "wetread.store.reconcile.read_instance",
        lambda *arguments: (suspected.set(), read_instance(*arguments))[1],
    )
    with ThreadPoolExecutor(2) as threads:
        stored = threads.submit(store.intake.accept, arrived)
        assert in_place.wait(60)
        compared = threads.submit(reconcile, store)
        # The comparison has seen file and no row; it must not judge before the row had its chance.
        assert suspected.wait(60)
        assert not compared.done()
        go_on.set()
        assert stored.result(60) is Acceptance.ACCEPTED
        assert compared.result(60) == Reconciliation()
    assert store.studies.list_newest()[0].instance_count == 1


def test_a_study_deleted_meanwhile_is_neither_missing_nor_taken_in_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = arrive(store)
    study, path = (
        arrived.instance.study_instance_uid,
        store.intake.instances.path(arrived.instance.sop_instance_uid),
    )
    store.intake.accept(arrived)
    left: list[list[str]] = []
    with monkeypatch.context() as cut_short:
        cut_short.setattr("wetread.store.erasure.remove_doomed", lambda _store, paths: left.append(paths))
        erase(store, study)
    # Its row is gone, its file about to go.
    assert reconcile(store) == Reconciliation()
    assert path.exists()
    remove_doomed(store, left[0])
    assert not path.exists()

    # Its row was listed, then both went.
    store.intake.accept(arrive(store))
    known = list(store.intake.iter_known())
    erase(store, study)
    monkeypatch.setattr("wetread.store.intake.Intake.iter_known", lambda _self: iter(known))
    assert reconcile(store) == Reconciliation()
    assert store.history.list_for_study(study) == []


def test_what_a_crash_left_of_a_study_deleted_since_does_not_bring_it_back(store: Store) -> None:
    arrived = arrive(store)
    study, uid = arrived.instance.study_instance_uid, arrived.instance.sop_instance_uid
    data = arrived.instance.path.read_bytes()
    store.intake.accept(arrived)
    erase(store, study, at=datetime.now(UTC) + timedelta(seconds=60))
    orphan = place(store, uid, data)
    assert reconcile(store) == Reconciliation()
    assert not orphan.exists()
    assert store.studies.list_newest() == []
    # One that came after the deletion is another matter.
    later = time.time() + 120
    os.utime(place(store, uid, data), (later, later))
    assert reconcile(store) == Reconciliation(indexed=1)


def test_it_can_be_stopped(store: Store) -> None:
    place(store, "1.2.3", b"torn")
    assert reconcile(store, lambda: True) == Reconciliation()
    assert reconcile(store) == Reconciliation(set_aside=1)


def erase(store: Store, study: str, at: datetime = NOW) -> None:
    event = AuditEvent(
        type=AuditEventType.STUDY_DELETED,
        action=AuditAction.DELETE,
        at=at,
        description="test",
        actors=(Actor(user_id="test", is_requestor=True),),
        studies=(study,),
    )
    assert delete_study(store, study, event=event, keep=lambda *_: "", why="test") == ""
