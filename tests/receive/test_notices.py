"""Procedure steps and availability notices, told to a real port."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import InstanceAvailabilityNotification, ModalityPerformedProcedureStep

from tests.steady import STEADY
from tests.store.test_store import NOW, arrive
from tests.stores import open_store
from wetread.app import make_services
from wetread.assemble import Arrival, Completeness, check_completeness
from wetread.config import Config, DicomSettings
from wetread.dicom.plain import read_plain
from wetread.domain.audit import AuditAction, AuditEvent, AuditEventType
from wetread.domain.notice import StepState, Told
from wetread.receive.admission import Peer
from wetread.receive.availability import read_availability
from wetread.receive.cstore import ReceiverOptions, start_receiver
from wetread.receive.performed import RefusedNotice, begin_step, change_step
from wetread.store import Store
from wetread.store.audit_rows import AuditRows
from wetread.store.erasure import delete_study

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY = "1.2.5"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def woken() -> list[bool]:
    return []


@pytest.fixture
def port(store: Store, tmp_path: Path, woken: list[bool]) -> Iterator[int]:
    peers = (Peer(aet="CT1"), Peer(aet="MUTE", may_notify=False))
    config = Config(data=tmp_path, dicom=DicomSettings(peers=peers))
    services = make_services(config, store, lambda: woken.append(True))
    receiver = start_receiver(ReceiverOptions(port=0, peers=peers), store, services=services)
    yield receiver.port
    receiver.stop()


class Modality:
    """Tells over one association."""

    def __init__(self, port: int, aet: str = "CT1") -> None:
        ae = AE(aet)
        for one in (ModalityPerformedProcedureStep, InstanceAvailabilityNotification):
            ae.add_requested_context(one)
        self.association = ae.associate("127.0.0.1", port, ae_title="WETREAD", evt_handlers=[STEADY])
        assert self.association.is_established

    def begin(self, uid: str | None, ds: Dataset) -> Dataset:
        status: Dataset = self.association.send_n_create(ds, ModalityPerformedProcedureStep, uid)[0]
        return status

    def end(self, uid: str, ds: Dataset) -> Dataset:
        status: Dataset = self.association.send_n_set(ds, ModalityPerformedProcedureStep, uid)[0]
        return status

    def available(self, ds: Dataset, uid: str | None = None) -> tuple[Dataset, Dataset | None]:
        answer: tuple[Dataset, Dataset | None] = self.association.send_n_create(
            ds, InstanceAvailabilityNotification, uid
        )
        return answer


@pytest.fixture
def modality(port: int) -> Iterator[Modality]:
    one = Modality(port)
    yield one
    one.association.release()


def step(*studies: str, status: str = "IN PROGRESS") -> Dataset:
    ds = Dataset()
    ds.ScheduledStepAttributesSequence = []
    for study in studies or (STUDY,):
        scheduled = Dataset()
        scheduled.StudyInstanceUID = study
        ds.ScheduledStepAttributesSequence.append(scheduled)
    ds.PatientName, ds.PatientID = "Doe^Jane", "P1"
    ds.PerformedProcedureStepID, ds.PerformedStationAETitle = "S1", "CT1"
    ds.PerformedProcedureStepStartDate, ds.PerformedProcedureStepStartTime = "20260101", "101500"
    ds.PerformedProcedureStepStatus, ds.Modality, ds.PerformedSeriesSequence = status, "CT", []
    return ds


def reference(uid: str, **more: str) -> Dataset:
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = CT, uid
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds


def end(*uids: str, status: str = "COMPLETED") -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID, series.ProtocolName = "1.2.4", "Chest"
    series.ReferencedImageSequence = [reference(uid) for uid in uids]
    ds = Dataset()
    ds.PerformedProcedureStepStatus, ds.PerformedSeriesSequence = status, [series]
    ds.PerformedProcedureStepEndDate, ds.PerformedProcedureStepEndTime = "20260101", "102000"
    return ds


def availability(*uids: str, state: str = "ONLINE") -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = "1.2.4"
    series.ReferencedSOPSequence = [reference(uid, InstanceAvailability=state) for uid in uids]
    ds = Dataset()
    ds.ReferencedPerformedProcedureStepSequence, ds.StudyInstanceUID = [], STUDY
    ds.ReferencedSeriesSequence = [series]
    return ds


def images(*numbers: int) -> list[str]:
    return [f"1.2.3.{number}" for number in numbers]


def complete(store: Store, silence_s: float = 0.0) -> Completeness:
    row = store.studies.find(STUDY)
    assert row is not None
    told = store.notices.tell([STUDY]).get(STUDY, Told())
    arrival = Arrival(
        instance_count=row.instance_count,
        covered_count=row.covered_count,
        expected_instances=row.expected_instances,
        silence_s=silence_s,
        told=told,
    )
    return check_completeness(arrival, 10.0)


def test_a_step_is_begun_and_ended(modality: Modality, store: Store, woken: list[bool]) -> None:
    uid = str(generate_uid())
    assert modality.begin(uid, step()).Status == 0
    assert modality.end(uid, end(*images(1, 2))).Status == 0
    known = store.notices.find(uid)
    assert known is not None
    assert (known.state, known.studies, set(known.instances)) == (
        StepState.COMPLETED,
        (STUDY,),
        set(images(1, 2)),
    )
    assert len(woken) == 2
    told = [event.message for event in store.history.list_for_study(STUDY)]
    assert told == [
        "The modality's procedure step is IN PROGRESS (MPPS). Told by CT1.",
        "The modality's procedure step is COMPLETED, with 2 images (MPPS). Told by CT1.",
    ]
    trail = [row.message for row in AuditRows(store.engine).list_after(0, 1000)]
    assert sum(told[1] in message for message in trail) == 1
    assert not any("Doe" in message for message in trail)


def test_what_is_over_is_never_changed(modality: Modality, store: Store) -> None:
    uid = str(generate_uid())
    modality.begin(uid, step())
    assert modality.end(uid, end(*images(1), status="DISCONTINUED")).Status == 0
    answer = modality.end(uid, end(*images(1, 2)))
    assert (answer.Status, answer.ErrorID) == (0x0110, 0xA710)
    known = store.notices.find(uid)
    assert known is not None
    assert known.state is StepState.DISCONTINUED
    assert known.instances == (*images(1),)


def without(ds: Dataset, keyword: str) -> Dataset:
    del ds[keyword]
    return ds


def changed(ds: Dataset, keyword: str, value: Any) -> Dataset:
    setattr(ds, keyword, value)
    return ds


NEEDED = (
    "ScheduledStepAttributesSequence",
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepStatus",
    "Modality",
)


@pytest.mark.parametrize(
    ("make", "status"),
    [
        *[pytest.param(lambda one=one: without(step(), one), 0x0120, id=f"no-{one}") for one in NEEDED],
        *[
            pytest.param(lambda one=one: changed(step(), one, None), 0x0121, id=f"empty-{one}")
            for one in NEEDED
        ],
        pytest.param(lambda: step(status="COMPLETED"), 0x0106, id="begins-completed"),
        pytest.param(lambda: step(status="SLEEPING"), 0x0106, id="no-such-state"),
        pytest.param(lambda: step("../../etc"), 0x0106, id="study-is-a-path"),
        pytest.param(lambda: step(*(f"1.{n}" for n in range(101))), 0x0213, id="too-many-studies"),
    ],
)
def test_a_step_that_breaks_the_rules(make: Callable[[], Dataset], status: int) -> None:
    with pytest.raises(RefusedNotice) as refused:
        begin_step("1.9", read_plain(encoded(make()), is_implicit=True))
    assert refused.value.status == status
    assert "etc" not in refused.value.comment


def test_a_refusal_is_visible(modality: Modality, store: Store, woken: list[bool]) -> None:
    assert modality.begin("1.9", without(step(), "Modality")).Status == 0x0120
    assert store.notices.find("1.9") is None
    assert not woken
    (event,) = store.history.list_newest()
    assert event.level == "problem"
    assert event.code == "unreadable-message"
    assert event.message == "A procedure step from CT1 was refused: Modality is missing."
    # The association goes on.
    assert modality.begin("1.9", step()).Status == 0


@pytest.mark.parametrize(
    ("ds", "status"),
    [
        pytest.param(without(end("1.2.3"), "PerformedProcedureStepEndDate"), 0x0120, id="no-end"),
        pytest.param(without(end("1.2.3"), "PerformedSeriesSequence"), 0x0120, id="no-series"),
        pytest.param(changed(end(), "PerformedSeriesSequence", []), 0x0121, id="empty-series"),
        pytest.param(end("1.2.x"), 0x0106, id="no-uid"),
        pytest.param(end("1.2.3", status="DONE"), 0x0106, id="no-such-state"),
        pytest.param(end(*(f"1.2.{n}" for n in range(20_001))), 0x0213, id="too-many"),
    ],
)
def test_an_end_that_breaks_the_rules(ds: Dataset, status: int) -> None:
    known = begin_step("1.9", read_plain(encoded(step()), is_implicit=True))
    with pytest.raises(RefusedNotice) as refused:
        change_step(known, read_plain(encoded(ds), is_implicit=True))
    assert refused.value.status == status


def test_unknown_and_known_twice(modality: Modality) -> None:
    uid = str(generate_uid())
    assert modality.end(uid, end("1.2.3")).Status == 0x0112
    assert modality.begin(uid, step()).Status == 0
    assert modality.begin(uid, step()).Status == 0x0111
    assert modality.begin(None, step()).Status == 0x0117


def test_who_may_not_tell(port: int, store: Store) -> None:
    mute = Modality(port, "MUTE")
    assert mute.begin("1.2.9", step()).Status == 0x0124
    assert mute.available(availability("1.2.3"))[0].Status == 0x0124
    mute.association.release()
    assert store.notices.find("1.2.9") is None


def test_garbage_is_answered(modality: Modality, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sequence whose items end nowhere, and a data set beyond every real one."""
    garbage = b"\x40\x00\x70\x02\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\x7fxx"
    with monkeypatch.context() as patch:
        patch.setattr("pynetdicom.association.encode", lambda *_: garbage)
        assert modality.begin("1.2.9", step()).Status == 0x0110
    huge = step()
    huge.add_new(0x00204000, "UT", "x" * (5 << 20))
    assert modality.begin("1.2.9", huge).Status == 0x0213
    assert store.notices.find("1.2.9") is None
    assert modality.begin("1.2.9", step()).Status == 0


