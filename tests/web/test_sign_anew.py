"""Who signs in by OpenID Connect signs by it: asked anew, exactly the text that was shown, once."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient

from tests.identity.conftest import Clock, House
from tests.identity.provider import CLIENT_SECRET, NODE, NPM, Liar, running_liar, running_provider
from tests.identity.test_oidc import ACCOUNTS, ROLES, visit_provider
from tests.stores import open_store
from tests.web.conftest import ORIGIN, Ward, make_model
from tests.web.test_report import OLD_RIS, PACS, RIS, UID, send
from wetread.domain.report import ReportState, Section
from wetread.identity.settings import OidcSettings
from wetread.steps.signing import Signing
from wetread.web import create_web

needs_node = pytest.mark.skipif(not (NODE and NPM), reason="Node is not installed: apt install nodejs npm.")


class Desk:
    """A reader whom a provider let in, at the study page."""

    def __init__(self, issuer: str, folder: Path) -> None:
        secret = folder / "secret"
        secret.write_text(CLIENT_SECRET)
        secret.chmod(0o600)
        settings = OidcSettings(
            issuer=issuer, client_id="wetread", secret_file=secret, roles=ROLES, timeout_s=5, title="Hospital"
        )
        self.house = House(Ward(open_store(folder / "data")), clock=Clock(datetime.now(UTC)), oidc=settings)
        self.store = self.house.store
        self.key = send(self.house.ward)
        self.house.ward.read(UID)
        signing = Signing(store=self.store, destinations={one.name: one for one in (PACS, RIS, OLD_RIS)})
        self.app = create_web(
            self.store,
            [make_model()],
            identity=self.house.identity,
            signing=signing,
            poll_s=0,
            now=self.house.clock,
        )
        self.client = self.browser()

    def browser(self) -> TestClient:
        client = TestClient(self.app, base_url=ORIGIN, follow_redirects=False)
        client.headers["Origin"] = ORIGIN
        return client

    def begin(self, client: TestClient | None = None, **form: object) -> httpx.Response:
        whole = {"seen": self.seen, "revision": 1, "findings": "Scar.", "impression": "Normal.", **form}
        return (client or self.client).post(f"/studies/{self.key}/sign-anew", data=whole)

    @property
    def page(self) -> str:
        return self.client.get(f"/studies/{self.key}").text

    @property
    def versions(self):
        return self.store.reports.list_for_study(UID)

    @property
    def seen(self) -> int:
        return self.versions[-1].id if self.versions else 0

    @property
    def signed(self):
        return [one for one in self.versions if one.is_signed]


def address(answer: httpx.Response) -> str:
    """Return where a page sends the browser."""
    assert answer.status_code == 200, answer.text
    wait, _, url = answer.headers["refresh"].partition("; url=")
    assert wait == "0"
    [link] = re.findall(r'id="provider" href="([^"]*)"', answer.text)
    assert unescape(link) == url, "for who stops refreshes"
    return url


@pytest.fixture(scope="module")
def certified() -> Iterator[str]:
    with running_provider(f"{ORIGIN}/login/callback", ACCOUNTS) as issuer:
        yield issuer


@pytest.fixture
def liar() -> Iterator[Liar]:
    with running_liar() as one:
        yield one


@pytest.fixture
def at_provider(certified: str, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(certified, tmp_path)
    gone = desk.client.get("/login/provider").headers["location"]
    assert desk.client.get(visit_provider(gone, "anna")).status_code == 303
    yield desk
    desk.store.close()


@pytest.fixture
def at_liar(liar: Liar, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(liar.issuer, tmp_path)
    come_back(desk, liar, desk.client.get("/login/provider").headers["location"])
    assert "Reading list" in desk.client.get("/").text
    yield desk
    desk.store.close()


def come_back(desk: Desk, liar: Liar, url: str, client: TestClient | None = None) -> httpx.Response:
    query = parse_qs(urlsplit(url).query)
    liar.nonce = query["nonce"][0]
    return (client or desk.client).get(f"/login/callback?code=c1&state={query['state'][0]}")


def anew(claims: dict) -> dict:
    """Tell the truth: they signed in just now."""
    return claims | {"auth_time": claims["iat"]}


@needs_node
def test_a_real_provider_asks_anew_and_the_report_is_signed(at_provider: Desk) -> None:
    desk = at_provider
    page = desk.page
    assert "Hospital asks you to sign in again" in page
    assert 'type="password"' not in page
    url = address(desk.begin())
    query = parse_qs(urlsplit(url).query)
    assert (query["prompt"], query["max_age"]) == (["login"], ["0"])
    assert (query["code_challenge_method"], query["response_type"]) == (["S256"], ["code"])
    assert not desk.signed
    back = desk.client.get(visit_provider(url, "anna"))
    assert (back.status_code, back.headers["location"]) == (303, f"/studies/{desk.key}")
    (report,) = desk.signed
    assert (report.state, report.who, report.signed_by) == (ReportState.FINAL, "anna", "Anna Berg")
    assert report.sections == {Section.FINDINGS: "Scar.", Section.IMPRESSION: "Normal."}
    assert desk.store.studies.find(UID).reported_at is not None
    kinds = {one.id: one.kind.value for one in desk.store.readings.list_signed(UID)}
    sent = {(one.destination, kinds[one.document_id]) for one in desk.store.deliveries.list_for_study(UID)}
    assert sent == {("archive", "report"), ("archive", "report-pdf"), ("ris", "result")}
    assert "signed by Anna Berg" in desk.page


@needs_node
def test_who_is_still_signed_in_there_is_asked_all_the_same(at_provider: Desk, certified: str) -> None:
    """The browser has a session at the provider: it must not answer for its owner."""
    desk = at_provider

    def visit(browser: httpx.Client, url: str) -> tuple[str, list[str]]:
        seen = []
        while not url.startswith(f"{ORIGIN}/login/callback"):
            answer = browser.get(url)
            seen.append(urlsplit(url).path)
            url = str(httpx.URL(url).join(answer.headers["location"]))
        return url, seen

    with httpx.Client() as browser:
        gone = desk.browser().get("/login/provider").headers["location"]
        visit(browser, f"{gone}&login_hint=anna")
        again = desk.browser().get("/login/provider").headers["location"]
        _, silent = visit(browser, f"{again}&login_hint=anna")
        back, asked = visit(browser, f"{address(desk.begin())}&login_hint=anna")
    assert not [one for one in silent if one.startswith("/interaction/")]
    assert [one for one in asked if one.startswith("/interaction/")]
    assert desk.client.get(back).headers["location"] == f"/studies/{desk.key}"
    assert len(desk.signed) == 1


@needs_node
def test_an_addendum_is_signed_the_same_way_and_kept_on_the_way(at_provider: Desk) -> None:
    desk = at_provider
    desk.client.get(visit_provider(address(desk.begin()), "anna"))
    url = address(desk.begin(addendum="Seen with the prior.", impression="Ignored."))
    assert "Seen with the prior." in desk.page
    assert desk.versions[-1].sections == {Section.ADDENDUM: "Seen with the prior."}
    assert desk.client.get(visit_provider(url, "anna")).headers["location"] == f"/studies/{desk.key}"
    first, second = desk.signed
    assert (first.state, second.state) == (ReportState.FINAL, ReportState.ADDENDUM)
    assert second.sections == {Section.ADDENDUM: "Seen with the prior."}


@needs_node
def test_somebody_else_at_the_provider_signs_nothing(at_provider: Desk) -> None:
    desk = at_provider
    other = desk.browser()
    other.get(visit_provider(other.get("/login/provider").headers["location"], "lea"))
    back = desk.client.get(visit_provider(address(desk.begin()), "lea"))
    assert back.headers["location"] == f"/studies/{desk.key}?unsigned=person"
    assert "somebody else" in desk.client.get(back.headers["location"]).text
    assert not desk.signed
    assert "somebody else" in desk.house.sentences()[-1]


@needs_node
def test_who_says_no_there_signs_nothing_and_keeps_the_text(at_provider: Desk) -> None:
    desk = at_provider
    back = desk.client.get(visit_provider(address(desk.begin(impression="My own words.")), "refuse"))
    assert back.headers["location"] == f"/studies/{desk.key}?unsigned=provider"
    page = desk.client.get(back.headers["location"]).text
    assert "Nothing was signed" in page
    assert "My own words." in page
    assert not desk.signed


@needs_node
def test_an_answer_signs_once(at_provider: Desk) -> None:
    desk = at_provider
    cookies = None
    url = address(desk.begin())
    cookies = dict(desk.client.cookies)
    back = visit_provider(url, "anna")
    assert desk.client.get(back).headers["location"] == f"/studies/{desk.key}"
    copy = desk.browser()
    copy.cookies.update(cookies)
    assert copy.get(back).headers["location"] == f"/studies/{desk.key}?unsigned=provider"
    assert len(desk.signed) == 1


def sign(desk: Desk, liar: Liar, **form: object) -> str:
    return come_back(desk, liar, address(desk.begin(**form))).headers["location"].partition("?")[2]


LIES: dict[str, tuple[Callable[[dict], dict], str]] = {
    "no auth_time": (lambda claims: claims, "unsigned=provider"),
    "signed in an hour ago": (lambda c: c | {"auth_time": c["iat"] - 3600}, "unsigned=provider"),
    "signed in a minute before": (lambda c: c | {"auth_time": c["iat"] - 60}, "unsigned=provider"),
    "an auth_time to come": (lambda c: c | {"auth_time": c["iat"] + 60}, "unsigned=provider"),
    "an auth_time that is no time": (lambda c: c | {"auth_time": "now"}, "unsigned=provider"),
    "an auth_time that is true": (lambda c: c | {"auth_time": True}, "unsigned=provider"),
    "another nonce": (lambda c: anew(c) | {"nonce": "x"}, "unsigned=provider"),
    "another audience": (lambda c: anew(c) | {"aud": "other"}, "unsigned=provider"),
    "another person": (lambda c: anew(c) | {"sub": "u2"}, "unsigned=person"),
    "no role any more": (lambda c: anew(c) | {"groups": []}, "unsigned=provider"),
}


@pytest.mark.parametrize("what", sorted(LIES))
def test_a_token_that_does_not_fit_signs_nothing(at_liar: Desk, liar: Liar, what: str) -> None:
    liar.lie, expected = LIES[what]
    assert sign(at_liar, liar, impression="My own words.") == expected
    assert not at_liar.signed
    assert "My own words." in at_liar.page
    liar.lie = anew
    assert sign(at_liar, liar) == ""
    assert len(at_liar.signed) == 1


def test_a_forged_token_signs_nothing(at_liar: Desk, liar: Liar) -> None:
    liar.lie = lambda claims: liar.sign(anew(claims))[:-8] + "AAAAAAAA"
    assert sign(at_liar, liar) == "unsigned=provider"
    assert not at_liar.signed


def test_a_role_that_reports_no_more_signs_nothing(at_liar: Desk, liar: Liar) -> None:
    desk = at_liar
    settings = desk.house.identity.oidc.settings
    url = address(desk.begin())
    roles = (replace(ROLES[1], role=type(ROLES[1].role)("administrator")),)
    desk.house.identity.oidc.settings = replace(settings, roles=roles)
    liar.lie = anew
    assert come_back(desk, liar, url).headers["location"].endswith("?unsigned=person")
    assert not desk.signed


def test_a_draft_that_changed_in_between_is_not_signed(at_liar: Desk, liar: Liar) -> None:
    desk, liar.lie = at_liar, anew
    url = address(desk.begin())
    form = {"seen": desk.seen, "revision": 1, "impression": "Another tab."}
    assert desk.client.post(f"/studies/{desk.key}/draft", data=form).status_code == 303
    back = come_back(desk, liar, url)
    assert back.headers["location"].endswith("?unsigned=changed")
    page = desk.client.get(back.headers["location"]).text
    assert "another version of this report" in page
    assert "Another tab." in page
    assert not desk.signed


def test_of_two_that_began_the_later_counts(at_liar: Desk, liar: Liar) -> None:
    """The first tab's answer belongs to a text that is not the newest any more."""
    desk, liar.lie = at_liar, anew
    first = address(desk.begin(impression="First."))
    first_cookie = dict(desk.client.cookies)
    second = address(desk.begin(impression="Second."))
    other = desk.browser()
    other.cookies.update(first_cookie)
    assert come_back(desk, liar, first, other).headers["location"].endswith("?unsigned=changed")
    assert come_back(desk, liar, second).headers["location"] == f"/studies/{desk.key}"
    assert [one.sections[Section.IMPRESSION] for one in desk.signed] == ["Second."]


