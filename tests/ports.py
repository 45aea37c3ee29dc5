"""Ports for servers that a test starts.

In: nothing.  Out: a port that nobody else gets while this test run lives.
Never: a port that the system may hand out itself.

Asking for port 0 and using what came is no reservation: until the server binds, the system may give that
port to any outgoing connection, and a busy suite makes thousands. So: a port outside of what the system hands
out, held for this process by an abstract Unix socket of its name (Linux), which the end of the process frees.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

_FIRST = 10_000
_claims: dict[int, socket.socket] = {}


def _candidates() -> Iterator[int]:
    """Every port below the system's own range, from a place that differs by process."""
    handed_out = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    count = handed_out - _FIRST
    return (_FIRST + (os.getpid() * 97 + n) % count for n in itertools.count())


_next = _candidates()


def free_port() -> int:
    """Return a port for one server; it stays reserved until this process ends."""
    for port in itertools.islice(_next, 20_000):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(f"\0wetread-test-port-{port}")
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            claim.close()
            continue
        _claims[port] = claim
        return port
    raise RuntimeError("No free port below the system's own range.")