ORDERS = [
    order
    for order in itertools.permutations(["begin", "end", "image 1", "image 2"])
    # No modality ends what it has not begun: refused, see above.
    if order.index("begin") < order.index("end")
]


@pytest.mark.parametrize("order", ORDERS, ids=", ".join)
def test_the_order_does_not_matter(order: tuple[str, ...], store: Store) -> None:
    """Notices before, between and after the images: complete when the last of it is there."""
    tell(store, order)
    done = complete(store)
    assert done.is_complete
    assert done.cause == "all 2 images that the modality's procedure step names are here (MPPS)"


def tell(store: Store, order: tuple[str, ...]) -> None:
    for number, what in enumerate(order):
        if what.startswith("image"):
            store.intake.accept(arrive(store, int(what[-1])))
        elif what == "begin":
            store.notices.create(begin_step("1.9", read_plain(encoded(step()), is_implicit=True)), "CT1", NOW)
        else:
            node = read_plain(encoded(end(*images(1, 2))), is_implicit=True)
            store.notices.change("1.9", lambda known, node=node: change_step(known, node), NOW)
        if number < len(order) - 1 and store.studies.find(STUDY) is not None:
            assert not complete(store).is_complete


def encoded(ds: Dataset) -> bytes:
    data = encode(ds, is_implicit_vr=True, is_little_endian=True)
    assert data is not None
    return data


