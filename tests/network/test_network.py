"""Contexts: what they refuse, and in which words."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wetread.certificates import Signed, make_authority
from wetread.errors import ConfigError
from wetread.network import (
    ClientTls,
    PeerCertificate,
    RenewedContext,
    ServerTls,
    client_context,
    explain_tls,
    make_server_tls,
    peer_certificate,
    server_context,
)

Issue = Callable[..., Path]


def server_tls(stem: Path, *, mutual: bool = False) -> ServerTls:
    return ServerTls(
        certificate=stem.with_suffix(".pem"),
        key=stem.with_suffix(".key"),
        authorities=stem.with_name("authority.pem") if mutual else None,
    )


@contextmanager
def door(tls: ServerTls) -> Iterator[tuple[int, list[object]]]:
    """Serve hand-shakes and one byte; collect who came, or why not."""
    renewed = RenewedContext(tls)
    seen: list[object] = []

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connection.settimeout(10)
            try:
                with renewed.current().wrap_socket(connection, server_side=True) as secured:
                    seen.append(peer_certificate(secured))
                    secured.sendall(b"!")
            except OSError as error:
                seen.append(explain_tls(error))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        yield listening.getsockname()[1], seen
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def enter(port: int, context: ssl.SSLContext, host: str = "localhost") -> bytes:
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with plain, context.wrap_socket(plain, server_hostname=host) as secured:
        return secured.recv(1)


def test_both_ends_know_each_other(issue: Issue) -> None:
    server, peer = issue("server"), issue("CT1")
    mine = ClientTls(
        authorities=peer.with_name("authority.pem"),
        certificate=peer.with_suffix(".pem"),
        key=peer.with_suffix(".key"),
    )
    with door(server_tls(server, mutual=True)) as (port, seen):
        assert enter(port, client_context(mine)) == b"!"
    [shown] = seen
    assert isinstance(shown, PeerCertificate)
    assert shown.is_named("ct1")
    assert shown.is_named("sha256:" + shown.fingerprint.upper())
    assert not shown.is_named("CT2")
    assert not shown.is_named("0" * 64)


def test_who_shows_no_certificate_is_refused(issue: Issue) -> None:
    server = issue("server")
    context = client_context(ClientTls(authorities=server.with_name("authority.pem")))
    with (
        door(server_tls(server, mutual=True)) as (port, seen),
        pytest.raises(OSError, match=r"REQUIRED|reset"),
    ):
        enter(port, context)
    assert seen == ["no client certificate was shown"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("expired", "expired"),
        ("authority", "authority of the certificate is unknown"),
        ("host", "another host"),
    ],
)
def test_a_wrong_server_is_named(
    issue: Issue, monkeypatch: pytest.MonkeyPatch, fault: str, words: str
) -> None:
    other = make_authority("Another", 1) if fault == "authority" else None
    server = issue("server", by=other, days=-1 if fault == "expired" else 1)
    context = client_context(ClientTls(authorities=server.with_name("authority.pem")))
    # Ours would not start with it; another's server may.
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(server.with_suffix(".pem"), server.with_suffix(".key"))
    monkeypatch.setattr("wetread.network.server_context", lambda _: theirs)
    with door(server_tls(server)) as (port, _), pytest.raises(ssl.SSLCertVerificationError) as caught:
        enter(port, context, "elsewhere" if fault == "host" else "localhost")
    assert words in explain_tls(caught.value)


def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(issue: Issue) -> None:
    first, second = issue("first"), issue("second")
    tls = server_tls(first)
    renewed = RenewedContext(tls)
    before = renewed.current()
    for suffix in (".pem", ".key"):
        second.with_suffix(suffix).replace(first.with_suffix(suffix))
    after = renewed.current()
    assert after is not before
    tls.certificate.write_text("no certificate")
    assert renewed.current() is after


def test_keys_that_others_can_read_are_refused(issue: Issue) -> None:
    server = issue("server")
    server.with_suffix(".key").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        server_context(server_tls(server))


def test_what_cannot_work_is_said_at_the_start(issue: Issue, authority: Signed) -> None:
    old, one, two = issue("old", days=-1), issue("one"), issue("two")
    with pytest.raises(ConfigError, match="expired on"):
        server_context(server_tls(old))
    with pytest.raises(ConfigError, match="do not fit"):
        server_context(ServerTls(certificate=one.with_suffix(".pem"), key=two.with_suffix(".key")))
    with pytest.raises(ConfigError, match="cannot be read"):
        server_context(ServerTls(certificate=one.with_name("none"), key=one.with_suffix(".key")))
    with pytest.raises(ConfigError, match="both"):
        make_server_tls("dicom", one, None, None)
    with pytest.raises(ConfigError, match="already"):
        authority.write(one.parent, "one")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed.")
@pytest.mark.parametrize(
    ("options", "is_accepted"),
    [
        (["-tls1"], False),
        (["-tls1_1"], False),
        (["-tls1_2"], True),
        (["-tls1_3"], True),
        # No forward secrecy; no authenticated encryption.
        (["-tls1_2", "-cipher", "AES256-GCM-SHA384"], False),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384"], False),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], True),
    ],
)
def test_protocols_and_ciphers(issue: Issue, options: list[str], is_accepted: bool) -> None:
    # The client must be willing: it is our refusal that is shown.
    weak = [*options[:-1], options[-1] + ":@SECLEVEL=0"] if "-cipher" in options else options
    if weak == options and not is_accepted:
        weak = [*options, "-cipher", "ALL:@SECLEVEL=0"]
    with door(server_tls(issue("server"))) as (port, seen):
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *weak]
        found = subprocess.run(command, input=b"", capture_output=True, timeout=30, check=False)
    assert (b"Cipher is (NONE)" not in found.stdout) is is_accepted, found.stdout
    assert (seen == [None]) is is_accepted


def test_the_command_makes_what_the_door_takes(tmp_path: Path) -> None:
    out = tmp_path / "test"
    command = [
        str(Path(sys.executable).parent / "wetread"),
        "certificates",
        "--out",
        str(out),
        "--peer",
        "CT1",
    ]
    text = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert (out / "CT1.key").stat().st_mode & 0o777 == 0o600
    assert 'aet = "CT1"' in text
    peer = out / "CT1"
    mine = ClientTls(
        authorities=out / "authority.pem", certificate=peer.with_suffix(".pem"), key=peer.with_suffix(".key")
    )
    with door(server_tls(out / "server", mutual=True)) as (port, seen):
        assert enter(port, client_context(mine)) == b"!"
    [shown] = seen
    assert isinstance(shown, PeerCertificate)
    assert shown.fingerprint in text
