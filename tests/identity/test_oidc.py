"""OpenID Connect: a real provider lets people in; one that lies does not."""

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from joserfc import jwk

from tests.identity.conftest import Clock, House
from tests.identity.provider import CLIENT_SECRET, NODE, NPM, Liar, running_liar, running_provider
from tests.stores import open_store
from tests.web.conftest import ORIGIN, Ward
from wetread.errors import ConfigError
from wetread.identity import Role
from wetread.identity.oidc import make_openid_connect
from wetread.identity.settings import OidcRole, OidcSettings

needs_node = pytest.mark.skipif(not (NODE and NPM), reason="Node is not installed: apt install nodejs npm.")

ACCOUNTS = {
    "anna": {"preferred_username": "Anna", "name": "Anna Berg", "groups": ["staff", "radiologists"]},
    "lea": {"preferred_username": "lea", "groups": ["leads", "radiologists"]},
    "siteb": {"preferred_username": "siteb", "groups": ["site-b"]},
    "visitor": {"preferred_username": "visitor", "groups": ["staff"]},
    "odd": {"preferred_username": "<script>alert(1)</script>", "groups": "radiologists"},
}
ROLES = (
    OidcRole(group="leads", role=Role.LEAD),
    OidcRole(group="radiologists", role=Role.RADIOLOGIST),
    OidcRole(group="site-b", role=Role.RADIOLOGIST, sources=("CT_SITE_B",)),
)


@pytest.fixture(scope="module")
def certified() -> Iterator[str]:
    with running_provider(f"{ORIGIN}/login/callback", ACCOUNTS) as issuer:
        yield issuer


@pytest.fixture
def liar() -> Iterator[Liar]:
    with running_liar() as one:
        yield one


@pytest.fixture
def build(tmp_path: Path) -> Iterator:
    stores = []
    secret = tmp_path / "secret"
    secret.write_text(CLIENT_SECRET + "\n")
    secret.chmod(0o600)

    def make(issuer: str) -> House:
        store = open_store(tmp_path / "data")
        stores.append(store)
        settings = OidcSettings(
            issuer=issuer, client_id="wetread", secret_file=secret, roles=ROLES, timeout_s=5
        )
        return House(Ward(store), clock=Clock(datetime.now(UTC)), oidc=settings)

    yield make
    for store in stores:
        store.close()


def visit_provider(url: str, who: str) -> str:
    """Do what a browser does at the provider; return the address that it is sent back to."""
    with httpx.Client() as browser:
        url = f"{url}&login_hint={who}"
        while not url.startswith(f"{ORIGIN}/login/callback"):
            answer = browser.get(url)
            assert answer.status_code == 303, answer.text
            url = str(httpx.URL(url).join(answer.headers["location"]))
    return url


def sign_in(house: House, who: str) -> tuple[TestClient, httpx.Response]:
    client = house.browser()
    gone = client.get("/login/provider?next=/account")
    assert gone.status_code == 303, gone.text
    return client, client.get(visit_provider(gone.headers["location"], who))


@needs_node
def test_a_real_provider_lets_people_in_by_their_groups(certified: str, build) -> None:
    house = build(certified)
    assert house.browser().get("/").status_code == 303, "a provider closes the doors, without any account"
    for who, role in (("anna", "radiologist"), ("lea", "lead")):
        client, answer = sign_in(house, who)
        assert answer.headers["location"] == "/account"
        page = client.get("/account").text
        assert f"{who} · {role}" in page
        assert "Change password" not in page
        row = house.store.accounts.find(who)
        assert (row.role, row.password_hash, row.subject) == (role, "", f"{certified} {who}")
    cookie = answer.headers["set-cookie"]
    assert "SameSite=lax" in cookie, "Strict would be lost on the way back"
    assert "Signed in by OpenID Connect." in house.sentences()


@needs_node
def test_a_scope_comes_with_the_group(certified: str, build) -> None:
    house = build(certified)
    ours, theirs = house.ward.send("1.2.1", source="CT_SITE_B"), house.ward.send("1.2.2", source="CT1")
    client, _ = sign_in(house, "siteb")
    assert client.get(f"/studies/{ours}").status_code == 200
    assert client.get(f"/studies/{theirs}").status_code == 404


@needs_node
def test_who_has_no_role_here_stays_out(certified: str, build) -> None:
    house = build(certified)
    client, answer = sign_in(house, "visitor")
    assert answer.status_code == 401
    assert "no role here" in answer.text
    assert client.get("/").status_code == 303
    assert house.store.accounts.find("visitor") is None


@needs_node
def test_who_says_no_at_the_provider_stays_out(certified: str, build) -> None:
    _, answer = sign_in(build(certified), "refuse")
    assert answer.status_code == 401
    assert "did not let you in" in answer.text


@needs_node
def test_a_local_account_of_the_same_name_is_somebody_else(certified: str, build) -> None:
    house = build(certified)
    house.add("lea", Role.ADMINISTRATOR)
    client, _ = sign_in(house, "lea")
    page = client.get("/account").text
    assert "lead" in page
    assert "administrator" not in page
    names = [row.name for row in house.store.accounts.list_all()]
    assert names[0] == "lea"
    assert names[1].startswith("lea-")
    sign_in(house, "lea")
    assert len(house.store.accounts.list_all()) == 2, "the same person again"


