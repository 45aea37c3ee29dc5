"""One thing at a time: its form, its tag, what may be changed about it, and how refusals look."""

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import Place, fill, make_place
from tests.web.conftest import NOW, ORIGIN
from wetread.domain.document import DocumentKind
from wetread.domain.progress import DeliveryState, StudyState
from wetread.domain.study import study_key
from wetread.identity import Role
from wetread.store.audit_rows import AuditRows

KEY = study_key("1.2.3")


def trail(place: Place) -> str:
    return "\n".join(row.message for row in AuditRows(place.ward.store.engine).list_last(20))


def test_a_study_is_told_whole(filled: Place) -> None:
    told = filled.client.get(f"/api/v1/studies/{KEY}").json()
    study = told["study"]
    assert (study["state"], study["state_words"]) == ("read", "read, 1 finding")
    assert study["purpose"] == "live"
    assert study["patient"] == {"name": "Doe^Jane", "id": "PID3", "birth_date": "1962-04-11", "sex": "F"}
    assert study["received_at"] == "2026-11-23T07:00:00Z"
    [reading] = told["readings"]
    assert (reading["outcome"], reading["superseded"]) == ("read", False)
    [decision] = told["decisions"]
    assert (decision["model"], decision["is_chosen"]) == ("chest-ct", True)
    assert [one["is_chosen"] for one in decision["series"]] == [True, False]
    assert {one["state"] for one in told["deliveries"]} == {"refused", "failed", "waiting"}
    assert [one["revision"] for one in told["revisions"]] == [1]
    assert [one["stage"] for one in told["events"]] == ["assemble", "infer"]
    lines = filled.client.get(f"/api/v1/studies/{KEY}/explanation").json()["lines"]
    assert lines[0].startswith("Study 1.2.3: read")
    assert any("localizer" in line for line in lines)


def test_a_reading_and_its_documents(filled: Place) -> None:
    [listed] = filled.client.get("/api/v1/readings?outcome=read").json()["items"]
    told = filled.client.get(f"/api/v1/readings/{listed['id']}").json()
    assert told["reading"] == listed
    [finding] = told["findings"]
    assert finding["name"]
    assert finding["measurements"]
    kinds = {one["kind"]: one for one in told["documents"]}
    assert set(kinds) == {"sr", "png", "text", "pdf"}
    types = {"sr": "application/dicom", "png": "image/png", "text": "text/plain; charset=utf-8"}
    for kind, media_type in types.items():
        answer = filled.client.get(kinds[kind]["href"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
        assert (
            answer.content
            == filled.ward.store.readings.load_document(
                filled.ward.store.readings.get_document(kinds[kind]["id"])
            ).data
        )
    science = filled.program(Role.DATA_SCIENTIST)
    assert science.get(kinds["png"]["href"]).status_code == 200
    assert science.get(kinds["sr"]["href"]).status_code == 403
    hidden = science.get(f"/api/v1/readings/{listed['id']}").json()
    assert {one["kind"] for one in hidden["documents"]} == {"png", "text"}
    assert filled.client.get(f"/api/v1/readings/9/documents/{kinds['png']['id']}").status_code == 404
    other = filled.client.get("/api/v1/readings?outcome=not-read").json()["items"][0]["id"]
    assert filled.client.get(f"/api/v1/readings/{other}/documents/{kinds['png']['id']}").status_code == 404


def test_models_and_rules(filled: Place) -> None:
    [model] = filled.client.get("/api/v1/models").json()["items"]
    assert (model["name"], model["state"]) == ("chest-ct", "live")
    told = filled.client.get("/api/v1/models/chest-ct").json()
    assert told["model"] == model
    assert told["eligibility"]["modalities"] == ["CT"]
    assert "folder" not in str(told)
    assert filled.client.get("/api/v1/models/elsewhere").status_code == 404
    [rule] = filled.client.get("/api/v1/rules").json()["items"]
    assert (rule["name"], rule["models"], rule["unknown_models"]) == ("CT", ["chest-ct"], [])
    assert rule["when"][0] == "Modality must be CT"


def test_what_did_not_change_is_not_sent_again(filled: Place) -> None:
    for path in (f"/api/v1/studies/{KEY}", "/api/v1/studies?limit=3", "/api/v1/models", "/api/v1/readings/1"):
        answer = filled.client.get(path)
        tag = answer.headers["etag"]
        for told in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            again = filled.client.get(path, headers={"If-None-Match": told})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert filled.client.get(path, headers={"If-None-Match": '"x"'}).status_code == 200
    tag = filled.client.get(f"/api/v1/studies/{KEY}").headers["etag"]
    filled.ward.note("1.2.3", "deliver", "Something.")
    assert filled.client.get(f"/api/v1/studies/{KEY}", headers={"If-None-Match": tag}).status_code == 200


def test_reported_and_put_back(filled: Place) -> None:
    address = f"/api/v1/studies/{KEY}/report"
    assert filled.client.put(address).json()["reported_at"] == "2026-11-23T08:00:00Z"
    assert filled.client.put(address).status_code == 200
    row = filled.ward.store.studies.find("1.2.3")
    assert row is not None
    assert row.reported_at == NOW.timestamp()
    assert trail(filled).count("Marked as reported.") == 1, "said twice, done once"
    assert filled.client.delete(address).json()["reported_at"] is None
    assert "Put back on the reading list." in trail(filled)
    assert filled.program(Role.SERVICE).put(address).status_code == 403


def test_a_dead_delivery_is_tried_again(tmp_path) -> None:
    woken: list[int] = []
    place = make_place(tmp_path / "data", on_retry=lambda: woken.append(1))
    fill(place)
    [refused] = place.client.get("/api/v1/deliveries?state=refused").json()["items"]
    told = place.client.post(f"/api/v1/deliveries/{refused['id']}/retry").json()
    assert (told["state"], told["attempts"], told["id"]) == ("waiting", 0, refused["id"])
    again = place.client.post(f"/api/v1/deliveries/{refused['id']}/retry")
    assert (again.status_code, again.json()["code"]) == (409, "not-now")
    assert woken == [1]
    assert place.client.post("/api/v1/deliveries/retry", json={"destination": "PACS"}).json() == {"count": 1}
    assert place.client.post("/api/v1/deliveries/retry", json={"destination": "PACS"}).json() == {"count": 0}
    assert trail(place).count("Delivery of 1 document to PACS started again.") == 2
    assert (
        place.program(Role.RADIOLOGIST).post(f"/api/v1/deliveries/{refused['id']}/retry").status_code == 403
    )
    rows = place.ward.store.deliveries.list_for_study("1.2.3")
    assert {row.state for row in rows} == {DeliveryState.WAITING}
    place.ward.store.close()


def test_a_study_is_read_again_once_it_is_read(place: Place) -> None:
    fill(place)
    begun = place.client.post(f"/api/v1/studies/{KEY}/read-again")
    assert (begun.status_code, begun.json()) == (202, {"study_key": KEY, "revision": 2})
    row = place.ward.store.studies.find("1.2.3")
    assert row is not None
    assert (row.state, row.revision) == (StudyState.READING, 2)
    assert [one.revision for one in place.ward.store.studies.list_unfinished_revisions()] == [1, 2]
    assert "Reading started again." in trail(place)
    for busy in (KEY, study_key("1.2.2"), study_key("1.2.1")):
        assert place.client.post(f"/api/v1/studies/{busy}/read-again").status_code == 409
    assert place.program(Role.RADIOLOGIST).post(f"/api/v1/studies/{KEY}/read-again").status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "not-found"),
        ("GET", "/api/studies", 404, "not-found"),
        ("GET", "/api/v1/studies/xyz", 404, "not-found"),
        ("GET", "/api/v1/studies/0123456789abcdef", 404, "not-found"),
        ("GET", "/api/v1/readings/0", 404, "not-found"),
        ("GET", "/api/v1/readings/99999999999999999999", 404, "not-found"),
        ("POST", "/api/v1/studies", 405, "method-not-allowed"),
        ("GET", "/api/v1/studies?limit=201", 422, "invalid-request"),
        ("GET", "/api/v1/studies?date_from=1700000000", 422, "invalid-request"),
        ("GET", "/api/v1/studies?modalty=CT", 422, "invalid-request"),
        ("GET", "/api/v1/readings?since=2026-11-23", 422, "invalid-request"),
        ("POST", "/api/v1/studies/search", 422, "invalid-request"),
    ],
)
def test_refusals_have_one_form(filled: Place, method: str, path: str, status: int, code: str) -> None:
    answer = filled.client.request(method, path)
    assert answer.status_code == status
    body = answer.json()
    assert set(body) == {"code", "message", "details"}
    assert body["code"] == code
    assert bool(body["details"]) is (status == 422)
    if status == 405:
        assert answer.headers["allow"] == "GET"


