"""The first administrator is made with the code that the service printed, once, and by nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.identity.conftest import PASSWORD
from tests.stores import open_store
from tests.web.conftest import NOW, ORIGIN
from wetread.identity import Role, make_identity
from wetread.identity.first_run import FirstRun, make_code
from wetread.web import create_web

FORM = {"Origin": ORIGIN}


def make_place(store, *, is_exposed: bool, told: list) -> tuple[FirstRun, TestClient]:
    identity = make_identity(store, lambda: NOW, record=told.append, is_exposed=is_exposed)
    first_run = FirstRun(identity)
    app = create_web(store, (), identity=identity, first_run=first_run, now=lambda: NOW)
    return first_run, TestClient(app, base_url=ORIGIN, follow_redirects=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator:
    one = open_store(tmp_path / "data")
    yield one
    one.close()


def form(code: str, **changes: str) -> dict[str, str]:
    return {"code": code, "name": "Anna", "password": PASSWORD, "again": PASSWORD, **changes}


def test_an_exposed_service_without_accounts_is_closed_but_for_this_page(store) -> None:
    first_run, client = make_place(store, is_exposed=True, told=[])
    assert client.get("/").headers["location"].startswith("/login")
    assert client.get("/login").headers["location"] == "/first-run"
    assert client.get("/api/v1/studies").status_code == 401
    page = client.get("/first-run")
    assert page.status_code == 200
    assert first_run.code not in page.text
    assert client.get("/").status_code == 303


@pytest.mark.parametrize("is_exposed", [True, False])
def test_the_code_makes_an_administrator_who_is_signed_in_and_the_page_is_gone(
    store, is_exposed: bool
) -> None:
    told: list = []
    first_run, client = make_place(store, is_exposed=is_exposed, told=told)
    typed = first_run.code.lower().replace("-", " ")
    answer = client.post("/first-run", data=form(typed), headers=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    [row] = store.accounts.list_all()
    assert (row.name, row.role, row.must_change_password) == ("anna", Role.ADMINISTRATOR.value, False)
    assert client.get("/account").status_code == 200
    assert "anna" in client.get("/account").text
    assert client.get("/first-run").status_code == 404
    assert client.post("/first-run", data=form(first_run.code, name="eve"), headers=FORM).status_code == 404
    assert "Account anna added, role administrator." in [one.description for one in told]
    stranger = TestClient(client.app, base_url=ORIGIN, follow_redirects=False)
    assert stranger.get("/").status_code == 303
    assert stranger.get("/login").status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"code": ""},
        {"code": "AAAAA-AAAAA-AAAAA-AAAAA"},
        {"again": "something else entirely"},
        {"password": "short", "again": "short"},
        {"password": "password1234", "again": "password1234"},
        {"name": "two words"},
        {"name": ""},
    ],
)
def test_what_is_wrong_makes_nobody(store, changes: dict[str, str]) -> None:
    first_run, client = make_place(store, is_exposed=True, told=[])
    answer = client.post("/first-run", data=form(first_run.code) | changes, headers=FORM)
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert store.accounts.list_all() == []


def test_guessing_is_slowed_down_and_told(store) -> None:
    told: list = []
    first_run, client = make_place(store, is_exposed=True, told=told)
    statuses = [
        client.post("/first-run", data=form(make_code()), headers=FORM).status_code for _ in range(31)
    ]
    assert statuses == [401] * 30 + [429]
    # Though it is the right one.
    assert client.post("/first-run", data=form(first_run.code), headers=FORM).status_code == 429
    assert "The code of the first run was wrong." in [one.description for one in told]


def test_two_at_once_make_one(store) -> None:
    first_run, client = make_place(store, is_exposed=True, told=[])

    def make(name: str) -> int:
        return client.post("/first-run", data=form(first_run.code, name=name), headers=FORM).status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(make, ("a1", "b2", "c3", "d4")))
    assert statuses.count(303) == 1
    assert len(store.accounts.list_all()) == 1


def test_another_site_cannot_send_the_form(store) -> None:
    first_run, client = make_place(store, is_exposed=True, told=[])
    answer = client.post("/first-run", data=form(first_run.code), headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert store.accounts.list_all() == []


def test_a_code_is_long_and_each_start_has_its_own() -> None:
    codes = {make_code() for _ in range(50)}
    assert len(codes) == 50
    assert all(re.fullmatch(r"([A-HJ-NP-Z2-9]{5}-){3}[A-HJ-NP-Z2-9]{5}", one) for one in codes)


def test_without_a_code_there_is_no_page(store) -> None:
    client = TestClient(create_web(store, ()), base_url=ORIGIN)
    assert client.get("/first-run").status_code == 404