def test_images_that_came_meanwhile_are_looked_at_first(at_liar: Desk, liar: Liar) -> None:
    desk, liar.lie = at_liar, anew
    url = address(desk.begin())
    send(desk.house.ward, 2)
    assert come_back(desk, liar, url).headers["location"].endswith("?unsigned=study")
    assert not desk.signed


def test_a_page_that_is_behind_begins_nothing(at_liar: Desk, liar: Liar) -> None:
    desk = at_liar
    address(desk.begin(impression="First."))
    for form, why in (
        ({"seen": 0}, "another version"),
        ({"impression": " "}, "impression is empty"),
    ):
        answer = desk.begin(findings="My own words.", **form)
        assert answer.status_code == 409
        assert why in answer.text
        assert "My own words." in answer.text
    assert len(desk.versions) == 1


def test_who_takes_too_long_signs_nothing(at_liar: Desk, liar: Liar, monkeypatch) -> None:
    desk, liar.lie = at_liar, anew
    url = address(desk.begin())
    real = time.monotonic
    with monkeypatch.context() as patch:
        patch.setattr("wetread.identity.oidc.time.monotonic", lambda: real() + 301)
        assert come_back(desk, liar, url).headers["location"].endswith("?unsigned=provider")
    assert not desk.signed


def test_a_clock_that_is_set_changes_nothing(at_liar: Desk, liar: Liar, monkeypatch) -> None:
    """How old their sign-in is, is told by the provider's clock and ours that nobody sets."""
    desk = at_liar
    liar.lie = lambda claims: claims | {"iat": claims["iat"] - 50, "auth_time": claims["iat"] - 50}
    assert sign(desk, liar) == ""


