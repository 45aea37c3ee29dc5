"""What no sender should do: the receiver lives on and keeps nothing."""

from __future__ import annotations

import random
import socket
import struct
import time
from pathlib import Path

import pytest
from pynetdicom import AE, build_context
from pynetdicom.sop_class import Verification

from tests.path.service import await_true
from tests.receive.conftest import Send
from wetread.receive.command import decode_command
from wetread.receive.cstore import Receiver, ReceiverOptions, start_receiver
from wetread.store import Store


def request(contexts: int = 1, calling: bytes = b"TESTER") -> bytes:
    """Return an A-ASSOCIATE-RQ for CT Image Storage, explicit VR little endian (PS3.8 9.3.2)."""

    def item(kind: int, data: bytes) -> bytes:
        return struct.pack(">BBH", kind, 0, len(data)) + data

    body = struct.pack(">HH", 1, 0) + b"WETREAD".ljust(16) + calling.ljust(16) + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for number in range(contexts):
        syntaxes = item(0x30, b"1.2.840.10008.5.1.4.1.1.2") + item(0x40, b"1.2.840.10008.1.2.1")
        body += item(0x20, bytes([(2 * number + 1) % 256, 0, 0, 0]) + syntaxes)
    body += item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3.4"))
    return pdu(0x01, body)


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBI", kind, 0, len(body)) + body


def pdv(control: int, data: bytes, context_id: int = 1) -> bytes:
    return struct.pack(">IBB", len(data) + 2, context_id, control) + data


def store_command(uid: bytes = b"1.2.3") -> bytes:
    def element(number: int, value: bytes) -> bytes:
        return struct.pack("<HHI", 0, number, len(value)) + value

    uid += b"\0" * (len(uid) % 2)
    body = element(0x0002, b"1.2.840.10008.5.1.4.1.1.2\0") + element(0x0100, b"\x01\0")
    body += element(0x0110, b"\x07\0") + element(0x0700, b"\0\0") + element(0x0800, b"\x01\0")
    body += element(0x1000, uid)
    return element(0x0000, struct.pack("<I", len(body))) + body


def talk(receiver: Receiver, *pieces: bytes, wait_s: float = 2.0) -> bytes:
    """Send pieces, return what comes until the receiver closes or is silent."""
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=wait_s) as connection:
        answer = b""
        try:
            for number, piece in enumerate(pieces):
                connection.sendall(piece)
                if number == 0 and len(pieces) > 1 and piece[:1] == b"\x01":
                    # A-ASSOCIATE-AC must be awaited before anything else is sent.
                    answer += connection.recv(65536)
            while piece := connection.recv(65536):
                answer += piece
        except OSError:
            pass
        return answer


def is_alive(receiver: Receiver) -> bool:
    association = AE("T").associate(
        "127.0.0.1", receiver.port, contexts=[build_context(Verification)], ae_title="WETREAD"
    )
    done = association.is_established and association.send_c_echo().Status == 0
    association.release()
    return bool(done)


def test_a_command_and_data_in_one_pdu_and_in_slivers(receiver: Receiver, store: Store) -> None:
    command = store_command()
    at_once = pdu(0x04, pdv(0x03, command) + pdv(0x02, b"no data set"))
    slivers = [pdu(0x04, pdv(0x01, command[i : i + 11])) for i in range(0, len(command), 11)]
    slivers += [pdu(0x04, pdv(0x03, b"")), pdu(0x04, pdv(0x00, b"no ")), pdu(0x04, pdv(0x02, b""))]
    for stream in ([at_once], slivers):
        answer = talk(receiver, request(), *stream, wait_s=0.7)
        # C-STORE-RSP for message 7 with 0xC000: (0000,0120) US 7, (0000,0900) US C000.
        assert b"\0\0\x20\x01\x02\0\0\0\x07\0" in answer
        assert b"\0\0\x00\x09\x02\0\0\0\x00\xc0" in answer
    assert list(store.intake.iter_known()) == []


