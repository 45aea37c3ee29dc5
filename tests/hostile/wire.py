"""A DIMSE sender that sends what it is told, DICOM or not (PS3.7 section 6.3, PS3.8 section 9.3)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from types import TracebackType

VERIFICATION = "1.2.840.10008.1.1"
CT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
WORKLIST = "1.2.840.10008.5.1.4.31"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
_FRAGMENT = 1 << 16
_TIMEOUT_S = 60.0


class Refused(Exception):
    """The peer rejected, aborted or hung up."""


class Association:
    """One association with one presentation context; use it as a context manager."""

    def __init__(self, port: int, sop_class: str, syntax: str = EXPLICIT, calling: str = "HOSTILE") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(_associate_request(sop_class, syntax, calling))
        kind, body = self._read_pdu()
        if kind != 2:
            raise Refused(f"PDU {kind}")
        #: Of the presentation context: 0 accepted, 3 abstract syntax, 4 transfer syntax not supported.
        self.result = _context_result(body)

    def __enter__(self) -> Association:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.socket.sendall(struct.pack(">BBII", 5, 0, 4, 0))
            self._read_pdu()
        except (OSError, Refused):
            pass
        self.socket.close()

    def store(self, sop_class: bytes, sop_instance: bytes, data: bytes | Iterable[bytes]) -> int:
        """Send a C-STORE request with these bytes; return the status."""
        elements = {0x0002: sop_class, 0x0100: _us(1), 0x0110: _us(1), 0x0700: _us(0), 0x0800: _us(1)}
        return self.request(elements | {0x1000: sop_instance}, [data] if isinstance(data, bytes) else data)

    def echo(self) -> int:
        """Send a C-ECHO request; return the status."""
        sop_class = VERIFICATION.encode()
        return self.request({0x0002: sop_class, 0x0100: _us(0x30), 0x0110: _us(1), 0x0800: _us(0x0101)}, ())

    def request(self, elements: dict[int, bytes], pieces: Iterable[bytes]) -> int:
        """Send a command and a data set; return the status of the answer."""
        command = b"".join(_command_element(number, value) for number, value in sorted(elements.items()))
        self._send_fragment(_command_element(0x0000, struct.pack("<I", len(command))) + command, 0x03)
        fragments = [piece[at : at + _FRAGMENT] for piece in pieces for at in range(0, len(piece), _FRAGMENT)]
        for number, fragment in enumerate(fragments, start=1):
            self._send_fragment(fragment, 0x02 if number == len(fragments) else 0x00)
        return self._read_status()

    def _send_fragment(self, fragment: bytes, control: int) -> None:
        value = struct.pack(">IBB", len(fragment) + 2, 1, control) + fragment
        self.socket.sendall(struct.pack(">BBI", 4, 0, len(value)) + value)

    def _read_status(self) -> int:
        kind, body = self._read_pdu()
        if kind != 4:
            raise Refused(f"PDU {kind}")
        at = 6
        while at + 8 <= len(body):
            group, number, length = struct.unpack_from("<HHI", body, at)
            if (group, number) == (0x0000, 0x0900):
                return int(struct.unpack_from("<H", body, at + 8)[0])
            at += 8 + length
        raise Refused("no status")

    def _read_pdu(self) -> tuple[int, bytes]:
        head = self._read(6)
        return head[0], self._read(struct.unpack(">I", head[2:])[0])

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            piece = self.socket.recv(length - len(data))
            if not piece:
                raise Refused("hung up")
            data += piece
        return data


def echo(port: int) -> int:
    """Verify a peer in an association of its own; return the status."""
    with Association(port, VERIFICATION) as association:
        return association.echo()


def _us(number: int) -> bytes:
    return struct.pack("<H", number)


def _command_element(number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0x0000, number, len(value)) + value


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _associate_request(sop_class: str, syntax: str, calling: str) -> bytes:
    context = (
        struct.pack(">BBBB", 1, 0, 0, 0) + _item(0x30, sop_class.encode()) + _item(0x40, syntax.encode())
    )
    user = _item(0x51, struct.pack(">I", 1 << 17)) + _item(0x52, b"1.2.3.4")
    body = struct.pack(">HH16s16s32x", 1, 0, b"WETREAD".ljust(16), calling.encode("latin-1").ljust(16))
    body += _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x20, context) + _item(0x50, user)
    return struct.pack(">BBI", 1, 0, len(body)) + body


def _context_result(body: bytes) -> int:
    at = 68
    while at + 4 <= len(body):
        kind, length = struct.unpack_from(">BxH", body, at)
        if kind == 0x21:
            return body[at + 6]
        at += 4 + length
    raise Refused("no presentation context")