def test_a_refusal_repeats_nothing_that_was_sent(filled: Place) -> None:
    sent = {"patient_id": "MRN-77431\n", "state": "MRN-77431", "MRN-77432": 1}
    answer = filled.client.post("/api/v1/studies/search", json=sent)
    assert answer.status_code == 422
    assert "MRN-77431" not in answer.text
    wheres = {one["where"] for one in answer.json()["details"]}
    assert {"body patient_id", "body state"} <= wheres


def test_who_says_nothing_and_who_asks_from_elsewhere(filled: Place) -> None:
    nobody = TestClient(filled.app, base_url=ORIGIN)
    answer = nobody.get("/api/v1/studies")
    assert (answer.status_code, answer.json()["code"]) == (401, "sign-in-needed")
    elsewhere = TestClient(filled.app, base_url="http://evil.example").get("/api/v1/studies")
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "not-allowed")
    # A page of another site can make a browser send this, but no JSON.
    form = nobody.post("/api/v1/deliveries/retry", data={"destination": "PACS"})
    assert (form.status_code, form.json()["code"]) == (403, "not-allowed")
    assert nobody.post("/api/v1/deliveries/retry", json={"destination": "PACS"}).status_code == 401


def test_a_body_without_measure_is_refused(filled: Place) -> None:
    answer = filled.client.post("/api/v1/studies/search", json={"patient_id": "x" * 70_000})
    assert answer.status_code == 413


def test_a_document_whose_file_is_gone_says_so(place: Place) -> None:
    fill(place)
    [first, *_] = place.ward.store.readings.list_for_study("1.2.3")
    documents = place.ward.store.readings.list_documents(first.id)
    [text] = [one for one in documents if one.kind is DocumentKind.TEXT]
    place.ward.store.readings.documents.path(text.content_digest).unlink()
    answer = place.client.get(f"/api/v1/readings/{first.id}/documents/{text.id}")
    assert answer.status_code == 503
    assert answer.json()["code"] == "file-damaged"
