"""Cookies and sessions: how one begins, how each ends."""

import re

import pytest
from fastapi.testclient import TestClient

from tests.identity.conftest import OTHER_PASSWORD, PASSWORD, House, attempt, code_at
from wetread.errors import SignInRefused
from wetread.identity import Role
from wetread.identity.sessions import digest
from wetread.web.login import safe_path

HTTPS = "https://127.0.0.1"


def test_the_cookie_is_for_us_alone(house: House) -> None:
    house.add("anna")
    for base, name in (("http://127.0.0.1", "wetread"), (HTTPS, "__Host-wetread")):
        answer = house.browser(base).post("/login", data={"name": "anna", "password": PASSWORD})
        cookie = answer.headers["set-cookie"]
        assert re.match(rf"{name}=[\w-]{{43}};", cookie)
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
        assert ("Secure" in cookie) is (base == HTTPS)
        assert "Max-Age" not in cookie, "it ends with the browser"
        assert "Domain" not in cookie


def test_https_is_for_good(house: House) -> None:
    assert house.browser(HTTPS).get("/login").headers["strict-transport-security"] == "max-age=31536000"
    assert "strict-transport-security" not in house.browser().get("/login").headers


def test_a_session_begins_with_the_sign_in_and_not_before(house: House) -> None:
    """Fixation: what somebody planted, or the session before, is worth nothing afterwards."""
    house.add("anna")
    house.add("eve")
    planted = house.signed_in("eve").cookies["wetread"]
    client = house.browser()
    client.cookies.set("wetread", planted, domain="127.0.0.1")
    client.post("/login", data={"name": "anna", "password": PASSWORD})
    fresh = client.cookies["wetread"]
    assert fresh != planted
    thief = house.browser()
    thief.cookies.set("wetread", planted)
    assert thief.get("/").status_code == 303
    again = house.browser()
    again.cookies.set("wetread", "a" * 43)
    again.post("/login", data={"name": "anna", "password": PASSWORD})
    thief.cookies.set("wetread", "a" * 43)
    assert thief.get("/").status_code == 303


def test_who_does_nothing_is_signed_out(house: House) -> None:
    house.add("anna")
    client = house.signed_in("anna")
    for _ in range(3):
        house.clock.pass_by(899)
        assert client.get("/").status_code == 200, "one who does something stays"
    house.clock.pass_by(900)
    assert client.get("/").status_code == 303
    assert client.get("/").status_code == 303


@pytest.mark.parametrize("path", ["/fragments/list", "/?show=waiting&auto=1"])
def test_an_open_page_keeps_nobody_signed_in_by_itself(house: House, path: str) -> None:
    house.add("anna")
    client = house.signed_in("anna")
    for _ in range(29):
        house.clock.pass_by(30)
        assert client.get(path).status_code == 200
    house.clock.pass_by(30)
    assert client.get(path).status_code in (303, 401)


def test_moving_the_mouse_is_doing_something(house: House) -> None:
    house.add("anna")
    client = house.signed_in("anna")
    for _ in range(4):
        house.clock.pass_by(600)
        assert client.get("/fragments/list", headers={"X-Wetread-Active": "1"}).status_code == 200


def test_no_session_is_longer_than_half_a_day(house: House) -> None:
    house.add("anna")
    client = house.signed_in("anna")
    for _ in range(71):
        house.clock.pass_by(600)
        assert client.get("/").status_code == 200
    house.clock.pass_by(600)
    assert client.get("/").status_code == 303


def test_sessions_that_are_over_do_not_pile_up(house: House) -> None:
    house.add("anna")
    digests = [house.identity.sessions.open(1, house.clock()) for _ in range(3)]
    house.clock.pass_by(901)
    house.signed_in("anna")
    assert [house.store.accounts.find_session(digest(one)) for one in digests] == [None] * 3


def test_signing_out_ends_the_session_and_not_only_the_cookie(house: House) -> None:
    house.add("anna")
    client = house.signed_in("anna")
    kept = client.cookies["wetread"]
    answer = client.post("/logout")
    assert answer.headers["location"].startswith("/login")
    assert "wetread" not in client.cookies
    client.cookies.set("wetread", kept)
    assert client.get("/").status_code == 303
    assert house.told[-1].subtype == "110123"


