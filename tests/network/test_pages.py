"""Pages over HTTPS by our own server: the certificate is ours, and a renewed one is used at once."""

from __future__ import annotations

import hashlib
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI

from wetread.app import _serve_web, check_certificates
from wetread.config import Config, DicomSettings, Hl7Settings, WebSettings, check_config
from wetread.errors import ConfigError, UnsafeBinding
from wetread.network import ClientTls, client_context
from wetread.receive.admission import Peer

Issue = Callable[..., Path]


def shown(port: int) -> str:
    encoded = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", port), timeout=10))
    return hashlib.sha256(encoded).hexdigest()


def test_pages_over_https(issue: Issue) -> None:
    first, second = issue("first"), issue("second")
    web = FastAPI()
    web.get("/hello")(lambda: "hello")
    settings = WebSettings(port=0, certificate=first.with_suffix(".pem"), key=first.with_suffix(".key"))
    server, thread, url = _serve_web(Config(web=settings), web)
    try:
        assert url.startswith("https://127.0.0.1:")
        context = client_context(ClientTls(authorities=first.with_name("authority.pem")))
        with urllib.request.urlopen(url + "hello", timeout=10, context=context) as answer:
            assert answer.read() == b'"hello"'
        port = server.servers[0].sockets[0].getsockname()[1]
        before = shown(port)
        for suffix in (".key", ".pem"):
            second.with_suffix(suffix).replace(first.with_suffix(suffix))
        assert shown(port) != before
    finally:
        server.should_exit = True
        thread.join(20)


def test_certificates_are_looked_at_before_anything_starts(issue: Issue) -> None:
    old = issue("old", days=-1)
    settings = WebSettings(certificate=old.with_suffix(".pem"), key=old.with_suffix(".key"))
    with pytest.raises(ConfigError, match="expired on"):
        check_certificates(Config(web=settings))


PEMS = {"certificate": Path("c.pem"), "key": Path("c.key")}


@pytest.mark.parametrize(
    ("config", "is_safe"),
    [
        (Config(dicom=DicomSettings(host="0.0.0.0")), False),  # noqa: S104
        (Config(dicom=DicomSettings(host="0.0.0.0", allowed_aets=("CT1",))), True),  # noqa: S104
        (Config(dicom=DicomSettings(host="::", peers=(Peer(aet="CT1", addresses=("10.0.0.0/8",)),))), True),
        (Config(hl7=Hl7Settings(host="0.0.0.0", allowed_addresses=("10.0.0.5",))), False),  # noqa: S104
        (Config(hl7=Hl7Settings(host="0.0.0.0", **PEMS)), False),  # type: ignore[arg-type] # noqa: S104
        (Config(hl7=Hl7Settings(host="0.0.0.0", authorities=Path("a.pem"), **PEMS)), True),  # type: ignore[arg-type] # noqa: S104
        (Config(web=WebSettings(host="0.0.0.0", allowed_hosts=("wetread.example",))), False),  # noqa: S104
        (Config(web=WebSettings(host="0.0.0.0", allowed_hosts=("wetread.example",), **PEMS)), True),  # type: ignore[arg-type] # noqa: S104
    ],
)
def test_doors_beyond_this_machine_need_what_guards_them(config: Config, is_safe: bool) -> None:
    if is_safe:
        check_config(config)
    else:
        with pytest.raises(UnsafeBinding):
            check_config(config)
