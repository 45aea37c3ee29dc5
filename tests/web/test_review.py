"""Readers claim a study, judge findings, say what is wrong, and give a priority; nobody's word is lost."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from tests.domain.test_reading import make_reading
from tests.web.conftest import EVIL, NOW, ORIGIN, Ward, make_model
from wetread.domain.reading import Triage
from wetread.domain.review import RejectReason, Verdict
from wetread.identity import OPEN
from wetread.store.audit_rows import AuditRows
from wetread.store.erasure import delete_study
from wetread.store.room import Claim
from wetread.web import create_web
from wetread.web.trail import Visitor

FORM = {"Origin": ORIGIN}
UID = "1.2.1"
FINDING = make_reading().findings[0].tracking_uid


class Reader:
    """Somebody before the study page."""

    def __init__(self, client: TestClient, ward: Ward, key: str) -> None:
        self.client, self.ward, self.key = client, ward, key

    @property
    def page(self) -> str:
        return self.client.get(f"/studies/{self.key}").text

    @property
    def digest(self) -> str:
        (row,) = [one for one in self.ward.store.readings.list_for_study(UID) if not one.superseded]
        return row.digest

    def post(self, what: str, **form: object):
        return self.client.post(f"/studies/{self.key}/{what}", data=form, headers=FORM)

    def judge(self, verdict: str, seen: int = 0, **more: object):
        return self.post("findings", reading=self.digest, finding=FINDING, verdict=verdict, seen=seen, **more)

    def remarks(self):
        return self.ward.store.room.list_remarks(UID)


@pytest.fixture
def reader(ward: Ward, client: TestClient) -> Reader:
    key = ward.send(UID)
    ward.read(UID)
    return Reader(client, ward, key)


def test_a_finding_is_accepted_and_it_stands_in_history_and_trail(reader: Reader) -> None:
    assert "Accept" in reader.page
    answer = reader.judge("accepted")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/studies/{reader.key}")
    (remark,) = reader.remarks()
    assert (remark.verdict, remark.who, remark.at) == (Verdict.ACCEPTED, "anybody", NOW.timestamp())
    page = reader.page
    assert "v-accepted" in page
    assert "A finding: accepted by anybody." in page
    entries = AuditRows(reader.ward.store.engine).list_last(5, study=UID)
    assert any("Judged a reading: accepted." in str(one.message) for one in entries)


def test_a_rejection_has_a_coded_reason_and_words(reader: Reader) -> None:
    assert reader.judge("rejected", reason="vessel", text=f"crosses the fissure {EVIL}").status_code == 303
    (remark,) = reader.remarks()
    assert remark.reason is RejectReason.VESSEL
    page = reader.page
    assert "rejected: vessel" in page
    assert "crosses the fissure" in page
    assert EVIL not in page


def test_what_was_said_can_be_taken_back_and_stays_in_the_record(reader: Reader) -> None:
    reader.judge("rejected", reason="artifact")
    reader.judge("open", seen=reader.remarks()[-1].id)
    assert [one.verdict for one in reader.remarks()] == [Verdict.REJECTED, Verdict.OPEN]
    assert "v-rejected" not in reader.page


def test_a_page_that_is_behind_does_not_overwrite(reader: Reader) -> None:
    reader.judge("rejected", reason="vessel")
    answer = reader.judge("accepted", seen=0)
    assert answer.status_code == 409
    assert "Somebody judged this finding meanwhile" in answer.text
    assert "rejected: vessel" in answer.text
    assert len(reader.remarks()) == 1


def test_a_reading_that_was_replaced_is_not_judged(reader: Reader) -> None:
    digest = reader.digest
    reader.ward.send(UID)
    reader.ward.read(UID)
    answer = reader.post("findings", reading=digest, finding=FINDING, verdict="accepted", seen=0)
    assert answer.status_code == 409
    assert "read anew" in answer.text
    assert not reader.remarks()


def test_a_verdict_holds_for_the_reading_that_was_looked_at(reader: Reader) -> None:
    reader.judge("accepted")
    reader.ward.send(UID)
    reader.ward.read(UID)
    assert "v-accepted" not in reader.page


@pytest.mark.parametrize(
    "form",
    [
        {"verdict": "perhaps"},
        {"verdict": "rejected", "reason": "I do not like it"},
        {"verdict": "accepted", "finding": "<script>"},
        {"verdict": "accepted", "reading": "0" * 63},
        {"verdict": "accepted", "seen": -1},
        {"verdict": "rejected", "text": "x" * 2001},
    ],
)
def test_what_no_page_of_ours_sends_is_not_found(reader: Reader, form: dict[str, object]) -> None:
    whole = {"reading": reader.digest, "finding": FINDING, "seen": 0} | form
    assert reader.post("findings", **whole).status_code == 404
    assert not reader.remarks()


def test_a_reading_of_another_study_is_not_judged_here(reader: Reader) -> None:
    reader.ward.send("1.2.9")
    other = reader.ward.read("1.2.9").digest
    answer = reader.post("findings", reading=other, finding=FINDING, verdict="accepted", seen=0)
    assert answer.status_code == 409
    assert not reader.ward.store.room.list_remarks("1.2.9")


def test_an_error_is_reported_in_words(reader: Reader) -> None:
    assert reader.post("errors", reading=reader.digest, text="  ").status_code == 404
    reader.post("errors", reading=reader.digest, text=f"A nodule in the left apex is missing. {EVIL}")
    reader.post("errors", reading=reader.digest, text="The other side, too.")
    page = reader.page
    assert "A nodule in the left apex is missing." in page
    assert "The other side, too." in page
    assert EVIL not in page


def test_who_reads_a_study_is_seen_by_all(ward: Ward, reader: Reader) -> None:
    assert reader.post("claim").status_code == 303
    assert "you read it" in reader.client.get("/").text
    assert reader.post("release").status_code == 303
    assert ward.store.room.claims([UID]) == {}
    assert reader.post("release").status_code == 409


def test_two_do_not_read_the_same_study_unknowingly(ward: Ward, reader: Reader) -> None:
    row = ward.store.studies.find(UID)
    event = reader.client.app.state.site.trail.change(_visitor(), row, "Reads the study.")
    ward.store.room.claim(
        Claim(study_instance_uid=UID, who="ana", at=NOW.timestamp()), instead_of="", event=event
    )
    answer = reader.post("claim")
    assert answer.status_code == 409
    assert "ana reads this study." in answer.text
    assert reader.post("release").status_code == 409
    assert reader.post("claim", instead_of="ana").status_code == 303
    assert ward.store.room.claims([UID])[UID].who == "anybody"
    # Who took over from somebody that does not have it any more did not know.
    assert reader.post("claim", instead_of="bo").status_code == 303


def _visitor():
    return Visitor(principal=OPEN, address="127.0.0.1")


def test_a_study_that_is_reported_is_read_by_nobody(ward: Ward, reader: Reader) -> None:
    reader.post("claim")
    reader.post("report")
    assert ward.store.room.claims([UID]) == {}


def keys_on_list(page: str) -> list[str]:
    return re.findall(r'data-key="([0-9a-f]{16})"', page)


def test_a_readers_priority_counts_before_that_of_models(
    ward: Ward, reader: Reader, client: TestClient, stat: Triage
) -> None:
    urgent = ward.send("1.2.2", waiting=timedelta(minutes=5))
    ward.read("1.2.2", stat)
    assert keys_on_list(client.get("/").text) == [urgent, reader.key]
    assert reader.post("priority", priority="stat", why=f"Called by the ward {EVIL}").status_code == 303
    page = client.get("/").text
    assert keys_on_list(page) == [reader.key, urgent]
    assert "stat by anybody: Called by the ward" in page
    assert EVIL not in page
    reader.post("priority", priority="models")
    assert keys_on_list(client.get("/").text) == [urgent, reader.key]


def test_a_priority_asks_why(reader: Reader) -> None:
    answer = reader.post("priority", priority="stat", why=" ")
    assert answer.status_code == 409
    assert "Say why" in answer.text
    assert reader.ward.store.room.priorities([UID]) == {}


def test_agreement_is_shown_by_version_with_an_interval(ward: Ward, reader: Reader) -> None:
    reader.judge("accepted")
    for number in (2, 3, 4):
        uid = f"1.2.{number}"
        key = ward.send(uid)
        row = ward.read(uid)
        verdict = {"verdict": "rejected", "reason": "vessel"} if number == 2 else {"verdict": "accepted"}
        form = {"reading": row.digest, "finding": FINDING, "seen": 0, **verdict}
        reader.client.post(f"/studies/{key}/findings", data=form, headers=FORM)
    row = ward.store.readings.list_for_study(UID)[0]
    app = create_web(ward.store, [make_model()], now=lambda: NOW)
    with TestClient(app, base_url=ORIGIN) as client:
        page = client.get(f"/models/{row.model_name}").text
    assert "What readers said" in page
    assert "4 findings in 4 studies" in page
    # Wilson, 3 of 4.
    assert "75% (30% to 95%)" in page
    assert "vessel 1" in page


def test_deleting_a_study_deletes_what_was_said_of_it(reader: Reader) -> None:
    store = reader.ward.store
    reader.judge("accepted")
    reader.post("claim")
    reader.post("priority", priority="stat", why="now")
    row = store.studies.find(UID)
    event = reader.client.app.state.site.trail.change(_visitor(), row, "Deleted.")
    assert delete_study(store, UID, event=event, keep=lambda _c, _s: "", why="a test") == ""
    assert not reader.remarks()
    assert store.room.claims([UID]) == {}
    assert store.room.priorities([UID]) == {}
