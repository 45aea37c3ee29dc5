"""In a real browser, with a real provider at another site: sign in, write, sign, be back at the report."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from tests.identity.provider import NODE, NPM, running_provider
from tests.identity.test_oidc import ACCOUNTS
from tests.path.service import await_true
from tests.ports import free_port
from tests.web.axe import find_faults
from tests.web.browser import CHROMIUM, Browser
from tests.web.test_sign_anew import Desk
from wetread.domain.report import Section

pytestmark = [
    pytest.mark.sqlite,
    pytest.mark.skipif(
        CHROMIUM is None or NPM is None or NODE is None,
        reason="Chromium, npm or Node is not installed: apt install chromium npm.",
    ),
]


@dataclass
class Place:
    """A service, a provider and a browser."""

    desk: Desk
    address: str
    browser: Browser


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    # Another host than the provider's: cookies and forms cross sites as they do in a hospital.
    port = free_port()
    address = f"http://localhost:{port}"
    with running_provider(f"{address}/login/callback", ACCOUNTS, guest="anna") as issuer:
        desk = Desk(issuer, tmp_path)
        server = uvicorn.Server(uvicorn.Config(desk.app, port=port, log_level="error"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        await_true(lambda: server.started, 20, "the server")
        browser = Browser()
        yield Place(desk=desk, address=address, browser=browser)
        browser.close()
        desk.app.state.pulse.stop()
        server.should_exit = True
        thread.join()
        desk.store.close()


def test_sign_in_write_sign_and_be_back(place: Place) -> None:
    desk, browser = place.desk, place.browser
    study = f"/studies/{desk.key}"
    browser.open(f"{place.address}/login?next={study}")
    browser.ask("document.getElementById('provider').click()")
    browser.wait(f"location.pathname === '{study}' && document.getElementById('report-form')")
    assert find_faults(browser) == []
    browser.ask("document.getElementById('section-impression').value = 'Nodule, follow up.'")
    browser.ask("document.getElementById('sign').click()")
    browser.wait("document.querySelector('article.signed')", 20)
    assert browser.ask("location.pathname + location.search") == study
    assert "signed by Anna Berg" in browser.ask("document.querySelector('article.signed').innerText")
    (report,) = desk.signed
    assert report.sections[Section.IMPRESSION] == "Nodule, follow up."
    # Nothing that our own policy refused: forms, scripts, addresses.
    assert browser.complaints == []


def test_the_page_on_the_way_has_no_fault(place: Place) -> None:
    desk, browser = place.desk, place.browser
    study = f"/studies/{desk.key}"
    browser.open(f"{place.address}/login?next={study}")
    browser.ask("document.getElementById('provider').click()")
    browser.wait(f"location.pathname === '{study}' && document.getElementById('report-form')")
    browser.ask("document.getElementById('section-impression').value = 'Nodule.'")
    # Without the header that sends the browser on.
    browser.ask(
        "fetch(document.getElementById('sign').formAction, {method: 'POST',"
        " body: new FormData(document.getElementById('report-form'))}).then(answer => answer.text())"
        ".then(text => { document.documentElement.innerHTML = text; })"
    )
    browser.wait("document.getElementById('sign-anew-title')")
    assert find_faults(browser) == []
    browser.ask("document.getElementById('provider').click()")
    browser.wait("document.querySelector('article.signed')", 20)
    assert len(desk.signed) == 1