@pytest.mark.parametrize(
    "stream",
    [
        [b"\x01\x00\xff\xff\xff\xff" + b"x" * 100],
        [b"\x99\x00\x00\x00\x00\x04abcd"],
        [pdu(0x04, pdv(0x03, b"x"))],
        [b"GET / HTTP/1.0\r\n\r\n"],
        [request(), b"\x04\x00\xff\xff\xff\xff"],
        [request(), pdu(0x04, struct.pack(">I", 0xFFFFFFFF) + b"\x01\x03x")],
        [request(), pdu(0x04, struct.pack(">I", 0) + b"\x01\x03x")],
        [request(), pdu(0x04, struct.pack(">IB", 1, 1))],
        [request(), pdu(0x04, pdv(0x03, b"\0\0\0\0\xff\xff\xff\xff"))],
        [request(), pdu(0x04, pdv(0x03, store_command(), context_id=99))],
        [request(), pdu(0x04, pdv(0x02, b"data without a command"))],
        [request(), pdu(0x04, pdv(0x03, store_command()) + pdv(0x03, store_command()))],
        [request(), *[pdu(0x04, pdv(0x01, b"x" * 16000))] * 8],
        [request(128)],
        [request(300)],
        [request(calling=b"../..\0\x1b[2J\xff\xfe")],
    ],
)
def test_hostile_streams(receiver: Receiver, store: Store, stream: list[bytes]) -> None:
    talk(receiver, *stream, wait_s=0.3)
    assert is_alive(receiver)
    assert list(store.intake.iter_known()) == []


def test_mutated_streams(receiver: Receiver, store: Store) -> None:
    rng = random.Random(1)
    data = pdu(0x04, pdv(0x03, store_command()) + pdv(0x02, b"no data set"))
    for number in range(80):
        pieces = [bytearray(request()), bytearray(data)]
        stream = pieces[number % 2]
        for _ in range(rng.randint(1, 4)):
            stream[rng.randrange(len(stream))] = rng.randrange(256)
        talk(receiver, *map(bytes, pieces), wait_s=0.05)
    assert is_alive(receiver)
    assert list(store.intake.iter_known()) == []


def test_half_a_pdu_does_not_hold_forever(store: Store) -> None:
    running = start_receiver(ReceiverOptions(port=0, network_timeout_s=0.5, acse_timeout_s=0.5), store)
    try:
        began = time.monotonic()
        talk(running, request()[:20], wait_s=8.0)
        talk(running, request(), pdu(0x04, pdv(0x03, store_command()))[:30], wait_s=8.0)
        assert time.monotonic() - began < 8.0
    finally:
        running.stop()
    assert list(store.intake.incoming.iterdir()) == []


def test_connections_leave_no_descriptors(receiver: Receiver, store: Store) -> None:
    for _ in range(20):
        talk(
            receiver,
            request(),
            pdu(0x04, pdv(0x03, store_command())),
            b"\x07\0\0\0\0\x04\0\0\0\0",
            wait_s=0.5,
        )
    before = _settled()
    for _ in range(80):
        talk(
            receiver,
            request(),
            pdu(0x04, pdv(0x03, store_command())),
            b"\x07\0\0\0\0\x04\0\0\0\0",
            wait_s=0.5,
        )
    await_true(lambda: _settled() <= before + 10, 20, "as few descriptors as before")
    assert is_alive(receiver)
    time.sleep(0.7)
    assert list(store.intake.incoming.iterdir()) == []


def _settled() -> int:
    import gc

    time.sleep(0.5)
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_release_is_quick(receiver: Receiver) -> None:
    began = time.monotonic()
    for _ in range(10):
        assert is_alive(receiver)
    assert time.monotonic() - began < 3.0


def test_a_released_association_leaves_no_spool(send: Send, store: Store, ct: Path) -> None:
    assert send(ct).returncode == 0
    time.sleep(1.2)
    assert list(store.intake.incoming.iterdir()) == []


@pytest.mark.parametrize("command", [b"\0", b"\x08\0\0\0\0\0\0\0", b"\0\0\0\0\x09\0\0\0"])
def test_no_command_set(command: bytes) -> None:
    with pytest.raises(ValueError):
        decode_command(command)
