"""The store keeps what it acknowledged, once, and never overwrites."""

import dataclasses
import hashlib
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.domain.test_reading import make_reading
from tests.stores import open_store
from wetread.domain.document import Document, DocumentKind
from wetread.domain.progress import Acceptance, DeliveryState, StudyState
from wetread.domain.reading import digest
from wetread.domain.study import Instance
from wetread.errors import ConfigError
from wetread.store import Store
from wetread.store.history import Event
from wetread.store.intake import Arrived

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path):
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


def arrive(
    store: Store, number: int, content: bytes = b"pixels", name: str = "", at: datetime = NOW
) -> Arrived:
    path = store.intake.incoming / f"{number}{name}.part"
    path.write_bytes(content)
    instance = Instance(
        sop_instance_uid=f"1.2.3.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid="1.2.4",
        study_instance_uid="1.2.5",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        header={"Modality": "CT", "PatientID": "P1", "ImagePositionPatient": (0.0, 0.0, float(number))},
        path=path,
    )
    return Arrived(
        instance=instance,
        content_digest=hashlib.sha256(content).hexdigest(),
        size=len(content),
        received_at=at,
        source="TEST",
    )


def test_an_accepted_instance_is_on_disk_and_indexed(store: Store) -> None:
    assert store.intake.accept(arrive(store, 1)) is Acceptance.ACCEPTED
    study = store.studies.load("1.2.5")
    assert study is not None
    (instance,) = study.series[0].instances
    assert instance.path.read_bytes() == b"pixels"
    assert instance.header["ImagePositionPatient"] == (0.0, 0.0, 1.0)
    assert not list(store.intake.incoming.iterdir())


def test_the_same_again_is_no_second_job(store: Store) -> None:
    store.intake.accept(arrive(store, 1))
    store.studies.begin_revision("1.2.5", "quiet", NOW)
    assert store.intake.accept(arrive(store, 1)) is Acceptance.REPEATED
    assert store.studies.list_due() == []


def test_other_content_is_kept_aside(store: Store) -> None:
    store.intake.accept(arrive(store, 1))
    assert store.intake.accept(arrive(store, 1, b"other")) is Acceptance.CONFLICT
    assert store.intake.accept(arrive(store, 1, b"other")) is Acceptance.CONFLICT
    study = store.studies.load("1.2.5")
    assert study is not None
    assert study.series[0].instances[0].path.read_bytes() == b"pixels"
    assert len(list(store.intake.conflicts.iter_paths())) == 1


def test_an_orphan_of_a_crash_is_replaced(store: Store) -> None:
    path = store.intake.instances.path("1.2.3.1")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"torn")
    assert store.intake.accept(arrive(store, 1)) is Acceptance.ACCEPTED
    assert path.read_bytes() == b"pixels"


def test_many_senders_at_once_give_one_instance(store: Store) -> None:
    outcomes: list[Acceptance] = []

    def send(sender: int) -> None:
        outcomes.extend(store.intake.accept(arrive(store, number, name=f"-{sender}")) for number in range(20))

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(Acceptance.ACCEPTED) == 20
    assert outcomes.count(Acceptance.REPEATED) == 60
    row = store.studies.find("1.2.5")
    assert row is not None
    assert row.instance_count == 20


def test_a_revision_begins_once_and_late_instances_make_the_next(store: Store) -> None:
    store.intake.accept(arrive(store, 1))
    first = store.studies.begin_revision("1.2.5", "quiet", NOW)
    assert first is not None
    assert first.revision == 1
    assert store.studies.begin_revision("1.2.5", "quiet", NOW) is None
    store.intake.accept(arrive(store, 2, at=NOW + timedelta(seconds=20)))
    store.studies.finish_revision("1.2.5", 1, StudyState.READ, NOW)
    row = store.studies.find("1.2.5")
    assert row is not None
    assert row.state is StudyState.ARRIVING
    held = store.studies.load("1.2.5", limit=first.instance_count)
    assert held is not None
    assert len(held.series[0].instances) == 1
    second = store.studies.begin_revision("1.2.5", "late", NOW)
    assert second is not None
    assert (second.revision, second.instance_count) == (2, 2)
    assert [row.revision for row in store.studies.list_unfinished_revisions()] == [2]


