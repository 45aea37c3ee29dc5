"""The list is ordered, searched, counted and turned over in the index; what is searched for stays there."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select

from tests.identity.conftest import House
from tests.web.conftest import NOW, ORIGIN, Ward, make_model
from wetread.domain.audit import AuditAction, AuditEvent, AuditEventType
from wetread.domain.progress import DeliveryState, StudyState
from wetread.domain.reading import Priority, Triage
from wetread.domain.study import study_key
from wetread.errors import ConfigError
from wetread.identity import Role
from wetread.store import schema
from wetread.store.audit_rows import AuditRows
from wetread.store.list_rank import NUMBERS
from wetread.store.reading_list import Kind, Wanted
from wetread.store.room import GivenPriority
from wetread.web import create_web
from wetread.web.listing import list_lines, weigh
from wetread.worklist import Entry, ReadingListSettings, rank

FORM = {"Origin": ORIGIN}


def names(client: TestClient, **asked: object) -> list[str]:
    """Return the patients of the page that a form like this gets, from above."""
    answer = client.post(
        "/fragments/list", data={key: str(value) for key, value in asked.items()}, headers=FORM
    )
    assert answer.status_code == 200, answer.text
    parts = answer.text.split(" data-search>")[1:] if " data-search>" in answer.text else []
    return [part.partition("<")[0] for part in parts if "</a>" in part.partition("\n")[0]]


def kept(ward: Ward, uid: str) -> tuple[int, float, int]:
    table = schema.study.c
    query = select(table.list_priority, table.list_score, table.list_findings)
    with ward.store.engine.connect() as connection:
        return tuple(connection.execute(query.where(table.study_instance_uid == uid)).one())


def test_the_index_orders_as_the_worklist_does(ward: Ward) -> None:
    chance = random.Random(7)
    entries = [
        Entry(
            study_instance_uid=f"1.2.{number}",
            state=chance.choice(list(StudyState)),
            priority=chance.choice(list(Priority)),
            score=chance.choice((0.0, 0.5, 1.0, chance.random())),
            waiting_since=NOW - timedelta(minutes=chance.choice((0, 5, 5, 90, 60 * 24, 60 * 73))),
        )
        for number in range(200)
    ]
    rows = [
        {
            "study_instance_uid": one.study_instance_uid,
            "key": study_key(one.study_instance_uid),
            "first_received_at": one.waiting_since.timestamp(),
            "last_received_at": one.waiting_since.timestamp(),
            "state": one.state.value,
            "list_priority": NUMBERS[one.priority],
            "list_score": one.score,
        }
        for one in entries
    ]
    with ward.store.engine.begin() as connection:
        connection.execute(insert(schema.study), rows)
    expected = [one.entry.study_instance_uid for one in rank(entries, NOW)]
    store, weights = ward.store.reading_list, weigh()
    found = [row.study_instance_uid for row in store.page(Wanted(), weights, 0, 500)]
    assert found == expected
    assert [row.study_instance_uid for row in store.page(Wanted(), weights, 50, 50)] == expected[50:100]
    for number in (0, 1, 99, 199):
        place = store.place(expected[number], Wanted(), weights)
        assert (place.position, place.total) == (number + 1, 200)
        neighbours = [study_key(one) for one in expected[max(0, number - 1) : number + 2]]
        assert [one for one in (place.previous_key, place.next_key) if one] == [
            one for one in neighbours if one != study_key(expected[number])
        ]


def test_what_counts_is_kept_with_every_word_about_a_study(ward: Ward, stat: Triage) -> None:
    ward.send("1.2.1")
    assert kept(ward, "1.2.1") == (2, 0.0, 0)
    row = ward.read("1.2.1", stat)
    assert kept(ward, "1.2.1") == (0, pytest.approx(0.8), row.finding_count)
    said = GivenPriority(
        study_instance_uid="1.2.1", priority=Priority.URGENT, why="called", at=1.0, who="ana"
    )
    give(ward, said)
    assert kept(ward, "1.2.1")[0] == NUMBERS[Priority.URGENT]
    give(ward, replace(said, priority=None, at=2.0))
    assert kept(ward, "1.2.1")[0] == NUMBERS[Priority.STAT]
    ward.store.readings.supersede("1.2.1", 2, [])
    assert kept(ward, "1.2.1") == (2, 0.0, 0)
    ward.store.studies.set_urgency("1.2.1", Priority.URGENT, "from casualty")
    assert kept(ward, "1.2.1")[0] == NUMBERS[Priority.URGENT]


def give(ward: Ward, said: GivenPriority) -> None:
    event = AuditEvent(
        type=AuditEventType.INSTANCES_ACCESSED, action=AuditAction.UPDATE, at=NOW, description="Priority."
    )
    ward.store.room.give_priority(said, event=event)


def test_the_oldest_is_on_the_list_however_many_wait(ward: Ward) -> None:
    settings = ReadingListSettings(page_size=10)
    for number in range(25):
        ward.send(f"1.2.{number}", name=f"N{number}^A", waiting=timedelta(hours=number + 1))
    shown = [list_lines(ward.store, Wanted(), NOW, settings, page) for page in (1, 2, 3, 4)]
    assert [one.page for one in shown] == [1, 2, 3, 3]
    assert [one.pages for one in shown] == [3] * 4
    order = [line.patient_name for one in shown[:3] for line in one.lines]
    assert order == [f"N{number}, A" for number in reversed(range(25))]
    assert [line.position for line in shown[2].lines] == [21, 22, 23, 24, 25]


def test_a_search_finds_by_name_number_accession_and_description(ward: Ward, client: TestClient) -> None:
    ward.send("1.2.1", name="Müller-Okonkwo^Adaeze", PatientID="MRN-77", AccessionNumber="ACC-1")
    ward.send(
        "1.2.2",
        name="Rossi^Giulia",
        PatientID="MRN-88",
        AccessionNumber="ACC-2",
        StudyDescription="100% head_scan",
    )
    for text, expected in (
        ("muller", ["Müller-Okonkwo, Adaeze"]),
        ("ADA müll", ["Müller-Okonkwo, Adaeze"]),
        ("mrn-88", ["Rossi, Giulia"]),
        ("acc-1", ["Müller-Okonkwo, Adaeze"]),
        ("head_s", ["Rossi, Giulia"]),
        ("100%", ["Rossi, Giulia"]),
        ("%", ["Rossi, Giulia"]),
        ("rossi acc-1", []),
        ("' OR 1=1 --", []),
    ):
        assert names(client, text=text) == expected, text


def test_what_is_searched_for_is_in_no_address_and_no_trail(ward: Ward, client: TestClient) -> None:
    ward.send("1.2.1", name="Okonkwo^Adaeze")
    page = client.post("/", data={"text": "okonkwo"}, headers=FORM)
    assert page.status_code == 200
    assert 'action="/"' in page.text
    assert "?text=" not in page.text
    entries = [str(one.message) for one in AuditRows(ward.store.engine).list_last(10)]
    assert any("reading list, waiting, searched" in one for one in entries)
    assert not any("okonkwo" in one.lower() for one in entries)
    # An address that names somebody is not understood.
    assert "Okonkwo" in client.get("/?text=rossi").text


def test_buttons_count_what_they_show(ward: Ward, client: TestClient, stat: Triage) -> None:
    ward.send("1.2.1", name="Stat^A", waiting=timedelta(hours=2))
    dead = ward.plan("1.2.1", ward.read("1.2.1", stat))
    ward.store.deliveries.record(dead[0], DeliveryState.REFUSED, NOW)
    ward.send("1.2.2", name="Refused^B")
    ward.refuse("1.2.2")
    mine = ward.send("1.2.3", name="Mine^C", Modality="MR")
    client.post(f"/studies/{mine}/claim", headers=FORM)
    expected = {
        "all": 3, "stat": 1, "urgent": 0, "findings": 1, "not-read": 1, "in-progress": 1, "trouble": 1,
        "overdue": 1, "free": 2, "mine": 1,
    }  # fmt: skip
    listed = list_lines(ward.store, Wanted(who="anybody"), NOW)
    assert {kind.value: count for kind, count in listed.counts.items()} == expected
    assert names(client, kind="stat") == ["Stat, A"]
    assert names(client, kind="all", press="not-read") == ["Refused, B"]
    assert names(client, kind="trouble") == ["Stat, A"]
    assert names(client, kind="overdue") == ["Stat, A"]
    assert names(client, kind="mine") == ["Mine, C"]
    assert names(client, modality="MR") == ["Mine, C"]
    assert names(client, modality="M") == []


def test_due_follows_the_priority(ward: Ward, stat: Triage) -> None:
    settings = ReadingListSettings(due_stat_min=30, due_urgent_min=120, due_routine_min=600)
    for number, minutes in enumerate((20, 40), start=1):
        ward.send(f"1.2.{number}", waiting=timedelta(minutes=minutes))
        ward.read(f"1.2.{number}", stat)
    ward.send("1.2.3", waiting=timedelta(minutes=40))
    told = {
        line.study_instance_uid: line.due_words
        for line in list_lines(ward.store, Wanted(), NOW, settings).lines
    }
    assert told == {"1.2.1": "due in 10 min", "1.2.2": "overdue 10 min", "1.2.3": "due in 9 h 20 min"}
    for wrong in ({"due_stat_min": 0}, {"due_stat_min": 500}, {"page_size": 5}):
        with pytest.raises(ConfigError):
            ReadingListSettings(**wrong)


def test_reported_studies_come_newest_report_first(ward: Ward) -> None:
    for number in (1, 2, 3):
        ward.send(f"1.2.{number}", name=f"N{number}^A")
        at = datetime.fromtimestamp(NOW.timestamp() + (10 if number == 2 else number), UTC)
        ward.store.studies.mark_reported(f"1.2.{number}", at)
    shown = list_lines(ward.store, Wanted(is_reported=True), NOW).lines
    assert [line.patient_name for line in shown] == ["N2, A", "N3, A", "N1, A"]
    assert {line.due_words for line in shown} == {""}


def test_a_view_is_ones_own_and_keeps_no_search(ward: Ward) -> None:
    house = House(ward)
    house.add("ana")
    house.add("bo")
    ana, bo = house.signed_in("ana"), house.signed_in("bo")
    answer = ana.post("/views", data={"title": "My MR", "kind": "free", "modality": "MR", "text": "Okonkwo"})
    address = answer.headers["location"]
    assert address.startswith("/?view=")
    ward.send("1.2.1", name="Okonkwo^Adaeze", Modality="MR")
    ward.send("1.2.2", name="Rossi^Giulia")
    page = ana.get(address).text
    assert "Okonkwo, Adaeze" in page
    assert "Rossi" not in page
    assert "My MR" in page
    [view] = ward.store.saved_views.list_of("ana")
    assert view.filters == {"show": "waiting", "kind": "free", "modality": "MR"}
    assert bo.get(address).status_code == 404
    assert bo.post(f"/views/{view.id}/forget").status_code == 404
    assert "My MR" not in bo.get("/").text
    assert ana.post(f"/views/{view.id}/forget").status_code == 303
    assert ward.store.saved_views.list_of("ana") == []


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/", {"kind": "x"}),
        ("/", {"modality": "a'b"}),
        ("/", {"page": "0"}),
        ("/", {"text": "x" * 201}),
        ("/", {"text": "a\0b"}),
        ("/views", {"title": "  "}),
        ("/views", {"title": "a\nb"}),
    ],
)
def test_forms_that_make_no_sense_are_refused(client: TestClient, path: str, data: dict[str, str]) -> None:
    assert client.post(path, data=data, headers=FORM).status_code in (404, 422)


def test_who_may_not_know_names_finds_nobody_by_them(ward: Ward) -> None:
    house = House(ward)
    house.add("admin", Role.ADMINISTRATOR)
    key = ward.send("1.2.1", name="Okonkwo^Adaeze", PatientID="MRN-77", StudyDescription="CT for Okonkwo")
    client = house.signed_in("admin")
    for text in ("okonkwo", "mrn-77", "a1"):
        assert names(client, text=text) == [], text
    assert names(client, text=key[:6]) == [f"Study {key[:8]}"]


def test_searches_stay_among_ones_own_senders(ward: Ward) -> None:
    house = House(ward)
    house.add("ana", sources=("CT1",))
    ward.send("1.2.1", name="Okonkwo^Ours", source="CT1")
    ward.send("1.2.2", name="Okonkwo^Theirs", source="CT2")
    client = house.signed_in("ana")
    assert names(client, text="okonkwo") == ["Okonkwo, Ours"]
    listed = list_lines(ward.store, Wanted(sources=("CT1",)), NOW)
    assert listed.counts[Kind.ALL] == 1


def test_pages_are_turned_without_a_script(ward: Ward) -> None:
    for number in range(12):
        ward.send(f"1.2.{number}", name=f"N{number}^A", waiting=timedelta(hours=number + 1))
    app = create_web(
        ward.store, [make_model()], reading_list=ReadingListSettings(page_size=10), now=lambda: NOW
    )
    with TestClient(app, base_url=ORIGIN) as client:
        first = client.get("/").text
        assert "12 studies, page 1 of 2" in first
        assert 'name="page" value="2" id="page-after">' in first
        second = client.post("/", data={"page": "2"}, headers=FORM).text
        assert "N1, A" in second
        assert "N11, A" not in second
