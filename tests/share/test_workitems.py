"""The worklist: states, who takes what, who is told, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.share.workitem_bodies import PATIENT, attributes, performed
from tests.stores import open_store
from wetread.dicom.xml_model import encode_xml
from wetread.domain import workitem as w
from wetread.domain import workitem_rules as rules
from wetread.domain.workitem import (
    FILTERED_UID,
    GLOBAL_UID,
    EventType,
    Refusal,
    State,
    Warned,
    Workitem,
    WorkitemRefused,
    code_item,
    element,
    text_of,
    values_of,
)
from wetread.domain.workitem_match import matches
from wetread.share.workitem_model import normalize, read_body, read_json, write_dataset
from wetread.share.workitem_query import read_search
from wetread.share.workitems import KEEP_ENDED_S, Asker, Worklist
from wetread.store import Store
from wetread.store.audit_rows import AuditRows
from wetread.store.erasure import delete_study
from wetread.store.subscriptions import Channel, Subscription

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
ANNA, BEN = Asker(name="anna", source="web"), Asker(name="ben", source="B", sources=("B",))
UID, KEY, OTHER_KEY = "1.2.3", "1.9.1", "1.9.2"


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worklist(store: Store, clock: Clock) -> Worklist:
    return Worklist(
        workitems=store.workitems, subscriptions=store.subscriptions, audit=store.audit, clock=clock
    )


def refusal(call: Any, *arguments: Any) -> Refusal:
    with pytest.raises(WorkitemRefused) as caught:
        call(*arguments)
    assert PATIENT not in str(caught.value)
    return caught.value.refusal


def make(worklist: Worklist, uid: str = UID, asker: Asker = ANNA, **changes: Any) -> Workitem:
    return worklist.create(asker, uid, attributes(**changes)).workitem


def bring_to(worklist: Worklist, state: State) -> None:
    make(worklist)
    if state is State.SCHEDULED:
        return
    worklist.change_state(ANNA, UID, "IN PROGRESS", KEY)
    if state is State.COMPLETED:
        worklist.update(ANNA, UID, performed(), KEY)
        worklist.change_state(ANNA, UID, "COMPLETED", KEY)
    elif state is State.CANCELED:
        worklist.change(ANNA, UID, "ended", lambda held: rules.end_canceled(held, {}, NOW))


@pytest.mark.parametrize(
    ("state", "wanted", "key", "expected"),
    [
        (State.SCHEDULED, "IN PROGRESS", KEY, None),
        (State.SCHEDULED, "IN PROGRESS", "", Refusal.WRONG_TRANSACTION),
        (State.SCHEDULED, "COMPLETED", KEY, Refusal.NOT_IN_PROGRESS),
        (State.SCHEDULED, "CANCELED", KEY, Refusal.NOT_IN_PROGRESS),
        (State.SCHEDULED, "SCHEDULED", KEY, Refusal.ONLY_CREATED_SCHEDULED),
        (State.IN_PROGRESS, "IN PROGRESS", KEY, Refusal.IN_PROGRESS),
        (State.IN_PROGRESS, "SCHEDULED", KEY, Refusal.ONLY_CREATED_SCHEDULED),
        (State.IN_PROGRESS, "COMPLETED", OTHER_KEY, Refusal.WRONG_TRANSACTION),
        (State.IN_PROGRESS, "COMPLETED", "", Refusal.WRONG_TRANSACTION),
        (State.IN_PROGRESS, "COMPLETED", KEY, Refusal.NOT_READY_TO_END),
        (State.IN_PROGRESS, "CANCELED", KEY, Refusal.NOT_READY_TO_END),
        (State.IN_PROGRESS, "CANCELED", OTHER_KEY, Refusal.WRONG_TRANSACTION),
        (State.COMPLETED, "IN PROGRESS", KEY, Refusal.FINAL),
        (State.COMPLETED, "COMPLETED", OTHER_KEY, Refusal.WRONG_TRANSACTION),
        (State.COMPLETED, "COMPLETED", KEY, Warned.ALREADY_COMPLETED),
        (State.COMPLETED, "CANCELED", KEY, Refusal.FINAL),
        (State.CANCELED, "IN PROGRESS", KEY, Refusal.FINAL),
        (State.CANCELED, "COMPLETED", KEY, Refusal.FINAL),
        (State.CANCELED, "CANCELED", KEY, Warned.ALREADY_CANCELED),
        (State.IN_PROGRESS, "PAUSED", KEY, Refusal.INVALID_VALUE),
    ],
)
def test_transitions_of_table_cc_1_1_2(
    worklist: Worklist, state: State, wanted: str, key: str, expected: Refusal | Warned | None
) -> None:
    bring_to(worklist, state)
    if isinstance(expected, Refusal):
        assert refusal(worklist.change_state, ANNA, UID, wanted, key) is expected
        assert worklist.retrieve(ANNA, UID).state is state
    else:
        assert worklist.change_state(ANNA, UID, wanted, key).warning is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"_00741200": None}, Refusal.MISSING),
        ({"_00741204": element("LO")}, Refusal.EMPTY),
        ({"_00404005": None}, Refusal.MISSING),
        ({"_00404041": element("CS", "SOON")}, Refusal.INVALID_VALUE),
        ({"_00741200": element("CS", "AT ONCE")}, Refusal.INVALID_VALUE),
        ({"_00741000": element("CS", "IN PROGRESS")}, Refusal.NOT_CREATED_SCHEDULED),
        ({"_00081195": element("UI", KEY)}, Refusal.INVALID_VALUE),
        ({"_00741216": element("SQ", {})} | {"_00741002": element("SQ", {"00741004": element("DS", 1)})},
         Refusal.INVALID_VALUE),
    ],
)  # fmt: skip
def test_what_a_new_one_lacks_or_may_not_have(
    worklist: Worklist, changes: dict[str, Any], expected: Refusal
) -> None:
    assert refusal(worklist.create, ANNA, UID, attributes(**changes)) is expected
    assert refusal(worklist.retrieve, ANNA, UID) is Refusal.UNKNOWN


def test_what_is_not_sent_is_there_and_empty(worklist: Worklist) -> None:
    change = worklist.create(ANNA, UID, attributes(_00741202=None))
    assert change.warning is Warned.CREATED_MODIFIED
    held = worklist.retrieve(ANNA, UID).attributes
    assert text_of(held, w.WORKLIST_LABEL) == "Wetread"
    assert held[w.PERFORMED] == {"vr": "SQ"}
    assert held["00380010"] == {"vr": "LO"}
    assert text_of(held, w.MODIFIED_AT).startswith("20261123080000")
    assert w.TRANSACTION_UID not in held


def test_one_uid_is_taken_once(worklist: Worklist) -> None:
    make(worklist)
    assert refusal(make, worklist) is Refusal.DUPLICATE
    for uid in ("1..2", "x", GLOBAL_UID, "1" * 65):
        assert refusal(worklist.create, ANNA, uid, attributes()) is Refusal.INVALID_VALUE


def test_two_who_claim_one_race_and_one_wins(worklist: Worklist, store: Store) -> None:
    for number in range(50):
        uid = f"{UID}.{number}"
        make(worklist, uid)
        barrier, outcomes = threading.Barrier(2), {}

        def claim(key: str, uid: str = uid, barrier: Any = barrier, outcomes: Any = outcomes) -> None:
            barrier.wait(20)
            try:
                worklist.change_state(Asker(name=key), uid, "IN PROGRESS", key)
                outcomes[key] = None
            except WorkitemRefused as error:
                outcomes[key] = error.refusal

        threads = [threading.Thread(target=claim, args=(key,)) for key in (KEY, OTHER_KEY)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(map(str, outcomes.values())) == sorted(map(str, (None, Refusal.IN_PROGRESS)))
        held = store.workitems.find(uid)
        assert held is not None
        [winner] = [key for key, outcome in outcomes.items() if outcome is None]
        assert (held.transaction_uid, held.performer) == (winner, winner)


def test_only_who_performs_it_updates_it(worklist: Worklist) -> None:
    make(worklist)
    assert refusal(worklist.update, ANNA, UID, attributes(), KEY) is Refusal.WRONG_TRANSACTION
    worklist.update(ANNA, UID, {w.LABEL: element("LO", "Other")}, "")
    worklist.change_state(ANNA, UID, "IN PROGRESS", KEY)
    for key in ("", OTHER_KEY):
        assert refusal(worklist.update, ANNA, UID, performed(), key) is Refusal.WRONG_TRANSACTION
    worklist.update(ANNA, UID, performed(), KEY)
    worklist.change_state(ANNA, UID, "COMPLETED", KEY)
    assert refusal(worklist.update, ANNA, UID, performed(), KEY) is Refusal.FINAL
    assert text_of(worklist.retrieve(ANNA, UID).attributes, w.LABEL) == "Other"


@pytest.mark.parametrize("tag", [w.STATE, w.PATIENT_NAME, w.PATIENT_ID, w.SOP_INSTANCE_UID, w.REQUESTS])
def test_whose_step_it_is_stays(worklist: Worklist, tag: str) -> None:
    make(worklist)
    assert refusal(worklist.update, ANNA, UID, {tag: attributes().get(tag, element("UI", "1.2"))}, "") is (
        Refusal.INVALID_VALUE
    )


def test_the_end_needs_each_thing_that_the_standard_names(worklist: Worklist) -> None:
    make(worklist)
    worklist.change_state(ANNA, UID, "IN PROGRESS", KEY)
    whole = performed()[w.PERFORMED]["Value"][0]
    for tag in whole:
        part = {name: value for name, value in whole.items() if name != tag}
        worklist.update(ANNA, UID, {w.PERFORMED: element("SQ", part)}, KEY)
        assert refusal(worklist.change_state, ANNA, UID, "COMPLETED", KEY) is Refusal.NOT_READY_TO_END
    why = {w.REASON_CODE: element("SQ", code_item("110513", "DCM", "Unspecified"))}
    worklist.update(ANNA, UID, {w.PROGRESS: element("SQ", why)}, KEY)
    worklist.change_state(ANNA, UID, "CANCELED", KEY)
    [item] = values_of(worklist.retrieve(ANNA, UID).attributes, w.PROGRESS)
    assert text_of(item, w.CANCELLED_AT).startswith("20261123")


def test_nobody_performs_it_so_a_request_ends_it(worklist: Worklist, store: Store) -> None:
    make(worklist)
    subscribe(worklist, UID)
    why = {w.REASON: element("LT", "No longer needed")}
    worklist.request_cancel(ANNA, UID, why)
    held = worklist.retrieve(ANNA, UID)
    assert held.state is State.CANCELED
    assert rules.lacks_for(held, State.CANCELED) == ""
    states = [text_of(one.attributes, w.STATE) for one in store.subscriptions.list_due(Channel.WEB, "WATCH")]
    assert states == ["SCHEDULED", "IN PROGRESS", "CANCELED"]
    assert worklist.request_cancel(ANNA, UID, {}).warning is Warned.ALREADY_CANCELED


def test_a_performer_is_asked_to_end_it(worklist: Worklist, store: Store) -> None:
    make(worklist)
    worklist.change_state(ANNA, UID, "IN PROGRESS", KEY)
    subscribe(worklist, UID)
    worklist.request_cancel(Asker(name="x", aet="DESK"), UID, {w.REASON: element("LT", "Wrong patient")})
    last = store.subscriptions.list_due(Channel.WEB, "WATCH")[-1]
    assert last.type is EventType.CANCEL_REQUESTED
    assert text_of(last.attributes, w.REQUESTING_AE) == "DESK"
    assert text_of(last.attributes, w.REASON) == "Wrong patient"
    assert worklist.retrieve(ANNA, UID).state is State.IN_PROGRESS
    worklist.update(ANNA, UID, performed(), KEY)
    worklist.change_state(ANNA, UID, "COMPLETED", KEY)
    assert refusal(worklist.request_cancel, ANNA, UID, {}) is Refusal.COMPLETED


def subscribe(worklist: Worklist, uid: str, aet: str = "WATCH", asker: Asker = ANNA, **more: Any) -> None:
    one = Subscription(
        aet=aet, channel=Channel.WEB, workitem_uid=uid, owner=asker.name, sources=asker.sources, **more
    )
    worklist.subscribe(asker, one)


def told(store: Store, aet: str = "WATCH") -> list[tuple[str, EventType]]:
    return [(one.workitem_uid, one.type) for one in store.subscriptions.list_due(Channel.WEB, aet)]


def test_global_subscription_suspension_and_end(worklist: Worklist, store: Store) -> None:
    make(worklist, "1.1")
    subscribe(worklist, GLOBAL_UID)
    make(worklist, "1.2")
    worklist.suspend(ANNA, "WATCH", Channel.WEB, GLOBAL_UID)
    make(worklist, "1.3")
    worklist.change_state(ANNA, "1.2", "IN PROGRESS", KEY)
    assert told(store) == [(uid, EventType.STATE) for uid in ("1.1", "1.2", "1.2")]
    worklist.unsubscribe(ANNA, "WATCH", Channel.WEB, GLOBAL_UID)
    worklist.change_state(ANNA, "1.1", "IN PROGRESS", KEY)
    assert len(told(store)) == 3
    assert refusal(worklist.suspend, ANNA, "WATCH", Channel.WEB, "1.1") is Refusal.NOT_APPROPRIATE


def test_filtered_subscription(worklist: Worklist, store: Store) -> None:
    keys = {w.WORKLIST_LABEL: element("LO", "MR*")}
    assert refusal(subscribe, worklist, FILTERED_UID) is Refusal.NOT_APPROPRIATE
    subscribe(worklist, FILTERED_UID, keys=keys)
    make(worklist, "1.1")
    make(worklist, "1.2", _00741202=element("LO", "MR brain"))
    assert told(store) == [("1.2", EventType.STATE)]


def test_progress_readiness_and_assignment_are_told(worklist: Worklist, store: Store) -> None:
    make(worklist)
    subscribe(worklist, UID)
    worklist.update(ANNA, UID, {w.READINESS: element("CS", "INCOMPLETE")}, "")
    worklist.update(ANNA, UID, {w.STATION_NAME: element("SQ", code_item("S", "99X", "Station"))}, "")
    worklist.change_state(ANNA, UID, "IN PROGRESS", KEY)
    worklist.update(ANNA, UID, {w.PROGRESS: element("SQ", {w.PERCENT: element("DS", 50)})}, KEY)
    kinds = [kind for _, kind in told(store)]
    assert kinds == [
        EventType.STATE, EventType.STATE, EventType.ASSIGNED, EventType.STATE, EventType.PROGRESS
    ]  # fmt: skip


def test_a_deletion_lock_keeps_what_has_ended(worklist: Worklist, store: Store, clock: Clock) -> None:
    for uid in ("1.1", "1.2"):
        make(worklist, uid)
        worklist.request_cancel(ANNA, uid, {})
    subscribe(worklist, "1.1", has_lock=True)
    subscribe(worklist, "1.2")
    clock.at += timedelta(seconds=KEEP_ENDED_S + 1)
    worklist.sweep()
    assert worklist.retrieve(ANNA, "1.1").state is State.CANCELED
    with pytest.raises(WorkitemRefused) as caught:
        worklist.retrieve(ANNA, "1.2")
    assert caught.value.is_gone
    assert refusal(make, worklist, "1.2") is Refusal.DUPLICATE
    worklist.unsubscribe(ANNA, "WATCH", Channel.WEB, "1.1")
    worklist.sweep()
    assert refusal(worklist.retrieve, ANNA, "1.1") is Refusal.UNKNOWN


def test_an_account_of_one_sender_sees_and_changes_its_own_only(worklist: Worklist, store: Store) -> None:
    make(worklist, "1.1")
    make(worklist, "1.2", BEN)
    subscribe(worklist, GLOBAL_UID, asker=BEN)
    make(worklist, "1.3")
    assert [one.uid for one in worklist.search(BEN, {}, 10)] == ["1.2"]
    for call, *more in (
        (worklist.retrieve,),
        (worklist.change_state, "IN PROGRESS", KEY),
        (worklist.update, {w.LABEL: element("LO", "x")}, ""),
        (worklist.request_cancel, {}),
    ):
        assert refusal(call, BEN, "1.1", *more) is Refusal.UNKNOWN
    assert refusal(subscribe, worklist, "1.1", "WATCH", BEN) is Refusal.UNKNOWN
    assert {uid for uid, _ in told(store)} == {"1.2"}
    assert worklist.retrieve(ANNA, "1.1").state is State.SCHEDULED


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["1.1", "1.2"]),
        ("ProcedureStepState=SCHEDULED", ["1.2"]),
        ("00741000=IN PROGRESS", ["1.1"]),
        ("ScheduledWorkitemCodeSequence.CodeValue=quick", ["1.1", "1.2"]),
        ("ScheduledWorkitemCodeSequence.CodeValue=other", []),
        ("ReferencedRequestSequence.AccessionNumber=A1", ["1.1", "1.2"]),
        ("PatientName=nobody*", ["1.1", "1.2"]),
        ("PatientID=P1", ["1.1", "1.2"]),
        ("PatientID=P?", ["1.1", "1.2"]),
        ("PatientID=P2", []),
        ("StudyInstanceUID=2.25.77.2", ["1.2"]),
        ("StudyInstanceUID=2.25.77.1,2.25.77.2", ["1.1", "1.2"]),
        ("ScheduledProcedureStepStartDateTime=20260101-20260102", ["1.1", "1.2"]),
        ("ScheduledProcedureStepStartDateTime=20260102-", []),
        ("ScheduledProcedureStepStartDateTime=-20260101120000", ["1.1", "1.2"]),
        ("SOPInstanceUID=1.2", ["1.2"]),
        ("WorklistLabel=*" + "*?" * 200 + "x", []),
    ],
)
def test_search(worklist: Worklist, query: str, found: list[str]) -> None:
    make(worklist, "1.1")
    make(worklist, "1.2", study="2.25.77.2")
    worklist.change_state(ANNA, "1.1", "IN PROGRESS", KEY)
    parameters = [tuple(part.split("=", 1)) for part in query.split("&") if part]
    asked = read_search(parameters)
    answers = worklist.search(ANNA, asked.keys, asked.limit)
    assert [one.uid for one in answers] == found
    assert all(KEY not in str(one.attributes) for one in answers)


def test_many_are_found_page_by_page(worklist: Worklist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wetread.store.workitems._PAGE", 2)
    uids = [f"1.{number}" for number in range(5)]
    for uid in uids:
        make(worklist, uid)
    assert [one.uid for one in worklist.search(ANNA, {}, 10)] == uids
    assert [one.uid for one in worklist.search(ANNA, {}, 2, 1)] == ["1.1", "1.2"]


@pytest.mark.parametrize(
    "parameter", [("nonsense", "1"), ("PatientName.CodeValue", "1"), ("limit", "x"), ("offset", "-1"),
                  ("ScheduledProcedureStepStartDateTime", "soon"), ("A.B.C.D.E.F", "1"), ("00741000.", "1")]
)  # fmt: skip
def test_a_question_that_is_none(parameter: tuple[str, str]) -> None:
    assert refusal(read_search, [parameter]) is Refusal.INVALID_VALUE


@pytest.mark.parametrize(
    ("wanted", "held", "expected"),
    [
        ("20260101120000+0000", "20260101130000+0100", True),
        ("20260101120000+0000", "20260101120000+0100", False),
        ("20260101000000+0000-20260101235959+0000", "20260101130000+0100", True),
        ("2026", "20261231235959", True),
        ("202602", "20260301", False),
    ],
)
def test_moments_are_compared_with_their_offsets(wanted: str, held: str, expected: bool) -> None:
    assert matches({w.START_AT: element("DT", held)}, {w.START_AT: element("DT", wanted)}) is expected


def nested(depth: int) -> dict[str, Any]:
    return {w.PARAMETERS: element("SQ", nested(depth - 1))} if depth else {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"[{},{}]",
        b'"x"',
        b'{"00741204": 1}',
        b'{"00741204": {"vr": "LO", "Value": "x"}}',
        b'{"0074120": {"vr": "LO", "Value": ["x"]}}',
        b'{"ZZZZZZZZ": {"vr": "LO", "Value": ["x"]}}',
        b'{"00741204": {"vr": "XX", "Value": ["x"]}}',
        b'{"00741204": {"vr": "LO", "BulkDataURI": "http://elsewhere/"}}',
        b'{"00741210": {"vr": "SQ", "Value": [1]}}',
        b'{"00741004": {"vr": "DS", "Value": ["much"]}}',
        b"[" * 100_000,
        orjson.dumps(nested(40)),
        orjson.dumps({f"0011{number:04X}": element("LO", "x") for number in range(0x1000, 0x3000)}),
    ],
    ids=range(16),
)
@pytest.mark.filterwarnings("ignore")
def test_bodies_that_are_no_workitem(body: bytes) -> None:
    assert refusal(read_json, body) is Refusal.INVALID_VALUE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a/>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><NativeDicomModel/>',
        b"<NativeDicomModel><Other/></NativeDicomModel>",
        b'<NativeDicomModel><DicomAttribute tag="00741004" vr="DS"><Value>x</Value></DicomAttribute>'
        b"</NativeDicomModel>",
    ],
)
def test_xml_that_is_no_workitem(body: bytes) -> None:
    def read() -> None:
        read_body(body, is_xml=True)

    assert refusal(read) is Refusal.INVALID_VALUE


def test_json_xml_and_data_set_say_the_same() -> None:
    given = normalize(attributes(_00100010=element("PN", {"Alphabetic": "Müller^Jürgen"})))
    assert read_body(encode_xml(given), is_xml=True) == given
    assert str(write_dataset(given).PatientName) == "Müller^Jürgen"


def test_everything_is_in_the_audit_trail(worklist: Worklist, store: Store) -> None:
    make(worklist)
    worklist.change_state(ANNA, UID, "IN PROGRESS", KEY)
    refusal(worklist.change_state, BEN, UID, "COMPLETED", KEY)
    worklist.search(ANNA, {}, 1)
    rows = [row.message for row in AuditRows(store.engine).list_last(10)]
    text = "\n".join(rows)
    for words in ("was created", "was made IN PROGRESS", "was not made COMPLETED", "Searched for workitems"):
        assert words in text
    assert PATIENT not in text
    assert KEY not in text


def test_a_deleted_study_takes_its_workitems_along(worklist: Worklist, store: Store) -> None:
    from tests.web.conftest import Ward
    from wetread.domain.audit import AuditAction, AuditEvent, AuditEventType

    Ward(store).send("2.25.77.1")
    make(worklist)
    subscribe(worklist, UID)
    event = AuditEvent(type=AuditEventType.STUDY_DELETED, action=AuditAction.DELETE, at=NOW)
    assert delete_study(store, "2.25.77.1", event=event, keep=lambda *_: "", why="asked for") == ""
    assert store.workitems.find(UID) is None
    assert told(store) == []
