"""A real store of a few studies behind the real application, asked by a program with a token."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.identity.conftest import Clock, House
from tests.stores import open_store
from tests.web.conftest import NOW, ORIGIN, Ward, make_model
from wetread.domain.progress import DeliveryState
from wetread.identity import Role, make_identity
from wetread.match import default_rules
from wetread.web import create_web


@dataclass
class Place:
    """What the tests talk to."""

    house: House
    app: FastAPI
    client: TestClient

    @property
    def ward(self) -> Ward:
        return self.house.ward

    def program(self, role: Role, **more: object) -> TestClient:
        """A client with a token of its own."""
        name = f"program-{len(self.house.identity.tokens.table.list_all())}"
        token = self.house.identity.tokens.make(name, role, NOW, by="test", **more)
        client = TestClient(self.app, base_url=ORIGIN, follow_redirects=False)
        client.headers["Authorization"] = f"Bearer {token}"
        return client


def make_place(data: Path, on_retry: Callable[[], None] = lambda: None) -> Place:
    """Return an application over a new store; doors are closed: there is an account."""
    ward = Ward(open_store(data))
    house = House(ward)
    house.add("anna")
    identity = make_identity(ward.store, Clock(), record=ward.store.audit.record)
    app = create_web(
        ward.store, [make_model()], rules=default_rules(), identity=identity, on_retry=on_retry,
        allowed_hosts=("testserver",), poll_s=0, now=lambda: NOW,
    )  # fmt: skip
    place = Place(house, app, None)  # type: ignore[arg-type]
    place.client = place.program(Role.LEAD)
    return place


def fill(place: Place) -> None:
    """Send a few studies: arriving, being read, read, not read; with dead deliveries."""
    ward = place.ward
    for number in range(1, 6):
        ward.send(f"1.2.{number}", StudyDate=f"2026112{number}")
    ward.begin("1.2.2")
    row = ward.read("1.2.3")
    ward.refuse("1.2.4")
    first, second, *_ = ward.plan("1.2.3", row)
    ward.store.deliveries.record(first, DeliveryState.REFUSED, NOW, "not-acknowledged", "0xA900")
    ward.store.deliveries.record(second, DeliveryState.FAILED, NOW, "peer-unreachable", "Nobody there.")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = make_place(tmp_path / "data")
    yield made
    made.ward.store.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One for tests that change nothing that others look at."""
    made = make_place(tmp_path_factory.mktemp("filled") / "data")
    fill(made)
    yield made
    made.ward.store.close()