def test_several_steps_and_one_goes_on(modality: Modality, store: Store) -> None:
    modality.begin("1.9.1", step())
    modality.begin("1.9.2", step())
    modality.end("1.9.1", end(*images(1)))
    store.intake.accept(arrive(store, 1))
    assert not complete(store).is_complete
    # The end of the other may be lost: the quiet period is the limit, and says so.
    quiet = complete(store, silence_s=10.0)
    assert quiet.is_complete
    assert quiet.cause == (
        "nothing more for 10 s, though the modality has not told that its procedure step is over (MPPS)"
    )
    modality.end("1.9.2", end(*images(2), status="DISCONTINUED"))
    assert not complete(store).is_complete
    store.intake.accept(arrive(store, 2))
    assert complete(store).cause == ("all 2 images that the modality's procedure steps name are here (MPPS)")


def test_what_is_named_and_missing_is_counted(modality: Modality, store: Store) -> None:
    modality.begin("1.9.1", step())
    modality.end("1.9.1", end(*images(1, 2, 3)))
    store.intake.accept(arrive(store, 1))
    # A number of images does not stand for those that are named.
    store.studies.expect(STUDY, 1, "pacs")
    assert not complete(store).is_complete
    quiet = complete(store, silence_s=10.0)
    assert quiet.missing == 2
    assert quiet.cause == (
        "nothing more for 10 s, 2 of the 3 images that the modality's procedure step names are missing"
    )


