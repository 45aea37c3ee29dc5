"""Retention deletes what may go and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.keeping.ward import NOW, OLD, deliver, files, make_study, policy, read, send
from tests.stores import open_store
from wetread.domain.audit import AuditAction, AuditEvent, AuditEventType
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import Acceptance, DeliveryState, StudyState
from wetread.steps import KeepingSteps
from wetread.store import Store, retention, schema
from wetread.store.erasure import delete_study, finish_deletions, remove_doomed
from wetread.store.intake import forgotten_digest
from wetread.store.reconcile import Reconciliation, reconcile
from wetread.store.retention import judge, run_retention


@pytest.fixture
def store(tmp_path: Path):
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


def uids(store: Store) -> set[str]:
    return {row.study_instance_uid for row in store.studies.list_newest()}


def not_begun(store: Store) -> None:
    send(store, 9, 1)


def being_read(store: Store) -> None:
    send(store, 9, 1)
    store.studies.begin_revision("1.2.9", "quiet", OLD)


def grown_after_reading(store: Store) -> None:
    make_study(store, 9)
    send(store, 9, 3)


def waiting(store: Store, state: DeliveryState = DeliveryState.WAITING, destination: str = "pacs") -> None:
    send(store, 9, 1)
    deliver(store, 9, read(store, 9), state, destination)


def failed(store: Store) -> None:
    waiting(store, DeliveryState.FAILED)


def refused(store: Store) -> None:
    waiting(store, DeliveryState.REFUSED)


def sent_but_not_found_yet(store: Store) -> None:
    waiting(store, DeliveryState.SENT, "asked")


def on_hold(store: Store) -> None:
    make_study(store, 9)
    store.holds.place("1.2.9", "case 7", "tester", NOW)


def young(store: Store) -> None:
    send(store, 9, 1, at=NOW - timedelta(days=29))
    deliver(store, 9, read(store, 9), DeliveryState.SENT)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (not_begun, "not read yet"),
        (being_read, "not read yet"),
        (grown_after_reading, "not read yet"),
        (waiting, "not delivered"),
        (failed, "not delivered"),
        (refused, "not delivered"),
        (sent_but_not_found_yet, "not delivered"),
        (on_hold, "on legal hold"),
        (young, "younger than 30 days"),
    ],
)
def test_what_must_stay_stays(store: Store, make: Callable[[Store], None], reason: str) -> None:
    make_study(store, 1)
    make(store)
    outcome = run_retention(store, policy(days=30), NOW)
    assert (outcome.deleted, dict(outcome.kept)) == (1, {reason: 1})
    assert uids(store) == {"1.2.9"}
    assert all(store.data.joinpath(name).exists() for name in files(store))


@pytest.mark.parametrize("state", [DeliveryState.SENT, DeliveryState.VERIFIED, DeliveryState.SUPERSEDED])
def test_what_is_delivered_may_go(store: Store, state: DeliveryState) -> None:
    waiting(store, state)
    assert run_retention(store, policy(days=30), NOW).deleted == 1


def test_what_nobody_reported_stays_unless_told_otherwise(store: Store) -> None:
    make_study(store, 1)
    assert run_retention(store, policy(days=30, keep_unreported=True), NOW).deleted == 0
    store.studies.mark_reported("1.2.1", NOW)
    assert run_retention(store, policy(days=30, keep_unreported=True), NOW).deleted == 1


def test_nothing_goes_without_a_word_about_it_in_the_configuration(store: Store) -> None:
    make_study(store, 1)
    assert run_retention(store, policy(), NOW).deleted == 0


def test_a_deleted_study_leaves_its_audit_entry_and_nothing_else(store: Store) -> None:
    make_study(store, 1)
    send(store, 1, 1, content=b"other")
    store.scratch.write("1.2.1 1 chest-ct", b"volume")
    run_retention(store, policy(days=30), NOW)
    assert files(store) == set()
    with store.engine.connect() as connection:
        for table in (schema.study, schema.instance, schema.conflict, schema.reading, schema.delivery):
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0, table
        (entry,) = connection.execute(select(schema.audit)).all()
    assert (entry.event, entry.study_instance_uid) == (AuditEventType.STUDY_DELETED, "1.2.1")
    assert [event.message for event in store.history.list_newest()] == [
        "A study of 2 images was deleted: older than 30 days."
    ]


def test_a_picture_that_two_studies_share_stays_with_the_other(store: Store) -> None:
    make_study(store, 1)
    make_study(store, 2)
    store.holds.place("1.2.2", "case 7", "tester", NOW)
    run_retention(store, policy(days=30), NOW)
    (row,) = store.readings.list_for_study("1.2.2")
    for document in store.readings.list_documents(row.id):
        assert store.readings.load_document(document).data


def test_an_image_that_comes_while_the_run_goes_on_saves_its_study(store: Store, monkeypatch) -> None:
    make_study(store, 1)
    real = retention.delete_study

    def late(*arguments, **words):
        send(store, 1, 3, at=NOW)
        return real(*arguments, **words)

    monkeypatch.setattr(retention, "delete_study", late)
    assert run_retention(store, policy(days=30), NOW).deleted == 0
    assert store.studies.find("1.2.1").instance_count == 3


def test_an_image_of_a_deleted_study_begins_it_anew(store: Store) -> None:
    make_study(store, 1)
    run_retention(store, policy(days=30), NOW)
    assert send(store, 1, 1, at=NOW) is Acceptance.ACCEPTED
    row = store.studies.find("1.2.1")
    assert (row.instance_count, row.revision, row.state) == (1, 0, StudyState.ARRIVING)


def test_our_result_of_a_deleted_study_is_still_known_as_ours(store: Store) -> None:
    make_study(store, 1)
    run_retention(store, policy(days=30), NOW)
    with store.engine.begin() as connection:
        kept = connection.execute(select(schema.forgotten.c.digest)).scalars().all()
        assert kept == [forgotten_digest("2.25.1.1")]
        # As ``send`` names images: 1.2.1.7 was a result of the deleted study.
        connection.execute(
            schema.forgotten.insert().values(digest=forgotten_digest("1.2.1.7"), forgotten_at=0)
        )
    send(store, 1, 7, at=NOW)
    assert store.studies.find("1.2.1").instance_count == 0
    assert store.studies.list_due() == []


def test_a_deletion_cut_short_is_finished_at_the_next_start(store: Store, monkeypatch) -> None:
    make_study(store, 1)
    make_study(store, 2)
    monkeypatch.setattr("wetread.store.erasure.remove_doomed", lambda *_: None)
    run_retention(store, policy(days=30), NOW)
    assert len(files(store)) > 0
    monkeypatch.undo()
    # A sender was quicker than the start after the crash.
    send(store, 2, 1, at=NOW)
    finish_deletions(store)
    assert reconcile(store) == Reconciliation()
    assert uids(store) == {"1.2.2"}
    assert files(store) == {str(store.intake.instances.path("1.2.2.1").relative_to(store.data))}


def test_a_file_that_came_anew_is_spared_by_a_deletion_still_at_work(store: Store, monkeypatch) -> None:
    make_study(store, 1)
    left: list[list[str]] = []
    monkeypatch.setattr("wetread.store.erasure.remove_doomed", lambda _store, paths: left.append(paths))
    run_retention(store, policy(days=30), NOW)
    send(store, 1, 1, at=NOW)
    remove_doomed(store, left[0])
    assert files(store) == {str(store.intake.instances.path("1.2.1.1").relative_to(store.data))}


def test_the_deletion_fails_whole_where_it_cannot_be_audited(store: Store) -> None:
    make_study(store, 1)
    store.audit.key_file.unlink(missing_ok=True)
    store.audit.key_file.mkdir()
    before = files(store)
    with pytest.raises(Exception, match="audit key"):
        run_retention(store, policy(days=30), NOW)
    assert uids(store) == {"1.2.1"}
    assert files(store) == before


def test_the_oldest_go_until_the_disk_is_under_its_mark(store: Store, monkeypatch) -> None:
    for study in (1, 2, 3):
        for number in (1, 2):
            send(store, study, number, at=OLD + timedelta(days=study))
        deliver(store, study, read(store, study), DeliveryState.SENT)
    full = iter([95.0, 91.0, 80.0, 80.0])
    monkeypatch.setattr(retention, "disk_percent", lambda _store: next(full))
    assert run_retention(store, policy(disk_percent=90.0), NOW).deleted == 2
    assert uids(store) == {"1.2.3"}


def test_a_full_disk_about_which_nothing_can_be_done_is_a_problem_once_an_hour(
    store: Store, monkeypatch
) -> None:
    waiting(store)
    monkeypatch.setattr(retention, "disk_percent", lambda _store: 95.0)
    monkeypatch.setattr("wetread.steps.keeping.disk_percent", lambda _store: 95.0)
    now = [NOW]
    steps = KeepingSteps(store=store, policy=policy(disk_percent=90.0), clock=lambda: now[0])
    for _sweep in range(3):
        steps.sweep()
    now[0] += timedelta(hours=1, seconds=1)
    steps.sweep()
    events = [event for event in store.history.list_newest() if event.level == "problem"]
    assert [event.code for event in events] == [ProblemCode.RETENTION_BLOCKED] * 2
    assert "1 not delivered" in events[0].message


def test_show_changes_nothing(store: Store) -> None:
    make_study(store, 1)
    before = files(store)
    (verdict,) = judge(store, policy(days=30), NOW)
    assert verdict.is_due
    assert files(store) == before


def test_two_at_once_delete_once(store: Store) -> None:
    make_study(store, 1)
    run_retention(store, policy(days=30), NOW)
    again = AuditEvent(
        type=AuditEventType.STUDY_DELETED, action=AuditAction.DELETE, at=NOW, studies=("1.2.1",)
    )
    assert delete_study(store, "1.2.1", event=again, keep=lambda *_: "", why="twice") == ""
    with store.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(schema.audit)).scalar_one() == 1
