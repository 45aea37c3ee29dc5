"""An administrator makes and revokes the keys of programs on a page."""

import re

import pytest
from fastapi.testclient import TestClient

from tests.identity.conftest import PASSWORD, House
from tests.web.conftest import ORIGIN, Ward
from wetread.errors import ConfigError
from wetread.identity import Role
from wetread.identity.tokens import read_sources


@pytest.fixture
def house(ward: Ward) -> House:
    one = House(ward)
    one.add("admin", Role.ADMINISTRATOR)
    return one


def change(client: TestClient, **form: str):
    return client.post("/admin/tokens", data={"password": PASSWORD, "deed": "make", **form})


def read_secret(text: str) -> str:
    [secret] = set(re.findall(r"wtr_[A-Za-z0-9_-]{43}", text))
    return secret


def ask(house: House, secret: str) -> int:
    client = TestClient(house.app, base_url=ORIGIN)
    return client.get("/api/v1/studies", headers={"Authorization": f"Bearer {secret}"}).status_code


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.LEAD, Role.DATA_SCIENTIST])
def test_only_an_administrator_comes_in(house: House, role: Role) -> None:
    house.add("anna", role)
    client = house.signed_in("anna")
    assert client.get("/admin/tokens").status_code == 403
    assert change(client, name="viewer").status_code == 403
    assert house.identity.tokens.table.list_all() == []


def test_a_token_is_shown_once_opens_what_it_may_and_is_revoked(house: House) -> None:
    admin = house.signed_in("admin")
    answer = change(admin, name="Viewer", role="service", sources="CT1, CT2", expires_days="30")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    secret = read_secret(answer.text)
    assert ask(house, secret) == 200
    page = admin.get("/admin/tokens").text
    assert "viewer" in page
    assert "CT1, CT2" in page
    assert "wtr_" not in page
    assert secret not in str(house.sentences())
    assert "Token viewer made, role service." in house.sentences()
    [row] = house.identity.tokens.table.list_all()
    assert (row.created_by, row.sources, row.role) == ("admin", ("CT1", "CT2"), "service")
    house.clock.pass_by(29 * 86400)
    assert ask(house, secret) == 200
    house.clock.pass_by(2 * 86400)
    assert ask(house, secret) == 401
    other = read_secret(change(house.signed_in("admin"), name="other").text)
    assert ask(house, other) == 200
    assert change(house.signed_in("admin"), deed="revoke", name="other").status_code == 303
    assert ask(house, other) == 401
    assert "Token other revoked." in house.sentences()
    states = dict(re.findall(r'row">(\w+)</th>.*?(in use|expired|revoked)', page_of(house)))
    assert states == {"viewer": "expired", "other": "revoked"}


def page_of(house: House) -> str:
    return house.signed_in("admin").get("/admin/tokens").text


@pytest.mark.parametrize("password", ["", "wrong"])
def test_nothing_is_made_or_revoked_without_the_password(house: House, password: str) -> None:
    house.identity.tokens.make("viewer", Role.SERVICE, house.clock(), by="test")
    admin = house.signed_in("admin")
    for form in ({"name": "mine", "role": "administrator"}, {"deed": "revoke", "name": "viewer"}):
        answer = change(admin, **form, password=password)
        assert answer.status_code == 401
        assert "wtr_" not in answer.text
    [row] = house.identity.tokens.table.list_all()
    assert (row.name, row.revoked_at) == ("viewer", None)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"name": "viewer"}, 409),
        ({"name": "gone"}, 409),
        ({"name": "two words"}, 409),
        ({"deed": "revoke", "name": "nobody"}, 409),
        ({"deed": "revoke", "name": "gone"}, 409),
        # What is typed into this field must never end as "all".
        ({"name": "new", "sources": ","}, 409),
        ({"name": "new", "sources": "A" * 17}, 409),
        ({"name": "new", "expires_days": "0"}, 404),
        ({"name": "new", "expires_days": "-1"}, 404),
        ({"name": "new", "role": "root"}, 404),
        ({"deed": "show", "name": "viewer"}, 404),
        ({"name": "a\0b"}, 404),
    ],
)
def test_what_must_not_be_is_refused(house: House, form: dict[str, str], status: int) -> None:
    for name in ("viewer", "gone"):
        house.identity.tokens.make(name, Role.SERVICE, house.clock(), by="test")
    house.identity.tokens.revoke("gone", house.clock(), by="test")
    answer = change(house.signed_in("admin"), **form)
    assert answer.status_code == status
    assert "wtr_" not in answer.text
    assert [one.name for one in house.identity.tokens.table.list_all()] == ["gone", "viewer"]


def test_an_open_service_and_other_pages_make_none(house: House, ward: Ward, client: TestClient) -> None:
    admin = house.signed_in("admin")
    admin.headers["Origin"] = "http://evil.example"
    assert change(admin, name="theirs").status_code == 403
    assert house.identity.tokens.table.list_all() == []


def test_open_doors_make_no_token(client: TestClient, ward: Ward) -> None:
    answer = client.post("/admin/tokens", data={"deed": "make", "name": "x"}, headers={"Origin": ORIGIN})
    assert answer.status_code == 409
    assert "an administrator with a password" in answer.text
    assert ward.store.tokens.list_all() == []


@pytest.mark.parametrize(
    ("text", "sources"), [("", None), ("  ", None), ("CT1", ("CT1",)), (" CT 1 ,, CT2,", ("CT 1", "CT2"))]
)
def test_senders_are_read_from_a_field(text: str, sources: tuple[str, ...] | None) -> None:
    assert read_sources(text) == sources


@pytest.mark.parametrize("text", [",", " , ,", "A" * 17])
def test_a_field_without_senders_does_not_mean_all(text: str) -> None:
    with pytest.raises(ConfigError):
        read_sources(text)
