"""A PACS that speaks TLS is asked only if its certificate is by an authority of ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.fetch.liar import answer, running_liar
from wetread.certificates import make_authority, sign
from wetread.domain.query import Level
from wetread.errors import PeerNotTrusted
from wetread.fetch.ask import open_finder
from wetread.fetch.found import STUDY_KEYS
from wetread.fetch.pacs import Pacs
from wetread.network import ServerTls, server_context

_BODY = b'[{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}]'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certificates")
    authority = make_authority("Hospital", 2)
    authority.write(made, "authority")
    make_authority("Somebody else", 2).write(made, "other")
    sign(authority, "PACS", hosts=("127.0.0.1",), days=1, server=True).write(made, "pacs")
    sign(authority, "WETREAD", days=1).write(made, "wetread")
    return made


@pytest.fixture
def door(folder: Path) -> ServerTls:
    """It asks who we are."""
    return ServerTls(
        certificate=folder / "pacs.pem", key=folder / "pacs.key", authorities=folder / "authority.pem"
    )


def trusting(folder: Path, authority: str = "authority") -> dict[str, Path]:
    return {
        "authorities": folder / f"{authority}.pem",
        "certificate": folder / "wetread.pem",
        "key": folder / "wetread.key",
    }


def list_studies(pacs: Pacs) -> list[str]:
    with open_finder(pacs) as finder:
        return [one.study_instance_uid for one in finder.find(Level.STUDY, {}, STUDY_KEYS).found]


def test_by_dimse(folder: Path, door: ServerTls) -> None:
    with running_liar(server_context(door)) as liar:
        liar.listed["STUDY"] = [answer(StudyInstanceUID="1.2.3")]
        settings = {"name": "pacs", "to": liar.to, "tls": True, "timeout_s": 20.0}
        assert list_studies(Pacs(**settings, **trusting(folder))) == ["1.2.3"]  # type: ignore[arg-type]
        with pytest.raises(PeerNotTrusted):
            list_studies(Pacs(**settings, **trusting(folder, "other")))  # type: ignore[arg-type]


@pytest.fixture
def url(door: ServerTls) -> Iterator[str]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(_BODY)))
            self.end_headers()
            self.wfile.write(_BODY)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answers)
    server.socket = server_context(door).wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_address[1]}/rs"
    server.shutdown()
    server.server_close()


def test_by_dicomweb(folder: Path, url: str) -> None:
    settings = {"name": "pacs", "dicomweb_url": url, "timeout_s": 20.0}
    assert list_studies(Pacs(**settings, **trusting(folder))) == ["1.2.3"]  # type: ignore[arg-type]
    with pytest.raises(PeerNotTrusted):
        list_studies(Pacs(**settings, **trusting(folder, "other")))  # type: ignore[arg-type]
