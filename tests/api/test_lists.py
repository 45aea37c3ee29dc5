"""Lists come in pages that nothing moves, hold what was asked for, and name no patient in an address."""

import logging
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.api.conftest import Place, fill
from tests.web.conftest import NOW
from wetread.domain.reading import Priority, Triage
from wetread.domain.study import study_key
from wetread.identity import Role
from wetread.store.audit_rows import AuditRows

PAGES = "/api/v1/studies?limit=2"


def walk(place: Place, path: str) -> list[str]:
    """Follow the links to the end; returns what names each item."""
    named = []
    while path:
        answer = place.client.get(path)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        named += [str(one.get("key") or one["id"]) for one in page["items"]]
        linked = answer.headers.get("link")
        assert linked == (f'<{page["next"]}>; rel="next"' if page["next"] else None)
        assert (page["after"] is None) is (page["next"] is None)
        path = page["next"]
    return named


def test_pages_hold_everything_once_while_studies_arrive(place: Place) -> None:
    for number in range(1, 8):
        place.ward.send(f"1.2.{number}", StudyDate=f"2026110{number}")
    first = place.client.get(PAGES).json()
    assert [one["study_date"] for one in first["items"]] == ["2026-11-07", "2026-11-06"]
    # Before, among and behind what was shown.
    for number, day in ((11, "20261130"), (12, "20261106"), (13, "20261101"), (14, "")):
        place.ward.send(f"1.2.{number}", StudyDate=day)
    rest = walk(place, first["next"])
    shown = [one["key"] for one in first["items"]] + rest
    assert len(shown) == len(set(shown))
    assert {study_key(f"1.2.{number}") for number in range(1, 8)} <= set(shown)
    assert study_key("1.2.11") not in shown
    assert walk(place, PAGES) == [one for one in walk(place, "/api/v1/studies?limit=200") if one]


def test_pages_of_readings_and_deliveries_hold_everything_once(place: Place) -> None:
    ids: list[int] = []
    for number in range(1, 4):
        place.ward.send(f"1.2.{number}")
        ids += place.ward.plan(f"1.2.{number}", place.ward.read(f"1.2.{number}"))
    first = place.client.get("/api/v1/deliveries?limit=5").json()
    place.ward.send("1.2.4")
    place.ward.plan("1.2.4", place.ward.read("1.2.4"))
    rest = walk(place, first["next"])
    assert [one["id"] for one in first["items"]] + list(map(int, rest)) == sorted(ids, reverse=True)
    assert len(walk(place, "/api/v1/readings?limit=1")) == 4
    assert walk(place, "/api/v1/readings?limit=3") == walk(place, "/api/v1/readings")


def test_a_cursor_of_a_study_that_is_gone_says_so(filled: Place) -> None:
    answer = filled.client.get("/api/v1/studies?after=0123456789abcdef")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-held")
    assert "begin again" in answer.json()["message"]


def test_studies_are_chosen_by_what_was_asked(place: Place) -> None:
    fill(place)
    place.ward.send("1.2.6", Modality="MR", StudyDate="20261126")
    place.ward.read("1.2.6", Triage(priority=Priority.STAT, score=0.5, reasons=("Air.",)))
    place.ward.store.studies.mark_reported("1.2.5", NOW)
    place.ward.store.studies.set_urgency("1.2.1", Priority.URGENT, "rule")

    def chosen(query: str) -> set[str]:
        return set(walk(place, f"/api/v1/studies?{query}"))

    def keys(*numbers: int) -> set[str]:
        return {study_key(f"1.2.{number}") for number in numbers}

    assert chosen("state=arriving") == keys(1, 5)
    assert chosen("state=reading") == keys(2)
    assert chosen("state=read") == keys(3, 6)
    assert chosen("state=not-read") == keys(4)
    assert chosen("modality=MR") == keys(6)
    assert chosen("date_from=2026-11-22&date_to=2026-11-24") == keys(2, 3, 4)
    assert chosen("priority=stat") == keys(6)
    assert chosen("priority=urgent") == keys(1)
    assert chosen("priority=routine") == keys(2, 3, 4, 5)
    assert chosen("reported=true") == keys(5)
    assert chosen("reported=false&modality=CT") == keys(1, 2, 3, 4)


def test_readings_and_deliveries_are_chosen_by_what_was_asked(filled: Place) -> None:
    def count(path: str) -> int:
        return len(walk(filled, path))

    assert count("/api/v1/readings?outcome=read") == 1
    assert count("/api/v1/readings?outcome=not-read") == 1
    assert count("/api/v1/readings?model=elsewhere") == 0
    [model] = {one["model"]["name"] for one in filled.client.get("/api/v1/readings").json()["items"]}
    assert count(f"/api/v1/readings?model={model}") == 2
    made = filled.client.get("/api/v1/readings").json()["items"][0]["made_at"]
    assert count(f"/api/v1/readings?since={made}") == 2
    assert count("/api/v1/readings?since=2100-01-01T00:00:00Z") == 0
    assert count("/api/v1/deliveries?destination=PACS") == 4
    assert count("/api/v1/deliveries?destination=elsewhere") == 0
    assert count("/api/v1/deliveries?state=refused") == 1
    assert count("/api/v1/deliveries?state=refused&state=failed&limit=1") == 2
    assert count(f"/api/v1/deliveries?study={study_key('1.2.3')}") == 4
    assert count(f"/api/v1/deliveries?study={study_key('1.2.4')}") == 0


