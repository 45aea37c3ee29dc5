"""The department's numbers are those of its studies, each with its count and interval."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from tests.alerted import make_event, raise_alert
from tests.identity.conftest import House
from tests.web.conftest import NOW, ORIGIN, Ward
from wetread.domain.reading import Triage

FORM = {"Origin": ORIGIN}


def rows(client: TestClient, days: int = 30) -> dict[tuple[str, str, str], dict[str, str]]:
    text = client.get(f"/department.csv?days={days}").text
    return {(one["what"], one["priority"], one["share"]): one for one in csv.DictReader(io.StringIO(text))}


def test_times_are_told_by_priority(ward: Ward, client: TestClient, stat: Triage) -> None:
    for number, minutes in enumerate((10, 20, 30, 40, 50, 60, 70, 80, 90), start=1):
        ward.send(f"1.2.{number}", waiting=timedelta(minutes=minutes))
        ward.read(f"1.2.{number}")
    ward.send("1.2.30", waiting=timedelta(minutes=5))
    ward.read("1.2.30", stat)
    found = rows(client)
    median = found["arrived to read", "routine", "0.5"]
    assert (median["n"], median["seconds"]) == ("9", str(50 * 60))
    assert float(median["low"]) < 3000 < float(median["high"])
    one = found["arrived to read", "stat", "0.5"]
    # One study has no interval.
    assert (one["n"], one["seconds"], one["low"], one["high"]) == ("1", "300", "", "")
    assert found["arrived to reported", "routine", "0.5"]["n"] == "0"
    page = client.get("/department").text
    assert "50 min (" in page
    assert "none yet" in page


def test_reported_studies_count_and_a_readers_priority_too(ward: Ward, client: TestClient) -> None:
    key = ward.send("1.2.1", waiting=timedelta(hours=2))
    ward.read("1.2.1")
    client.post(f"/studies/{key}/priority", data={"priority": "urgent", "why": "called"}, headers=FORM)
    client.post(f"/studies/{key}/report", headers=FORM)
    found = rows(client)["arrived to reported", "urgent", "0.5"]
    assert (found["n"], found["seconds"]) == ("1", "7200")


def test_older_studies_are_left_out(ward: Ward, client: TestClient) -> None:
    ward.send("1.2.1", waiting=timedelta(days=40))
    ward.read("1.2.1")
    assert rows(client)["arrived to read", "routine", "0.5"]["n"] == "0"
    assert rows(client, days=60)["arrived to read", "routine", "0.5"]["n"] == "1"


@pytest.mark.parametrize("days", ["0", "-1", "367", "x"])
def test_days_that_make_no_sense(client: TestClient, days: str) -> None:
    assert client.get(f"/department?days={days}").status_code == 404


def test_studies_of_other_senders_are_not_counted(ward: Ward) -> None:
    house = House(ward)
    house.add("ana", sources=("CT9",))
    ward.send("1.2.1")
    ward.read("1.2.1")
    assert rows(house.signed_in("ana"))["arrived to read", "routine", "0.5"]["n"] == "0"
    house.add("bo")
    assert rows(house.signed_in("bo"))["arrived to read", "routine", "0.5"]["n"] == "1"


def test_the_flow_counts_each_stretch_and_what_waits_at_its_end(ward: Ward, client: TestClient) -> None:
    for number, hours in enumerate((1, 2, 25, 60, 24 * 40), start=1):
        ward.send(f"1.2.{number}", waiting=timedelta(hours=hours))
    ward.read("1.2.1")
    # Reported yesterday, and from before the window.
    ward.store.studies.mark_reported("1.2.3", NOW - timedelta(hours=24, minutes=30))
    ward.store.studies.mark_reported("1.2.5", NOW - timedelta(hours=1))
    rows = list(csv.DictReader(io.StringIO(client.get("/department/flow.csv?days=3").text)))
    told = [
        [int(one[name]) for name in ("arrived", "read", "reported", "waiting at its end")] for one in rows
    ]
    assert told == [[1, 0, 0, 2], [1, 0, 1, 2], [2, 1, 1, 3]]
    assert len(list(csv.DictReader(io.StringIO(client.get("/department/flow.csv?days=90").text)))) == 13
    page = client.get("/department?days=3").text
    assert "now 3, at most 3" in page
    assert "4 in all" in page
    assert "style=" not in page


def test_alerts_are_counted_with_their_answers(ward: Ward, client: TestClient, stat: Triage) -> None:
    for number in range(1, 13):
        ward.send(f"1.2.{number}", waiting=timedelta(hours=2))
        ward.read(f"1.2.{number}", stat)
        alert = raise_alert(ward, f"1.2.{number}")
        at = NOW + timedelta(minutes=number)
        if number <= 8:
            ward.store.alerts.acknowledge(alert, "ana", at, make_event())
        elif number <= 10:
            ward.store.alerts.expire(alert, "the study has been read", at, make_event())
    ward.store.studies.mark_reported("1.2.1", NOW)
    ward.send("1.2.30", waiting=timedelta(hours=5))
    ward.store.studies.mark_reported("1.2.30", NOW)
    page = client.get("/department").text
    assert "Acknowledged: 67% (" in page
    assert "of 12. Half of them within 4 min (1 min to 8 min), n = 8." in page
    assert "with an alert: 2 h (too few to say), n = 1; without: 5 h (too few to say), n = 1" in page
    text = client.get("/department.csv").text
    assert "arrived to reported,with an alert,1,0.5,7200,," in text
    assert "arrived to reported,without,1,0.5,18000,," in text


def test_no_name_is_in_it(ward: Ward, client: TestClient) -> None:
    ward.send("1.2.1", name="Doe^Jane")
    ward.read("1.2.1")
    for path in ("/department", "/department.csv", "/department/flow.csv"):
        text = client.get(path).text
        assert "Doe" not in text
        assert "PID1" not in text
    assert NOW.isoformat() not in text
