"""A plain C-STORE sender on a socket: it knows at once when the service is gone.

In: a port and encoded data sets.  Out: a status for each.  Never: more of DICOM than that.
"""

from __future__ import annotations

import socket
import struct
from types import TracebackType

_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
_CONTEXT = 1
_PIECE = 1 << 14


class Sender:
    """One association for one SOP class in one transfer syntax (PS3.8 9.3)."""

    def __init__(
        self,
        port: int,
        sop_class_uid: str,
        transfer_syntax_uid: str,
        calling: str = "SENDER",
        timeout_s: float = 60.0,
    ) -> None:
        self._sop_class_uid = sop_class_uid
        self._message = 0
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        syntaxes = _item(0x30, sop_class_uid.encode()) + _item(0x40, transfer_syntax_uid.encode())
        context = _item(0x20, bytes([_CONTEXT, 0, 0, 0]) + syntaxes)
        user = _item(0x50, _item(0x51, struct.pack(">I", _PIECE * 2)) + _item(0x52, b"2.25.1"))
        fixed = struct.pack(">HH16s16s32x", 1, 0, b"WETREAD".ljust(16), calling.encode().ljust(16))
        self._send(0x01, fixed + _item(0x10, _APPLICATION_CONTEXT) + context + user)
        kind, _ = self._receive()
        if kind != 0x02:
            raise ConnectionError(f"no association: PDU {kind:#x}")

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        try:
            if kind is None:
                self._send(0x05, bytes(4))
                self._receive()
        except OSError:
            pass
        finally:
            self._socket.close()

    def store(self, sop_instance_uid: str, data_set: bytes) -> int:
        """Send an instance; returns the status. ConnectionError: nobody answered."""
        self._message += 1
        command = [
            (0x0002, _padded(self._sop_class_uid)),
            (0x0100, struct.pack("<H", 0x0001)),
            (0x0110, struct.pack("<H", self._message)),
            (0x0700, struct.pack("<H", 0)),
            (0x0800, struct.pack("<H", 1)),
            (0x1000, _padded(sop_instance_uid)),
        ]
        self._command(command)
        for start in range(0, len(data_set), _PIECE):
            piece = data_set[start : start + _PIECE]
            self._value(2 if start + _PIECE >= len(data_set) else 0, piece)
        return self._status()

    def begin(self, sop_instance_uid: str, piece: bytes) -> None:
        """Send a command and a piece of a data set, without its end."""
        self._command(
            [
                (0x0002, _padded(self._sop_class_uid)),
                (0x0100, struct.pack("<H", 0x0001)),
                (0x0110, struct.pack("<H", 1)),
                (0x0700, struct.pack("<H", 0)),
                (0x0800, struct.pack("<H", 1)),
                (0x1000, _padded(sop_instance_uid)),
            ]
        )
        self._value(0, piece)

    def end(self, piece: bytes) -> int:
        """Send the rest of what was begun; returns the status."""
        self._value(2, piece)
        return self._status()

    def echo(self) -> int:
        """C-ECHO, on an association for Verification; returns the status."""
        self._message += 1
        fields = [(0x0100, 0x0030), (0x0110, self._message), (0x0800, 0x0101)]
        self._command([(0x0002, _padded(VERIFICATION)), *((n, struct.pack("<H", v)) for n, v in fields)])
        return self._status()

    def _command(self, elements: list[tuple[int, bytes]]) -> None:
        body = b"".join(struct.pack("<HHI", 0, number, len(value)) + value for number, value in elements)
        self._value(3, struct.pack("<HHII", 0, 0, 4, len(body)) + body)

    def _value(self, control: int, piece: bytes) -> None:
        self._send(0x04, struct.pack(">IBB", len(piece) + 2, _CONTEXT, control) + piece)

    def _status(self) -> int:
        kind, answer = self._receive()
        if kind != 0x04:
            raise ConnectionError(f"no answer: PDU {kind:#x}")
        offset = 6
        while offset < len(answer):
            _, number, length = struct.unpack_from("<HHI", answer, offset)
            if number == 0x0900:
                return int.from_bytes(answer[offset + 8 : offset + 10], "little")
            offset += 8 + length
        raise ConnectionError("an answer without status")

    def _send(self, kind: int, body: bytes) -> None:
        self._socket.sendall(struct.pack(">BBI", kind, 0, len(body)) + body)

    def _receive(self) -> tuple[int, bytes]:
        kind, _, length = struct.unpack(">BBI", self._read(6))
        return kind, self._read(length)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the service hung up")
            data += piece
        return data


def echo(port: int, timeout_s: float = 10.0) -> int:
    """Associate and C-ECHO; returns the status."""
    with Sender(port, VERIFICATION, "1.2.840.10008.1.2", timeout_s=timeout_s) as sender:
        return sender.echo()


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _padded(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)
