"""DICOMweb: the token goes to the PACS only, and answers are bounded."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from wetread.domain.query import Level
from wetread.errors import PeerError, QueryRefused
from wetread.fetch import qido
from wetread.fetch.found import STUDY_KEYS
from wetread.fetch.pacs import Pacs
from wetread.fetch.qido import WebFinder


@dataclass
class Server:
    """Answers with what a test puts there."""

    status: int = 200
    body: bytes = b"[]"
    location: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def make_server() -> Iterator[object]:
    running = []

    def make() -> Server:
        told = Server()

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                told.asked.append((self.path, self.headers.get("Authorization", "")))
                self.send_response(told.status)
                if told.location:
                    self.send_header("Location", told.location)
                self.send_header("Content-Length", str(len(told.body)))
                self.end_headers()
                self.wfile.write(told.body)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        told.url = f"http://127.0.0.1:{server.server_address[1]}/rs"
        return told

    yield make
    for server in running:
        server.shutdown()
        server.server_close()


def pacs_at(server: Server, tmp_path: Path, **settings: object) -> Pacs:
    token = tmp_path / "token"
    token.write_text("secret\n")
    token.chmod(0o600)
    return Pacs(name="web", dicomweb_url=server.url, token_file=token, timeout_s=20, **settings)  # type: ignore[arg-type]


def find(pacs: Pacs):
    return WebFinder(pacs).find(Level.STUDY, {"PatientID": "P1"}, STUDY_KEYS)


def test_the_token_goes_along(make_server, tmp_path: Path) -> None:
    server = make_server()
    server.body = json.dumps(
        [{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}, "00201208": {"vr": "IS", "Value": [7]}}, 5, {}]
    ).encode()
    answer = find(pacs_at(server, tmp_path))
    [found] = answer.found
    assert (found.study_instance_uid, found.count("NumberOfStudyRelatedInstances")) == ("1.2.3", 7)
    assert answer.dropped == 2
    assert server.asked[0][1] == "Bearer secret"


def test_a_redirect_elsewhere_is_not_followed(make_server, tmp_path: Path) -> None:
    server, thief = make_server(), make_server()
    server.status, server.location = 302, thief.url
    with pytest.raises(QueryRefused):
        find(pacs_at(server, tmp_path))
    assert thief.asked == []


def test_a_redirect_on_the_same_server_is(make_server, tmp_path: Path) -> None:
    server = make_server()
    server.status, server.location = 302, f"{server.url}/studies"
    with pytest.raises(PeerError):
        find(pacs_at(server, tmp_path))
    assert len(server.asked) > 1


@pytest.mark.parametrize("body", [b"{", b'{"a": 1}', b"[" * 100_000, b"<html>"])
def test_what_is_no_answer_is_refused(make_server, tmp_path: Path, body: bytes) -> None:
    server = make_server()
    server.body = body
    with pytest.raises(QueryRefused):
        find(pacs_at(server, tmp_path))


def test_an_answer_without_measure_is_refused(
    make_server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qido, "ANSWER_LIMIT", 1000)
    server = make_server()
    server.body = b" " * 2000
    with pytest.raises(QueryRefused, match="more than can be taken"):
        find(pacs_at(server, tmp_path))


def test_the_same_page_again_and_again_ends(make_server, tmp_path: Path) -> None:
    server = make_server()
    rows = [{"0020000D": {"vr": "UI", "Value": [f"1.2.{n}"]}} for n in range(qido.PAGE)]
    server.body = json.dumps(rows).encode()
    answer = find(pacs_at(server, tmp_path, maximum_matches=2000))
    assert len(answer.found) == qido.PAGE
    assert len(server.asked) <= 6


@pytest.mark.parametrize(("status", "count"), [(204, 0), (404, 0)])
def test_nothing_found(make_server, tmp_path: Path, status: int, count: int) -> None:
    server = make_server()
    server.status, server.body = status, b""
    assert len(find(pacs_at(server, tmp_path)).found) == count
