"""Storage commitment that others ask of us: by pynetdicom and by a real Orthanc."""

from __future__ import annotations

import json
import queue
import struct
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from sqlalchemy import insert

from tests.orthanc import requires_orthanc, running_orthanc
from tests.path.service import Service, await_true
from tests.ports import free_port
from tests.steady import STEADY
from tests.store.test_store import arrive
from tests.stores import open_store
from wetread.app import make_services
from wetread.committing import make_reporter
from wetread.config import Config, DicomSettings
from wetread.domain.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE
from wetread.receive.admission import Peer
from wetread.receive.cstore import ReceiverOptions, start_receiver
from wetread.store import Store, schema
from wetread.store.promises import DUE, FAILED, MOST_DUE, REPORTED

CT = "1.2.840.10008.5.1.4.1.1.2"
Reports = "queue.Queue[tuple[int, Dataset]]"


class Requestor:
    """Asks, and takes reports on a port of its own or on the association that asked."""

    def __init__(self, aet: str, *, status: int = 0) -> None:
        self.reports: queue.Queue[tuple[int, Dataset]] = queue.Queue()
        self.status = status
        self.ae = AE(aet)
        self.ae.add_requested_context(PUSH_MODEL)
        self.ae.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)

    def take(self, event: Any) -> tuple[int, None]:
        self.reports.put((event.event_type, event.event_information))
        return self.status, None

    def listen(self, port: int) -> Any:
        return self.ae.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[STEADY, (evt.EVT_N_EVENT_REPORT, self.take)]
        )

    def associate(self, port: int) -> Any:
        association = self.ae.associate(
            "127.0.0.1", port, ae_title="WETREAD", evt_handlers=[STEADY, (evt.EVT_N_EVENT_REPORT, self.take)]
        )
        assert association.is_established
        return association

    def ask(self, port: int, ds: Dataset, *, action: int = 1, instance: str = PUSH_MODEL_INSTANCE) -> int:
        association = self.associate(port)
        try:
            status, _ = association.send_n_action(ds, action, PUSH_MODEL, instance)
            return int(status.Status)
        finally:
            association.release()

    def report(self) -> tuple[int, Dataset]:
        return self.reports.get(timeout=60)


def request(*references: tuple[str, str], transaction: str = "") -> Dataset:
    ds = Dataset()
    ds.TransactionUID = transaction or generate_uid()
    ds.ReferencedSOPSequence = []
    for sop_class, sop_instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        ds.ReferencedSOPSequence.append(item)
    return ds


def failures(report: Dataset) -> dict[str, int]:
    return {one.ReferencedSOPInstanceUID: one.FailureReason for one in report.get("FailedSOPSequence", [])}


def committed(report: Dataset) -> list[str]:
    return [one.ReferencedSOPInstanceUID for one in report.get("ReferencedSOPSequence", [])]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    for number in (1, 2, 3):
        opened.intake.accept(arrive(opened, number))
    yield opened
    opened.close()


@pytest.fixture
def report_port() -> int:
    return free_port()


@pytest.fixture
def start(store: Store, tmp_path: Path, report_port: int) -> Iterator[Callable[[], int]]:
    """Start to receive and to report; a second call is a restart. Returns the port."""
    peers = (Peer(aet="CT1", report_to=f"127.0.0.1:{report_port}"), Peer(aet="CT2"), Peer(aet="TEST"))
    config = Config(data=tmp_path, dicom=DicomSettings(peers=peers))
    running: list[Any] = []

    def stop() -> None:
        while running:
            running.pop().stop()

    def begin() -> int:
        stop()
        reporter = make_reporter(config, store)
        reporter.backoff.waits_s = (0.2,)
        services = make_services(config, store, reporter=reporter)
        receiver = start_receiver(ReceiverOptions(port=0, peers=peers), store, services=services)
        reporter.start()
        running.extend([reporter, receiver])
        return receiver.port

    yield begin
    stop()


