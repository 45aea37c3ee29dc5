"""Open pages follow the store: over the wire, and in a real browser."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
import uvicorn

from tests.alerted import raise_alert
from tests.web.browser import CHROMIUM, Browser
from tests.web.conftest import NOW, Ward, make_model
from wetread.domain.progress import DeliveryState
from wetread.domain.reading import Triage
from wetread.store.history import Event
from wetread.web import create_web

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed: apt install chromium."
)


@pytest.fixture
def served(ward: Ward) -> Iterator[tuple[Ward, str]]:
    app = create_web(
        ward.store, [make_model()], on_retry=lambda: None,
        poll_s=0.05, now=lambda: NOW,
    )  # fmt: skip
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield ward, f"http://127.0.0.1:{listener.getsockname()[1]}"
        app.state.pulse.stop()
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive(), "an open event stream kept the server from stopping"


def test_an_event_comes_after_a_change(served: tuple[Ward, str]) -> None:
    ward, url = served
    with httpx.stream("GET", f"{url}/events", timeout=10) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in stream.iter_lines() if line.startswith("data:"))
        first = next(lines)
        begun = time.monotonic()
        ward.send("1.2.1")
        assert next(lines) != first
        assert time.monotonic() - begun < 2


def test_open_streams_end_when_asked(served: tuple[Ward, str]) -> None:
    # The fixture fails where the server does not stop while this stream is open.
    _, url = served
    client = httpx.Client()
    stream = client.send(client.build_request("GET", f"{url}/events"), stream=True)
    assert stream.status_code == 200


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    # Leave the page of the test before, whose server is gone.
    chromium.open("about:blank")
    chromium.complaints.clear()
    return chromium


FIRST = "document.querySelector('#live-content tr.row').dataset.key"
FOCUS = "document.activeElement.id"


def open_list(browser: Browser, url: str) -> None:
    browser.open(f"{url}/")
    browser.wait("document.getElementById('live').dataset.live === 'live'")


@needs_chromium
def test_an_urgent_study_rises_and_the_focus_stays(
    served: tuple[Ward, str], browser: Browser, stat: Triage
) -> None:
    ward, url = served
    first = ward.send("1.2.1", waiting=timedelta(hours=2))
    second = ward.send("1.2.2", name="<i>Tables</i>^Bobby")
    open_list(browser, url)
    assert browser.ask(FIRST) == first
    browser.press("j")
    assert browser.ask(FOCUS) == f"open-{first}"
    browser.ask("window.kept = document.querySelector('#live-content tr.row')")
    ward.read("1.2.2", stat)
    browser.wait(f"{FIRST} === '{second}'")
    assert browser.ask(FOCUS) == f"open-{first}"
    assert browser.ask("window.kept.isConnected"), "an unchanged row was replaced"
    assert browser.ask("document.title").startswith("(1) ")
    browser.press("k")
    browser.press("Enter")
    browser.wait(f"location.pathname === '/studies/{second}' && document.readyState === 'complete'")
    assert browser.ask("document.querySelector('h1').textContent") == "<i>Tables</i>, Bobby"
    browser.press("u")
    browser.wait("location.pathname === '/'")
    assert browser.complaints == []


@needs_chromium
def test_search_and_filters_ask_the_server_and_never_by_address(
    served: tuple[Ward, str], browser: Browser
) -> None:
    ward, url = served
    for number, name in enumerate(("Okonkwo^Adaeze", "Lindqvist^Erik", "Rossi^Giulia"), start=1):
        ward.send(f"1.2.{number}", name=name)
    shown = "[...document.querySelectorAll('.row th a')].map((one) => one.textContent).join('; ')"
    open_list(browser, url)
    browser.press("/")
    for letter in "rossi":
        browser.press(letter)
    browser.wait(f"{shown} === 'Rossi, Giulia'")
    assert browser.ask("location.href") == f"{url}/"
    assert browser.ask("document.querySelector('[data-count=all]').textContent") == "1"
    ward.send("1.2.4", name="Rossini^Carlo", waiting=timedelta(minutes=5))
    browser.wait(f"{shown} === 'Rossi, Giulia; Rossini, Carlo'")
    browser.press("Escape")
    browser.wait("document.querySelectorAll('.row').length === 4")
    browser.ask("document.querySelector('[data-filter=findings]').click()")
    browser.wait("document.querySelector('.none')?.textContent.includes('No study matches.')")
    browser.ask("document.getElementById('clear').click()")
    browser.wait("document.querySelectorAll('.row').length === 4")
    assert browser.complaints == []


@needs_chromium
def test_a_study_page_follows_and_keeps_what_is_open(served: tuple[Ward, str], browser: Browser) -> None:
    ward, url = served
    key = ward.send("1.2.1")
    row = ward.read("1.2.1")
    browser.open(f"{url}/studies/{key}")
    browser.wait("document.getElementById('live').dataset.live === 'live'")
    browser.ask(
        "document.getElementById('series-1').open = true; window.image = document.querySelector('img')"
    )
    ids = ward.plan("1.2.1", row)
    ward.store.deliveries.record(ids[0], DeliveryState.REFUSED, NOW, "not-acknowledged", "Status 0xA700.")
    ward.store.history.add(
        Event(study_instance_uid="1.2.1", at=NOW, stage="deliver", message="PACS refused one.")
    )
    browser.wait("document.body.textContent.includes('PACS refused one.')")
    assert browser.ask("window.image.isConnected")
    assert browser.ask("document.getElementById('series-1').open")
    browser.ask(f"document.getElementById('retry-{ids[0]}').click()")
    browser.wait("!document.body.textContent.includes('Try again')")
    delivery = ward.store.deliveries.find(ids[0])
    assert delivery is not None
    assert delivery.state is DeliveryState.WAITING
    assert browser.complaints == []


@needs_chromium
def test_help_opens_and_reporting_works_by_form(served: tuple[Ward, str], browser: Browser) -> None:
    ward, url = served
    key = ward.send("1.2.1")
    open_list(browser, url)
    browser.press("?")
    assert browser.ask("document.getElementById('help').open")
    browser.press("Escape")
    browser.wait("!document.getElementById('help').open")
    browser.open(f"{url}/studies/{key}")
    browser.ask("document.getElementById('report').click()")
    browser.wait("location.pathname === '/' && document.readyState === 'complete'")
    assert ward.store.studies.list_waiting() == []
    assert browser.complaints == []


@needs_chromium
def test_a_reader_judges_with_keys_and_keeps_what_they_write(
    served: tuple[Ward, str], browser: Browser
) -> None:
    ward, url = served
    key = ward.send("1.2.1")
    row = ward.read("1.2.1")
    # A key before the page listens is no key.
    is_live = "document.getElementById('live').dataset.live === 'live'"
    browser.open(f"{url}/studies/{key}")
    browser.wait(is_live)
    browser.press("c")
    browser.wait(f"document.getElementById('read-by')?.textContent.includes('you read it') && {is_live}")
    browser.press("a")
    browser.wait(f"document.querySelector('.v-accepted') && {is_live}")
    browser.ask("document.querySelector('[id^=undo-]').click()")
    browser.wait(f"document.querySelector('[id^=reject-] summary') && {is_live}")
    browser.ask("document.querySelector('[id^=reject-] summary').click()")
    browser.ask("document.querySelector('[id^=reject-] input[name=text]').value = 'beside a vessel'")
    # Somebody else says something: the page learns of it, what is being written stays.
    other = browser.ask(
        "fetch(location.pathname + '/errors', {method: 'POST', headers: {'Content-Type':"
        f" 'application/x-www-form-urlencoded'}}, body: 'reading={row.digest}&text=Missed+one'}})"
        ".then((answer) => answer.status)"
    )
    assert other == 200
    browser.wait("document.querySelector('.events').textContent.includes('An error of the reading')")
    assert browser.ask("document.querySelector('[id^=reject-] input[name=text]').value") == "beside a vessel"
    browser.ask("document.querySelector('[id^=reject-] button[value=vessel]').click()")
    browser.wait("document.querySelector('.v-rejected')?.textContent === 'rejected: vessel'")
    assert browser.ask("document.querySelector('.said').textContent") == "beside a vessel"
    assert "Missed one" in browser.ask("document.body.textContent")
    style = "getComputedStyle(document.querySelector('.card:has(.v-rejected) h4')).textDecorationLine"
    # The page is renewed part by part.
    browser.wait(f"{style} === 'line-through'")
    assert browser.complaints == []


@needs_chromium
def test_an_alert_appears_notifies_without_a_name_and_is_answered(
    served: tuple[Ward, str], browser: Browser, stat: Triage
) -> None:
    ward, url = served
    ward.send("1.2.1", name="Okonkwo^Adaeze")
    open_list(browser, url)
    browser.ask(
        "window.told = []; window.Notification = class {"
        " constructor(...words) { told.push(JSON.stringify(words)) }"
        " addEventListener() {} static permission = 'granted' }; true"
    )
    ward.read("1.2.1", stat)
    alert = raise_alert(ward, "1.2.1")
    browser.wait(f"document.getElementById('acknowledge-{alert.id}') && window.told.length === 1")
    assert "Okonkwo" not in browser.ask("window.told[0]")
    browser.ask(f"document.getElementById('acknowledge-{alert.id}').click()")
    browser.wait("document.readyState === 'complete' && !document.querySelector('[data-alert]')")
    held = ward.store.alerts.find(alert.id)
    assert held is not None
    assert held.ended_by == "anybody"
    assert browser.complaints == []
