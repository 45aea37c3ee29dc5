"""The hostile rows about the web (H46 to H54), sent to a real server: no crash, no way in, no leak."""

import json
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import uvicorn

from tests.identity.conftest import PASSWORD, House
from tests.stores import open_store
from tests.web.browser import CHROMIUM, Browser
from tests.web.conftest import EVIL, Ward
from wetread.identity import Role

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed: apt install chromium."
)

EVIL_NAMES = (
    "<script>window.hit=1</script>^A",
    '"><img src=x onerror="window.hit=1">',
    "javascript:window.hit=1",
    "{{ 7*7 }}^${7*7}",
    "=cmd|' /C calc'!A0",
    "\u202egnp.exe^\u0000x\r\nSet-Cookie: a=b",
    "</td></tr></table><svg/onload=window.hit=1>",
)


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Iterator[House]:
    store = open_store(tmp_path_factory.mktemp("hostile") / "data")
    one = House(Ward(store))
    one.add("anna", Role.LEAD)
    one.add("victim")
    yield one
    store.close()


@pytest.fixture(scope="module")
def url(house: House) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(house.app, log_level="error", server_header=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        house.app.state.pulse.stop()
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def anna(house: House, url: str) -> Iterator[httpx.Client]:
    house.identity.people.unlock("anna", house.clock(), by="test")
    with httpx.Client(base_url=url, headers={"Origin": url}) as client:
        assert client.post("/login", data={"name": "anna", "password": PASSWORD}).status_code == 303
        yield client


@pytest.fixture(autouse=True)
def still_well(request, house: House) -> Iterator[None]:
    """After each attack the service answers, and its memory has not grown by 200 MB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert house.browser().get("/health").json() == {"status": "ok"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


CLOSE = "Connection: close\r\n\r\n"


def raw(url: str, request: bytes) -> bytes:
    """Send bytes as they are: clients tidy addresses up."""
    port = int(url.rsplit(":", 1)[1])
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


H46_PATHS = [
    "/studies/..%2f..%2fetc%2fpasswd", "/studies/%252e%252e%252f", "/studies/0000000000000000;jsessionid=1",
    "/static/..%2f..%2fapplication.py", "/static/%2e%2e/application.py", "/static/....//application.py",
    "/static/..\\application.py", "/static//etc/passwd", "/static/%00", "/documents/..%2f1/image",
    "/documents/1%00/image", "/documents/-1/image", "/documents/99999999999999999999/image",
    "/documents/1e3/text",
    "/documents/0x1/pdf", "/api/v1/studies/%2e%2e", "/api/v1/studies/*", "//etc/passwd", "/./studies/../../x",
    "/studies/" + "a" * 60_000, "/fragments/studies/%ff%fe",
]  # fmt: skip


def test_h46_paths_lead_nowhere(anna: httpx.Client, url: str) -> None:
    cookie = anna.cookies["wetread"]
    for path in H46_PATHS:
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: wetread={cookie}\r\n"
        answer = raw(url, (head + CLOSE).encode())
        status = int(answer.split(b" ", 2)[1])
        assert status in (400, 404, 414, 431), (path[:60], status)
        assert b"root:" not in answer
        assert b"create_web" not in answer


# H47, numbers of others: tests/identity/test_doors.py asks every route that there is.

H48_TOKENS = [
    "null", "undefined", "x", "wtr_", "wtr_" + "A" * 43, "wtr_" + "A" * 50_000, "A" * 100_000, "wtr_%00",
    "wtr_' OR '1'='1",
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIiwicm9sZSI6ImFkbWluaXN0cmF0b3IifQ.",
    "eyJhbGciOiJIUzI1NiIsImtpZCI6Ii4uLy4uLy4uL2Rldi9udWxsIn0.eyJzdWIiOiJhbm5hIn0.AAAA",
]  # fmt: skip


def test_h48_no_forged_token_is_anybody(url: str) -> None:
    for token in H48_TOKENS:
        for header in (f"Authorization: Bearer {token}", f"Cookie: wetread={token}"):
            head = f"GET /api/v1/studies HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n"
            answer = raw(url, (head + CLOSE).encode())
            # The server may refuse before us what is longer than all headers should be.
            expected = (401,) if len(token) < 60_000 else (400, 401, 431)
            assert int(answer.split(b" ", 2)[1]) in expected, header[:60]


def test_h49_no_other_site_acts_or_reads(house: House, anna: httpx.Client, url: str) -> None:
    key = house.ward.send("1.2.49")
    for origin in ("https://evil.example", "null", url + ".evil.example", "http://[", f"{url}@evil.example"):
        for path in (f"/studies/{key}/report", "/logout", "/login", "/account/password", "/account/totp"):
            answer = anna.post(path, headers={"Origin": origin})
            assert answer.status_code == 403, (origin, path)
        read = anna.get("/api/v1/studies", headers={"Origin": origin})
        assert "access-control-allow-origin" not in read.headers
        asked = anna.request("OPTIONS", "/api/v1/studies", headers={"Origin": origin})
        assert "access-control-allow-origin" not in asked.headers
    assert house.store.studies.find("1.2.49").reported_at is None
    page = anna.get("/")
    assert page.status_code == 200, "still signed in"
    assert page.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


def test_h50_passwords_of_a_megabyte_are_not_even_read(url: str) -> None:
    begun = time.monotonic()
    answer = httpx.post(
        f"{url}/login", data={"name": "victim", "password": "x" * 1_000_000}, headers={"Origin": url}
    )
    assert answer.status_code == 413
    # Unannounced, in pieces, without an end.
    pieces = (b"password=" + b"x" * 10_000 for _ in range(1000))
    headers = {"Origin": url, "Content-Type": "application/x-www-form-urlencoded"}
    try:
        answer = httpx.post(f"{url}/login", content=pieces, headers=headers)
        assert answer.status_code == 413
    except httpx.TransportError:
        pass  # the server hung up while we were still sending
    assert time.monotonic() - begun < 10


def test_h50_a_hundred_sign_ins_at_once_leave_the_pages_alive(house: House, url: str) -> None:
    statuses: list[int] = []
    client = httpx.Client(base_url=url, headers={"Origin": url}, timeout=60)

    def guess(number: int) -> None:
        typed = {"name": "victim", "password": f"{number:01000d}"}
        statuses.append(client.post("/login", data=typed).status_code)

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    assert httpx.get(f"{url}/health", timeout=20).status_code == 200
    for thread in threads:
        thread.join()
    client.close()
    assert set(statuses) <= {401, 429}
    assert len(statuses) == 100
    row = house.store.accounts.find("victim")
    assert row.failures >= 5
    assert row.locked_until is not None
    house.clock.pass_by(86_400)


@pytest.mark.parametrize(
    "name", ["\ud800", "a\0b", "x" * 60_000, "' OR 1=1 --", "anna\n", "ＡＮＮＡ", "<script>"]
)
def test_h50_odd_names_are_nobody(url: str, name: str) -> None:
    body = "name=" + "".join(f"%{one:02X}" for one in name.encode("utf-8", "surrogatepass")) + "&password=x"
    headers = {"Origin": url, "Content-Type": "application/x-www-form-urlencoded"}
    answer = httpx.post(f"{url}/login", content=body, headers=headers)
    assert answer.status_code in (401, 413, 429)
    assert "<script>" not in answer.text.replace('<script src="/static/wetread.js" defer>', "")


def test_h51_there_is_no_account_that_we_made(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    house = House(Ward(store))
    assert store.accounts.list_all() == []
    assert store.tokens.list_all() == []
    house.add("first", Role.ADMINISTRATOR)
    for name in ("admin", "administrator", "root", "wetread", "orthanc", "first"):
        for password in ("", "admin", "password", "orthanc", "wetread", "first"):
            answer = house.browser().post("/login", data={"name": name, "password": password})
            assert answer.status_code in (401, 429)
    store.close()


@needs_chromium
def test_h52_what_a_sender_wrote_never_runs(house: House, anna: httpx.Client, url: str) -> None:
    keys = []
    for number, name in enumerate(EVIL_NAMES):
        text = name.replace("\0", "")
        uid = f"1.2.52.{number}"
        keys.append(house.ward.send(uid, name=text, StudyDescription=text, PatientID=EVIL[:60]))
        house.ward.read(uid)
    browser = Browser()
    try:
        browser.open(f"{url}/login")
        browser.ask("document.getElementById('name').value = 'anna'")
        browser.ask(f"document.getElementById('password').value = {json.dumps(PASSWORD)}")
        browser.ask("document.querySelector('main form').submit()")
        browser.wait("document.getElementById('sign-out')")
        for path in ("/", "/?show=reported", *(f"/studies/{key}" for key in keys)):
            browser.open(url + path)
            assert browser.ask("window.hit === undefined"), path
            assert not browser.ask("[...document.querySelectorAll('script')].some(one => !one.src)"), path
        assert browser.ask("document.cookie") == "", "no script sees the session"
        refused = [one for one in browser.complaints if "Content Security Policy" in one]
        assert refused == [], "nothing even tried"
    finally:
        browser.close()
    told = anna.get("/api/v1/studies")
    assert told.headers["content-type"] == "application/json"
    assert told.headers["x-content-type-options"] == "nosniff"


def test_h53_no_address_carries_or_leaks_a_session(house: House, anna: httpx.Client, url: str) -> None:
    key = house.ward.send("1.2.53")
    cookie = anna.cookies["wetread"]
    for path in (
        "/",
        f"/studies/{key}",
        f"/studies/{key}?url=https://evil.example",
        "/api/v1/studies",
        "/account",
    ):
        answer = anna.get(path)
        assert answer.status_code == 200
        assert cookie not in answer.text
        assert "evil.example" not in answer.text
        assert answer.headers["referrer-policy"] == "same-origin"
    stranger = httpx.get(f"{url}/studies/{key}?next=https://evil.example&url=//evil.example")
    assert stranger.status_code == 303
    assert stranger.headers["location"].startswith("/login?next=%2Fstudies%2F")
    for name in ("wetread", "session", "token", "access_token"):
        assert httpx.get(f"{url}/api/v1/studies?{name}={cookie}").status_code == 401


H54_BODIES = {
    "deep": b"[" * 30_000 + b"]" * 30_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "duplicate keys": b'{"name": "anna", "name": "victim", "password": "x"}',
    "not a number": b'{"name": NaN, "password": Infinity}',
    "huge numbers": b'{"name": 1e308, "password": ' + b"9" * 5000 + b"}",
    "prototype": b'{"__proto__": {"role": "administrator"}, "constructor": {"prototype": {}}}',
    "surrogates": b'{"name": "\\ud800"}',
    "no text": b"\xff\xfe\x00\x01",
}


@pytest.mark.parametrize("body", H54_BODIES.values(), ids=H54_BODIES.keys())
def test_h54_json_without_measure_is_refused(house: House, anna: httpx.Client, url: str, body: bytes) -> None:
    key = house.ward.send("1.2.54")
    headers = {"Content-Type": "application/json"}
    for path in (
        *("/login", "/account/password", "/account/totp", "/api/v1/studies", f"/api/v1/studies/{key}"),
        *("/api/v1/studies/search", "/api/v1/rules/replay", "/api/v1/deliveries/retry"),
    ):
        answer = anna.post(path, content=body, headers=headers)
        assert 400 <= answer.status_code < 500, path
        assert b"Traceback" not in answer.content
    house.clock.pass_by(3600)


def test_forms_without_measure_are_refused(url: str) -> None:
    headers = {"Origin": url, "Content-Type": "multipart/form-data; boundary=x"}
    part = b'--x\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n1\r\n'
    bodies = {
        "many parts": b"".join(part % number for number in range(1050)) + b"--x--\r\n",
        "no end": b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n' + b"x" * 30_000,
        "a file": b'--x\r\nContent-Disposition: form-data; name="a"; filename="../x"\r\n\r\n1\r\n--x--\r\n',
        "odd header": b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\n1\r\n--x--\r\n",
    }
    for what, body in bodies.items():
        status = httpx.post(f"{url}/login", content=body, headers=headers).status_code
        assert status in (400, 401, 404, 413, 422, 429), (what, status)
