"""The page of rules says what is in force, and what changed ones would do; it changes nothing."""

from __future__ import annotations

import html
import re

import pytest
from fastapi.testclient import TestClient

from tests.identity.conftest import House
from tests.web.conftest import EVIL, ORIGIN, Ward, make_model
from wetread.identity import Role
from wetread.match import parse_rules
from wetread.web import create_web

NOW = [{"name": "CT <b>", "models": ["chest-ct"], "level": "series", "modality": "CT"}]
THEN = """
[[rules]]
name = "emergency"
models = ["chest-ct", "nobody-s"]
modality = "CT"
urgency = "stat"
"""


@pytest.fixture
def client(ward: Ward) -> TestClient:
    app = create_web(ward.store, [make_model()], rules=parse_rules(NOW), poll_s=0)
    return TestClient(app, base_url=ORIGIN, headers={"Origin": ORIGIN}, follow_redirects=False)


def test_it_says_what_is_in_force_in_words(client: TestClient) -> None:
    text = client.get("/rules").text
    assert "CT &lt;b&gt;" in text
    assert "Modality must be CT" in text
    assert "each series" in text


def test_changed_rules_are_tried_on_past_studies_and_nothing_changes(ward: Ward, client: TestClient) -> None:
    key = ward.send("1.2.1")
    ward.send("1.2.2", Modality="MR")
    before = [row.urgency for row in ward.store.studies.list_newest()]
    answer = client.post("/rules/try", data={"text": THEN})
    assert answer.status_code == 200
    found = answer.text[answer.text.index('id="found"') :]
    assert f'href="/studies/{key}"' in found
    assert "other-urgency" in found
    assert "stat" in found
    assert "Nobody has registered nobody-s." in found
    assert "<dt>unchanged</dt><dd>1</dd>" in found
    assert [row.urgency for row in ward.store.studies.list_newest()] == before
    later = client.post("/rules/try", data={"text": THEN, "since": "2027-01-01"}).text
    assert "<dt>another urgency</dt><dd>0</dd>" in later


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no [[rules]]"),
        ("[[rules]", "not TOML"),
        (THEN.replace("urgency", "urgencies"), "urgency"),
        (f'[[rules]]\nname = "{EVIL}"\nmodel = ["x"]', "models"),
    ],
)
def test_what_is_no_rule_is_named_and_comes_back(client: TestClient, text: str, why: str) -> None:
    answer = client.post("/rules/try", data={"text": text})
    assert answer.status_code == 409
    assert why in answer.text
    assert EVIL not in answer.text
    [shown] = re.findall(r"<textarea[^>]*>([^<]*)</textarea>", answer.text)
    assert html.unescape(shown).strip() == text.strip()


def test_one_trial_at_a_time(client: TestClient) -> None:
    with client.app.state.site.trial_turn:
        # The page and the API take turns.
        assert client.post("/api/v1/rules/replay", json={"rules": NOW}).status_code == 429
        assert client.post("/rules/try", data={"text": THEN}).status_code == 429
    assert client.post("/rules/try", data={"text": THEN}).status_code == 200


def test_who_may_not_see_names_tries_none(ward: Ward) -> None:
    house = House(ward)
    house.add("admin", Role.ADMINISTRATOR)
    house.add("lea", Role.LEAD)
    admin, lead = house.signed_in("admin"), house.signed_in("lea")
    assert "Try changed rules" not in admin.get("/rules").text
    assert admin.post("/rules/try", data={"text": THEN}).status_code == 403
    assert "Try changed rules" in lead.get("/rules").text
    assert lead.post("/rules/try", data={"text": THEN}).status_code == 200
