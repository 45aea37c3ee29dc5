"""The queue is on one page: what waits, what is read, what is stuck or failed, and what to do about it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from tests.domain.test_reading import make_reading
from tests.identity.conftest import House
from tests.web.conftest import NOW, ORIGIN, Ward, make_match, make_model
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.progress import StudyState
from wetread.domain.reading import Outcome, Priority
from wetread.domain.study import study_key
from wetread.identity import Role
from wetread.jobs import JobRow, Jobs
from wetread.store.audit_rows import AuditRows
from wetread.store.history import Event
from wetread.web import create_web

FORM = {"Origin": ORIGIN}


class Held(Jobs):
    """What an engine would hold."""

    rows: tuple[JobRow, ...] = ()

    def list_open(self, prefix: str) -> list[JobRow]:
        return [one for one in self.rows if one.key.startswith(prefix)]


def held(*rows: JobRow) -> Held:
    jobs = Held("sqlite://")
    Held.rows = rows
    return jobs


def job(uid: str, *, age_s: float = 10, worker: str = "", priority: int = 30, revision: int = 1) -> JobRow:
    return JobRow(
        key=f"read/{uid}/{revision}/1",
        is_running=bool(worker),
        worker=worker,
        priority=priority,
        since=NOW.timestamp() - age_s,
    )


def ask(ward: Ward, *rows: JobRow, path: str = "/queue") -> str:
    app = create_web(ward.store, [make_model()], jobs=held(*rows), poll_s=0, now=lambda: NOW)
    with TestClient(app, base_url=ORIGIN) as client:
        return client.get(path).text


def fail(ward: Ward, uid: str, code: ProblemCode = ProblemCode.MODEL_CRASHED) -> None:
    problem = Problem(code=code, message="The model's process ended (signal 9).")
    ward.read(uid, outcome=Outcome.NOT_READ, problems=(problem,), findings=(), segments=(), regions=(),
              measurements={}, grid=None)  # fmt: skip


def took(ward: Ward, uid: str, seconds: float) -> None:
    """A study was read in so many seconds."""
    ward.send(uid)
    revision = ward.begin(uid)
    reading = replace(make_reading(), study_instance_uid=uid, revision=revision)
    ward.store.readings.save(reading, seconds=seconds)
    ward.store.studies.finish_revision(uid, revision, StudyState.READ, NOW)


def part(text: str, heading: str) -> str:
    """The part of the page under a heading."""
    return text.partition(f">{heading}</h2>")[2].partition("</section>")[0]


def test_each_stage_stands_under_its_name(ward: Ward) -> None:
    for uid in ("1.2.1", "1.2.2", "1.2.3", "1.2.4"):
        ward.send(uid, name=f"Patient{uid[-1]}^A", waiting=timedelta(seconds=20))
    for uid in ("1.2.1", "1.2.2", "1.2.3"):
        ward.begin(uid)
    ward.store.studies.save_match("1.2.1", 1, make_match("1.2.1"))
    ward.send("1.2.5", name="Patient5^A")
    fail(ward, "1.2.5")
    text = ask(ward, job("1.2.1", worker="box-7", age_s=75), job("1.2.3", priority=10), job("1.2.2"))
    assert "Patient1" in part(text, "Read now")
    assert "box-7" in part(text, "Read now")
    assert "1 min 15 s" in part(text, "Read now")
    assert "Patient4" in part(text, "Arriving")
    waiting = part(text, "Waiting")
    assert 0 < waiting.index("Patient3") < waiting.index("Patient2"), "in the engine's order"
    failed = part(text, "Failed")
    assert "Patient5" in failed
    assert "model-crashed" in failed
    assert "Have it read again" in failed
    assert "Stuck</h2>" not in text


def test_what_is_not_read_for_its_images_has_not_failed(ward: Ward, client: TestClient) -> None:
    ward.send("1.2.1")
    ward.refuse("1.2.1")
    assert "No model has failed at what is here." in client.get("/queue").text


def test_many_refused_studies_hide_no_failure(ward: Ward, client: TestClient) -> None:
    ward.send("1.2.1", name="Early^Failure")
    fail(ward, "1.2.1")
    for number in range(60):
        ward.send(f"1.4.{number}")
        ward.refuse(f"1.4.{number}")
    assert "Early" in part(client.get("/queue").text, "Failed")


def test_a_failure_goes_once_it_is_read(ward: Ward, client: TestClient) -> None:
    ward.send("1.2.1")
    fail(ward, "1.2.1")
    assert "model-crashed" in client.get("/queue").text
    assert client.post(f"/queue/{study_key('1.2.1')}/read-again", headers=FORM).status_code == 303
    text = client.get("/queue").text
    assert "model-crashed" not in text
    assert "Doe" in part(text, "Waiting")
    told = [one.message for one in AuditRows(ward.store.engine).list_last(5)]
    assert any("Reading started again." in one for one in told)
    answer = client.post(f"/queue/{study_key('1.2.1')}/read-again", headers=FORM)
    assert answer.status_code == 409
    assert 'role="alert"' in answer.text


def test_what_stopped_and_what_waits_for_the_disk_is_told(ward: Ward, client: TestClient) -> None:
    for uid in ("1.2.1", "1.2.2"):
        ward.send(uid)
        ward.begin(uid)
    stopped = {"stage": "infer", "level": "problem", "at": NOW, "revision": 1}
    message = "The reading stopped (internal-error KeyError)."
    ward.store.history.add(
        Event(study_instance_uid="1.2.1", code="internal-error", message=message, **stopped)
    )
    ward.store.studies.finish_revision("1.2.1", 1, StudyState.NOT_READ, NOW)
    ward.store.history.add(
        Event(study_instance_uid="1.2.2", code="storage-error", message="Cannot be kept now.", **stopped)
    )
    text = client.get("/queue").text
    assert message in part(text, "Failed")
    assert "Cannot be kept now." in part(text, "Stuck")
    assert "Free space or mend the disk" in part(text, "Stuck")


@pytest.mark.parametrize(
    ("age_s", "rows", "told"),
    [
        (10, (), "Nothing is read at this moment."),
        (90, (), "No process has taken it up."),
        (90, (job("1.2.1", age_s=90),), "It waits though nothing is read."),
        (90, (job("1.2.1", age_s=90), job("1.2.9", worker="w")), "Nothing is read at this moment."),
    ],
)
def test_what_nobody_takes_is_stuck(ward: Ward, age_s: float, rows: tuple[JobRow, ...], told: str) -> None:
    ward.send("1.2.1")
    assert ward.store.studies.begin_revision("1.2.1", "quiet", NOW - timedelta(seconds=age_s)) is not None
    text = ask(ward, *rows)
    assert told in text
    assert ("Stuck</h2>" in text) is told.startswith(("No process", "It waits"))


def test_what_takes_much_longer_than_usual_is_stuck(ward: Ward) -> None:
    for number, seconds in enumerate((30.0, 40.0, 50.0)):
        took(ward, f"1.3.{number}", seconds)
    ward.send("1.2.1")
    ward.begin("1.2.1")
    model = {"name": make_reading().model.name, "chosen_series": "1.2.1.1", "reason": "", "series": []}
    ward.store.studies.save_match("1.2.1", 1, {"models": [model]})
    usual = ask(ward, job("1.2.1", worker="w", age_s=119))
    assert "40 s" in part(usual, "Read now")
    assert "Stuck</h2>" not in usual
    slow = ask(ward, job("1.2.1", worker="w", age_s=121))
    assert "much longer than usual" in part(slow, "Stuck")
    assert "<td>40 s</td><td>48 s</td><td>3</td>" in slow


def test_images_that_nobody_takes_as_complete_are_stuck(ward: Ward, client: TestClient) -> None:
    ward.send("1.2.1", waiting=timedelta(hours=1))
    assert "No image has come for long" in part(client.get("/queue").text, "Stuck")


def test_one_is_called_off_before_a_model_is_chosen_and_never_later(ward: Ward, client: TestClient) -> None:
    for uid in ("1.2.1", "1.2.2"):
        ward.send(uid)
        ward.begin(uid)
    ward.store.studies.save_match("1.2.2", 1, make_match("1.2.2"))
    page = client.get("/queue").text
    assert f"/queue/{study_key('1.2.1')}/call-off" in page
    assert f"/queue/{study_key('1.2.2')}/call-off" not in page
    assert client.post(f"/queue/{study_key('1.2.1')}/call-off", headers=FORM).status_code == 303
    row = ward.store.studies.find("1.2.1")
    assert row is not None
    assert row.state is StudyState.NOT_READ
    assert "called it off" in part(client.get("/queue").text, "Failed")
    assert "called it off" in client.get("/").text, "the list says why it is not read"
    assert any("Reading called off." in one.message for one in AuditRows(ward.store.engine).list_last(5))
    refused = client.post(f"/queue/{study_key('1.2.2')}/call-off", headers=FORM)
    assert refused.status_code == 409
    assert "nothing was called off" in refused.text


def test_a_study_that_a_model_has_read_is_not_called_off(ward: Ward, client: TestClient) -> None:
    """Its newer images would stand on the list as if they had been read."""
    ward.send("1.2.1")
    ward.read("1.2.1")
    ward.send("1.2.1")
    ward.begin("1.2.1")
    assert client.post(f"/queue/{study_key('1.2.1')}/call-off", headers=FORM).status_code == 409
    [unfinished] = ward.store.studies.list_unfinished_revisions()
    assert unfinished.revision == 2


def test_who_may_do_what(ward: Ward) -> None:
    house = House(ward)
    ward.send("1.2.1")
    ward.begin("1.2.1")
    key = study_key("1.2.1")
    deeds = (f"/queue/{key}/call-off", f"/queue/{key}/read-again")
    for name, role, may_call_off, may_prefer in (
        ("rad", Role.RADIOLOGIST, False, True),
        ("lead", Role.LEAD, True, True),
        ("admin", Role.ADMINISTRATOR, True, False),
        ("sci", Role.DATA_SCIENTIST, False, False),
    ):
        house.add(name, role)
        client = house.signed_in(name)
        page = client.get("/queue").text
        assert ("Call off" in page) is may_call_off, role
        assert ("Read earlier" in page) is may_prefer, role
        if not may_call_off:
            assert [client.post(one).status_code for one in deeds] == [403, 403], role
        if not may_prefer:
            assert client.post(f"/queue/{key}", data={"priority": "stat", "why": "x"}).status_code == 403
    other = house.signed_in("lead")
    other.headers["Origin"] = "http://evil.example"
    assert other.post(f"/queue/{key}/call-off").status_code == 403, "a form of another page"
    [still] = ward.store.studies.list_unfinished_revisions()
    assert still.study_instance_uid == "1.2.1"


def test_a_reader_puts_a_study_ahead_and_says_why(ward: Ward) -> None:
    house = House(ward)
    house.add("anna")
    ward.send("1.2.1")
    ward.begin("1.2.1")
    client, key = house.signed_in("anna"), study_key("1.2.1")
    assert client.post(f"/queue/{key}", data={"priority": "stat", "why": " "}).status_code == 409
    assert client.post(f"/queue/{key}", data={"priority": "soon", "why": "x"}).status_code in (404, 422)
    assert client.post(f"/queue/{key}", data={"priority": "stat", "why": "Called."}).status_code == 303
    [given] = ward.store.room.priorities(["1.2.1"]).values()
    assert (given.priority, given.why, given.who) == (Priority.STAT, "Called.", "anna")
    assert '<span class="badge stat">stat</span>' in part(client.get("/queue").text, "Waiting")


def test_programs_do_the_same(ward: Ward) -> None:
    house = House(ward)
    ward.send("1.2.1", name="Okonkwo^Adaeze")
    ward.begin("1.2.1")
    lead, admin, key = house.program(Role.LEAD), house.program(Role.ADMINISTRATOR), study_key("1.2.1")
    said = {"priority": "stat", "why": "Called by the ward."}
    assert lead.put(f"/api/v1/studies/{key}/priority", json=said).json()["priority"] == "stat"
    assert admin.put(f"/api/v1/studies/{key}/priority", json=said).status_code == 403
    assert (
        lead.put(f"/api/v1/studies/{key}/priority", json={"priority": "stat", "why": ""}).status_code == 422
    )
    [line] = lead.get("/api/v1/queue").json()["waiting"]
    assert (line["study_key"], line["urgency"], line["position"]) == (key, "stat", 1)
    assert line["study_instance_uid"] == "1.2.1"
    [hidden] = admin.get("/api/v1/queue").json()["waiting"]
    assert hidden["study_instance_uid"] == ""
    assert lead.delete(f"/api/v1/studies/{key}/priority").json()["priority"] == "routine"
    assert admin.post(f"/api/v1/studies/{key}/call-off").json()["state"] == "not-read"
    assert admin.post(f"/api/v1/studies/{key}/call-off").status_code == 409
    [failed] = admin.get("/api/v1/queue").json()["failed"]
    assert failed["code"] == "reading-called-off"
