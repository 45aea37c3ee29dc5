"""What is read in the shadow is seen on its own page, by who may, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from tests.domain.test_reading import make_reading
from tests.identity.conftest import Clock, House
from tests.promoted import make_live, make_shadow
from tests.stores import open_store
from tests.web.conftest import NOW, ORIGIN, Ward, make_model
from wetread.contract.shadow import ShadowComparison
from wetread.domain.lifecycle import ModelState
from wetread.domain.model import Model, ModelIdentity
from wetread.domain.problem import ProblemCode
from wetread.domain.reading import Priority, Triage
from wetread.domain.shadow import shorten
from wetread.domain.study import study_key
from wetread.identity import Role, make_identity
from wetread.registry.comparing import compare
from wetread.registry.lineup import Lineup
from wetread.store.audit_rows import AuditRows
from wetread.web import create_web

#: What only the version in the shadow says.
NONSENSE = "shadow nonsense"


def version(number: str) -> Model:
    identity = ModelIdentity(name="chest-ct", version=number, digest=number[0] * 64)
    return replace(make_model(), identity=identity, state="draft", folder="/models/chest")


LIVE, SHADOW = version("1.0.0"), version("2.0.0")
PAGE = "/models/chest-ct/2.0.0/shadow"


@dataclass
class Place:
    """Studies that were read by both; the versions differ about priority and findings."""

    ward: Ward
    house: House
    client: TestClient

    def read(self, number: int, source: str = "CT1") -> str:
        uid = f"1.2.{number}"
        self.ward.send(uid, source=source)
        live = self.ward.read(uid)
        store = self.ward.store
        store.shadows.plan(uid, 1, [(SHADOW.identity, self.period)], NOW)
        row = store.shadows.find(uid, 1, SHADOW.identity.digest)
        assert row is not None
        finding = replace(make_reading().findings[0], label=NONSENSE)
        reading = replace(
            make_reading(),
            study_instance_uid=uid,
            model=SHADOW.identity,
            triage=Triage(priority=Priority.STAT, score=1.0, reasons=(NONSENSE,)),
            findings=(finding,) * 7,
        )
        beside = shorten(replace(store.readings.load(live.digest), model=LIVE.identity), 3.0)
        store.shadows.save(row, reading, shorten(reading, 2.0), beside, NOW)
        return uid

    @property
    def period(self) -> int:
        return self.ward.store.model_states.list_all()[-1].id


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    ward = Ward(open_store(tmp_path / "data"))
    make_live(ward.store, LIVE)
    make_shadow(ward.store, SHADOW)
    house = House(ward)
    identity = make_identity(ward.store, Clock(), record=ward.store.audit.record)
    house.app = create_web(ward.store, [LIVE, SHADOW], identity=identity, poll_s=0, now=lambda: NOW)
    with TestClient(house.app, base_url=ORIGIN, follow_redirects=False) as client:
        yield Place(ward, house, client)
    ward.store.close()


def test_the_page_compares_and_leads_to_what_differs(place: Place) -> None:
    uids = [place.read(number) for number in (1, 2, 3)]
    page = place.client.get(PAGE)
    assert page.status_code == 200
    for told in ("Compared with chest-ct 1.0.0", "3 studies, 0 wait", "100.0 % (43.9 to 100.0), n 3"):
        assert told in page.text, told
    for uid in uids:
        assert f'<a href="/studies/{study_key(uid)}">' in page.text
    assert "PID" not in page.text
    assert "Doe" not in page.text
    assert f'href="{PAGE}"' in place.client.get("/models/chest-ct").text
    assert f'href="{PAGE}"' in place.client.get("/models").text
    assert place.client.get("/models/chest-ct/9.9.9/shadow").status_code == 404


def test_it_can_be_promoted_from_there(place: Place) -> None:
    page = place.client.get(PAGE).text
    assert 'action="/models/chest-ct/state"' in page
    form = {"version": "2.0.0", "to": "validated", "why": "It finds too much."}
    answer = place.client.post("/models/chest-ct/state", data=form, headers={"Origin": ORIGIN})
    assert answer.status_code == 303
    assert 'action="/models/chest-ct/state"' not in place.client.get(PAGE).text
    assert f'href="{PAGE}"' in place.client.get("/models/chest-ct").text, "what it read stays known"


def test_no_page_list_answer_or_object_of_a_study_shows_it(place: Place) -> None:
    uid, empty = place.read(1), place.client
    key = study_key(uid)
    # The live version found less, and no hurry.
    pages = (
        *("/", "/?show=reported", "/fragments/list", f"/studies/{key}", f"/fragments/studies/{key}"),
        *("/deliveries", "/api/v1/reading-list", "/api/v1/studies", f"/api/v1/studies/{key}"),
        *(f"/api/v1/studies/{key}/explanation", "/api/v1/readings", "/api/v1/readings/1"),
        *("/api/v1/deliveries", "/dicom-web/studies", f"/dicom-web/studies/{uid}/series"),
        *(f"/dicom-web/studies/{uid}/metadata", f"/dicom-web/studies/{uid}/instances"),
    )
    for path in pages:
        answer = empty.get(path)
        assert answer.status_code in (200, 204), (path, answer.status_code)
        assert NONSENSE not in answer.text, path
        assert "2.0.0" not in answer.text, path
    [line] = place.client.get("/api/v1/reading-list").json()["items"]
    assert line["priority"] == "routine"
    assert len(place.client.get("/api/v1/readings").json()["items"]) == 1
    assert place.client.get("/api/v1/readings/2").status_code == 404


def test_a_version_that_is_out_of_service_in_the_shadow_worries_no_reading_list(place: Place) -> None:
    for number in range(3):
        with place.ward.store.engine.begin() as connection:
            failure = (f"{number:016x}", ProblemCode.MODEL_CRASHED.value)
            place.ward.store.model_states.note_failure_in(
                connection, SHADOW.identity, ModelState.SHADOW, failure, NOW, 3
            )
    assert "out of service" not in place.client.get("/").text
    assert "shadow, out of service" in place.client.get("/models").text


def test_the_api_says_the_same_and_the_trail_who_looked(place: Place) -> None:
    uid = place.read(1)
    answer = place.client.get(f"/api/v1{PAGE}")
    told: dict[str, Any] = answer.json()
    store = place.ward.store
    same = compare(store, Lineup([LIVE, SHADOW], store.model_states), "chest-ct", "2.0.0")
    assert TypeAdapter(ShadowComparison).validate_json(answer.content) == same, "what the client reads"
    assert (told["series"], told["live"]["version"], told["shadow"]["version"]) == (1, "1.0.0", "2.0.0")
    [case] = told["priorities"]["cases"]
    assert (case["study_instance_uid"], case["live"], case["shadow"]) == (uid, "routine", "stat")
    assert "PID" not in str(told)
    assert "Doe" not in str(told)
    place.client.get(PAGE)
    messages = [row.message for row in AuditRows(place.ward.store.engine).list_last(10)]
    assert sum("Opened: chest-ct 2.0.0 in the shadow." in one for one in messages) == 2


def test_who_may_not_see_a_study_is_told_the_numbers_only(place: Place) -> None:
    theirs, other = place.read(1, source="CT1"), place.read(2, source="CT2")
    place.house.add("lead", Role.LEAD)
    place.house.add("north", Role.RADIOLOGIST, sources=("CT1",))
    place.house.add("science", Role.DATA_SCIENTIST)
    for name, sees, knows in (("lead", {theirs, other}, True), ("north", {theirs}, True)):
        client = place.house.signed_in(name)
        told = client.get(f"/api/v1{PAGE}").json()["priorities"]
        assert told["differing"] == 2
        assert {case["study_instance_uid"] for case in told["cases"]} == sees, (name, knows)
        assert (study_key(other) in client.get(PAGE).text) is (other in sees)
    told = place.house.signed_in("science").get(f"/api/v1{PAGE}").json()["priorities"]["cases"]
    assert {(one["study_instance_uid"], one["series_instance_uid"]) for one in told} == {("", "")}
    assert 'action="/models' not in place.house.signed_in("science").get(PAGE).text
    assert place.house.browser().get(PAGE).status_code in (303, 401)