def test_what_is_held_is_committed_and_the_rest_says_why(
    store: Store, start: Callable[[], int], report_port: int
) -> None:
    store.intake.instances.path("1.2.3.2").unlink()
    with store.engine.begin() as connection:
        aside = {"sop_instance_uid": "1.2.3.3", "study_instance_uid": "1.2.5", "content_digest": "x"}
        connection.execute(insert(schema.conflict).values(aside | {"received_at": 0.0, "source": "CT1"}))
    requestor = Requestor("CT1")
    server = requestor.listen(report_port)
    other_class = "1.2.840.10008.5.1.4.1.1.4"
    ds = request((CT, "1.2.3.1"), (CT, "1.2.3.2"), (CT, "1.2.3.3"), (CT, "1.2.3.4"), (other_class, "1.2.3.1"))
    assert requestor.ask(start(), ds) == 0
    kind, report = requestor.report()
    server.shutdown()
    assert kind == 2
    assert report.TransactionUID == ds.TransactionUID
    assert committed(report) == ["1.2.3.1"]
    reasons = [(one.ReferencedSOPInstanceUID, one.FailureReason) for one in report.FailedSOPSequence]
    assert reasons == [("1.2.3.2", 0x0110), ("1.2.3.3", 0x0110), ("1.2.3.4", 0x0112), ("1.2.3.1", 0x0119)]
    await_true(lambda: store.promises.state_of("CT1", ds.TransactionUID)[0][0] == REPORTED, 30)
    told = [event.message for event in store.history.list_for_study("1.2.5")]
    assert told[-1] == "Storage commitment reported to CT1: 1 of 5 instances are committed."


