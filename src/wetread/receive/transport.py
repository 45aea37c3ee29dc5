"""Make pynetdicom's acceptor quick and bounded: it serves whatever is not only C-STORE and C-ECHO.

In: an accepted connection.  Out: an association with our socket, queues and message handling.
Never: polling while data waits; a PDU without a size limit or a deadline; patches of pynetdicom's modules.

pynetdicom's two threads per association look every millisecond whether something is to be done, and
read 4 KiB at a time. Here both wait for what wakes them, and a read takes what the kernel has.
Everything is handed to the attributes of one association: ``tests/receive`` holds them to the
installed version.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import select
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from pynetdicom import _config, build_role
from pynetdicom.fsm import StateMachine
from pynetdicom.transport import AssociationServer, AssociationSocket, RequestHandler

from wetread.dicom.checkpoint import Checkpoint
from wetread.dicom.timers import steady_timers
from wetread.receive.connection import acknowledge_at_once
from wetread.receive.dimse import NudgingQueue, OnStore, StoringDimse
from wetread.receive.pace import Pace
from wetread.receive.protocol import PDU_LIMIT
from wetread.receive.services import Services
from wetread.receive.spool import Spools

logger = logging.getLogger(__name__)

# Formatting a log line for every PDU and message costs more than receiving it, and would name patients.
_config.LOG_HANDLER_LEVEL = "none"
# Storage SOP classes are whatever is sent: new, retired, private (PS3.4 B.5).
_config.UNRESTRICTED_STORAGE_SERVICE = True

#: How long a thread waits before it looks at timers.
_WAIT_S = 0.05


class QuickSocket(AssociationSocket):
    """A connection that is read in large pieces and acknowledged at once."""

    def __init__(self, assoc: Any, client_socket: socket.socket, timeout_s: float, first: bytes) -> None:
        super().__init__(assoc, client_socket=client_socket)
        #: What the lobby has read already.
        self._first = memoryview(first)
        self._pace = Pace()
        self._awaits_header = True
        client_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client_socket.settimeout(timeout_s)
        self.timeout_s = timeout_s
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)

    def wake(self) -> None:
        """Make ``ready`` return: there is something to send."""
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    @property
    def ready(self) -> bool:
        """Wait shortly; True if the peer sent something that we want to read now."""
        peer = self.socket
        if peer is None or not self._is_connected:
            return False
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        # One message at a time: who sends faster than the disk writes must wait.
        if self._assoc.dimse.msg_queue.empty():
            if self._first or (isinstance(peer, ssl.SSLSocket) and peer.pending()):
                # Read and decrypted already: the kernel knows nothing of it.
                return True
            with contextlib.suppress(OSError, ValueError):
                poll.register(peer, select.POLLIN)
        number = peer.fileno()
        wait_s = _WAIT_S if self.event_queue.empty() else 0
        events = {found for found, _ in poll.poll(wait_s * 1000)}
        if self._woken.fileno() in events:
            with contextlib.suppress(OSError):
                self._woken.recv(4096)
        return number in events

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, fewer only if the peer closed.

        Raises
        ------
        OSError
            If there are more than a PDU may have, or they take too long.
        """
        if nr_bytes > PDU_LIMIT:
            raise ConnectionError("The peer announces a PDU beyond every limit.")
        data = self._read(nr_bytes)
        # pynetdicom reads a header, then the rest: the second read ends the PDU.
        self._awaits_header = not self._awaits_header
        if self._awaits_header:
            self._pace.rest()
        return data

    def _read(self, wanted: int) -> bytearray:
        peer = self.socket
        if peer is None:
            raise ConnectionError("The connection is closed.")
        data = bytearray(wanted)
        view = memoryview(data)
        read = min(wanted, len(self._first))
        view[:read], self._first = self._first[:read], self._first[read:]
        self._pace.take(read)
        deadline = time.monotonic() + self.timeout_s
        while read < wanted:
            acknowledge_at_once(peer)
            count = peer.recv_into(view[read:])
            if not count:
                break
            read += count
            self._pace.take(count)
            if time.monotonic() > deadline:
                raise TimeoutError("The peer takes too long for one PDU.")
        return data if read == wanted else data[:read]

    @property
    def is_closed(self) -> bool:
        """Whether nothing can come any more: hung up, or the thread that reads has stumbled."""
        return self.socket is None or bool(self._assoc.dul._kill_thread)

    @property
    def is_over(self) -> bool:
        """Whether the association needs its place no more."""
        return self.is_closed or not self._assoc.is_alive()

    @property
    def is_leaving(self) -> bool:
        """False: pynetdicom does not say."""
        return False

    def overdue_s(self) -> float:
        """Return for how long the peer has been slower than it may be while others wait; below 0: not yet."""
        dimse: StoringDimse = self._assoc.dimse  # type: ignore[assignment]
        return self._pace.overdue_s(is_within_message=dimse.is_within_message, is_known=dimse.has_served)

    def dismiss(self) -> None:
        """End the connection, from any thread: who waits for the peer wakes up."""
        peer = self.socket
        if peer is not None:
            with contextlib.suppress(OSError):
                # Below TLS, whose state belongs to the thread that reads.
                socket.socket.shutdown(peer, socket.SHUT_RDWR)

    def join(self, timeout_s: float) -> None:
        """Wait until the association is over."""
        self._assoc.join(timeout_s)


