"""What the pages ask the store."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.domain.test_reading import make_reading
from tests.store.test_store import NOW, arrive
from wetread.domain.document import Document, DocumentKind
from wetread.domain.progress import DeliveryState
from wetread.domain.study import study_key
from wetread.store import Store, open_store
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


def test_deliveries_are_counted_for_the_newest_revision(store: Store) -> None:
    plan(store, 1, "pacs", 2)
    plan(store, 2, "ris", 3)
    store.deliveries.record(store.deliveries.list_for("1.2.5", 2, "ris")[0].id, DeliveryState.SENT, NOW)
    counts = store.deliveries.count_by_study(["1.2.5", "1.2.6"])
    assert counts == {"1.2.5": {"ris": {DeliveryState.SENT: 1, DeliveryState.WAITING: 2}}}


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
