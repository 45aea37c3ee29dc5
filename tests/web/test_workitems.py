"""UPS-RS at a real server, and its event reports on a real WebSocket."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from lxml import etree
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.identity.conftest import House
from tests.path.service import await_true
from tests.share.workitem_bodies import attributes, performed
from tests.stores import open_store
from tests.web.conftest import NOW, Ward
from wetread.domain import workitem as w
from wetread.domain.workitem import FILTERED_UID, GLOBAL_UID, element
from wetread.identity import Role
from wetread.store import Store
from wetread.web import create_web

JSON = {"Content-Type": "application/dicom+json"}
KEY = "1.9.1"


class Place:
    """A store and its pages behind a real server."""

    def __init__(self, folder: Path, house: bool = False) -> None:
        self.house = House(Ward(open_store(folder / "data"))) if house else None
        self.store: Store = self.house.store if self.house else open_store(folder / "data")
        self.changes = 0
        identity = self.house.identity if self.house else None
        self.app = create_web(self.store, (), identity=identity, poll_s=0.05, on_workitem=self.count)
        self._listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(self.app, log_level="error", server_header=False, ws_max_size=1 << 16)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True
        )
        self._thread.start()
        await_true(lambda: self._server.started, 60, "the server")
        self.client = httpx.Client(base_url=f"{self.url}/dicom-web", headers=JSON, timeout=60)

    def count(self) -> None:
        self.changes += 1

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.client.close()
        self.app.state.pulse.stop()
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._listener.close()
        self.store.close()

    def create(self, uid: str = "1.2.3", **changes: Any) -> httpx.Response:
        return self.client.post(f"/workitems?workitem={uid}", content=json.dumps([attributes(**changes)]))

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        content = None if body is None else json.dumps(body)
        return self.client.request(method, path, content=content, headers=headers)

    def take(self, uid: str = "1.2.3", key: str = KEY, state: str = "IN PROGRESS") -> httpx.Response:
        body = {w.STATE: element("CS", state), w.TRANSACTION_UID: element("UI", key)}
        return self.send("PUT", f"/workitems/{uid}/state", body)

    def listen(self, aet: str = "WATCH", **headers: str) -> ClientConnection:
        address = f"ws://127.0.0.1:{self.port}/dicom-web/subscribers/{aet}"
        return connect(address, additional_headers=headers, open_timeout=60)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    one = Place(tmp_path)
    yield one
    one.stop()


def heard(connection: ClientConnection) -> tuple[str, int, str]:
    report = json.loads(connection.recv(timeout=60))
    assert KEY not in json.dumps(report)
    state = report.get(w.STATE, {}).get("Value", [""])
    return report["00001000"]["Value"][0], report["00001002"]["Value"][0], state[0]


def test_a_workitem_from_its_creation_to_its_end(place: Place) -> None:
    made = place.create()
    assert made.status_code == 201
    assert made.headers["Location"] == f"{place.url}/dicom-web/workitems/1.2.3"
    [held] = place.client.get("/workitems/1.2.3").json()
    assert held[w.STATE]["Value"] == ["SCHEDULED"]
    assert place.take().status_code == 200
    assert place.send("POST", f"/workitems/1.2.3?transaction-uid={KEY}", performed()).status_code == 200
    done = place.take(state="COMPLETED")
    assert (done.status_code, "Warning" in done.headers) == (200, False)
    again = place.take(state="COMPLETED")
    assert again.status_code == 200
    assert "already in the requested state of COMPLETED" in again.headers["Warning"]
    answer = place.client.get("/workitems/1.2.3")
    assert answer.json()[0][w.STATE]["Value"] == ["COMPLETED"]
    assert KEY not in answer.text
    assert place.changes >= 4


@pytest.mark.parametrize("query", ["?1.2.4", "?AffectedSOPInstanceUID=1.2.4", "?workitem=1.2.4"])
def test_its_uid_stands_in_the_address(place: Place, query: str) -> None:
    assert place.send("POST", f"/workitems{query}", attributes()).status_code == 201
    assert place.client.get("/workitems/1.2.4").status_code == 200


def test_a_uid_is_made_where_none_is_given(place: Place) -> None:
    made = place.send("POST", "/workitems", attributes())
    assert place.client.get(made.headers["Location"]).status_code == 200
    modified = place.send("POST", "/workitems", attributes(_00741202=None))
    assert "created with modifications" in modified.headers["Warning"]


def test_what_is_refused_says_why(place: Place) -> None:
    place.create()
    body = json.dumps(attributes())
    for answer, status in (
        (place.create(), 409),
        (place.create("1.4", _00741204=None), 400),
        (place.create("1.4", _00741000=element("CS", "COMPLETED")), 400),
        (place.client.post("/workitems", content=body, headers={"Content-Type": "text/plain"}), 403),
        (place.send("POST", "/workitems", attributes(), **{"Content-Type": "application/dicom"}), 415),
        (place.client.post("/workitems", content=b"{"), 400),
        (place.client.get("/workitems/1.5"), 404),
        (place.client.get("/workitems/nonsense"), 404),
        (place.client.get("/workitems/1.2.3", headers={"Accept": "image/png"}), 406),
        (place.client.get("/workitems?limit=x"), 400),
        (place.take("1.5"), 404),
        (place.take(state="COMPLETED"), 409),
        (place.take(state="SCHEDULED"), 400),
        (place.take(key="nonsense"), 400),
        (place.send("POST", "/workitems/1.2.3?transaction-uid=1.9.9", performed()), 400),
        (place.send("PUT", "/workitems/1.2.3/state"), 415 - 15),
        (place.send("POST", "/workitems/1.5/cancelrequest"), 404),
    ):
        assert answer.status_code == status, (answer.request.url, answer.status_code, answer.text)
        if status not in (403, 404):
            assert answer.json()["error"]
    assert place.take().status_code == 200
    second = place.take(key="1.9.2")
    assert (second.status_code, "already IN PROGRESS" in second.headers["Warning"]) == (409, True)
    assert place.take(key="1.9.2", state="COMPLETED").status_code == 400
    assert "final state" in place.take(state="COMPLETED").headers["Warning"]


def test_a_body_has_an_end(place: Place) -> None:
    large = attributes(_00741204=element("LO", "x" * (1 << 20)))
    assert place.send("POST", "/workitems", large).status_code == 413


def test_search(place: Place) -> None:
    assert place.client.get("/workitems").status_code == 204
    for number in range(3):
        place.create(f"1.{number}", study=f"2.25.77.{number}")
    place.take("1.1")
    found = place.client.get("/workitems?ProcedureStepState=IN PROGRESS").json()
    assert [one["00080018"]["Value"][0] for one in found] == ["1.1"]
    assert w.PERFORMED not in found[0]
    assert w.PERFORMED in place.client.get("/workitems?includefield=all").json()[0]
    page = place.client.get("/workitems?limit=1&offset=1")
    assert [one["00080018"]["Value"][0] for one in page.json()] == ["1.1"]
    assert "additional results" in page.headers["Warning"]
    assert KEY not in place.client.get("/workitems?includefield=all").text


def test_xml_both_ways(place: Place) -> None:
    place.create()
    xml = place.client.get("/workitems/1.2.3", headers={"Accept": "application/dicom+xml"})
    tree = etree.fromstring(xml.content)
    for tag in ("00080016", "00080018", "00404010"):
        [found] = tree.xpath(f"//*[@tag='{tag}']")
        found.getparent().remove(found)
    made = place.client.post(
        "/workitems?workitem=1.6", content=etree.tostring(tree),
        headers={"Content-Type": "application/dicom+xml"},
    )  # fmt: skip
    assert made.status_code == 201
    first, second = (place.client.get(f"/workitems/{uid}").json()[0] for uid in ("1.2.3", "1.6"))
    assert {tag for tag in first if first[tag] != second[tag]} == {"00080018", "00404010"}


def test_a_request_to_cancel(place: Place) -> None:
    place.create()
    assert place.send("POST", "/workitems/1.2.3/cancelrequest").status_code == 202
    assert place.client.get("/workitems/1.2.3").json()[0][w.STATE]["Value"] == ["CANCELED"]
    again = place.send("POST", "/workitems/1.2.3/cancelrequest", {w.REASON: element("LT", "Twice")})
    assert (again.status_code, "CANCELED" in again.headers["Warning"]) == (409, True)


def test_event_reports_come_on_a_websocket(place: Place) -> None:
    place.create()
    made = place.send("POST", "/workitems/1.2.3/subscribers/WATCH?deletionlock=true")
    assert made.status_code == 201
    address = made.headers["Content-Location"]
    assert address == f"ws://127.0.0.1:{place.port}/dicom-web/subscribers/WATCH"
    with connect(address, open_timeout=60) as connection:
        assert heard(connection) == ("1.2.3", 1, "SCHEDULED")
        place.take()
        assert heard(connection) == ("1.2.3", 1, "IN PROGRESS")
        place.send("POST", "/workitems/1.2.3/cancelrequest")
        assert heard(connection)[:2] == ("1.2.3", 2)
    # What happens while nobody listens is told to who comes back.
    place.send("POST", f"/workitems/1.2.3?transaction-uid={KEY}", performed())
    place.take(state="COMPLETED")
    with connect(address, open_timeout=60) as connection:
        assert heard(connection) == ("1.2.3", 1, "COMPLETED")


def test_subscriptions_to_all_and_to_some(place: Place) -> None:
    some, everything = (f"/workitems/{uid}/subscribers" for uid in (FILTERED_UID, GLOBAL_UID))
    assert place.send("POST", f"{some}/SOME?filter=WorklistLabel=MR*").status_code == 201
    assert place.send("POST", f"{some}/SOME").status_code == 400
    assert place.send("POST", f"{everything}/ALL?deletionlock=maybe").status_code == 400
    assert place.send("POST", f"{everything}/ALL").status_code == 201
    place.create("1.1")
    place.create("1.2", _00741202=element("LO", "MR brain"))
    with place.listen("SOME") as one, place.listen("ALL") as other:
        assert heard(one)[0] == "1.2"
        assert [heard(other)[0] for _ in range(2)] == ["1.1", "1.2"]
        assert place.send("POST", f"{everything}/ALL/suspend").status_code == 200
        place.create("1.3")
        assert place.send("DELETE", "/workitems/1.1/subscribers/ALL").status_code == 200
        place.take("1.1")
        place.take("1.2")
        assert heard(other) == ("1.2", 1, "IN PROGRESS")
    assert place.send("POST", "/workitems/1.1/subscribers/ALL/suspend").status_code == 400


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://elsewhere.example"}, {"Host": "elsewhere.example"}, {"Origin": "null"}]
)
def test_a_page_of_another_site_opens_no_websocket(place: Place, headers: dict[str, str]) -> None:
    with socket.create_connection(("127.0.0.1", place.port), timeout=60) as raw:
        lines = {
            "Host": f"127.0.0.1:{place.port}", "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13",
        } | headers  # fmt: skip
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        raw.sendall(f"GET /dicom-web/subscribers/WATCH HTTP/1.1\r\n{head}\r\n".encode())
        assert b" 403 " in raw.recv(4096).splitlines()[0]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Place]:
    one = Place(tmp_path, house=True)
    assert one.house is not None
    one.house.add("anna")
    yield one
    one.stop()


def bearer(place: Place, name: str, role: Role, sources: tuple[str, ...] | None = None) -> dict[str, str]:
    assert place.house is not None
    tokens = place.house.identity.tokens
    return {"Authorization": f"Bearer {tokens.make(name, role, NOW, by='test', sources=sources)}"}


def status_of(call: Any) -> int:
    with pytest.raises(InvalidStatus) as caught:
        call()
    return int(caught.value.response.status_code)


def test_doors_are_closed_without_rights(guarded: Place) -> None:
    scientist = bearer(guarded, "lab", Role.DATA_SCIENTIST)
    assert guarded.create().status_code == 401
    for headers, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 401), (scientist, 403)):
        for method, path in (
            ("GET", "/workitems"), ("GET", "/workitems/1.2"), ("POST", "/workitems"),
            ("PUT", "/workitems/1.2/state"), ("POST", f"/workitems/{GLOBAL_UID}/subscribers/X"),
        ):  # fmt: skip
            body = None if method == "GET" else {}
            assert guarded.send(method, path, body, **headers).status_code == status
        assert status_of(lambda headers=headers: guarded.listen(**headers)) == 403
    assert guarded.house is not None
    assert any("WEBSOCKET" in event.description for event in guarded.house.told)


def test_each_sender_works_on_its_own_list(guarded: Place) -> None:
    one, other = (bearer(guarded, name, Role.SERVICE, (name,)) for name in ("A", "B"))
    everybody = bearer(guarded, "desk", Role.SERVICE)
    for uid, headers in (("1.1", one), ("1.2", other)):
        made = guarded.send("POST", f"/workitems?workitem={uid}", attributes(), **headers)
        assert made.status_code == 201
    body = {w.STATE: element("CS", "IN PROGRESS"), w.TRANSACTION_UID: element("UI", KEY)}
    assert guarded.send("PUT", "/workitems/1.1/state", body, **other).status_code == 404
    assert guarded.send("GET", "/workitems/1.1", **other).status_code == 404
    assert len(guarded.send("GET", "/workitems", **everybody).json()) == 2
    # A title belongs to whoever subscribed under it first.
    assert guarded.send("POST", f"/workitems/{GLOBAL_UID}/subscribers/X", **one).status_code == 201
    assert guarded.send("POST", f"/workitems/{GLOBAL_UID}/subscribers/X", **other).status_code == 403
    assert guarded.send("DELETE", f"/workitems/{GLOBAL_UID}/subscribers/X", **other).status_code == 403
    with guarded.listen("X", **other) as eavesdropper, pytest.raises(ConnectionClosed):
        eavesdropper.recv(timeout=60)
    with guarded.listen("X", **one) as connection:
        assert heard(connection) == ("1.1", 1, "SCHEDULED")


def test_a_websocket_ends_with_its_token(guarded: Place) -> None:
    headers = bearer(guarded, "desk", Role.SERVICE)
    with guarded.listen(**headers) as connection:
        assert guarded.house is not None
        guarded.house.identity.tokens.revoke("desk", NOW, by="test")
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=60)
