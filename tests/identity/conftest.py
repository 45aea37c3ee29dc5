"""Real accounts in a real store; only the clock is ours."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyotp
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.stores import open_store
from tests.web.conftest import NOW, ORIGIN, Ward, make_model
from wetread.domain.audit import AuditEvent
from wetread.identity import Identity, Role, make_identity
from wetread.identity.sign_in import Attempt
from wetread.store import Store
from wetread.web import create_web

PASSWORD = "three blue anvils sing"  # noqa: S105 - of no account anywhere
OTHER_PASSWORD = "seven green kettles hum"  # noqa: S105 - the same


@dataclass
class Clock:
    """Tells the time that the test wants."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class House:
    """Accounts and pages over one store."""

    ward: Ward
    clock: Clock = field(default_factory=Clock)
    told: list[AuditEvent] = field(default_factory=list)
    oidc: Any = None

    def __post_init__(self) -> None:
        self.identity: Identity = make_identity(
            self.ward.store, self.clock, record=self.told.append, oidc=self.oidc
        )
        self.app: FastAPI = create_web(
            self.ward.store,
            [make_model()],
            identity=self.identity,
            on_retry=lambda: None,
            poll_s=0,
            now=self.clock,
        )

    @property
    def store(self) -> Store:
        return self.ward.store

    def add(self, name: str, role: Role = Role.RADIOLOGIST, **more: Any) -> None:
        self.identity.people.add(name, role, PASSWORD, self.clock(), by="test", **more)

    def browser(self, base_url: str = ORIGIN) -> TestClient:
        client = TestClient(self.app, base_url=base_url, follow_redirects=False)
        client.headers["Origin"] = base_url
        return client

    def signed_in(self, name: str, base_url: str = ORIGIN) -> TestClient:
        client = self.browser(base_url)
        answer = client.post("/login", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return client

    def program(self, role: Role = Role.SERVICE, **more: Any) -> TestClient:
        name = f"program-{len(self.identity.tokens.table.list_all())}"
        token = self.identity.tokens.make(name, role, self.clock(), by="test", **more)
        client = TestClient(self.app, base_url=ORIGIN, follow_redirects=False)
        client.headers["Authorization"] = f"Bearer {token}"
        return client

    def sentences(self) -> list[str]:
        return [event.description for event in self.told]


def attempt(
    name: str = "anna", password: str = PASSWORD, code: str = "", address: str = "10.0.0.7"
) -> Attempt:
    return Attempt(name=name, password=password, code=code, address=address)


def code_at(secret: str, at: datetime) -> str:
    return pyotp.TOTP(secret).at(at)


@pytest.fixture
def house(tmp_path) -> Iterator[House]:
    store = open_store(tmp_path / "data")
    yield House(Ward(store))
    store.close()