def test_another_browser_and_another_sign_in_do_not_count(at_liar: Desk, liar: Liar) -> None:
    desk, liar.lie = at_liar, anew
    url = address(desk.begin())
    stranger = desk.browser()
    assert come_back(desk, liar, url, stranger).headers["location"] == "/"
    # A sign-in's answer is none for a signature, nor the other way round.
    login = desk.client.get("/login/provider").headers["location"]
    query = parse_qs(urlsplit(login).query)
    liar.nonce = query["nonce"][0]
    forged = desk.client.get(f"/login/callback?code=c1&state=anew.{query['state'][0]}")
    assert forged.headers["location"].endswith("?unsigned=provider")
    assert not desk.signed


def test_who_was_signed_out_meanwhile_signs_in_and_finds_the_draft(at_liar: Desk, liar: Liar) -> None:
    desk, liar.lie = at_liar, anew
    url = address(desk.begin(impression="My own words."))
    desk.house.clock.at += timedelta(days=2)
    back = come_back(desk, liar, url)
    assert back.headers["location"] == f"/login?next=/studies/{desk.key}"
    assert not desk.signed
    assert desk.versions[-1].sections[Section.IMPRESSION] == "My own words."


def test_a_disabled_account_signs_nothing(at_liar: Desk, liar: Liar) -> None:
    desk, liar.lie = at_liar, anew
    url = address(desk.begin())
    desk.house.identity.people.set_active("anna", False, desk.house.clock(), by="test")
    assert come_back(desk, liar, url).headers["location"].startswith("/login")
    assert not desk.signed