@pytest.mark.parametrize("change", ["disable", "reset-password", "reset-totp"])
def test_what_an_administrator_does_holds_at_once(house: House, change: str) -> None:
    house.add("anna")
    client = house.signed_in("anna")
    people, now = house.identity.people, house.clock()
    {
        "disable": lambda: people.set_active("anna", False, now, by="test"),
        "reset-password": lambda: people.reset_password("anna", OTHER_PASSWORD, now, by="test"),
        "reset-totp": lambda: people.reset_totp("anna", now, by="test"),
    }[change]()
    assert client.get("/").status_code == 303
    assert house.told[-1].subtype == "110137"


def test_another_role_holds_from_the_next_click(house: House) -> None:
    house.add("anna", Role.LEAD)
    key = house.ward.send("1.2.1")
    client = house.signed_in("anna")
    assert client.post(f"/studies/{key}/report").status_code == 303
    house.identity.people.set_role("anna", Role.DATA_SCIENTIST, house.clock(), by="test")
    assert client.post(f"/studies/{key}/reopen").status_code == 403


def test_a_password_that_was_given_must_be_changed_first(house: House) -> None:
    house.add("anna", must_change_password=True)
    client = house.signed_in("anna")
    assert client.get("/").headers["location"] == "/account"
    assert client.get("/api/v1/studies").status_code == 403
    page = client.get("/account")
    assert "before you go on" in page.text
    typed = {"password": PASSWORD, "new": OTHER_PASSWORD, "again": OTHER_PASSWORD + "x"}
    assert "not typed twice" in client.post("/account/password", data=typed).text
    old, typed["again"] = client.cookies["wetread"], OTHER_PASSWORD
    assert client.post("/account/password", data=typed).status_code == 303
    assert client.cookies["wetread"] != old
    assert client.get("/").status_code == 200


def test_a_second_factor_that_is_required_must_be_set_up_first(house: House) -> None:
    house.add("anna")
    client = house.signed_in("anna")
    house.identity.people.require_totp("anna", True, house.clock(), by="test")
    assert client.get("/").headers["location"] == "/account/totp"
    page = client.get("/account/totp").text
    secret = re.search(r'name="secret" value="([A-Z2-7]{32})"', page)[1]
    assert "<svg" in page
    typed = {"secret": secret, "new": "000000", "password": PASSWORD}
    assert client.post("/account/totp", data=typed).status_code == 401
    typed["new"] = code_at(secret, house.clock())
    assert client.post("/account/totp", data=typed | {"secret": "A" * 31}).status_code == 401
    assert client.post("/account/totp", data=typed | {"password": "wrong words here"}).status_code == 401
    assert client.post("/account/totp", data=typed).status_code == 303
    assert client.get("/").status_code == 200
    code = code_at(secret, house.clock())
    with pytest.raises(SignInRefused):
        house.identity.sign_in.judge(attempt(code=code), house.clock())
    house.clock.pass_by(30)
    house.identity.sign_in.judge(attempt(code=code_at(secret, house.clock())), house.clock())


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil", "javascript:alert(1)", "",
     "evil", "/\t/evil.example",
     "/a\r\nSet-Cookie: x=y", "///evil.example", "/login", "/logout", "/x\\..\\y"],
)  # fmt: skip
def test_nobody_is_sent_to_another_site(house: House, wanted: str) -> None:
    assert safe_path(wanted) == "/"
    house.add("anna")
    typed = {"name": "anna", "password": PASSWORD, "next": wanted}
    assert house.browser().post("/login", data=typed).headers["location"] == "/"


def test_one_lands_where_one_wanted_to_go(house: House) -> None:
    house.add("anna")
    key = house.ward.send("1.2.1")
    client: TestClient = house.browser()
    wanted = client.get(f"/studies/{key}").headers["location"]
    page = client.get(wanted).text
    path = re.search(r'name="next" value="([^"]*)"', page)[1]
    answer = client.post("/login", data={"name": "anna", "password": PASSWORD, "next": path})
    assert answer.headers["location"] == f"/studies/{key}"
    assert "Anna" not in page


def test_pages_say_who_is_signed_in(house: House) -> None:
    house.add("anna", display_name="Anna <Berg>")
    text = house.signed_in("anna").get("/").text
    assert "Anna &lt;Berg&gt;" in text
    assert "radiologist" in text
    assert "Sign out" in text