def test_one_reading_per_model_and_revision(store: Store) -> None:
    reading = make_reading()
    row = store.readings.save(reading)
    later = dataclasses.replace(reading, made_at=NOW + timedelta(days=1))
    assert store.readings.save(later).digest == row.digest == digest(reading)
    assert digest(store.readings.load(row.digest)) == row.digest
    newer = store.readings.save(dataclasses.replace(reading, revision=2))
    (current,) = store.readings.list_current([reading.study_instance_uid])[reading.study_instance_uid]
    assert current.id == newer.id


def test_documents_and_deliveries(store: Store) -> None:
    row = store.readings.save(make_reading())
    document = Document(
        kind=DocumentKind.SR,
        ordinal=1,
        sop_instance_uid="2.25.9",
        sop_class_uid="1.2",
        series_instance_uid="2.25.8",
        title="report",
        data=b"DICM",
    )
    store.readings.save_documents(row.id, (document,))
    store.readings.save_documents(row.id, (document,))
    (held,) = store.readings.list_documents(row.id)
    assert store.readings.load_document(held) == document
    for _ in range(2):
        store.deliveries.plan("1.2.3", 1, [held.id], "pacs", NOW)
    (delivery,) = store.deliveries.list_for("1.2.3", 1, "pacs")
    store.deliveries.record(delivery.id, DeliveryState.REFUSED, NOW, "not-acknowledged", "0xA700")
    store.deliveries.retry([delivery.id], NOW)
    assert store.deliveries.count_by_state() == {("pacs", DeliveryState.WAITING): 1}
    store.deliveries.plan("1.2.3", 2, [], "pacs", NOW)
    assert store.deliveries.list_for_study("1.2.3")[0].state is DeliveryState.SUPERSEDED


def test_the_store_opens_again(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.intake.accept(arrive(store, 1))
    store.history.add(Event(study_instance_uid="1.2.5", at=NOW, stage="receive", message="First image."))
    (store.intake.incoming / "torn.part").write_bytes(b"half")
    store.close()
    again = open_store(tmp_path)
    again.own()
    assert again.studies.find("1.2.5") is not None
    assert [event.message for event in again.history.list_for_study("1.2.5")] == ["First image."]
    assert not list(again.intake.incoming.iterdir())
    again.close()


def test_a_second_service_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    first, second = open_store(tmp_path), open_store(tmp_path)
    first.own()
    with pytest.raises(ConfigError, match="Another wetread service"):
        second.own()
    first.close()
    second.own()
    second.close()


def test_our_own_result_that_comes_back_is_stored_but_never_read(store: Store) -> None:
    store.intake.accept(arrive(store, 1))
    store.studies.begin_revision("1.2.5", "quiet", NOW)
    row = store.readings.save(make_reading())
    result = Document(
        kind=DocumentKind.SR,
        ordinal=1,
        sop_instance_uid="1.2.3.77",
        sop_class_uid="1.2",
        series_instance_uid="2.25.8",
        title="report",
        data=b"DICM",
    )
    store.readings.save_documents(row.id, (result,))
    assert store.intake.accept(arrive(store, 77)) is Acceptance.ACCEPTED
    assert store.studies.list_due() == []
    study = store.studies.load("1.2.5")
    assert study is not None
    assert [one.sop_instance_uid for one in study.series[0].instances] == ["1.2.3.1"]


def test_a_number_of_instances_that_no_study_has_is_not_waited_for(store: Store) -> None:
    for number, text in enumerate(("99999999999999999999", "-3", "0", "many", "1" * 7)):
        arrived = arrive(store, number)
        header = {**arrived.instance.header, "NumberOfStudyRelatedInstances": text}
        instance = dataclasses.replace(arrived.instance, header=header)
        assert store.intake.accept(dataclasses.replace(arrived, instance=instance)) is Acceptance.ACCEPTED
    row = store.studies.find("1.2.5")
    assert row is not None
    assert row.expected_instances is None


def test_a_revision_covers_what_arrived_first_whatever_the_clock_says(store: Store) -> None:
    for number in (1, 2):
        store.intake.accept(arrive(store, number, at=NOW))
    begun = store.studies.begin_revision("1.2.5", "quiet", NOW)
    assert begun is not None
    # The clock was set back by an hour before the next image.
    store.intake.accept(arrive(store, 3, at=NOW - timedelta(hours=1)))
    held = store.studies.load("1.2.5", limit=begun.instance_count)
    assert held is not None
    assert [one.sop_instance_uid for one in held.series[0].instances] == ["1.2.3.1", "1.2.3.2"]
