"""No page has a serious fault for who cannot see or point well, light or dark, wide or narrow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
import uvicorn
from fastapi import FastAPI

from tests.identity.conftest import House
from tests.path.service import await_true
from tests.ports import free_port
from tests.web.axe import NPM, find_faults
from tests.web.browser import CHROMIUM, Browser
from tests.web.conftest import Ward
from tests.web.test_queue import fail
from tests.web.test_report import Desk
from wetread.domain.reading import Triage
from wetread.identity import Role

pytestmark = [
    pytest.mark.sqlite,
    pytest.mark.skipif(
        CHROMIUM is None or NPM is None, reason="Chromium or npm is not installed: apt install chromium npm."
    ),
]


@dataclass
class Place:
    """A service with something on every page, and a browser that a radiologist has signed in with."""

    desk: Desk
    address: str
    browser: Browser

    def look(self, path: str, *, is_dark: bool, width: int) -> list[str]:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.browser.send("Emulation.setEmulatedMedia", features=[scheme])
        self.browser.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        self.browser.open(f"{self.address}{path}")
        return find_faults(self.browser)


def serve(app: FastAPI) -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    await_true(lambda: server.started, 20, "the server")
    yield f"http://127.0.0.1:{port}"
    app.state.pulse.stop()
    server.should_exit = True
    thread.join()


@pytest.fixture
def place(ward: Ward, stat: Triage) -> Iterator[Place]:
    desk = Desk(House(ward))
    ward.send("1.2.1", waiting=timedelta(hours=2))
    ward.send("1.2.2")
    row = ward.read("1.2.1", stat)
    ward.plan("1.2.1", row)
    ward.refuse("1.2.2")
    ward.send("1.2.3")
    ward.send("1.2.4", waiting=timedelta())
    ward.begin("1.2.3")
    fail(ward, "1.2.4")
    browser = Browser()
    for address in serve(desk.app):
        for name, value in desk.client.cookies.items():
            browser.send("Network.setCookie", name=name, value=value, url=address)
        yield Place(desk=desk, address=address, browser=browser)
    browser.close()


def test_pages_of_a_radiologist(place: Place) -> None:
    desk = place.desk
    desk.write("Draft of an impression.")
    paths = (
        "/",
        f"/studies/{desk.key}",
        "/queue",
        "/deliveries",
        "/models",
        "/models/chest-ct",
        "/rules",
        "/department",
        "/account",
    )
    faults = {
        (path, is_dark, width): found
        for path in paths
        for is_dark, width in ((False, 1440), (True, 1024))
        if (found := place.look(path, is_dark=is_dark, width=width))
    }
    assert not faults, "\n".join(f"{where}: {one}" for where, found in faults.items() for one in found)
    assert place.browser.complaints == []


def test_pages_of_an_administrator(place: Place) -> None:
    house = place.desk.house
    house.add("admin", Role.ADMINISTRATOR)
    house.identity.tokens.make("viewer", Role.SERVICE, house.clock(), by="admin")
    house.store.holds.place("1.2.1", "case 7", "admin", house.clock())
    place.browser.send("Network.clearBrowserCookies")
    for name, value in place.desk.sign_in("admin").cookies.items():
        place.browser.send("Network.setCookie", name=name, value=value, url=place.address)
    paths = (
        "/admin",
        "/admin/connections",
        "/admin/accounts",
        "/admin/audit",
        "/admin/tokens",
        "/admin/retention",
        "/rules",
        "/queue",
    )
    looked = {
        path: place.look(path, is_dark=path in ("/admin/accounts", "/admin/retention"), width=1280)
        for path in paths
    }
    faults = {path: found for path, found in looked.items() if found}
    assert not faults, faults


def test_pages_with_what_went_wrong(place: Place) -> None:
    keys = [row.key for row in place.desk.store.studies.list_newest(10)]
    place.desk.sign()
    faults = {
        key: found for key in keys if (found := place.look(f"/studies/{key}", is_dark=False, width=1440))
    }
    assert not faults, "\n".join(f"{where}: {one}" for where, found in faults.items() for one in found)
    place.browser.send("Network.clearBrowserCookies")
    assert place.look("/login", is_dark=True, width=1024) == []
