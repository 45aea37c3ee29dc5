"""Make pynetdicom's acceptor quick and bounded.

In: an accepted connection.  Out: an association with our socket, queues and message handling.
Never: polling while data waits; a PDU without a size limit or a deadline; patches of pynetdicom's modules.

pynetdicom's two threads per association look every millisecond whether something is to be done, and
read 4 KiB at a time. Here both wait for what wakes them, and a read takes what the kernel has.
Everything is handed to the attributes of one association: ``tests/receive`` holds them to the
installed version.
"""

from __future__ import annotations

import contextlib
import queue
import select
import socket
import time
from typing import Any

from pynetdicom import _config
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from wetread.receive.dimse import NudgingQueue, OnStore, StoringDimse
from wetread.receive.spool import Spools

# Formatting a log line for every PDU and message costs more than receiving it, and would name patients.
_config.LOG_HANDLER_LEVEL = "none"
# Storage SOP classes are whatever is sent: new, retired, private (PS3.4 B.5).
_config.UNRESTRICTED_STORAGE_SERVICE = True

#: Longest PDU that is read, whatever its header says. Well above what we advertise.
PDU_LIMIT = 4 << 20
#: How long a thread waits before it looks at timers.
_WAIT_S = 0.05


class QuickSocket(AssociationSocket):
    """A connection that is read in large pieces and acknowledged at once."""

    def __init__(self, assoc: Any, client_socket: socket.socket, timeout_s: float) -> None:
        super().__init__(assoc, client_socket=client_socket)
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
        peer = self.socket
        if peer is None:
            raise ConnectionError("The connection is closed.")
        data = bytearray(nr_bytes)
        view = memoryview(data)
        read = 0
        deadline = time.monotonic() + self.timeout_s
        while read < nr_bytes:
            _acknowledge_at_once(peer)
            count = peer.recv_into(view[read:])
            if not count:
                break
            read += count
            if time.monotonic() > deadline:
                raise TimeoutError("The peer takes too long for one PDU.")
        return data if read == nr_bytes else data[:read]


def _acknowledge_at_once(peer: socket.socket) -> None:
    # A sender with Nagle's algorithm on waits for our acknowledgement of its last full segment, which
    # the kernel delays by 40 ms. The option is not sticky: tcp(7). Linux only.
    if hasattr(socket, "TCP_QUICKACK"):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class WakingQueue(queue.Queue[Any]):
    """What is to be sent; putting something in wakes the thread that sends it."""

    def __init__(self, quick: QuickSocket) -> None:
        super().__init__()
        self._quick = quick

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item and wake."""
        super().put(item, block, timeout)
        self._quick.wake()


class QuickHandler(RequestHandler):
    """Sets up the association of a new connection."""

    server: QuickServer

    def _create_association(self) -> Any:
        assoc = super()._create_association()
        timeout_s = float(assoc.network_timeout or 60)
        # The plain socket has announced the connection: ours does it again.
        assoc.dul.event_queue.get_nowait()
        quick = QuickSocket(assoc, self.request, timeout_s)
        assoc.dul.socket = quick
        dimse = StoringDimse(assoc, self.server.spools, self.server.on_store)
        assoc.dimse = dimse
        assoc.dul.to_user_queue = NudgingQueue(dimse.waiting, lambda: quick.socket is None)
        assoc.dul.to_provider_queue = WakingQueue(quick)
        # ``ready`` waits; the loop around it must not sleep as well.
        assoc.dul._run_loop_delay = 0
        return assoc


class QuickServer(ThreadedAssociationServer):
    """A server of quick associations."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *arguments: Any, spools: Spools, on_store: OnStore, **options: Any) -> None:
        self.spools = spools
        self.on_store = on_store
        options["request_handler"] = QuickHandler
        super().__init__(*arguments, **options)

    def service_actions(self) -> None:
        """Clean up after broken associations; called twice a second."""
        super().service_actions()
        self.spools.sweep()
