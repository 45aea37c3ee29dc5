"""Listen for HL7 v2 messages over MLLP.

In: connections.  Out: each message's text to a callback, its acknowledgement to the sender.
Never: AA before the callback has returned; a message without a limit of size and time.

Framing: 0B message 1C 0D (MLLP release 1). Several messages may follow each other on a connection.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

from wetread.errors import UnsafeBinding
from wetread.hl7 import make_ack
from wetread.network import RenewedContext, ServerTls, explain_tls, peer_certificate
from wetread.receive.admission import is_within

logger = logging.getLogger(__name__)

#: Called with a message (ER7); returns the acknowledgement code, nothing means AA.
OnMessage = Callable[[str], str | None]
#: Called with a sentence where a connection was ended for what came over it.
OnRefusal = Callable[[str], None]

_START, _END = b"\x0b", b"\x1c\r"
#: Longest message in bytes; an ORU with a PDF inside is some MiB.
MESSAGE_LIMIT = 16 << 20
_MAXIMUM_CONNECTIONS = 64
#: Of all connections together: what others than one sender may hold of our memory.
_TOTAL_LIMIT = 4 * MESSAGE_LIMIT
#: Longest silence on a connection, and longest time for one message.
_TIMEOUT_S = 60.0
_SHAKE_TIMEOUT_S = 10.0
_PIECE = 1 << 16


class _Room:
    """Memory for unfinished messages, shared by all connections."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Take so many bytes; raises ValueError where they are not left."""
        with self._lock:
            if size > self._left:
                raise ValueError("Too much is being sent at once.")
            self._left -= size

    def give(self, size: int) -> None:
        """Give so many bytes back."""
        with self._lock:
            self._left += size


@dataclass(frozen=True, slots=True, kw_only=True)
class MllpOptions:
    """How to listen for messages."""

    host: str = "127.0.0.1"
    #: 0 takes a free one.
    port: int = 2575
    #: None: no TLS, which only loopback may do.
    tls: ServerTls | None = None
    #: Addresses or networks that may send; empty: any.
    allowed_addresses: tuple[str, ...] = ()
    #: Fingerprints or names of certificates that may send; empty: any that an authority vouches for.
    allowed_certificates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Door:
    """What all connections share."""

    options: MllpOptions
    tls: RenewedContext | None
    on_message: OnMessage
    on_refusal: OnRefusal
    room: _Room


@dataclass(frozen=True, slots=True)
class Listener:
    """A running MLLP listener."""

    port: int
    _socket: socket.socket = field(repr=False)
    _thread: threading.Thread = field(repr=False)
    _stopped: threading.Event = field(repr=False)
    _connections: set[socket.socket] = field(repr=False)

    def stop(self) -> None:
        """Close all connections and stop listening."""
        self._stopped.set()
        for connection in [self._socket, *self._connections]:
            with contextlib.suppress(OSError):
                # Below TLS, whose state belongs to the thread that serves the connection.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


def start_mllp_listener(
    options: MllpOptions, on_message: OnMessage, on_refusal: OnRefusal = lambda _reason: None
) -> Listener:
    """Start to listen; return when connections are taken.

    Parameters
    ----------
    on_message
        May be called from several threads at once. If it raises, the sender gets AE.
    on_refusal
        As ``on_message``, for what was no message: the sender gets no answer then.

    Raises
    ------
    UnsafeBinding
        If others than this machine could connect without TLS.
    ConfigError
        If the certificates cannot be used.
    OSError
        If the port is taken.
    """
    if options.tls is None and options.host != "localhost" and not ip_address(options.host).is_loopback:
        raise UnsafeBinding(host=options.host)
    tls = RenewedContext(options.tls) if options.tls is not None else None
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listening = socket.create_server((options.host, options.port), family=family, backlog=16)
    stopped = threading.Event()
    room = _Room(_TOTAL_LIMIT)
    door = _Door(options=options, tls=tls, on_message=on_message, on_refusal=on_refusal, room=room)
    connections: set[socket.socket] = set()
    thread = threading.Thread(
        target=_accept,
        args=(listening, stopped, connections, door),
        name="receive-mllp",
        daemon=True,
    )
    thread.start()
    return Listener(listening.getsockname()[1], listening, thread, stopped, connections)