def test_a_local_account_signs_with_its_password_only(at_liar: Desk, liar: Liar) -> None:
    desk = at_liar
    desk.house.add("bo")
    local = desk.browser()
    local.post("/login", data={"name": "bo", "password": "three blue anvils sing"})
    assert 'type="password"' in local.get(f"/studies/{desk.key}").text
    answer = desk.begin(local)
    assert answer.status_code == 409
    assert "signs with its password" in answer.text
    # And nobody of the provider by a password.
    form = {"seen": desk.seen, "revision": 1, "impression": "Normal.", "password": "three blue anvils sing"}
    assert desk.client.post(f"/studies/{desk.key}/sign", data=form).status_code == 409
    assert not desk.signed


def test_a_form_of_another_site_begins_nothing(at_liar: Desk) -> None:
    form = {"seen": 0, "revision": 1, "impression": "Normal."}
    headers = {"Origin": "https://evil.example"}
    answer = at_liar.client.post(f"/studies/{at_liar.key}/sign-anew", data=form, headers=headers)
    assert answer.status_code == 403
    assert not at_liar.versions


def test_a_provider_that_is_away_is_said_and_the_text_stays(at_liar: Desk, liar: Liar, monkeypatch) -> None:
    desk = at_liar
    monkeypatch.setattr("wetread.identity.provider._FRESH_S", -1.0)
    liar.instead = {"/.well-known/openid-configuration": (503, b"")}
    answer = desk.begin(impression="My own words.")
    assert answer.status_code == 409
    assert "My own words." in answer.text
    assert desk.versions[-1].sections[Section.IMPRESSION] == "My own words."
    # The page knows the draft that was kept: it goes on from there.
    liar.instead, liar.lie = {}, anew
    [seen] = re.findall(r'name="seen" value="(\d+)"', answer.text[answer.text.index("report-form") :])[:1]
    assert int(seen) == desk.seen
    assert sign(desk, liar, impression="My own words.") == ""
