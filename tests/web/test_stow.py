"""STOW-RS at a real server: programs, browsers, Orthanc, and whoever means harm."""

from __future__ import annotations

import contextlib
import gzip
import json
import resource
import socket
import struct
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import dicomweb_client.api
import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from pydicom import dcmread
from pydicom.uid import generate_uid

from tests.identity.conftest import House
from tests.orthanc import requires_orthanc, running_orthanc
from tests.path.service import await_true
from tests.receive.stow_bodies import DICOM, as_json, encode, files, multipart, new_ct, related, with_bulk
from tests.receive.stow_bodies import JSON as JSON_MODEL
from tests.stores import open_store
from tests.web.conftest import Ward
from wetread.identity import Role
from wetread.receive.stow import Stow, StowOptions, start_stow
from wetread.store import Store
from wetread.web import create_web

PATH = "/dicom-web/studies"
OPTIONS = StowOptions(instance_limit=1 << 20, network_timeout_s=1.0, maximum_requests=8)


class Place:
    """A store, its STOW and its pages behind a real server."""

    def __init__(self, folder: Path, make_app) -> None:
        self.store: Store = open_store(folder / "data")
        self.woken: list[str] = []
        self.stow: Stow = start_stow(OPTIONS, self.store, lambda uid, _: self.woken.append(uid))
        self.app: FastAPI = make_app(self)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._server = uvicorn.Server(uvicorn.Config(self.app, log_level="error", server_header=False))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True
        )
        self._thread.start()
        await_true(lambda: self._server.started, 20, "the server")

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.stow.stop()
        self.app.state.pulse.stop()
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()
        self.stow.close()
        self._listener.close()
        self.store.close()

    def post(self, body, kind: str = "", path: str = PATH, **headers: str) -> httpx.Response:
        headers = {"Content-Type": kind or related()} | {k.replace("_", "-"): v for k, v in headers.items()}
        return httpx.post(self.url + path, content=body, headers=headers, timeout=60)

    def raw(self, head: str, body: bytes = b"") -> bytes:
        """Send bytes as they are; returns what comes back until the server hangs up."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=20)) as connection:
            lines = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {related()}\r\n{head}\r\n"
            answer = b""
            try:
                connection.sendall(lines.encode() + body)
                while part := connection.recv(65536):
                    answer += part
            except ConnectionError:
                pass  # it hung up while we were still sending
            return answer

    def is_clean(self) -> bool:
        return not list(self.store.intake.incoming.iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    one = Place(tmp_path, lambda place: create_web(place.store, (), stow=place.stow))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield one
    assert httpx.get(one.url + "/health").json() == {"status": "ok"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024
    await_true(one.is_clean, 20, "an empty incoming folder")
    one.stop()


def uids(answer: httpx.Response, tag: str = "00081199") -> list[str]:
    return [item["00081155"]["Value"][0] for item in answer.json().get(tag, {}).get("Value", [])]


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_a_program_hands_in_on_loopback_without_a_login(place: Place) -> None:
    one, other = new_ct(), new_ct()
    answer = place.post(files(encode(one), encode(other)))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    assert uids(answer) == [one.SOPInstanceUID, other.SOPInstanceUID]
    base = f"{place.url}/dicom-web/studies/{one.StudyInstanceUID}"
    assert answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0].startswith(base + "/series/")
    assert place.woken == [one.StudyInstanceUID, other.StudyInstanceUID]
    assert place.store.studies.find(one.StudyInstanceUID).source == "stow"


def test_the_answer_is_xml_for_whoever_asks(place: Place) -> None:
    dataset = new_ct()
    answer = place.post(files(encode(dataset)), Accept="application/dicom+xml")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom+xml")
    assert dataset.SOPInstanceUID in [one.text for one in ElementTree.fromstring(answer.text).iter()]  # noqa: S314
    before = len(place.woken)
    assert place.post(files(encode(new_ct())), Accept="text/html").status_code == 406
    assert len(place.woken) == before


def test_the_study_of_the_address(place: Place) -> None:
    dataset = new_ct()
    data = files(encode(dataset))
    assert place.post(data, path=f"{PATH}/{generate_uid()}").status_code == 409
    assert place.store.studies.list_newest() == []
    assert place.post(data, path=f"{PATH}/{dataset.StudyInstanceUID}").status_code == 200
    for path in ("x", "..%2f..%2fetc", "1..2", "1" * 65, "1.2%00"):
        assert place.post(data, path=f"{PATH}/{path}").status_code in (400, 404), path


def test_metadata_and_bulk_data(place: Place) -> None:
    dataset = new_ct()
    answer = place.post(with_bulk(*as_json(dataset)), related(JSON_MODEL))
    assert answer.status_code == 200
    assert dcmread(place.store.intake.instances.path(dataset.SOPInstanceUID)).PixelData == dataset.PixelData


def test_in_pieces_without_a_length_and_beyond_the_limit_of_forms(place: Place) -> None:
    datasets = [new_ct() for _ in range(20)]
    body = files(*(encode(one) for one in datasets))
    assert len(body) > 500_000
    answer = place.post(body[start : start + 9999] for start in range(0, len(body), 9999))
    assert answer.status_code == 200
    assert len(uids(answer)) == 20


def test_a_connection_serves_one_request_after_the_other(place: Place) -> None:
    with httpx.Client() as client:
        for _ in range(3):
            body = files(encode(new_ct())) + b"\r\nan epilogue"
            answer = client.post(place.url + PATH, content=body, headers={"Content-Type": related()})
            assert answer.status_code == 200
            assert "connection" not in answer.headers


def test_dicomweb_client(place: Place) -> None:
    api = dicomweb_client.api
    datasets = [new_ct("1.2.3") for _ in range(2)]
    client = api.DICOMwebClient(place.url + "/dicom-web")
    answer = client.store_instances(datasets, study_instance_uid="1.2.3")
    assert [one.ReferencedSOPInstanceUID for one in answer.ReferencedSOPSequence] == [
        one.SOPInstanceUID for one in datasets
    ]


@requires_orthanc
def test_orthanc_sends_its_study(place: Place, tmp_path: Path) -> None:
    settings = {"DicomWeb": {"Servers": {"wetread": [place.url + "/dicom-web/"]}}}
    datasets = [new_ct("1.2.3") for _ in range(5)]
    with running_orthanc(tmp_path / "orthanc", settings) as orthanc:
        for dataset in datasets:
            httpx.post(f"{orthanc.url}/instances", content=encode(dataset)).raise_for_status()
        [study] = orthanc.get("/studies")
        order = json.dumps({"Resources": [study], "Synchronous": True}).encode()
        request = urllib.request.Request(f"{orthanc.url}/dicom-web/servers/wetread/stow", order)
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200
    assert place.store.studies.find("1.2.3").instance_count == 5
    for dataset in datasets:
        assert (
            dcmread(place.store.intake.instances.path(dataset.SOPInstanceUID)).PixelData == dataset.PixelData
        )


# Who may


@pytest.fixture
def ward_house(tmp_path: Path) -> Iterator[tuple[Place, House]]:
    houses = []

    def make(place: Place) -> FastAPI:
        house = House(Ward(place.store))
        houses.append(house)
        return create_web(place.store, (), identity=house.identity, stow=place.stow, now=house.clock)

    place = Place(tmp_path, make)
    yield place, houses[0]
    place.stop()


def token_of(house: House, role: Role, name: str, **more) -> str:
    return "Bearer " + house.identity.tokens.make(name, role, house.clock(), by="test", **more)


def test_only_who_may_hand_in_does(ward_house: tuple[Place, House]) -> None:
    place, house = ward_house
    house.add("anna")
    body = files(encode(new_ct()))
    assert place.post(body).status_code == 401
    for role in (Role.ADMINISTRATOR, Role.DATA_SCIENTIST):
        assert place.post(body, Authorization=token_of(house, role, role.value)).status_code == 403
    assert place.store.studies.list_newest() == []
    assert place.post(body, Authorization=token_of(house, Role.SERVICE, "ris")).status_code == 200
    assert [row.source for row in place.store.studies.list_newest()] == ["ris"]


def test_who_is_limited_to_senders_hands_in_as_one_of_them(ward_house: tuple[Place, House]) -> None:
    place, house = ward_house
    house.add("anna")
    theirs = new_ct()
    place.post(files(encode(theirs)), Authorization=token_of(house, Role.SERVICE, "all"))
    limited = token_of(house, Role.SERVICE, "site-b", sources=("CT_B", "MR_B"))
    one = new_ct()
    assert place.post(files(encode(one)), Authorization=limited).status_code == 200
    assert place.store.studies.find(one.StudyInstanceUID).source == "CT_B"
    answer = place.post(files(encode(new_ct(theirs.StudyInstanceUID))), Authorization=limited)
    assert answer.status_code == 409
    assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0x0124]
    assert place.store.studies.find(theirs.StudyInstanceUID).instance_count == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Cookie": "wetread=x"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Host": "evil.example"},
    ],
)
def test_h49_no_page_of_another_site_hands_in(place: Place, headers: dict[str, str]) -> None:
    all_headers = {"Content-Type": related()} | headers
    answer = httpx.post(place.url + PATH, content=files(encode(new_ct())), headers=all_headers)
    assert answer.status_code == 403
    assert place.store.studies.list_newest() == []
    asked = httpx.options(place.url + PATH, headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in asked.headers


def test_our_own_pages_may(place: Place) -> None:
    headers = {"Origin": place.url, "Sec-Fetch-Site": "same-origin", "Cookie": "wetread=x"}
    answer = httpx.post(
        place.url + PATH, content=files(encode(new_ct())), headers=headers | {"Content-Type": related()}
    )
    assert answer.status_code == 200


# H39, H40: bodies that harm


def test_h39_a_gzip_bomb_is_not_even_unpacked(place: Place) -> None:
    bomb = gzip.compress(bytes(100 << 20))
    for encoding in ("gzip", "deflate", "br", "gzip, gzip", "identity, gzip", "x"):
        answer = place.post(bomb, Content_Encoding=encoding)
        assert answer.status_code == 415
        assert "Content-Encoding" in answer.json()["error"]
    assert place.post(files(encode(new_ct())), Content_Encoding="identity").status_code == 200


def test_h39_lengths_that_lie(place: Place) -> None:
    dataset = new_ct()
    body = files(encode(dataset))
    # Longer than what comes, then silence.
    began_at = time.monotonic()
    answer = place.raw(f"Content-Length: {len(body) + 1000}\r\n", body[:-10])
    assert status_of(answer) == 408
    assert time.monotonic() - began_at < 15
    # Shorter: the rest is no request.
    assert status_of(place.raw("Content-Length: 10\r\nConnection: close\r\n", body)) == 400
    for length in ("-1", "1e3", "9" * 30, "x", "0x10"):
        answer = place.raw(f"Content-Length: {length}\r\nConnection: close\r\n", b"x")
        assert not answer or status_of(answer) in (400, 408), length
    # Both lengths and chunks, as smugglers have it: chunks count, and what follows opens nothing.
    smuggled = b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    answer = place.raw("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", smuggled)
    assert status_of(answer) == 400
    assert b" 200 " not in answer


def test_h39_a_chunk_that_never_ends(place: Place) -> None:
    body = files(encode(new_ct()))
    answer = place.raw("Transfer-Encoding: chunked\r\n", b"FFFFFFFF\r\n" + body[:1000])
    assert status_of(answer) == 408
    answer = place.raw("Transfer-Encoding: chunked\r\n", b"F" * 100_000)
    assert status_of(answer) == 400


def test_h39_a_part_that_never_ends(place: Place) -> None:
    dataset = new_ct()
    head = multipart([({"Content-Type": DICOM}, encode(dataset))])[:-30]

    def pieces() -> Iterator[bytes]:
        yield head
        for _ in range(320):
            yield bytes(100_000)

    began_at = time.monotonic()
    answer = place.post(pieces())
    # Never more on the disk than an instance may have; the rest is thrown away, and the end is missing.
    assert answer.status_code == 400
    assert time.monotonic() - began_at < 60


def test_h39_who_dawdles_is_let_go(place: Place) -> None:
    body = files(encode(new_ct()))[:200]
    began_at = time.monotonic()
    with closing(socket.create_connection(("127.0.0.1", place.port), timeout=30)) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {related()}\r\n"
        connection.sendall(f"{head}Content-Length: 100000\r\n\r\n".encode())
        connection.settimeout(0.2)
        for one in body:
            connection.sendall(bytes([one]))
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(1000)
                break
    # Never silent for a second, and far too slow.
    assert status_of(answer) == 408
    assert time.monotonic() - began_at < 20


def test_h40_bodies_without_measure(place: Place) -> None:
    assert place.post(files(b""), related(boundary="b" * 70_000)).status_code in (400, 431)
    assert place.post(files(b""), related(boundary="b" * 1000)).status_code == 400
    assert place.post(files(b""), "multipart/related").status_code == 400
    million = b"--wetread-boundary\r\n\r\n\r\n" * 1_000_000
    began_at = time.monotonic()
    # It may hang up while we are still sending.
    with contextlib.suppress(httpx.TransportError):
        assert place.post(million).status_code == 413
    assert time.monotonic() - began_at < 120


def test_a_connection_that_breaks_leaves_what_came_whole(place: Place) -> None:
    whole, half = new_ct(), new_ct(PixelData=bytes(500_000))
    body = files(encode(whole), encode(half))
    with closing(socket.create_connection(("127.0.0.1", place.port))) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {related()}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-1000])
        await_true(lambda: place.store.studies.find(whole.StudyInstanceUID), 20, "the whole part")
        # Not closed but torn: RST.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await_true(place.is_clean, 20, "an empty incoming folder")
    assert place.store.studies.find(half.StudyInstanceUID) is None


def test_a_disk_that_is_full_is_said_before_the_body_comes(place: Place) -> None:
    space = place.store.intake.space
    space.reserve_mb, space.measure, space.age_s = 1 << 20, lambda _: (1 << 40, 0), 0
    began_at = time.monotonic()
    answer = place.raw("Content-Length: 1000000\r\nExpect: 100-continue\r\nConnection: close\r\n")
    assert status_of(answer) == 507
    assert time.monotonic() - began_at < 5
    space.reserve_mb = 0


def test_a_service_that_stops_does_not_wait_for_senders(tmp_path: Path) -> None:
    place = Place(tmp_path, lambda place: create_web(place.store, (), stow=place.stow))
    whole = new_ct()
    body = files(encode(whole), encode(new_ct()))
    with closing(socket.create_connection(("127.0.0.1", place.port), timeout=20)) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {related()}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-1000])
        await_true(lambda: place.stow._busy, 20, "the request")
        stopping = threading.Thread(target=place.stow.stop)
        stopping.start()
        answer = connection.recv(65536)
        assert status_of(answer) in (202, 503)
    place.stop()