def _accept(
    listening: socket.socket,
    stopped: threading.Event,
    connections: set[socket.socket],
    door: _Door,
) -> None:
    while not stopped.is_set():
        try:
            connection, address = listening.accept()
        except OSError:
            if not stopped.is_set():
                # No descriptors left, for instance: it passes when connections end.
                time.sleep(0.1)
            continue
        if not is_within(address[0], door.options.allowed_addresses):
            door.on_refusal(f"{address[0]} is not on the list of those that may send.")
            connection.close()
            continue
        if len(connections) >= _MAXIMUM_CONNECTIONS:
            connection.close()
            continue
        connections.add(connection)
        thread = threading.Thread(target=_serve, args=(connection, connections, door), daemon=True)
        thread.start()


def _serve(plain: socket.socket, connections: set[socket.socket], door: _Door) -> None:
    connection = plain
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _secured(plain, connections, door)
        for message in _iter_messages(connection, door.room):
            connection.sendall(_START + _answer(message, door).encode() + _END)
    except ssl.SSLError as error:
        door.on_refusal(f"{explain_tls(error)}.")
    except ValueError as error:
        door.on_refusal(str(error))
    except OSError as error:
        # The sender went away or dawdles: it gets no answer and must send again.
        logger.info("MLLP connection ended: %s", error)
    finally:
        connections.discard(plain)
        connections.discard(connection)
        connection.close()


def _secured(plain: socket.socket, connections: set[socket.socket], door: _Door) -> socket.socket:
    if door.tls is None:
        return plain
    # The time-out holds for each step; a hand-shake has only a few.
    plain.settimeout(_SHAKE_TIMEOUT_S)
    connection = door.tls.current().wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    connections.discard(plain)
    connections.add(connection)
    connection.do_handshake()
    wanted = door.options.allowed_certificates
    shown = peer_certificate(connection)
    if wanted and not any(shown is not None and shown.is_named(one) for one in wanted):
        connection.close()
        raise ValueError("its certificate is not on the list of those that may send.")
    return connection


def _answer(message: str, door: _Door) -> str:
    if not message.startswith("MSH"):
        door.on_refusal("A message is not HL7 version 2.")
        return make_ack(message, "AR", "not an HL7 v2 message")
    try:
        code = door.on_message(message) or "AA"
    except Exception:  # the one place where a bug becomes an answer
        logger.exception("An HL7 message could not be processed")
        return make_ack(message, "AE", "internal error")
    return make_ack(message, code)


def _iter_messages(connection: socket.socket, room: _Room) -> Iterator[str]:
    """Yield messages until the sender closes.

    Raises
    ------
    OSError, ValueError
        If it dawdles, sends too much or no frame.
    """
    data = bytearray()
    searched = 0
    deadline = time.monotonic() + _TIMEOUT_S
    try:
        while True:
            end = data.find(_END, searched)
            if end >= 0:
                frame = bytes(data[:end])
                del data[: end + len(_END)]
                room.give(end + len(_END))
                searched = 0
                yield _unframe(frame)
                deadline = time.monotonic() + _TIMEOUT_S
                continue
            if len(data) > MESSAGE_LIMIT:
                raise ValueError("A message is too long.")
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            piece = connection.recv(_PIECE)
            if not piece:
                return
            room.take(len(piece))
            # The end may lie across two pieces.
            searched = max(0, len(data) - 1)
            data += piece
    finally:
        room.give(len(data))


def _unframe(frame: bytes) -> str:
    begin = frame.find(_START)
    if begin < 0:
        raise ValueError("A message is not framed by MLLP.")
    # Two starts in one frame would hide a message in another.
    if frame.find(_START, begin + 1) >= 0:
        raise ValueError("A message contains a start of block.")
    return frame[begin + 1 :].decode("utf-8", "replace")