@needs_node
def test_a_disabled_person_stays_out_whatever_the_provider_says(certified: str, build) -> None:
    house = build(certified)
    sign_in(house, "anna")
    house.identity.people.set_active("anna", False, house.clock(), by="test")
    _, answer = sign_in(house, "anna")
    assert answer.status_code == 401


@needs_node
def test_an_odd_name_is_no_script(certified: str, build) -> None:
    house = build(certified)
    client, _ = sign_in(house, "odd")
    assert "<script>alert" not in client.get("/account").text
    assert house.store.accounts.list_all()[0].name.startswith("user-")


@needs_node
def test_an_answer_works_once_and_for_its_browser_alone(certified: str, build) -> None:
    house = build(certified)
    client = house.browser()
    gone = client.get("/login/provider").headers["location"]
    back = visit_provider(gone, "anna")
    # Another browser: log-in CSRF, or a stolen code.
    assert house.browser().get(back).status_code == 401
    other = house.browser()
    other.get("/login/provider")
    assert other.get(back).status_code == 401, "another sign-in's state"
    wrong = str(httpx.URL(back).copy_set_param("state", "x" * 43))
    assert client.get(wrong).status_code == 401
    assert client.get(back).status_code == 401, "the failure used the sign-in up"
    client.get("/login/provider")
    assert client.get(back).status_code == 401


@needs_node
def test_a_sign_in_that_took_too_long_begins_anew(certified: str, build, monkeypatch) -> None:
    house = build(certified)
    client = house.browser()
    back = visit_provider(client.get("/login/provider").headers["location"], "anna")
    real = time.time
    monkeypatch.setattr("time.time", lambda: real() + 601)
    answer = client.get(back)
    assert answer.status_code == 401
    assert "too long ago" in answer.text


def at_liar(house: House, liar: Liar) -> httpx.Response:
    client = house.browser()
    query = parse_qs(urlsplit(client.get("/login/provider").headers["location"]).query)
    liar.nonce = query["nonce"][0]
    answer = client.get(f"/login/callback?code=c1&state={query['state'][0]}")
    assert (answer.status_code == 303) is (client.get("/").status_code == 200)
    return answer


def test_what_is_asked_for(liar: Liar, build) -> None:
    house = build(liar.issuer)
    url = house.browser().get("/login/provider").headers["location"]
    query = parse_qs(urlsplit(url).query)
    assert url.startswith(f"{liar.issuer}/auth?")
    assert query["response_type"] == ["code"]
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == [f"{ORIGIN}/login/callback"]
    assert CLIENT_SECRET not in url
    assert at_liar(house, liar).status_code == 303
    [form] = liar.forms
    assert len(form["code_verifier"][0]) == 43
    assert "client_secret" not in form, "it goes by the Authorization header"


LIES = {
    "another nonce": lambda claims: claims | {"nonce": "x"},
    "no nonce": lambda claims: {k: v for k, v in claims.items() if k != "nonce"},
    "another audience": lambda claims: claims | {"aud": "other"},
    "an audience that only contains us": lambda claims: claims | {"aud": "wetread-2"},
    "several audiences, no party": lambda claims: claims | {"aud": ["wetread", "other"]},
    "another party": lambda claims: claims | {"aud": ["wetread", "other"], "azp": "other"},
    "no audience": lambda claims: {k: v for k, v in claims.items() if k != "aud"},
    "another issuer": lambda claims: claims | {"iss": "https://evil.example"},
    "expired": lambda claims: claims | {"exp": claims["iat"] - 200},
    "no end": lambda claims: {k: v for k, v in claims.items() if k != "exp"},
    "an end that is no time": lambda claims: claims | {"exp": "tomorrow"},
    "of tomorrow": lambda claims: claims | {"iat": claims["iat"] + 86400, "exp": claims["iat"] + 86500},
    "of yesterday": lambda claims: claims | {"iat": claims["iat"] - 86400},
    "not valid yet": lambda claims: claims | {"nbf": claims["iat"] + 600},
    "no subject": lambda claims: claims | {"sub": ""},
    "a subject that is a number": lambda claims: claims | {"sub": 7},
    "no group": lambda claims: claims | {"groups": []},
    "a group in a group": lambda claims: claims | {"groups": [["radiologists"]]},
}


def test_a_token_that_does_not_fit_lets_nobody_in(liar: Liar, build) -> None:
    house = build(liar.issuer)
    for what, lie in LIES.items():
        liar.lie = lie
        assert at_liar(house, liar).status_code == 401, what
        assert house.sentences()[-1].startswith("OpenID Connect: "), what
    assert house.store.accounts.list_all() == []
    liar.lie = dict
    assert at_liar(house, liar).status_code == 303, "the truth"


def unsigned(claims: dict) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in parts)
        + "."
    )


