"""H01 to H10, H14, H16: raw bytes at the DICOM port of a real service."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from tests.hostile.conftest import Target, start_target
from tests.hostile.wire import echo
from tests.network.bytes_of import (
    CT,
    VERIFICATION,
    command,
    context,
    identity,
    item,
    open_slow,
    pdu,
    request,
    store,
    talk,
    value,
)
from tests.path.service import Service, await_true
from tests.ports import free_port
from wetread.store.audit_rows import AuditRows

ABORT, REJECT, ACCEPT = 0x07, 0x03, 0x02
#: What is answered where nothing needs to be said: the connection ends.
CLOSED = 0x00
RELEASE = pdu(0x05, bytes(4))
NOBODY = "its AE title is not on the list"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with start_target(tmp_path_factory.mktemp("dimse") / "service") as target:
        yield target


@pytest.fixture
def target(running: Target) -> Iterator[Target]:
    """The service; afterwards it lives, answers, has not grown and left nothing."""
    running.begin()
    yield running
    running.check()


def history(target: Target) -> str:
    with target.service.store() as opened:
        return " ".join(event.message for event in opened.history.list_newest(200))


def last_pdu(answer: bytes) -> int:
    """Return the type of the last PDU of an answer."""
    kind = CLOSED
    while len(answer) >= 6:
        kind, _, length = struct.unpack_from(">BBI", answer)
        answer = answer[6 + length :]
    return kind


# Each row: what is sent, the last PDU that may be answered, and what the history says of it.
ROWS = [
    pytest.param([b"\x01\0\xff\xff\xff\xff" + b"x" * 100], {ABORT}, "request is too long", id="H01-4GiB"),
    pytest.param([b"\x01\0\0\x10\0\0"], {ABORT}, "request is too long", id="H01-1MiB"),
    pytest.param(
        [request(), pdu(4, struct.pack(">I", 0xFFFFFFFF) + b"\x01\x03x")],
        {ABORT, CLOSED, ACCEPT},
        "broke off",
        id="H02-long",
    ),
    pytest.param(
        [request(), pdu(4, struct.pack(">I", 0) + b"\x01\x03x")],
        {ABORT, CLOSED, ACCEPT},
        "broke off",
        id="H02-empty",
    ),
    pytest.param(
        [request(), pdu(4, struct.pack(">IB", 1, 1))], {ABORT, CLOSED, ACCEPT}, "broke off", id="H02-one"
    ),
    pytest.param([request(), b"\x04\0\xff\xff\xff\xff"], {ABORT, CLOSED, ACCEPT}, "broke off", id="H02-4GiB"),
    pytest.param([store(b"x")], {ABORT}, "sends no association request", id="H03-data"),
    pytest.param([b"\x99\0\0\0\0\x04abcd"], {ABORT}, "sends no association request", id="H03-unknown"),
    pytest.param([b"GET / HTTP/1.1\r\n\r\n"], {ABORT}, "sends no association request", id="H03-http"),
    pytest.param([request(), b"\x99\0\0\0\0\x04abcd"], {ABORT}, "broke off", id="H03-unknown-inside"),
    pytest.param([request(), request()], {ABORT}, "broke off", id="H03-twice"),
    pytest.param(
        [request(*(context(number % 256) for number in range(1, 600, 2)))],
        {ABORT},
        "wrong number",
        id="H05-300",
    ),
    pytest.param([request(context(2))], {ABORT}, "wrong number", id="H05-even"),
    pytest.param([request(context(1), context(1))], {ABORT}, "wrong number", id="H05-repeated"),
    pytest.param(
        [request(item(0x20, b"\x01\0\0\0" + item(0x40, b"1.2")))], {ABORT}, "names no abstract", id="H05-none"
    ),
    pytest.param([request(context(1, b"1" * 60000))], {ABORT}, "no UID", id="H05-64KiB"),
    pytest.param(
        [request(item(0x20, b"\x01\0\0\0" + item(0x30, CT) + item(0x40, b"1.2") * 4000))],
        {ABORT},
        "too many transfer syntaxes",
        id="H05-syntaxes",
    ),
    pytest.param([pdu(1, request()[6:-3])], {ABORT}, "longer than what holds it", id="H05-lies"),
    pytest.param(
        [request(called=b"../../etc/passwd")], {REJECT}, "calls us '../../etc/passwd'", id="H06-called-path"
    ),
    pytest.param(
        [request(called=b"A\0\r\n\x1b[2J")], {REJECT}, "calls us 'A????[2J'", id="H06-called-control"
    ),
    pytest.param([request(called=b"\xff" * 16)], {REJECT}, "calls us", id="H06-called-letters"),
    pytest.param(
        [request(calling=b"../../x\0\r\n\x1b\xe4")], {ABORT}, "characters that no title has", id="H06-calling"
    ),
    pytest.param([request(calling=b"../../x"), RELEASE], {0x06}, "", id="H06-calling-path"),
    pytest.param(
        [request(), pdu(4, value(3, b"\0\0\0\0\xff\xff\xff\xff"))],
        {ABORT, CLOSED, ACCEPT},
        "broke off",
        id="H09-lies",
    ),
    pytest.param([request(), pdu(4, value(3, command(1))), RELEASE], {ABORT, 0x06}, "", id="H09-released"),
    pytest.param(
        [request(), pdu(4, value(3, command(1)) + value(3, command(1)))],
        {ABORT},
        "broke off",
        id="H09-command",
    ),
    pytest.param([request(), pdu(4, value(2, b"data"))], {ABORT, ACCEPT, CLOSED}, "", id="H09-data-only"),
    pytest.param(
        [request(), *[pdu(4, value(1, b"x" * 16000))] * 8], {ABORT, CLOSED}, "broke off", id="H09-endless"
    ),
    pytest.param([request(user=identity(3, b"ticket" * 9000)), RELEASE], {0x06}, "", id="H16-kerberos-54KiB"),
    pytest.param([request(user=identity(5, b"eyJhbGciOiJub25lIn0.e30.")), RELEASE], {0x06}, "", id="H16-jwt"),
    pytest.param(
        [request(user=identity(2, b"root", b"secret-pass")), RELEASE], {0x06}, "", id="H16-password"
    ),
    pytest.param(
        [request(user=item(0x58, b"\x02\x01\xff\xffroot"))], {ABORT, CLOSED, ACCEPT}, "", id="H16-lies"
    ),
    pytest.param(
        [request(user=b"".join([identity(2, b"u", b"p")] * 5000))],
        {ABORT, ACCEPT, CLOSED},
        "",
        id="H16-repeated",
    ),
]


@pytest.mark.parametrize(("stream", "answers", "words"), ROWS)
def test_bytes(target: Target, stream: list[bytes], answers: set[int], words: str) -> None:
    answer = talk(target.service.dicom_port, *stream)
    assert last_pdu(answer) in answers, answer.hex()
    if words:
        await_true(lambda: words in history(target), 10, words)


def test_no_password_is_written_anywhere(target: Target) -> None:
    """H16: user names and passwords of the negotiation are not looked at."""
    talk(target.service.dicom_port, request(user=identity(2, b"user-7c1", b"pass-7c1")), RELEASE)
    assert "7c1" not in (target.service.folder / "serve.log").read_text()
    assert "7c1" not in history(target)


def test_another_uid_than_announced(target: Target) -> None:
    """H10: nothing is stored under a name that is not its own."""
    data = Path(get_testdata_file("CT_small.dcm")).read_bytes()
    start = data.index(b"\x08\0\x05\0")
    answer = talk(target.service.dicom_port, request(), store(data[start:], b"1.2.3.4.5"), wait_s=5)
    # (0000,0900) US A900: data set does not match.
    assert b"\0\0\x00\x09\x02\0\0\0\x00\xa9" in answer
    with target.service.store() as opened:
        assert not [uid for uid, _ in opened.intake.iter_known() if uid == "1.2.3.4.5"]


@pytest.mark.parametrize("associated", [False, True], ids=["before", "after"])
def test_slow_connections(target: Target, associated: bool) -> None:
    """H04: two hundred who dawdle, and C-ECHO within a second."""
    port = target.service.dicom_port
    first = b"\x04\0\0\0\x40" if associated else request()[:40]
    slow = [open_slow(port, first, associated=associated) for _ in range(200)]
    try:
        for _ in range(5):
            for connection in slow:
                with contextlib.suppress(OSError):
                    connection.send(b"\0")
            started = time.monotonic()
            assert echo(port) == 0
            assert time.monotonic() - started < 1.0
    finally:
        for connection in slow:
            connection.close()


def test_connect_and_abort(target: Target) -> None:
    """H08: descriptors and threads stay as they are; 10 000 times in ``benchmarks/slowloris.py``."""
    port = target.service.dicom_port
    process = Path(f"/proc/{target.pid}")

    def counts() -> tuple[int, int]:
        return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))

    def cycle(times: int) -> None:
        for number in range(times):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                if number % 2:
                    connection.sendall(request())
                    connection.recv(65536)
                    connection.sendall(pdu(ABORT, bytes(4)))

    cycle(50)
    time.sleep(1.0)
    before = counts()
    cycle(500)
    await_true(
        lambda: all(now <= then + 12 for now, then in zip(counts(), before, strict=True)), 60, "as before"
    )


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Target]:
    """A service that knows whom it lets in, and has four places."""
    peers = '[[dicom.peers]]\naet = "KNOWN"\naddresses = ["10.9.0.0/16"]'
    dicom = f'allowed_aets = ["HOSTILE"]\nmaximum_associations = 4\n{peers}'
    service = Service(tmp_path, free_port(), free_port(), "", dicom=dicom)
    service.start()
    yield Target(service, 0)
    service.stop()


def test_strangers_and_crowds(guarded: Target) -> None:
    """H07, H14: who is not known, who comes from elsewhere, who comes when all places are taken."""
    port = guarded.service.dicom_port
    for calling, words in (
        (b"NOBODY", NOBODY),
        (b"KNOWN", "its AE title is known, but not from this address"),
    ):
        # PS3.8 Table 9-21: permanent, service user, calling AE title not recognized.
        assert talk(port, request(calling=calling)) == pdu(REJECT, bytes((0, 1, 1, 3)))
        await_true(lambda words=words: words in history(guarded), 10, words)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.sendall(request(context(1, VERIFICATION)))
            assert connection.recv(65536)[0] == ACCEPT
        # Transient, presentation layer, local limit exceeded.
        assert talk(port, request(context(1, CT))) == pdu(REJECT, bytes((0, 2, 3, 2)))
        await_true(lambda: "too many associations" in history(guarded), 10, "the event")
    await_true(lambda: talk(port, request(), RELEASE)[:1] == b"\x02", 10, "a place")
    with guarded.service.store() as opened:
        trail = " ".join(entry.message for entry in AuditRows(opened.engine).list_last(50))
    assert "not from this address" in trail
