"""Messages between this process and one that decodes.

In: a header and data, a connected socket.  Out: the same at the other end.
Never: pickle; a length believed beyond the limit; a wait beyond the deadline.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

#: Of the data of a message: the largest frame.
LARGEST_BYTES = 256 << 20
_LARGEST_HEADER_BYTES = 64 << 10
_LENGTH = struct.Struct(">I")

Header = dict[str, Any]


def send(channel: socket.socket, header: Header, data: bytes, deadline: float | None = None) -> None:
    """Send a message.

    Parameters
    ----------
    deadline
        By ``time.monotonic``; None: it may take as long as it takes.

    Raises
    ------
    OSError
        If the other end is gone, or does not take it in time.
    """
    text = json.dumps({**header, "length": len(data)}).encode()
    channel.settimeout(_left(deadline))
    channel.sendall(_LENGTH.pack(len(text)) + text)
    channel.settimeout(_left(deadline))
    channel.sendall(data)


def receive(channel: socket.socket, deadline: float | None = None) -> tuple[Header, bytes] | None:
    """Return the next message, None where the other end has closed.

    Raises
    ------
    ValueError
        If it is no message of ours.
    OSError
        If it does not come in time.
    """
    head = _read(channel, _LENGTH.size, deadline)
    if not head:
        return None
    (size,) = _LENGTH.unpack(head)
    if size > _LARGEST_HEADER_BYTES:
        raise ValueError("the header of a message is too long")
    header: Header = json.loads(_read(channel, size, deadline))
    length = header.pop("length")
    if not isinstance(length, int) or not 0 <= length <= LARGEST_BYTES:
        raise ValueError("a message is too long")
    return header, _read(channel, length, deadline)


def _read(channel: socket.socket, size: int, deadline: float | None) -> bytes:
    """Return so many bytes; none where the other end has closed before the first."""
    data = bytearray(size)
    view = memoryview(data)
    done = 0
    while done < size:
        channel.settimeout(_left(deadline))
        count = channel.recv_into(view[done:])
        if not count:
            if not done:
                return b""
            raise ConnectionResetError("a message is cut short")
        done += count
    return bytes(data)


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
