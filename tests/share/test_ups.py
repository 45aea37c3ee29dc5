"""UPS by DIMSE: a real port, asked and told by pynetdicom; event reports come to a port of theirs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    UnifiedProcedureStepEvent,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    UnifiedProcedureStepQuery,
    UnifiedProcedureStepWatch,
)

from tests.path.service import await_true
from tests.ports import free_port
from tests.share.workitem_bodies import attributes, performed
from tests.stores import open_store
from wetread.config import Config, DicomSettings
from wetread.domain import workitem as w
from wetread.domain.workitem import FILTERED_UID, GLOBAL_UID, element
from wetread.receive.admission import Peer
from wetread.receive.cstore import ReceiverOptions, start_receiver
from wetread.served import make_event_sender, make_services
from wetread.share import ups_events
from wetread.share.ups_events import EventSender
from wetread.share.workitem_model import write_dataset
from wetread.store import Store
from wetread.store.audit_rows import AuditRows
from wetread.store.subscriptions import Channel
from wetread.work import make_worklist

UID, KEY, OTHER_KEY = "1.2.3", "1.9.1", "1.9.2"
PUSH, PULL, WATCH = UnifiedProcedureStepPush, UnifiedProcedureStepPull, UnifiedProcedureStepWatch
QUERY = UnifiedProcedureStepQuery
CHANGE, CANCEL, SUBSCRIBE, UNSUBSCRIBE, SUSPEND = 1, 2, 3, 4, 5


@dataclass
class Watcher:
    """A system that takes event reports."""

    port: int
    told: list[tuple[str, int, str]] = field(default_factory=list)
    server: Any = None

    def start(self) -> None:
        entity = AE("WATCHER")
        entity.add_supported_context(UnifiedProcedureStepEvent, scu_role=True, scp_role=True)
        handlers = [(evt.EVT_N_EVENT_REPORT, self.hear)]
        self.server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def hear(self, event: Any) -> tuple[int, None]:
        ds = event.event_information
        state = str(ds.get("ProcedureStepState", ds.get("SCPStatus", "")))
        self.told.append((str(event.request.AffectedSOPInstanceUID), event.event_type, state))
        return 0x0000, None

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server = None


@dataclass
class Desk:
    """Our port, and a peer that asks there."""

    store: Store
    port: int
    config: Config
    sender: EventSender

    def act(self, kind: int, uid: str = UID, model: Any = PULL, **info: Any) -> int:
        ds = Dataset()
        for keyword, value in info.items():
            setattr(ds, keyword, value)
        # pynetdicom announces an empty data set and sends none.
        return self.ask("send_n_action", ds if info else None, kind, PUSH, uid, model=model)[0]

    def create(self, uid: str | None = UID, **changes: Any) -> tuple[int, Any]:
        return self.ask("send_n_create", write_dataset(attributes(**changes)), PUSH, uid, model=PUSH)

    def get(self, *tags: int, uid: str = UID) -> tuple[int, Any]:
        return self.ask("send_n_get", list(tags), PUSH, uid, model=WATCH)

    def set(self, key: str, given: dict[str, Any], uid: str = UID) -> int:
        ds = write_dataset(given)
        ds.TransactionUID = key
        return self.ask("send_n_set", ds, PUSH, uid, model=PULL)[0]

    def find(self, ds: Dataset, calling: str = "RIS", model: Any = PULL) -> list[tuple[int, Any]]:
        with self.associated(calling, model) as association:
            return [(int(status.Status), found) for status, found in association.send_c_find(ds, model)]

    def ask(self, call: str, *arguments: Any, model: Any, calling: str = "RIS") -> tuple[int, Any]:
        with self.associated(calling, model) as association:
            status, ds = getattr(association, call)(*arguments, meta_uid=model)
            return int(status.Status), ds

    def associated(self, calling: str, model: Any) -> Any:
        entity = AE(calling)
        entity.dimse_timeout = entity.acse_timeout = 60
        entity.add_requested_context(model)
        association = entity.associate("127.0.0.1", self.port, ae_title="WETREAD")
        assert association.is_established
        return Released(association)


@dataclass
class Released:
    association: Any

    def __enter__(self) -> Any:
        return self.association

    def __exit__(self, *_: object) -> None:
        self.association.release()


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    one = Watcher(free_port())
    yield one
    one.stop()


@pytest.fixture
def desk(tmp_path: Path, watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(ups_events, "_WAITS_S", (0.2,))
    peers = (
        Peer(aet="RIS", may_order=True),
        Peer(aet="SCANNER", may_query=True),
        Peer(aet="WATCHER", events_to=f"127.0.0.1:{watcher.port}"),
    )
    config = Config(data=tmp_path, dicom=DicomSettings(peers=peers))
    store = open_store(tmp_path / "data")
    sender = make_event_sender(config, store)
    worklist = make_worklist(store, sender.wake)
    services = make_services(config, store, worklist=worklist)
    receiver = start_receiver(ReceiverOptions(port=0, peers=peers), store, services=services)
    sender.start()
    yield Desk(store, receiver.port, config, sender)
    receiver.stop()
    sender.stop()
    store.close()


def test_a_workitem_from_its_creation_to_its_end(desk: Desk) -> None:
    status, made = desk.create()
    assert (status, made.PatientID) == (0x0000, "P1")
    assert desk.create()[0] == 0x0111
    assert desk.act(CHANGE, ProcedureStepState="IN PROGRESS", TransactionUID=KEY) == 0x0000
    assert desk.act(CHANGE, ProcedureStepState="IN PROGRESS", TransactionUID=OTHER_KEY) == 0xC302
    assert desk.act(CHANGE, ProcedureStepState="COMPLETED", TransactionUID=OTHER_KEY) == 0xC301
    assert desk.act(CHANGE, ProcedureStepState="COMPLETED", TransactionUID=KEY) == 0xC304
    assert desk.set(OTHER_KEY, performed()) == 0xC301
    assert desk.set(KEY, {w.PATIENT_ID: element("LO", "P2")}) == 0x0106
    assert desk.set(KEY, performed()) == 0x0000
    assert desk.act(CHANGE, ProcedureStepState="COMPLETED", TransactionUID=KEY) == 0x0000
    assert desk.act(CHANGE, ProcedureStepState="COMPLETED", TransactionUID=KEY) == 0xB306
    assert desk.act(CHANGE, ProcedureStepState="SCHEDULED", TransactionUID=KEY) == 0xC303
    assert desk.set(KEY, performed()) == 0xC300
    status, held = desk.get()
    assert (status, held.ProcedureStepState, held.PatientName) == (0, "COMPLETED", "Nobody^Important")
    assert "TransactionUID" not in held


def test_what_is_asked_for_wrongly(desk: Desk) -> None:
    assert desk.create(_00741000=element("CS", "COMPLETED"))[0] == 0xC309
    assert desk.create(_00741204=None)[0] == 0x0120
    assert desk.get(uid="1.5")[0] == 0xC307
    assert desk.act(CHANGE, "1.5", ProcedureStepState="IN PROGRESS", TransactionUID=KEY) == 0xC307
    status, made = desk.create(None)
    assert status == 0x0000
    [(_, found), _] = desk.find(identifier(SOPInstanceUID=""))
    assert desk.get(uid=found.SOPInstanceUID)[1].ProcedureStepLabel == made.ProcedureStepLabel
    assert desk.create()[0] == 0x0000
    assert desk.act(9) == 0x0123
    assert desk.act(CHANGE, ProcedureStepState="COMPLETED", TransactionUID=KEY) == 0xC310
    assert desk.act(CHANGE, ProcedureStepState="IN PROGRESS") == 0xC301
    assert desk.ask("send_n_get", [], WATCH, UID, model=WATCH)[0] == 0x0118
    status, some = desk.get(0x00741204, 0x00081195)
    assert (status, [element.keyword for element in some]) == (
        0x0001, ["SpecificCharacterSet", "ProcedureStepLabel"]
    )  # fmt: skip


def identifier(**values: Any) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize("model", [PULL, WATCH, QUERY], ids=["pull", "watch", "query"])
def test_find(desk: Desk, model: Any) -> None:
    desk.create("1.1")
    desk.create("1.2", code="other", study="2.25.77.2")
    code = Dataset()
    code.CodeValue = "other"
    ds = identifier(ProcedureStepState="SCHEDULED", ScheduledWorkitemCodeSequence=[code], SOPInstanceUID="")
    (pending, found), (last, _) = desk.find(ds, model=model)
    assert (pending, last, found.SOPInstanceUID) == (0xFF00, 0, "1.2")
    assert "PatientName" not in found
    assert found.ScheduledWorkitemCodeSequence[0].CodingSchemeDesignator == "99WETREAD"


def test_who_may_not_order_hears_so(desk: Desk) -> None:
    assert [status for status, _ in desk.find(identifier(SOPInstanceUID=""), "SCANNER")] == [0xC002]
    ds = write_dataset(attributes())
    assert desk.ask("send_n_create", ds, PUSH, UID, model=PUSH, calling="SCANNER")[0] == 0x0124
    assert desk.store.workitems.find(UID) is None
    assert any("may not" in row.message for row in AuditRows(desk.store.engine).list_last(3))
    # The other service behind C-FIND answers as ever.
    from tests.share.test_query_retrieve import ask
    from tests.share.test_query_retrieve import identifier as study_key

    assert ask(desk.port, study_key("STUDY", StudyInstanceUID=""), calling="SCANNER") == [0]


def test_subscribers_are_told(desk: Desk, watcher: Watcher) -> None:
    watcher.start()
    assert desk.act(SUBSCRIBE, GLOBAL_UID, WATCH, ReceivingAE="NOBODY", DeletionLock="FALSE") == 0xC308
    assert desk.act(SUBSCRIBE, FILTERED_UID, WATCH, ReceivingAE="WATCHER", DeletionLock="FALSE") == 0xC314
    assert desk.act(SUBSCRIBE, GLOBAL_UID, WATCH, ReceivingAE="WATCHER", DeletionLock="TRUE") == 0x0000
    desk.create("1.1")
    desk.create("1.2")
    assert desk.act(CANCEL, "1.1", WATCH, ReasonForCancellation="No longer needed") == 0x0000
    expected = [
        ("1.1", 1, "SCHEDULED"), ("1.2", 1, "SCHEDULED"), ("1.1", 1, "IN PROGRESS"), ("1.1", 1, "CANCELED")
    ]  # fmt: skip
    await_true(lambda: len(watcher.told) >= 4, 60, "event reports")
    assert watcher.told == expected
    assert desk.act(CANCEL, "1.1", WATCH) == 0xB304
    assert desk.act(SUSPEND, GLOBAL_UID, WATCH, ReceivingAE="WATCHER") == 0x0000
    desk.create("1.3")
    assert desk.act(UNSUBSCRIBE, "1.2", WATCH, ReceivingAE="WATCHER") == 0x0000
    assert desk.store.subscriptions.list_due(Channel.DIMSE) == []


def test_who_is_away_is_told_later_and_after_a_restart(desk: Desk, watcher: Watcher) -> None:
    desk.create()
    assert desk.act(SUBSCRIBE, UID, WATCH, ReceivingAE="WATCHER", DeletionLock="FALSE") == 0x0000
    events = desk.store.history
    await_true(lambda: any("event reports" in one.message for one in events.list_for_study("")), 60, "a note")
    desk.sender.stop()
    desk.act(CHANGE, ProcedureStepState="IN PROGRESS", TransactionUID=KEY)
    again = make_event_sender(desk.config, desk.store)
    again.start()
    threading.Event().wait(0.1)
    watcher.start()
    await_true(lambda: len(watcher.told) >= 3, 60, "event reports")
    assert watcher.told == [(UID, 1, "SCHEDULED"), (UID, 1, "IN PROGRESS"), (GLOBAL_UID, 4, "RESTARTED")]
    again.stop()
    assert desk.store.subscriptions.list_due(Channel.DIMSE) == []