def test_what_nobody_named_comes_as_a_new_revision(modality: Modality, store: Store) -> None:
    modality.begin("1.9.1", step())
    modality.end("1.9.1", end(*images(1)))
    store.intake.accept(arrive(store, 1))
    store.studies.begin_revision(STUDY, complete(store).cause, NOW)
    store.intake.accept(arrive(store, 2))
    assert not complete(store).is_complete
    assert complete(store, silence_s=10.0).cause == (
        "1 more image after the last reading, nothing more for 10 s"
    )


def test_an_archive_says_what_can_be_had(modality: Modality, store: Store) -> None:
    status, reply = modality.available(availability(*images(1, 2)))
    assert status.Status == 0
    assert reply is None or "AffectedSOPInstanceUID" not in reply
    store.intake.accept(arrive(store, 1))
    assert not complete(store).is_complete
    store.intake.accept(arrive(store, 2))
    assert complete(store).cause == "all 2 images that the archive names are here (IAN)"


def test_what_is_offline_is_not_waited_for(modality: Modality, store: Store) -> None:
    assert modality.available(availability(*images(1)), "1.9.1")[0].Status == 0
    assert modality.available(availability(*images(2), state="OFFLINE"), "1.9.2")[0].Status == 0
    assert modality.available(availability(*images(2)), "1.9.2")[0].Status == 0x0111
    store.intake.accept(arrive(store, 1))
    assert complete(store).is_complete


@pytest.mark.parametrize(
    ("ds", "status"),
    [
        (without(availability("1.2.3"), "StudyInstanceUID"), 0x0120),
        (without(availability("1.2.3"), "ReferencedSeriesSequence"), 0x0120),
        (availability(), 0x0121),
        (availability("1.2.3", state=""), 0x0121),
        (availability("1.2.3", state="SOMEWHERE"), 0x0106),
        (availability("1.2.3\\1.2.4"), 0x0106),
    ],
)
def test_a_notice_that_breaks_the_rules(ds: Dataset, status: int) -> None:
    with pytest.raises(RefusedNotice) as refused:
        read_availability("1.9", read_plain(encoded(ds), is_implicit=True))
    assert refused.value.status == status


def test_a_deleted_study_takes_its_notices_along(modality: Modality, store: Store) -> None:
    modality.begin("1.9.1", step())
    modality.begin("1.9.2", step(STUDY, "1.2.6"))
    modality.end("1.9.1", end(*images(1)))
    store.intake.accept(arrive(store, 1))
    event = AuditEvent(type=AuditEventType.STUDY_DELETED, action=AuditAction.DELETE, at=NOW, studies=(STUDY,))
    assert delete_study(store, STUDY, event=event, keep=lambda *_: "", why="a test") == ""
    assert store.notices.find("1.9.1") is None
    assert not store.notices.tell([STUDY])
    assert store.notices.tell(["1.2.6"]).keys() == {"1.2.6"}
