"""PDUs as bytes, right and wrong (PS3.8 9.3)."""

from __future__ import annotations

import contextlib
import socket
import struct

CT = b"1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = b"1.2.840.10008.1.1"
_EXPLICIT = b"1.2.840.10008.1.2.1"


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBI", kind, 0, len(body)) + body


def item(kind: int, data: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(data)) + data


def context(number: int, syntax: bytes = CT) -> bytes:
    return item(0x20, bytes([number, 0, 0, 0]) + item(0x30, syntax) + item(0x40, _EXPLICIT))


def request(
    *contexts: bytes, calling: bytes = b"HOSTILE", called: bytes = b"WETREAD", user: bytes = b""
) -> bytes:
    """Return an A-ASSOCIATE-RQ; ``user`` are more items of the user information."""
    body = struct.pack(">HH", 1, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(contexts or (context(1),))
    return pdu(0x01, body + item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3.4") + user))


def identity(kind: int, primary: bytes, secondary: bytes = b"") -> bytes:
    """Return a user identity that asks for an answer (PS3.7 D.3.3.7)."""
    sizes = [struct.pack(">H", len(part)) + part for part in (primary, secondary)]
    return item(0x58, bytes([kind, 1]) + b"".join(sizes))


def value(control: int, data: bytes, number: int = 1) -> bytes:
    return struct.pack(">IBB", len(data) + 2, number, control) + data


def element(number: int, data: bytes) -> bytes:
    data += b"\0" * (len(data) % 2)
    return struct.pack("<HHI", 0, number, len(data)) + data


def command(field: int, uid: bytes = b"1.2.3", data_set: int = 1, sop_class: bytes = CT) -> bytes:
    body = element(0x0002, sop_class) + element(0x0100, struct.pack("<H", field))
    body += element(0x0110, b"\x07\0") + element(0x0700, b"\0\0")
    body += element(0x0800, struct.pack("<H", data_set)) + element(0x1000, uid)
    return element(0x0000, struct.pack("<I", len(body))) + body


def store(data: bytes, uid: bytes = b"1.2.3") -> bytes:
    """Return a C-STORE request in one PDU."""
    return pdu(0x04, value(0x03, command(0x0001, uid)) + value(0x02, data))


def talk(port: int, *pieces: bytes, wait_s: float = 1.0) -> bytes:
    """Send pieces (after an association request its answer is awaited); return all that is answered."""
    answer = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=wait_s) as connection,
    ):
        for number, piece in enumerate(pieces):
            connection.sendall(piece)
            if number == 0 and len(pieces) > 1 and piece[:1] == b"\x01":
                answer += connection.recv(65536)
        while piece := connection.recv(65536):
            answer += piece
    return answer


def open_slow(port: int, first: bytes, *, associated: bool) -> socket.socket:
    """Connect and send the beginning of something."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    if associated:
        connection.sendall(request(context(1, VERIFICATION), calling=b"SLOW"))
        with contextlib.suppress(OSError):
            connection.recv(65536)
    with contextlib.suppress(OSError):
        connection.sendall(first)
    return connection