class WakingQueue(queue.Queue[Any]):
    """What is to be sent; putting something in wakes the thread that sends it."""

    def __init__(self, quick: QuickSocket) -> None:
        super().__init__()
        self._quick = quick

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item and wake."""
        super().put(item, block, timeout)
        self._quick.wake()


class SturdyStateMachine(StateMachine):
    """The states of PS3.8 9.2; what has no place in them ends the connection and not the thread.

    A peer that sends data before it is let in leaves an acceptance that nobody may send any more.
    """

    def do_action(self, event: str) -> None:
        """Go on to the next state."""
        try:
            super().do_action(event)
        except Exception as error:  # noqa: BLE001 - whatever pynetdicom did not foresee
            logger.info("The association ends in state %s: %s", self.current_state, type(error).__name__)
            # As if the connection had ended: before anybody knew of it, or in the middle of the work.
            self.current_state = "Sta2" if self.current_state in ("Sta1", "Sta2") else "Sta6"
            super().do_action("Evt17")


class QuickHandler(RequestHandler):
    """Sets up the association of a new connection."""

    server: QuickServer

    def __init__(
        self, request: socket.socket, address: tuple[str, int], server: QuickServer, first: bytes
    ) -> None:
        self._first = first
        super().__init__(request, address, server)

    def _create_association(self) -> Any:
        assoc = super()._create_association()
        timeout_s = float(assoc.network_timeout or 60)
        # The plain socket has announced the connection: ours does it again.
        assoc.dul.event_queue.get_nowait()
        quick = QuickSocket(assoc, self.request, timeout_s, self._first)
        assoc.dul.socket = quick
        steady_timers(assoc.dul)
        assoc.dul.state_machine = SturdyStateMachine(assoc.dul)
        dimse = StoringDimse(assoc, self.server)
        dimse.negotiated.clear()
        assoc.dimse = dimse
        # Reports of storage commitment are sent from another thread.
        assoc._reactor_checkpoint = Checkpoint(assoc)
        assoc.dul.to_user_queue = NudgingQueue(dimse.waiting, lambda: quick.is_closed)
        assoc.dul.to_provider_queue = WakingQueue(quick)
        assoc.acse.send_accept = partial(_accept, assoc, assoc.acse.send_accept)  # type: ignore[method-assign]
        negotiate = partial(_negotiate, quick, dimse, assoc.acse.negotiate_association)
        assoc.acse.negotiate_association = negotiate  # type: ignore[method-assign]
        # ``ready`` waits; the loop around it must not sleep as well.
        assoc.dul._run_loop_delay = 0
        self.quick = quick
        return assoc


def _accept(assoc: Any, send: Callable[[], None]) -> None:
    """Answer the roles that were proposed: pynetdicom forgets them where storage is unrestricted."""
    both = {one.abstract_syntax for one in assoc.acceptor.supported_contexts if one.scu_role and one.scp_role}
    proposed = assoc.requestor.role_selection
    for uid in {one.abstract_syntax for one in assoc.accepted_contexts} & both & proposed.keys():
        if uid not in assoc.acceptor.role_selection:
            role = proposed[uid]
            assoc.acceptor.add_negotiation_item(build_role(uid, role.scu_role, role.scp_role))
    send()


def _negotiate(quick: QuickSocket, dimse: StoringDimse, negotiate: Callable[[], None]) -> None:
    try:
        negotiate()
    except Exception as error:  # noqa: BLE001 - whatever pynetdicom did not foresee
        # The thread that reads would wait for the peer for ever.
        logger.info("The association cannot be negotiated: %s", type(error).__name__)
        quick.dismiss()
    finally:
        dimse.negotiated.set()


class QuickServer(AssociationServer):
    """Starts associations by pynetdicom."""

    request_queue_size = 128

    def __init__(
        self,
        *arguments: Any,
        spools: Spools,
        on_store: OnStore,
        instance_limit: int,
        services: Services,
        **options: Any,
    ) -> None:
        self.spools = spools
        self.on_store = on_store
        #: Bytes of one data set.
        self.instance_limit = instance_limit
        self.services = services
        super().__init__(*arguments, **options)

    @property
    def listening(self) -> socket.socket:
        """The socket that the lobby accepts from."""
        return cast(socket.socket, self.socket)

    def enter(self, connection: socket.socket, address: tuple[str, int], first: bytes) -> QuickSocket:
        """Start an association; ``first`` is what was read of it."""
        return QuickHandler(connection, address, self, first).quick

    def look_after(self) -> None:
        """Clean up after broken associations."""
        self.service_actions()
        self.spools.sweep()

    def close(self) -> None:
        """Listen no more and end what is inside."""
        for association in self.active_associations:
            association.abort()
        self.server_close()
        self.ae._servers.clear()
        self.spools.sweep()
