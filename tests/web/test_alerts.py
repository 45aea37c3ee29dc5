"""A critical result stays on top of the list until somebody says that they know."""

from __future__ import annotations

from datetime import timedelta

from fastapi.testclient import TestClient

from tests.alerted import make_event, raise_alert
from tests.identity.conftest import House
from tests.web.conftest import NOW, ORIGIN, Ward
from wetread.domain.alert import AlertState
from wetread.domain.reading import Triage
from wetread.identity import Role
from wetread.store.audit_rows import AuditRows

FORM = {"Origin": ORIGIN}
UNANSWERED = "Nobody has acknowledged this."


def test_it_is_on_top_whatever_is_searched_for_until_somebody_answers(
    ward: Ward, client: TestClient, stat: Triage
) -> None:
    ward.send("1.2.1", name="Okonkwo^Adaeze")
    ward.read("1.2.1", stat)
    ward.send("1.2.2", name="Rossi^Giulia", waiting=timedelta(days=30))
    alert = raise_alert(ward, "1.2.1")
    for asked in ({}, {"text": "rossi"}, {"kind": "mine"}, {"page": "9"}):
        text = client.post("/fragments/list", data=asked, headers=FORM).text
        assert text.index(UNANSWERED) < (text.index("Rossi") if "Rossi" in text else len(text)), asked
        assert "Okonkwo, Adaeze" in text
        assert "Pneumothorax, right, 180 ml" in text
    assert UNANSWERED not in client.get("/?show=reported").text
    answer = client.post(f"/alerts/{alert.id}/acknowledge", headers=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert UNANSWERED not in client.get("/").text
    held = ward.store.alerts.find(alert.id)
    assert held is not None
    assert (held.state, held.ended_by, held.ended_at) == (AlertState.ACKNOWLEDGED, "anybody", NOW.timestamp())
    assert "Alert acknowledged by anybody." in [
        one.message for one in ward.store.history.list_for_study("1.2.1")
    ]
    assert any("Acknowledged an alert." in one.message for one in AuditRows(ward.store.engine).list_last(9))


def test_it_is_answered_on_the_page_of_the_study_too(ward: Ward, client: TestClient, stat: Triage) -> None:
    key = ward.send("1.2.1")
    ward.read("1.2.1", stat)
    assert "Acknowledge this alert" not in client.get(f"/studies/{key}").text
    alert = raise_alert(ward, "1.2.1")
    assert f'action="/alerts/{alert.id}/acknowledge"' in client.get(f"/studies/{key}").text
    answer = client.post(f"/alerts/{alert.id}/acknowledge", data={"to_study": "true"}, headers=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/studies/{key}")
    assert "Acknowledge this alert" not in client.get(f"/studies/{key}").text


def test_a_second_answer_says_who_was_first(ward: Ward, client: TestClient, stat: Triage) -> None:
    ward.send("1.2.1")
    ward.read("1.2.1", stat)
    alert = raise_alert(ward, "1.2.1")
    ward.store.alerts.acknowledge(alert, "ana", NOW, make_event())
    answer = client.post(f"/alerts/{alert.id}/acknowledge", headers=FORM)
    assert answer.status_code == 409
    assert "ana has acknowledged this alert already" in answer.text
    assert client.post("/alerts/999/acknowledge", headers=FORM).status_code == 404


def test_alerts_are_shown_to_whom_the_study_is(ward: Ward, stat: Triage) -> None:
    house = House(ward)
    house.add("theirs", sources=("CT9",))
    house.add("admin", Role.ADMINISTRATOR)
    key = ward.send("1.2.1", name="Okonkwo^Adaeze")
    ward.read("1.2.1", stat)
    alert = raise_alert(ward, "1.2.1")
    theirs = house.signed_in("theirs")
    assert UNANSWERED not in theirs.get("/").text
    assert theirs.post(f"/alerts/{alert.id}/acknowledge").status_code == 404
    admin = house.signed_in("admin")
    page = admin.get("/").text
    assert UNANSWERED in page
    assert "Okonkwo" not in page
    assert f"Study {key[:8]}" in page
    assert admin.post(f"/alerts/{alert.id}/acknowledge").status_code == 403


def test_many_alerts_are_counted(ward: Ward, client: TestClient) -> None:
    for number in range(23):
        ward.send(f"1.2.{number}")
        raise_alert(ward, f"1.2.{number}")
    text = client.get("/").text
    assert text.count(UNANSWERED) == 20
    assert "3 more alerts that nobody has acknowledged." in text
