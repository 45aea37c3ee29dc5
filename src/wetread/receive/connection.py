"""One association on a socket, in a thread of its own: what ``protocol`` asks for is done here.

In: a welcome connection.  Out: stored instances; word of how it began and ended.
Never: a read without a deadline; an answer of ours lost because the connection ended too early.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol as Interface

from wetread.receive.associate import Abort, encode_abort
from wetread.receive.command import StoreAnswer, StoreRequest
from wetread.receive.pace import Pace
from wetread.receive.protocol import Ending, Fill, Protocol, Store

logger = logging.getLogger(__name__)

#: Longest wait for the peer to hang up after the association (PS3.8 9.1.5, ARTIM), and for it to take our
#: last word.
_ARTIM_S = 1.0
_PIECE = 1 << 16


class Listener(Interface):
    """Who stores, and is told how associations begin and end."""

    def on_store(self, request: StoreRequest) -> StoreAnswer:
        """Store an instance."""

    def on_begin(self, calling_aet: str, address: str) -> None:
        """An association was accepted."""

    def on_end(self, association: object, calling_aet: str, address: str, *, is_broken: bool) -> None:
        """It is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The other end."""

    connection: socket.socket
    calling_aet: str
    address: str


class Association:
    """An association that is served; begins with ``start``."""

    def __init__(
        self, peer: Peer, listener: Listener, timeout_s: float, make_protocol: Callable[[object], Protocol]
    ) -> None:
        self._peer = peer
        self._listener = listener
        self._timeout_s = timeout_s
        self._protocol = make_protocol(self)
        self._pace = Pace()
        self._is_leaving = self._is_dismissed = False
        self._thread = threading.Thread(target=self._run, name="receive-association", daemon=True)

    def start(self) -> None:
        """Serve in a thread of its own.

        Raises
        ------
        RuntimeError
            If there is no room for a thread.
        """
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it needs its place no more."""
        return not self._thread.is_alive()

    @property
    def is_leaving(self) -> bool:
        """Whether it only waits for the peer to hang up."""
        return self._is_leaving

    def overdue_s(self) -> float:
        """Return for how long the peer has been slower than it may be while others wait; below 0: not yet."""
        protocol = self._protocol
        return self._pace.overdue_s(
            is_within_message=protocol.is_within_message, is_known=protocol.has_served
        )

    def dismiss(self) -> None:
        """End it, from any thread: who waits for the peer wakes up and says goodbye."""
        self._is_dismissed = True
        with contextlib.suppress(OSError):
            # Below TLS, whose state belongs to the thread that reads.
            socket.socket.shutdown(self._peer.connection, socket.SHUT_RD)

    def join(self, timeout_s: float) -> None:
        """Wait until it is over."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        ending = Ending.LOST
        try:
            self._prepare()
            self._listener.on_begin(self._peer.calling_aet, self._peer.address)
            ending = self._serve()
            if ending is Ending.LOST and self._is_dismissed:
                ending = self._abort()
        except OSError as error:
            logger.info("An association broke off: %s", type(error).__name__)
            ending = self._abort()
        except Exception:  # a bug of ours ends this association alone
            logger.exception("An association ends")
            ending = self._abort()
        finally:
            self._is_leaving = True
            self._end(ending)
            self._leave(ending)

    def _prepare(self) -> None:
        connection = self._peer.connection
        connection.settimeout(self._timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _serve(self) -> Ending:
        steps = self._protocol.run()
        answer: int | StoreAnswer | None = None
        try:
            while True:
                step = steps.send(answer)
                answer = None
                if isinstance(step, Fill):
                    answer = self._fill(step)
                elif isinstance(step, Store):
                    answer = self._store(step)
                else:
                    self._peer.connection.sendall(step.data)
        except StopIteration as end:
            ending: Ending = end.value
            return ending
        finally:
            steps.close()

    def _fill(self, step: Fill) -> int:
        if step.begins:
            self._pace.rest()
        connection = self._peer.connection
        acknowledge_at_once(connection)
        count = connection.recv_into(step.view)
        if self._pace.take(count) > self._timeout_s:
            raise TimeoutError("The peer takes too long for one PDU.")
        return count

    def _store(self, step: Store) -> StoreAnswer:
        self._pace.pause()
        try:
            return self._listener.on_store(step.request)
        finally:
            self._pace.rest()

    def _abort(self) -> Ending:
        with contextlib.suppress(OSError):
            self._peer.connection.settimeout(_ARTIM_S)
            self._peer.connection.sendall(encode_abort(Abort.NOT_SPECIFIED))
            return Ending.BROKEN
        return Ending.LOST

    def _end(self, ending: Ending) -> None:
        peer = self._peer
        try:
            is_broken = ending is not Ending.RELEASED
            self._listener.on_end(self, peer.calling_aet, peer.address, is_broken=is_broken)
        except Exception:  # the connection must be closed all the same
            logger.exception("The end of an association could not be noted")

    def _leave(self, ending: Ending) -> None:
        connection = self._peer.connection
        with contextlib.suppress(OSError, ValueError):
            if ending is Ending.BROKEN:
                # All was said. Closing with unread input would reset the connection and take it along.
                socket.socket.shutdown(connection, socket.SHUT_WR)
            if ending is not Ending.LOST:
                self._drain()
        connection.close()

    def _drain(self) -> None:
        connection, ends_at = self._peer.connection, time.monotonic() + _ARTIM_S
        # Below TLS: what it says is of no interest any more.
        while (left_s := ends_at - time.monotonic()) > 0:
            connection.settimeout(left_s)
            if not socket.socket.recv(connection, _PIECE):
                break


def acknowledge_at_once(connection: socket.socket) -> None:
    """Have the kernel acknowledge what it gets next without a delay."""
    # A sender with Nagle's algorithm on waits for our acknowledgement of its last full segment, which
    # the kernel delays by 40 ms. The option is not sticky: tcp(7). Linux only.
    if hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
