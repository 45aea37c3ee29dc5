"""What the pages ask the store."""

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from tests.domain.test_reading import make_reading
from tests.store.test_store import NOW, arrive
from tests.stores import open_store
from wetread.domain.document import Document, DocumentKind
from wetread.domain.progress import DeliveryState
from wetread.domain.study import study_key
from wetread.store import Store
from wetread.store.history import Event


@pytest.fixture
def store(tmp_path: Path):
    opened = open_store(tmp_path / "data")
    opened.intake.accept(arrive(opened, 1))
    yield opened
    opened.close()


def plan(store: Store, revision: int, destination: str, count: int) -> None:
    row = store.readings.save(make_reading())
    documents = tuple(
        Document(
            kind=DocumentKind.SC,
            ordinal=ordinal,
            sop_instance_uid=f"2.25.{revision}{ordinal}",
            sop_class_uid="1.2",
            series_instance_uid="2.25.8",
            title="key image",
            data=b"DICM",
        )
        for ordinal in range(1, count + 1)
    )
    store.readings.save_documents(row.id, documents)
    ids = [one.id for one in store.readings.list_documents(row.id)]
    store.deliveries.plan("1.2.5", revision, ids, destination, NOW)


def test_a_study_is_found_by_its_key(store: Store) -> None:
    row = store.studies.find_by_key(study_key("1.2.5"))
    assert row is not None
    assert row.study_instance_uid == "1.2.5"
    assert "1.2.5" not in row.key
    assert len(row.key) == 16
    assert store.studies.find_by_key("0" * 16) is None


def test_a_reported_study_leaves_the_list_until_more_images_come(store: Store) -> None:
    store.studies.mark_reported("1.2.5", NOW)
    assert store.studies.list_waiting() == []
    assert [row.reported_at for row in store.studies.list_reported()] == [NOW.timestamp()]
    store.studies.mark_reported("1.2.5", None)
    assert len(store.studies.list_waiting()) == 1
    store.studies.mark_reported("1.2.5", NOW)
    store.intake.accept(arrive(store, 1))
    assert store.studies.list_waiting() == []
    store.intake.accept(arrive(store, 2))
    assert len(store.studies.list_waiting()) == 1


def test_deliveries_are_counted_of_readings_that_stand(store: Store) -> None:
    first, second = (keep(store, revision) for revision in (1, 2))
    store.deliveries.plan("1.2.3", 1, [first], "pacs", NOW)
    store.deliveries.plan("1.2.3", 2, [second], "ris", NOW)
    store.deliveries.record(store.deliveries.list_for("1.2.3", 2, "ris")[0].id, DeliveryState.SENT, NOW)
    assert store.deliveries.count_by_study(["1.2.3", "1.2.6"]) == {"1.2.3": {"ris": {DeliveryState.SENT: 1}}}


def keep(store: Store, revision: int) -> int:
    """Keep a Reading of a revision with one document; returns the document's number."""
    row = store.readings.save(dataclasses.replace(make_reading(), revision=revision))
    document = Document(
        kind=DocumentKind.SR,
        ordinal=1,
        sop_instance_uid=f"2.25.{revision}",
        sop_class_uid="1.2",
        series_instance_uid="2.25.8",
        title="report",
        data=b"DICM%d" % revision,
    )
    store.readings.save_documents(row.id, (document,))
    return store.readings.list_documents(row.id)[0].id


def state_of(store: Store, revision: int) -> DeliveryState:
    (row,) = store.deliveries.list_for("1.2.3", revision, "pacs")
    return row.state


def test_what_stands_keeps_its_delivery_when_a_revision_brings_nothing_new(store: Store) -> None:
    first = keep(store, 1)
    store.deliveries.plan("1.2.3", 1, [first], "pacs", NOW)
    store.deliveries.plan("1.2.3", 2, [first], "pacs", NOW)
    assert state_of(store, 1) is DeliveryState.WAITING
    assert len(store.deliveries.list_standing("1.2.3", 1, "pacs")) == 1


def test_a_superseded_result_is_not_put_back_to_waiting(store: Store) -> None:
    first, second = keep(store, 1), keep(store, 2)
    store.deliveries.plan("1.2.3", 1, [first], "pacs", NOW)
    (old,) = store.deliveries.list_for("1.2.3", 1, "pacs")
    store.deliveries.plan("1.2.3", 2, [second], "pacs", NOW)
    # The try that was under way ends now: transient failure, then a refusal and an operator's retry.
    store.deliveries.record(old.id, DeliveryState.WAITING, NOW, "peer-unreachable")
    assert state_of(store, 1) is DeliveryState.SUPERSEDED
    store.deliveries.record(old.id, DeliveryState.REFUSED, NOW, "not-acknowledged")
    store.deliveries.retry([old.id], NOW)
    assert state_of(store, 1) is DeliveryState.REFUSED
    assert store.deliveries.list_standing("1.2.3", 1, "pacs") == []


def test_a_reading_that_comes_late_does_not_stand(store: Store) -> None:
    newer = store.readings.save(dataclasses.replace(make_reading(), revision=2))
    older = store.readings.save(make_reading())
    assert older.superseded
    (current,) = store.readings.list_current(["1.2.3"])["1.2.3"]
    assert current.id == newer.id


def test_the_pulse_changes_with_every_change(store: Store) -> None:
    seen = [store.history.pulse()]
    assert store.history.pulse() == seen[0]
    steps = (
        lambda: store.intake.accept(arrive(store, 2, at=NOW + timedelta(seconds=1))),
        lambda: store.studies.begin_revision("1.2.5", "quiet", NOW),
        lambda: store.history.add(Event(at=NOW, stage="match", message="Chosen.")),
        lambda: plan(store, 1, "pacs", 1),
        lambda: store.deliveries.record(1, DeliveryState.SENT, NOW + timedelta(seconds=2)),
        lambda: store.studies.mark_reported("1.2.5", NOW),
    )
    for step in steps:
        step()
        seen.append(store.history.pulse())
    assert len(set(seen)) == len(seen)
