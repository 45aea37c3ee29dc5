"""Mutated associations against a receiver, our own upper layer and pynetdicom's: what may come of it."""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import threading
import time
from pathlib import Path

from pydicom.data import get_testdata_file

from tests.hostile.fuzz import mutate
from tests.hostile.wire import echo
from tests.network.bytes_of import context, identity, pdu, request, store, value
from wetread.receive.associate import HEADER, parse_request
from wetread.receive.cstore import ReceiverOptions, start_receiver
from wetread.store import Store

_FIND = b"1.2.840.10008.5.1.4.1.2.2.1"


class Stumbles(logging.Handler):
    """Collects what our own code logs with a traceback: a bug, wherever it was caught."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        if record.exc_info:
            self.found.append(f"{record.getMessage()} {record.exc_info[1]!r}")


def fuzz(store_of: Store, seconds: float, seed: int) -> int:
    """Send mutated streams for some seconds; return how many.

    Raises
    ------
    AssertionError
        If the receiver stumbled, stopped answering or kept something.
    """
    stumbles = Stumbles()
    logging.getLogger("wetread").addHandler(stumbles)
    before = threading.excepthook
    threading.excepthook = lambda ended: stumbles.found.append(f"{ended.thread} {ended.exc_value!r}")
    running = start_receiver(ReceiverOptions(port=0, network_timeout_s=5, acse_timeout_s=5), store_of)
    chance = random.Random(seed)
    data = Path(get_testdata_file("CT_small.dcm")).read_bytes()
    data = data[data.index(b"\x08\0\x05\0") :][:3000]
    asks = [request(), request(context(1), context(3), user=identity(2, b"u", b"p"))]
    # Not storage alone: pynetdicom's way.
    asks.append(request(context(1), context(3, _FIND)))
    stored = [store(data), b"".join(pdu(4, value(3, part)) for part in (data[:40], data[40:99]))]
    ends_at, count = time.monotonic() + seconds, 0
    try:
        while time.monotonic() < ends_at:
            ask, message = chance.choice(asks), chance.choice(stored)
            if chance.random() < 0.4:
                ask = mutate(ask, chance)
            else:
                message = mutate(message, chance)
            _check_parsing(ask)
            _send(running.port, ask, message, is_pipelined=chance.random() < 0.2)
            count += 1
            if count % 100 == 0:
                assert echo(running.port) == 0
        assert echo(running.port) == 0
    finally:
        running.stop()
        logging.getLogger("wetread").removeHandler(stumbles)
        threading.excepthook = before
    assert stumbles.found == [], stumbles.found[:5]
    assert list(store_of.intake.incoming.iterdir()) == []
    # What was stored in spite of it all is an image under the name it has inside.
    assert {uid for uid, _ in store_of.intake.iter_known()} <= {"1.2.3"}
    return count


def _check_parsing(ask: bytes) -> None:
    with contextlib.suppress(ValueError):
        found = parse_request(ask[HEADER.size :])
        assert found.calling_aet.isprintable()


def _send(port: int, ask: bytes, message: bytes, *, is_pipelined: bool) -> None:
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=0.05) as connection,
    ):
        connection.sendall(ask)
        if not is_pipelined:
            connection.recv(65536)
        connection.sendall(message)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)
