"""Where connections wait until they have said who they are: one thread for all of them.

In: a listening socket.  Out: connections with a welcome association request, handed on with its bytes.
Never: a thread, a wait or more than a request's memory for somebody who dawdles or is not welcome.

A connection goes through the TLS hand-shake (if there is one), sends its A-ASSOCIATE-RQ, is judged, and goes
in, is turned away, or waits a moment for a place. All of it within the ARTIM time (PS3.8 9.1.5).
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Protocol

from wetread.network import PeerCertificate, RenewedContext, explain_tls, peer_certificate
from wetread.receive.associate import (
    ASSOCIATE_RQ,
    HEADER,
    REQUEST_LIMIT,
    Abort,
    Rejection,
    encode_abort,
)

logger = logging.getLogger(__name__)

#: Longest wait for a place inside, and for a peer that was turned away to hang up.
_WAIT_S = 1.0
_LEAVE_S = 1.0
#: How often places are looked for while somebody waits for one, and everything else.
_SHORT_S, _LONG_S = 0.05, 0.25
_ACCEPT_AT_ONCE = 64
_PIECE = 1 << 16

#: PS3.8 Table 9-21: transient, presentation layer, local limit exceeded; temporary congestion.
FULL = Rejection(result=2, source=3, reason=2, words="too many associations are open")
CONGESTED = Rejection(result=2, source=3, reason=1, words="no association can be started now")


class House(Protocol):
    """What lies behind the lobby."""

    def has_room(self) -> bool:
        """Tell whether another association may start."""

    def make_room(self) -> bool:
        """Dismiss who dawdles; False if everybody inside is at work."""

    def enter(self, connection: socket.socket, address: tuple[str, int], first: bytes) -> None:
        """Start an association; ``first`` is its request."""

    def look_after(self) -> None:
        """Tidy up; called now and then."""


class Door(Protocol):
    """Who decides, and who is told."""

    def judge(
        self, body: bytes, address: str, certificate: PeerCertificate | None
    ) -> tuple[str, Rejection | None]:
        """Return the calling title and the rejection, if any; a ValueError if it is no request."""

    def refuse(self, address: str, calling: str, words: str) -> None:
        """Note that somebody was not let in."""


class _Stage(Enum):
    SECURING = auto()
    READING = auto()
    WAITING = auto()
    LEAVING = auto()


@dataclass(slots=True, eq=False)
class _Guest:
    connection: socket.socket
    address: tuple[str, int]
    deadline: float
    stage: _Stage
    data: bytearray = field(default_factory=bytearray)
    calling: str = ""

    @property
    def host(self) -> str:
        return self.address[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class LobbyLimits:
    """How much the lobby takes."""

    #: For hand-shake and association request together.
    timeout_s: float = 30.0
    #: Connections at once, in all and from one address; beyond, the one that dawdles longest must go.
    connections: int = 256
    per_address: int = 128


class Lobby:
    """The thread that receives connections."""

    def __init__(
        self,
        listening: socket.socket,
        house: House,
        door: Door,
        limits: LobbyLimits,
        tls: RenewedContext | None = None,
    ) -> None:
        self._listening = listening
        self._house = house
        self._door = door
        self._limits = limits
        self._tls = tls
        self._guests: dict[_Guest, None] = {}
        self._stopped = threading.Event()
        self._selector = selectors.DefaultSelector()
        listening.setblocking(False)
        self._selector.register(listening, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="receive-lobby", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let nobody in any more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        tidied_at = 0.0
        while not self._stopped.is_set():
            is_awaited = any(guest.stage is _Stage.WAITING for guest in self._guests)
            for key, _ in self._selector.select(_SHORT_S if is_awaited else _LONG_S):
                self._guarded(self._accept if key.data is None else key.data)
            now = time.monotonic()
            for guest in list(self._guests):
                if guest.stage is _Stage.WAITING or now > guest.deadline:
                    self._guarded(partial(self._tend, guest))
            if now - tidied_at > 0.5:
                tidied_at = now
                self._guarded(self._house.look_after)
        for guest in list(self._guests):
            self._drop(guest)
        self._selector.close()

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:  # one guest's oddity must not close the door for all
            logger.exception("The lobby stumbled")

    def _accept(self) -> None:
        for _ in range(_ACCEPT_AT_ONCE):
            try:
                connection, address = self._listening.accept()
            except BlockingIOError:
                return
            except OSError:
                # No descriptors left: somebody must go, and the rest comes in the next round.
                self._crowd_out(list(self._guests))
                self._stopped.wait(_SHORT_S)
                return
            self._welcome(connection, (address[0], address[1]))

    def _welcome(self, connection: socket.socket, address: tuple[str, int]) -> None:
        neighbours = [guest for guest in self._guests if guest.host == address[0]]
        if len(neighbours) >= self._limits.per_address:
            self._crowd_out(neighbours)
        elif len(self._guests) >= self._limits.connections:
            self._crowd_out(list(self._guests))
        connection.setblocking(False)
        stage = _Stage.READING
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                stage = _Stage.SECURING
                connection = self._tls.current().wrap_socket(
                    connection, server_side=True, do_handshake_on_connect=False
                )
        except OSError:  # gone already
            connection.close()
            return
        guest = _Guest(connection, address, time.monotonic() + self._limits.timeout_s, stage)
        self._guests[guest] = None
        self._watch(guest, selectors.EVENT_READ)
        # What is there already must not wait for the next round.
        self._advance(guest)

    def _crowd_out(self, guests: list[_Guest]) -> None:
        # In order of arrival: who is about to leave, then who has been here longest without a request.
        guests.sort(key=lambda guest: guest.stage is not _Stage.LEAVING)
        if guests:
            if guests[0].stage is not _Stage.LEAVING:
                self._door.refuse(guests[0].host, guests[0].calling, "it dawdles while others wait")
            self._drop(guests[0])

    def _watch(self, guest: _Guest, events: int) -> None:
        advance = partial(self._advance, guest)
        if guest.connection in self._selector.get_map():
            self._selector.modify(guest.connection, events, advance)
        else:
            self._selector.register(guest.connection, events, advance)

    def _advance(self, guest: _Guest) -> None:
        if guest not in self._guests:
            return
        try:
            if guest.stage is _Stage.SECURING:
                self._secure(guest)
            if guest.stage is _Stage.READING:
                self._read(guest)
            elif guest.stage is _Stage.LEAVING:
                self._drain(guest)
        except (BlockingIOError, ssl.SSLWantReadError):
            self._watch(guest, selectors.EVENT_READ)
        except ssl.SSLWantWriteError:
            self._watch(guest, selectors.EVENT_WRITE)
        except ssl.SSLError as error:
            self._turn_away(guest, b"", explain_tls(error))
        except OSError:  # gone
            self._drop(guest)

    def _secure(self, guest: _Guest) -> None:
        if isinstance(guest.connection, ssl.SSLSocket):
            guest.connection.do_handshake()
        guest.stage = _Stage.READING
        self._watch(guest, selectors.EVENT_READ)

    def _read(self, guest: _Guest) -> None:
        while True:
            missing = HEADER.size - len(guest.data)
            if missing <= 0:
                kind, _, length = HEADER.unpack_from(guest.data)
                if kind != ASSOCIATE_RQ:
                    reason = Abort.UNEXPECTED_PDU if 1 < kind < 8 else Abort.UNRECOGNIZED_PDU
                    self._turn_away(guest, encode_abort(reason), "it sends no association request")
                    return
                if length > REQUEST_LIMIT:
                    words = "its association request is too long"
                    self._turn_away(guest, encode_abort(Abort.INVALID_PARAMETER), words)
                    return
                missing = HEADER.size + length - len(guest.data)
                if missing == 0:
                    self._judge(guest)
                    return
            piece = guest.connection.recv(min(missing, _PIECE))
            if not piece:
                self._drop(guest)
                return
            guest.data += piece

    def _judge(self, guest: _Guest) -> None:
        certificate = peer_certificate(guest.connection)
        try:
            body = bytes(guest.data[HEADER.size :])
            guest.calling, rejection = self._door.judge(body, guest.host, certificate)
        except ValueError as error:
            self._turn_away(guest, encode_abort(Abort.INVALID_PARAMETER), f"no association request: {error}")
            return
        if rejection is not None:
            self._turn_away(guest, rejection.encode(), rejection.words)
        elif self._house.has_room():
            self._let_in(guest)
        elif self._house.make_room():
            guest.stage = _Stage.WAITING
            guest.deadline = time.monotonic() + _WAIT_S
            self._selector.unregister(guest.connection)
        else:
            self._turn_away(guest, FULL.encode(), FULL.words)

    def _tend(self, guest: _Guest) -> None:
        """Look after one whose time is up or who waits for a place."""
        is_late = time.monotonic() > guest.deadline
        if guest not in self._guests:
            return
        if guest.stage is _Stage.LEAVING:
            self._drop(guest)
        elif guest.stage is not _Stage.WAITING:
            self._door.refuse(guest.host, guest.calling, "no association request came in time")
            self._drop(guest)
        elif self._house.has_room():
            self._let_in(guest)
        elif is_late:
            self._turn_away(guest, FULL.encode(), FULL.words)
        else:
            self._house.make_room()

    def _let_in(self, guest: _Guest) -> None:
        self._forget(guest)
        try:
            self._house.enter(guest.connection, guest.address, bytes(guest.data))
        except (OSError, RuntimeError):  # the peer has gone, or there is no memory for a thread
            logger.exception("An association could not be started")
            self._door.refuse(guest.host, guest.calling, CONGESTED.words)
            with contextlib.suppress(OSError):
                guest.connection.send(CONGESTED.encode())
            guest.connection.close()

    def _turn_away(self, guest: _Guest, farewell: bytes, words: str) -> None:
        self._door.refuse(guest.host, guest.calling, words)
        guest.stage = _Stage.LEAVING
        guest.deadline = time.monotonic() + _LEAVE_S
        guest.data.clear()
        try:
            if farewell:
                # Who was answered hangs up (PS3.8 AE-8, AA-1); a connection that ends at once would overtake
                # our answer in some peers.
                guest.connection.send(farewell)
            else:
                # Closing with unread input would reset the connection and take OpenSSL's alert with it.
                socket.socket.shutdown(guest.connection, socket.SHUT_WR)
            self._watch(guest, selectors.EVENT_READ)
        except OSError:
            self._drop(guest)

    def _drain(self, guest: _Guest) -> None:
        # Below TLS: what it says is of no interest any more.
        if not socket.socket.recv(guest.connection, _PIECE):
            self._drop(guest)

    def _forget(self, guest: _Guest) -> None:
        self._guests.pop(guest, None)
        if guest.connection in self._selector.get_map():
            self._selector.unregister(guest.connection)

    def _drop(self, guest: _Guest) -> None:
        self._forget(guest)
        guest.connection.close()
