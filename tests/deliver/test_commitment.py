"""Storage commitment that we ask for: of a real Orthanc, and of a PACS that is told what to say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, StoragePresentationContexts, build_role, evt

from tests.deliver.conftest import MakeDocument
from tests.domain.test_reading import make_reading
from tests.orthanc import requires_orthanc, running_orthanc
from tests.path.service import await_true
from tests.path.test_steps import NOW, STUDY, begin
from tests.ports import free_port
from tests.steady import STEADY
from tests.stores import open_store
from wetread.app import make_services
from wetread.config import Config, DicomSettings
from wetread.deliver.destination import Destination, read_destination
from wetread.domain.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE
from wetread.domain.progress import DeliveryState
from wetread.receive.admission import Peer
from wetread.receive.cstore import ReceiverOptions, start_receiver
from wetread.steps import DeliverySteps
from wetread.store import Store
from wetread.waits import Waits


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Ward:
    """A study whose results wait for a destination, and our port."""

    store: Store
    port: int
    woken: threading.Event = field(default_factory=threading.Event)
    clock: Clock = field(default_factory=Clock)

    def steps(self, target: Destination) -> DeliverySteps:
        """As after a start: nothing is remembered."""
        return DeliverySteps(
            store=self.store, destinations={"pacs": target}, clock=lambda: NOW, _waits=Waits(self.clock)
        )

    def states(self) -> list[tuple[DeliveryState, str]]:
        rows = self.store.deliveries.list_for_study(STUDY)
        return [(row.state, row.problem_code) for row in rows]


@pytest.fixture
def ward(tmp_path: Path, make_document: MakeDocument) -> Iterator[Ward]:
    store = open_store(tmp_path / "data")
    begin(store, 2)
    reading = replace(make_reading(), study_instance_uid=STUDY)
    number = store.readings.save(reading).id
    store.readings.save_documents(number, [make_document(), replace(make_document(), ordinal=2)])
    documents = [one.id for one in store.readings.list_documents(number)]
    store.deliveries.plan(STUDY, 1, documents, "pacs", NOW)
    peers = (Peer(aet="PACS"), Peer(aet="OTHER"))
    woken = threading.Event()
    config = Config(data=tmp_path, destinations=(target(1),), dicom=DicomSettings(peers=peers))
    services = make_services(config, store, woken.set)
    receiver = start_receiver(ReceiverOptions(port=0, peers=peers), store, services=services)
    yield Ward(store=store, port=receiver.port, woken=woken)
    receiver.stop()
    store.close()


def target(port: int, **more: Any) -> Destination:
    settings = {"name": "pacs", "to": f"PACS@127.0.0.1:{port}", "verify": "commitment", "timeout_s": 30}
    return read_destination(settings | {"commitment_s": 60} | more)


class Pacs:
    """Takes what comes, and reports when and what it is told to."""

    def __init__(self, *, reports_at_once: bool = False, fails: int = 0) -> None:
        self.requests: list[Dataset] = []
        self.stored = 0
        self.reports_at_once, self.fails = reports_at_once, fails
        self.answers: list[int] = []
        ae = AE("PACS")
        for context in StoragePresentationContexts:
            ae.add_supported_context(context.abstract_syntax)
        ae.add_supported_context(PUSH_MODEL)
        handlers = [STEADY, (evt.EVT_C_STORE, self.store), (evt.EVT_N_ACTION, self.act)]
        self.server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self.server.server_address[1]

    def store(self, _event: Any) -> int:
        self.stored += 1
        return 0x0000

    def act(self, event: Any) -> tuple[int, None]:
        self.requests.append(event.action_information)
        if self.reports_at_once:
            threading.Thread(target=self.answer_on, args=(event.assoc,), daemon=True).start()
        return 0x0000, None

    def answer_on(self, association: Any) -> None:
        ds, kind = report(self.requests[-1], self.fails)
        status, _ = association.send_n_event_report(ds, kind, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        self.answers.append(int(status.Status))

    def answer(self, port: int, request: int = -1, aet: str = "PACS") -> int:
        """Report on an association of its own."""
        ae = AE(aet)
        ae.add_requested_context(PUSH_MODEL)
        role = build_role(PUSH_MODEL, scp_role=True)
        association = ae.associate(
            "127.0.0.1", port, ae_title="WETREAD", ext_neg=[role], evt_handlers=[STEADY]
        )
        assert association.is_established
        assert association.accepted_contexts[0].as_scp
        ds, kind = report(self.requests[request], self.fails)
        status, _ = association.send_n_event_report(ds, kind, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        association.release()
        return int(status.Status)


def report(request: Dataset, fails: int) -> tuple[Dataset, int]:
    ds = Dataset()
    ds.TransactionUID = request.TransactionUID
    items = list(request.ReferencedSOPSequence)
    for item in items[:fails]:
        item.FailureReason = 0x0112
    if items[fails:]:
        ds.ReferencedSOPSequence = items[fails:]
    if fails:
        ds.FailedSOPSequence = items[:fails]
    return ds, 2 if fails else 1


@pytest.fixture
def make_pacs() -> Iterator[Callable[..., Pacs]]:
    made: list[Pacs] = []

    def make(**options: Any) -> Pacs:
        made.append(Pacs(**options))
        return made[-1]

    yield make
    for one in made:
        one.server.shutdown()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wetread.deliver.commitment.STAYS_S", 0.3)


SENT, VERIFIED, WAITING = DeliveryState.SENT, DeliveryState.VERIFIED, DeliveryState.WAITING


def deliver(steps: DeliverySteps) -> None:
    for step in (steps.send, steps.verify, steps.give_up):
        step(STUDY, 1, "pacs")


def test_a_report_on_the_same_association(
    ward: Ward, make_pacs: Callable[..., Pacs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wetread.deliver.commitment.STAYS_S", 60.0)
    pacs = make_pacs(reports_at_once=True)
    deliver(ward.steps(target(pacs.port)))
    assert ward.states() == [(VERIFIED, "")] * 2
    await_true(lambda: pacs.answers == [0], 30)


def test_a_report_later_after_a_restart(ward: Ward, make_pacs: Callable[..., Pacs]) -> None:
    pacs = make_pacs()
    to = target(pacs.port)
    deliver(ward.steps(to))
    assert ward.states() == [(SENT, "")] * 2
    steps = ward.steps(to)
    assert not steps.list_unsettled()
    assert not steps.needs_delivery(STUDY, 1, "pacs")
    # Not asked twice while the answer may come.
    deliver(steps)
    assert len(pacs.requests) == 1
    assert pacs.answer(ward.port) == 0
    assert ward.woken.is_set()
    assert len(steps.list_unsettled()) == 2
    assert steps.needs_delivery(STUDY, 1, "pacs")
    deliver(steps)
    assert ward.states() == [(VERIFIED, "")] * 2
    assert pacs.stored == 2
    assert len(pacs.requests) == 1
    assert not ward.store.commitments.list_answered()


def test_what_it_does_not_keep_is_sent_again(ward: Ward, make_pacs: Callable[..., Pacs]) -> None:
    pacs = make_pacs(fails=1)
    steps = ward.steps(target(pacs.port))
    deliver(steps)
    assert pacs.answer(ward.port) == 0
    steps.verify(STUDY, 1, "pacs")
    assert sorted(ward.states()) == [(VERIFIED, ""), (WAITING, "not-found-at-peer")]
    pacs.fails = 0
    deliver(steps)
    assert (pacs.stored, len(pacs.requests)) == (3, 2)
    assert pacs.answer(ward.port) == 0
    steps.verify(STUDY, 1, "pacs")
    assert ward.states() == [(VERIFIED, "")] * 2


def test_silence_is_asked_again_and_seen(ward: Ward, make_pacs: Callable[..., Pacs]) -> None:
    pacs = make_pacs()
    steps = ward.steps(target(pacs.port))
    deliver(steps)
    for _ in range(6):
        assert not steps.list_unsettled()
        ward.clock.now_s += 61
        if not steps.list_unsettled():
            break
        deliver(steps)
    assert len(pacs.requests) == 4
    assert ward.states() == [(SENT, "not-committed")] * 2
    told = [one for one in ward.store.history.list_for_study(STUDY) if one.code == "not-committed"]
    assert len(told) == 3
    # Late, and of an earlier question: it counts all the same.
    assert pacs.answer(ward.port, request=1) == 0
    assert len(steps.list_unsettled()) == 2
    deliver(steps)
    assert ward.states() == [(VERIFIED, "")] * 2


def test_nobody_else_is_believed(ward: Ward, make_pacs: Callable[..., Pacs]) -> None:
    pacs = make_pacs()
    steps = ward.steps(target(pacs.port))
    deliver(steps)
    assert pacs.answer(ward.port, aet="OTHER") == 0x0115
    assert not ward.store.commitments.report("1.2.3", ["pacs"], {"1.2.3.4": 0})
    assert not steps.list_unsettled()
    assert ward.states() == [(SENT, "")] * 2
    assert any("OTHER" in one.message for one in ward.store.history.list_newest())


def test_who_cannot_be_asked(ward: Ward) -> None:
    steps = ward.steps(target(free_port()))
    for row in ward.store.deliveries.list_for_study(STUDY):
        ward.store.deliveries.record(row.id, SENT, NOW)
    steps.verify(STUDY, 1, "pacs")
    assert ward.states() == [(SENT, "peer-unreachable")] * 2
    assert steps.needs_delivery(STUDY, 1, "pacs")


@requires_orthanc
def test_orthanc_commits(ward: Ward, tmp_path: Path) -> None:
    config = {"DicomModalities": {"wetread": ["WETREAD", "127.0.0.1", ward.port]}}
    with running_orthanc(tmp_path / "orthanc", config, dicomweb=False, aet="PACS") as orthanc:
        steps = ward.steps(target(orthanc.dicom_port))
        deliver(steps)
        await_true(lambda: steps.needs_delivery(STUDY, 1, "pacs") or ward.states()[0][0] is VERIFIED, 60)
        deliver(steps)
    assert ward.states() == [(VERIFIED, "")] * 2