def forgeries(liar: Liar) -> dict:
    stranger = jwk.RSAKey.generate_key(2048, {"kid": "k1"})
    public_pem = liar.key.as_pem(private=False)
    return {
        "none": unsigned,
        "hmac with the client secret": lambda c: liar.sign(c, "HS256", jwk.OctKey.import_key(CLIENT_SECRET)),
        "hmac with the public key": lambda c: liar.sign(c, "HS256", jwk.OctKey.import_key(public_pem)),
        "another key of the same name": lambda c: liar.sign(c, key=stranger),
        "a key that it brings along": lambda c: liar.sign(c, key=stranger, jwk=stranger.as_dict()),
        "a key from elsewhere": lambda c: liar.sign(c, key=stranger, jku="http://127.0.0.1:1/keys"),
        "a path for a key name": lambda c: liar.sign(c, kid="../../../../dev/null"),
        "a changed body": lambda c: tamper(liar.sign(c)),
        "no token": lambda _: "not.a.token",
        "an empty token": lambda _: "",
        "a huge token": lambda _: "a" * 500_000 + ".b.c",
    }  # fmt: skip


def tamper(token: str) -> str:
    head, body, signature = token.split(".")
    return ".".join((head, body[:-4] + ("AAAA" if body[-4:] != "AAAA" else "BBBB"), signature))


def test_a_token_that_the_provider_did_not_sign_lets_nobody_in(liar: Liar, build) -> None:
    house = build(liar.issuer)
    for what, lie in forgeries(liar).items():
        liar.lie = lie
        assert at_liar(house, liar).status_code == 401, what
    assert house.store.accounts.list_all() == []
    liar.lie = dict
    assert at_liar(house, liar).status_code == 303


def test_a_new_key_of_the_provider_is_learned_but_not_asked_for_each_time(
    liar: Liar, build, monkeypatch
) -> None:
    house = build(liar.issuer)
    assert at_liar(house, liar).status_code == 303
    liar.key = jwk.RSAKey.generate_key(2048, {"kid": "k2"})
    liar.lie = lambda claims: liar.sign(claims, kid="k2")
    assert at_liar(house, liar).status_code == 401, "we asked for the keys a moment ago"
    assert liar.asked.count("/keys") == 1
    monkeypatch.setattr("wetread.identity.provider._ASK_AGAIN_S", 0.0)
    assert at_liar(house, liar).status_code == 303


BROKEN = {
    "down": (503, b""),
    "no JSON": (200, b"<html>"),
    "a list": (200, b"[]"),
    "too large": (200, b'{"a": "' + b"x" * (1 << 20) + b'"}'),
    "too deep": (200, b"[" * 100_000),
    "elsewhere": (302, b"http://127.0.0.1:1/"),
}


def test_a_provider_that_fails_is_a_sentence(liar: Liar, build) -> None:
    house = build(liar.issuer)
    for what, answer in BROKEN.items():
        liar.instead = {"/.well-known/openid-configuration": answer}
        refused = house.browser().get("/login/provider")
        assert refused.status_code == 401, what
        assert "provider" in refused.text
    for path in ("/keys", "/token"):
        for what, answer in BROKEN.items():
            liar.instead = {path: answer}
            refused = at_liar(house, liar)
            assert refused.status_code == 401, (path, what)
            assert CLIENT_SECRET not in refused.text
    liar.instead = {}
    assert at_liar(house, liar).status_code == 303, "no harm lasts"


def test_a_provider_that_is_not_there_leaves_local_accounts_a_way_in(build) -> None:
    house = build("http://127.0.0.1:1")
    house.add("anna")
    answer = house.browser().get("/login/provider")
    assert answer.status_code == 401
    assert "does not answer" in answer.text
    assert house.signed_in("anna").get("/").status_code == 200


def test_a_provider_that_names_unsafe_addresses_is_not_followed(liar: Liar, build) -> None:
    house = build(liar.issuer)
    for lie in (
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://10.0.0.1/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
    ):
        liar.discovery = lie
        assert house.browser().get("/login/provider").status_code == 401, lie


def test_settings_that_cannot_be_safe_stop_the_start(tmp_path: Path, monkeypatch) -> None:
    good = OidcSettings(issuer="https://login.example", client_id="wetread", roles=ROLES)
    for wrong in (
        {"issuer": "http://login.example"},
        {"issuer": "login.example"},
        {"roles": ()},
        {"scopes": ()},
    ):
        with pytest.raises(ConfigError):
            replace(good, **wrong)
    monkeypatch.delenv("WETREAD_OIDC_SECRET", raising=False)
    with pytest.raises(ConfigError):
        make_openid_connect(good)
    secret = tmp_path / "secret"
    for content, mode in ((CLIENT_SECRET, 0o644), ("", 0o600)):
        secret.write_text(content)
        secret.chmod(mode)
        with pytest.raises(ConfigError):
            make_openid_connect(replace(good, secret_file=secret))
    monkeypatch.setenv("WETREAD_OIDC_SECRET", CLIENT_SECRET)
    assert CLIENT_SECRET not in repr(make_openid_connect(good))