def test_a_search_by_patient_has_a_body_and_no_address(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "wetread")
    for number in range(1, 4):
        place.ward.send(f"1.2.{number}", PatientID="MRN-77431", AccessionNumber=f"ACC-{number}")
    place.ward.send("1.2.9", PatientID="SOMEBODY-ELSE")
    search = "/api/v1/studies/search"
    first = place.client.post(search, json={"patient_id": "MRN-77431", "limit": 2}).json()
    assert (len(first["items"]), first["next"]) == (2, None)
    rest = {"patient_id": "MRN-77431", "limit": 2, "after": first["after"]}
    last = place.client.post(search, json=rest).json()
    assert (len(last["items"]), last["after"]) == (1, None)
    [one] = place.client.post(search, json={"accession_number": "ACC-2"}).json()["items"]
    assert one["accession_number"] == "ACC-2"
    assert one["patient"]["id"] == "MRN-77431"
    [same] = place.client.post(search, json={"study_instance_uid": "1.2.2"}).json()["items"]
    assert same == one
    for name in ("patient_id", "accession_number", "study_instance_uid", "PatientID"):
        refused = place.client.get("/api/v1/studies", params={name: "MRN-77431"})
        assert refused.status_code == 422, "it must not work by an address, or somebody would do it"
        assert "MRN-77431" not in refused.text
    # Only what names no patient stands in an address that we make, or in the trail's sentence.
    for path in (PAGES, "/api/v1/readings", "/api/v1/deliveries"):
        address = place.client.get(path).json()["next"] or ""
        assert {name for name, _ in parse_qsl(urlsplit(address).query)} <= {"limit", "after"}
        assert "1.2." not in address
    assert "MRN-77431" not in caplog.text
    rows = [row for row in AuditRows(place.ward.store.engine).list_last(50) if "search for" in row.message]
    assert rows
    assert not [row for row in rows if "MRN-77431" in row.message]


def test_who_may_not_see_names_cannot_ask_for_them(place: Place) -> None:
    place.ward.send("1.2.1", name="Quigley^Marguerite", PatientID="MRN-77431", StudyDescription="Quigley")
    science = place.program(Role.DATA_SCIENTIST)
    for name in ("patient_id", "accession_number", "study_instance_uid"):
        assert science.post("/api/v1/studies/search", json={name: "1.2.1"}).status_code == 403
    [line] = science.post("/api/v1/studies/search", json={"modality": "CT"}).json()["items"]
    assert (line["study_instance_uid"], line["accession_number"], line["study_date"]) == ("", "", None)
    assert line["patient"] == {"name": "", "id": "", "birth_date": None, "sex": "F"}
    assert line["description"] == ""
    rule = {"models": ["chest-ct"], "when": [{"keyword": "PatientName", "contains": "Quigley"}]}
    # Its answer would tell whose name it is.
    assert science.post("/api/v1/rules/replay", json={"rules": [rule]}).status_code == 403


def test_each_sees_what_came_from_their_senders(place: Place) -> None:
    ours = place.ward.send("1.2.1", source="CT_OURS")
    theirs = place.ward.send("1.2.2", source="CT_THEIRS")
    for uid in ("1.2.1", "1.2.2"):
        place.ward.plan(uid, place.ward.read(uid))
    client = place.program(Role.LEAD, sources=("CT_OURS",))
    assert [one["key"] for one in client.get("/api/v1/reading-list").json()["items"]] == [ours]
    for path in ("studies", "readings", "deliveries"):
        items = client.get(f"/api/v1/{path}").json()["items"]
        assert {one.get("study_key") or one["key"] for one in items} == {ours}, path
    assert client.get(f"/api/v1/studies?after={theirs}").status_code == 404
    rules = [{"models": ["chest-ct"], "modality": "MR"}]
    replayed = client.post("/api/v1/rules/replay", json={"rules": rules}).json()
    assert sum(replayed["summary"].values()) == 1


def test_the_reading_list_is_most_urgent_first(place: Place) -> None:
    for number in range(1, 4):
        place.ward.send(f"1.2.{number}", waiting=timedelta(hours=number))
    place.ward.read("1.2.1", Triage(priority=Priority.STAT, score=0.5, reasons=("Air.",)))
    told = place.client.get("/api/v1/reading-list?limit=2").json()
    assert [one["key"] for one in told["items"]] == [study_key("1.2.1"), study_key("1.2.3")]
    assert told["total"] == 3
