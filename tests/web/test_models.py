"""The pages of models: how each version stands and why, and the buttons that decide."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.identity.conftest import House
from tests.promoted import make_live
from tests.stores import open_store
from tests.web.conftest import NOW, ORIGIN, Ward, make_model
from wetread.domain.lifecycle import ModelState
from wetread.domain.model import Model, ModelIdentity
from wetread.domain.problem import ProblemCode
from wetread.identity import Role
from wetread.store import Store
from wetread.web import create_web

FORM = {"Origin": ORIGIN}


def version(number: str) -> Model:
    identity = ModelIdentity(name="nodules", version=number, digest=number[0] * 64)
    return replace(make_model(), identity=identity, state="draft", folder="/models/nodules")


OLD, NEW = version("1.0.0"), version("2.0.0")


@dataclass
class Place:
    store: Store
    client: TestClient

    def post(self, path: str, **form: str) -> int:
        return self.client.post(path, data=form, headers=FORM).status_code

    def live(self) -> list[str]:
        return [row.version for row in self.newest() if row.state is ModelState.LIVE]

    def newest(self):
        return {row.digest: row for row in self.store.model_states.list_all()}.values()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    store = open_store(tmp_path / "data")
    make_live(store, OLD, NEW)
    app = create_web(store, [OLD, NEW, make_model()], now=lambda: NOW)
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        yield Place(store, client)
    store.close()


def fail(store: Store, model: Model, studies: int = 3) -> None:
    for number in range(studies):
        with store.engine.begin() as connection:
            failure = (f"{number:016x}", ProblemCode.MODEL_CRASHED.value)
            store.model_states.note_failure_in(
                connection, model.identity, ModelState.LIVE, failure, NOW, studies
            )


def test_each_version_is_shown_with_its_state_and_who_said_so_why(place: Place) -> None:
    text = place.client.get("/models").text
    assert text.count("as packaged") == 1
    assert "A test reads with it." in text
    page = place.client.get("/models/nodules").text
    for told in ("1.0.0", "2.0.0", "validated", "live", "replaced: validated", "Not for clinical use"):
        assert told in page
    assert "/models/nodules" not in page.partition("<main")[0]
    assert "nodules/roll-back" in page
    assert "/models/nodules/" not in place.client.get("/models/chest-ct").text
    assert place.client.get("/models/nobody").status_code == 404
    assert "/models/secret" not in text + page


def test_a_roll_back_is_one_button_and_asks_why(place: Place) -> None:
    assert place.post("/models/nodules/roll-back") == 409
    assert place.live() == ["2.0.0"]
    assert place.post("/models/nodules/roll-back", why="It sees nothing.") == 303
    assert place.live() == ["1.0.0"]
    page = place.client.get("/models/nodules").text
    assert "rolled back: live" in page
    assert "It sees nothing." in page
    answer = place.client.post("/models/nodules/roll-back", data={"why": "Again."}, headers=FORM)
    assert answer.status_code == 409
    assert "No version of it was live before" in answer.text


def test_a_step_is_taken_where_it_may_be(place: Place) -> None:
    assert place.post("/models/nodules/state", to="draft", why="Why not.", version="2.0.0") == 409
    assert place.post("/models/nodules/state", to="nonsense", why="Why not.") == 404
    assert place.post("/models/nodules/state", to="retired", why="It harms.", version="2.0.0") == 303
    assert place.live() == []
    assert place.post("/models/nodules/state", to="validated", why="Back.", version="2.0.0") == 409


def test_what_a_page_of_another_site_sends_changes_nothing(place: Place) -> None:
    for headers in ({}, {"Origin": "https://evil.example"}):
        form = {"why": "Evil plans."}
        assert place.client.post("/models/nodules/roll-back", data=form, headers=headers).status_code == 403
    assert place.live() == ["2.0.0"]


def test_out_of_service_is_seen_from_the_reading_list_until_it_is_restored(place: Place) -> None:
    assert "out of service" not in place.client.get("/").text
    fail(place.store, NEW)
    reason = "nodules 2.0.0 is out of service since"
    for path in ("/", "/models", "/models/nodules"):
        assert reason in place.client.get(path).text, path
    [line] = [
        one
        for one in place.client.get("/api/v1/models").json()["items"]
        if (one["name"], one["version"]) == ("nodules", "2.0.0")
    ]
    assert (line["state"], line["in_service"], line["by"]) == ("live", False, "wetread")
    assert "3 studies in a row (model-crashed)" in line["withheld"]
    assert place.post("/models/nodules/restore", why="Memory was added.", version="2.0.0") == 303
    assert reason not in place.client.get("/").text
    assert place.post("/models/nodules/restore", why="Once more.", version="2.0.0") == 409


def test_who_may_not_decide_sees_no_button(ward: Ward) -> None:
    house = House(ward)
    for role, sees in ((Role.RADIOLOGIST, False), (Role.ADMINISTRATOR, True), (Role.LEAD, True)):
        house.add(role.value, role)
        text = house.signed_in(role.value).get("/models/chest-ct").text
        assert ('<form method="post" action="/models/' in text) is sees, role


def test_the_api_decides_and_tells_why_not(place: Place) -> None:
    post = place.client.post
    answer = post("/api/v1/models/nodules/roll-back", json={"why": "It sees nothing."})
    assert answer.status_code == 200
    assert answer.json()["history"][0]["cause"] == "rolled back"
    refused = post("/api/v1/models/nodules/state", json={"why": "Now.", "to": "live", "version": "2.0.0"})
    assert (refused.status_code, refused.json()["code"]) == (409, "state-refused")
    assert "From validated" in refused.json()["message"]
    assert post("/api/v1/models/nobody/roll-back", json={"why": "Why not."}).status_code == 404
    assert post("/api/v1/models/nodules/roll-back", json={"why": "  "}).status_code == 422
