"""Administration: the service's state, connections tried, accounts changed with the password, the trail."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from tests.identity.conftest import OTHER_PASSWORD, PASSWORD, House
from tests.ports import free_port
from tests.web.conftest import NOW, ORIGIN, Ward, make_model
from wetread.deliver.destination import Destination, DestinationKind
from wetread.deliver.probe import probe
from wetread.fetch.pacs import Pacs
from wetread.fetch.probe import probe as probe_pacs
from wetread.identity import Role
from wetread.store.audit_rows import AuditRows
from wetread.web import create_web
from wetread.web.site import Installation

FORM = {"Origin": ORIGIN}


@pytest.fixture
def house(ward: Ward) -> House:
    one = House(ward)
    one.add("admin", Role.ADMINISTRATOR)
    return one


def change(client: TestClient, **form: str):
    return client.post("/admin/accounts", data={"password": PASSWORD, **form})


@pytest.mark.parametrize("path", ["/admin", "/admin/connections", "/admin/accounts", "/admin/audit"])
@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.LEAD, Role.DATA_SCIENTIST])
def test_only_an_administrator_comes_in(house: House, role: Role, path: str) -> None:
    house.add("anna", role)
    client = house.signed_in("anna")
    assert client.get(path).status_code == 403
    assert "Administration" not in client.get("/").text
    admin = house.signed_in("admin")
    assert admin.get(path).status_code == 200
    assert 'href="/admin"' in admin.get("/").text


def test_the_overview_tells_how_it_is_and_nobody_s_name(house: House) -> None:
    ward = house.ward
    key = ward.send("1.2.1", name="Okonkwo^Adaeze", PatientID="MRN-77")
    ward.refuse("1.2.1")
    ward.note("1.2.1", "match", "Expected MRN-77 of Okonkwo.", level="problem")
    text = house.signed_in("admin").get("/admin").text
    assert "not-read" in text
    assert "Nothing is ever deleted." in text
    assert f"/studies/{key}" in text
    assert "GiB are free" in text
    for word in ("Okonkwo", "MRN-77", "1.2.1<"):
        assert word not in text


def test_an_account_is_made_and_must_change_its_password(house: House) -> None:
    admin = house.signed_in("admin")
    answer = change(admin, deed="add", name="Bo", role="lead", display_name="Bo Berg", new=OTHER_PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/accounts")
    row = house.identity.people.get("bo")
    assert (row.role, row.display_name, row.must_change_password) == ("lead", "Bo Berg", True)
    text = admin.get("/admin/accounts").text
    assert "Bo Berg" in text
    assert "must change the password" in text
    assert OTHER_PASSWORD not in text
    assert "Account bo added, role lead." in house.sentences()
    browser = house.browser()
    assert browser.post("/login", data={"name": "bo", "password": OTHER_PASSWORD}).status_code == 303
    assert browser.get("/").headers["location"] == "/account"


@pytest.mark.parametrize("password", ["", "wrong", OTHER_PASSWORD])
def test_nothing_changes_without_the_password_typed_anew(house: House, password: str) -> None:
    house.add("anna")
    admin = house.signed_in("admin")
    answer = change(admin, deed="disable", name="anna", password=password)
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert house.identity.people.get("anna").is_active
    for _ in range(5):
        change(admin, deed="disable", name="anna", password="wrong")  # noqa: S106
    assert change(admin, deed="disable", name="anna").status_code == 401, "locked, like at the sign-in"


def test_every_deed_does_what_it_says(house: House) -> None:
    house.add("anna")
    admin, anna = house.signed_in("admin"), house.signed_in("anna")
    assert anna.get("/").status_code == 200
    assert change(admin, deed="disable", name="anna").status_code == 303
    assert anna.get("/").status_code == 303
    assert change(admin, deed="enable", name="anna").status_code == 303
    assert change(admin, deed="set-role", name="anna", role="data-scientist").status_code == 303
    assert house.identity.people.get("anna").role == "data-scientist"
    house.identity.accounts.set(
        house.identity.people.get("anna").id, failures=9, locked_until=NOW.timestamp() + 900
    )
    assert "locked" in admin.get("/admin/accounts").text
    assert change(admin, deed="unlock", name="anna").status_code == 303
    assert house.identity.people.get("anna").locked_until is None
    assert change(admin, deed="require-totp", name="anna").status_code == 303
    house.identity.accounts.set(house.identity.people.get("anna").id, totp_secret="A" * 32)
    assert change(admin, deed="reset-totp", name="anna").status_code == 303
    row = house.identity.people.get("anna")
    assert (row.must_use_totp, row.totp_secret) == (True, "")
    assert change(admin, deed="reset-password", name="anna", new=OTHER_PASSWORD).status_code == 303
    assert house.identity.people.get("anna").must_change_password
    told = [one for one in house.sentences() if one.startswith("Account anna")]
    assert len(told) == 8


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"deed": "disable", "name": "admin"}, 409),
        ({"deed": "set-role", "name": "admin", "role": "lead"}, 409),
        ({"deed": "disable", "name": "nobody"}, 409),
        ({"deed": "add", "name": "admin", "new": OTHER_PASSWORD}, 409),
        ({"deed": "add", "name": "two words", "new": OTHER_PASSWORD}, 409),
        ({"deed": "add", "name": "robot", "role": "service", "new": OTHER_PASSWORD}, 409),
        ({"deed": "add", "name": "bo", "new": "short"}, 401),
        ({"deed": "become-root", "name": "bo"}, 404),
        ({"deed": "disable", "name": "a\0b"}, 404),
    ],
)
def test_what_must_not_be_is_refused_in_words(house: House, form: dict[str, str], status: int) -> None:
    admin = house.signed_in("admin")
    assert change(admin, **form).status_code == status
    assert [(row.name, row.role, row.is_active) for row in house.identity.accounts.list_all()] == [
        ("admin", "administrator", True)
    ]


def test_an_open_service_changes_no_account_on_a_page(client: TestClient) -> None:
    answer = client.post(
        "/admin/accounts", data={"deed": "add", "name": "eve", "new": OTHER_PASSWORD}, headers=FORM
    )
    assert answer.status_code == 409
    assert "/first-run" in answer.text


def test_the_trail_is_searched_and_that_is_recorded(house: House) -> None:
    ward = house.ward
    key = ward.send("1.2.840.99.1", name="Okonkwo^Adaeze")
    ward.send("1.2.840.99.2")
    house.add("anna")
    house.signed_in("anna").get(f"/studies/{key}")
    admin = house.signed_in("admin")
    text = admin.post("/admin/audit", data={"study": key}).text
    assert "Opened: the study." in text
    assert "anna" in text
    for word in ("Okonkwo", "PID1", "1.2.840.99.1"):
        assert word not in text
    assert (
        "The audit trail was searched on its page."
        in admin.post("/admin/audit", data={"actor": "admin"}).text
    )
    assert "Opened: the study." not in admin.post("/admin/audit", data={"actor": "nobody"}).text
    assert "Opened: the study." not in admin.post("/admin/audit", data={"event": "110101"}).text
    assert "no study of this key" in admin.post("/admin/audit", data={"study": "0" * 16}).text
    entries = AuditRows(ward.store.engine).list_last(50, event="110101")
    assert len(entries) == 4


@pytest.fixture
def archive():
    entity = AE("ARCHIVE")
    entity.require_called_aet = True
    entity.add_supported_context(Verification)
    port = free_port()
    server = entity.start_server(("127.0.0.1", port), block=False)
    yield port
    server.shutdown()


def a_destination(port: int, **more) -> Destination:
    values = {
        "name": "pacs",
        "kind": DestinationKind.CSTORE,
        "host": "127.0.0.1",
        "port": port,
        "aet": "ARCHIVE",
    }
    return Destination(**{**values, **more})


def test_a_destination_is_tried_from_the_page(ward: Ward, archive: int) -> None:
    works, wrong = a_destination(archive), a_destination(archive, name="wrong", aet="OTHER")
    app = create_web(
        ward.store, [make_model()], installation=Installation(destinations=(works, wrong)), now=lambda: NOW
    )
    with TestClient(app, base_url=ORIGIN) as client:
        page = client.get("/admin/connections").text
        assert f"ARCHIVE@127.0.0.1:{archive}" in page
        assert "gets " in page
        answer = client.post(
            "/admin/connections/test", data={"role": "destination", "name": "pacs"}, headers=FORM
        )
        assert "It answers, and knows our AE title." in answer.text
        answer = client.post(
            "/admin/connections/test", data={"role": "destination", "name": "wrong"}, headers=FORM
        )
        assert "register our AE title there" in answer.text
        for role, name in (("destination", "nowhere"), ("pacs", "pacs"), ("x", "pacs")):
            data = {"role": role, "name": name}
            assert client.post("/admin/connections/test", data=data, headers=FORM).status_code == 404
    told = [one.message for one in AuditRows(ward.store.engine).list_last(20)]
    assert any("test of the destination pacs" in one for one in told)


def test_what_does_not_answer_is_said_in_words() -> None:
    [one] = probe(a_destination(free_port()))
    assert (one.way, one.works) == ("C-ECHO", False)
    assert "check host, port and network" in one.words
    [other] = probe_pacs(Pacs(name="a", to=f"ARCHIVE@127.0.0.1:{free_port()}"))
    assert not other.works
    [web] = probe_pacs(Pacs(name="a", dicomweb_url=f"http://127.0.0.1:{free_port()}/dicom-web"))
    assert (web.way, web.works) == ("QIDO-RS", False)


def test_a_receiver_of_messages_gets_none(tmp_path: Path) -> None:
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            connection, _ = listener.accept()
            with connection:
                got.append(connection.recv(100))

        thread = threading.Thread(target=take)
        thread.start()
        [one] = probe(
            Destination(
                name="ris", kind=DestinationKind.MLLP, host="127.0.0.1", port=listener.getsockname()[1]
            )
        )
        thread.join()
    assert one.works
    assert got == [b""]
    [closed] = probe(Destination(name="ris", kind=DestinationKind.MLLP, host="127.0.0.1", port=free_port()))
    assert not closed.works