def test_on_the_same_association(start: Callable[[], int]) -> None:
    requestor = Requestor("CT2")
    association = requestor.associate(start())
    ds = request((CT, "1.2.3.1"), (CT, "1.2.3.2"))
    status, _ = association.send_n_action(ds, 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    assert status.Status == 0
    kind, report = requestor.report()
    assert kind == 1
    assert committed(report) == ["1.2.3.1", "1.2.3.2"]
    association.release()


def test_who_has_gone_and_has_no_address_is_told_of(store: Store, start: Callable[[], int]) -> None:
    port = start()
    # As after a kill: the association is not there any more.
    ds = request((CT, "1.2.3.1"))
    requestor = Requestor("CT2")
    with store.engine.begin() as connection:
        connection.execute(
            insert(schema.commitment_asked).values(
                transaction_uid=ds.TransactionUID, requestor="CT2", digest="x", items=[[CT, "1.2.3.1"]],
                instance_count=1, is_duplicate=False, asked_at=0.0, state=DUE, attempts=0, message="",
                updated_at=0.0,
            )
        )  # fmt: skip
    requestor.ask(port, request((CT, "1.2.3.2")))
    await_true(lambda: store.promises.state_of("CT2", ds.TransactionUID)[0][0] == FAILED, 30)
    events = [one for one in store.history.list_newest() if one.code == "commitment-not-reported"]
    assert any("report_to" in one.message for one in events)


def test_reported_when_the_requestor_is_back_after_a_restart(
    store: Store, start: Callable[[], int], report_port: int
) -> None:
    requestor = Requestor("CT1")
    ds = request((CT, "1.2.3.1"))
    assert requestor.ask(start(), ds) == 0
    await_true(lambda: store.promises.state_of("CT1", ds.TransactionUID)[0][1] >= 1, 30)
    start()
    server = requestor.listen(report_port)
    assert committed(requestor.report()[1]) == ["1.2.3.1"]
    server.shutdown()


def test_what_is_not_acknowledged_is_reported_again(
    store: Store, start: Callable[[], int], report_port: int
) -> None:
    requestor = Requestor("CT1", status=0x0110)
    server = requestor.listen(report_port)
    ds = request((CT, "1.2.3.1"))
    requestor.ask(start(), ds)
    requestor.report()
    requestor.status = 0
    requestor.report()
    await_true(lambda: store.promises.state_of("CT1", ds.TransactionUID)[0][0] == REPORTED, 30)
    server.shutdown()


def test_one_transaction_twice(store: Store, start: Callable[[], int], report_port: int) -> None:
    requestor = Requestor("CT1")
    server, port = requestor.listen(report_port), start()
    same = request((CT, "1.2.3.1"), transaction="1.2.9")
    for _ in range(2):
        # Its answer may have been lost.
        assert requestor.ask(port, same) == 0
        assert requestor.report()[0] == 1
    assert requestor.ask(port, request((CT, "1.2.3.2"), transaction="1.2.9")) == 0
    kind, report = requestor.report()
    assert kind == 2
    assert failures(report) == {"1.2.3.2": 0x0131}
    server.shutdown()


@pytest.mark.parametrize(
    ("ds", "options", "status"),
    [
        (request((CT, "1.2.3.1")), {"instance": "1.2.3"}, 0x0112),
        (request((CT, "1.2.3.1")), {"action": 2}, 0x0123),
        (request(), {}, 0x0114),
        (request((CT, "../../x")), {}, 0x0115),
        (request((CT, "1.2.3.1"), transaction="none"), {}, 0x0115),
        pytest.param(request(*((CT, f"1.2.{n}") for n in range(20_001))), {}, 0x0213, id="20001"),
    ],
)
def test_what_is_refused(
    ds: Dataset, options: dict[str, Any], status: int, store: Store, start: Callable[[], int]
) -> None:
    assert Requestor("TEST").ask(start(), ds, **options) == status
    assert not store.promises.list_due()
    assert any("TEST asked for was refused" in one.message for one in store.history.list_newest())


def test_a_hundred_thousand_references(
    store: Store, start: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """H15: read, not kept, and answered."""
    uids = element(0x00081150, CT) + element(0x00081155, "1.2.3")
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(uids)) + uids
    data = element(0x00081195, "1.2.9") + struct.pack("<HHI", 0x0008, 0x1199, len(item) * 100_000)
    port = start()
    with monkeypatch.context() as patch:
        patch.setattr("pynetdicom.association.encode", lambda *_: data + item * 100_000)
        assert Requestor("TEST").ask(port, Dataset()) == 0x0213
    assert not store.promises.list_due()
    assert Requestor("TEST").ask(port, request((CT, "1.2.3.1"))) == 0


def element(tag: int, text: str) -> bytes:
    value = text.encode() + b"\0" * (len(text) % 2)
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


def test_too_many_that_wait(store: Store, start: Callable[[], int]) -> None:
    row = {
        "requestor": "CT1", "digest": "x", "items": [], "instance_count": 0, "is_duplicate": False,
        "asked_at": 0.0, "state": DUE, "attempts": 0, "message": "", "updated_at": 0.0,
    }  # fmt: skip
    with store.engine.begin() as connection:
        rows = [row | {"transaction_uid": f"1.{n}"} for n in range(MOST_DUE)]
        connection.execute(insert(schema.commitment_asked), rows)
    assert Requestor("CT1").ask(start(), request((CT, "1.2.3.1"))) == 0x0213


def test_killed_in_the_middle(tmp_path: Path, store: Store, report_port: int) -> None:
    """N-ACTION is acknowledged, the process killed, started again: the report goes all the same."""
    store.close()
    dicom = f'[[dicom.peers]]\naet = "CT1"\nreport_to = "127.0.0.1:{report_port}"\n'
    service = Service(folder=tmp_path, dicom_port=free_port(), http_port=free_port(), config="", dicom=dicom)
    requestor = Requestor("CT1")
    try:
        service.start()
        assert requestor.ask(service.dicom_port, request((CT, "1.2.3.1"))) == 0
        service.kill()
        server = requestor.listen(report_port)
        service.begin()
        assert committed(requestor.report()[1]) == ["1.2.3.1"]
        server.shutdown()
    finally:
        service.stop()


@requires_orthanc
def test_orthanc_asks(tmp_path: Path, store: Store, start: Callable[[], int], report_port: int) -> None:
    port = start()
    modalities = {"wetread": ["WETREAD", "127.0.0.1", port]}
    config = {"DicomModalities": modalities, "DicomPort": report_port}
    with running_orthanc(tmp_path / "orthanc", config, dicomweb=False, aet="CT1") as orthanc:
        body = {"DicomInstances": [[CT, "1.2.3.1"], [CT, "1.2.3.99"]]}
        answer = post(f"{orthanc.url}/modalities/wetread/storage-commitment", body)
        path = answer["Path"]
        done = await_true(lambda: orthanc.get(path) if orthanc.get(path)["Status"] != "Pending" else None, 60)
    assert done["Status"] == "Failure"
    assert [one["SOPInstanceUID"] for one in done["Success"]] == ["1.2.3.1"]
    assert [one["FailureReason"] for one in done["Failures"]] == [0x0112]


def post(url: str, body: Any) -> Any:
    asked = urllib.request.Request(url, data=json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.loads(answer.read())
