"""Tell open pages that something changed.

In: the store's pulse.  Out: server-sent events.  Never: what changed (pages ask for that themselves).
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable

import anyio
from starlette.concurrency import run_in_threadpool

#: A comment this often tells a browser, and whatever lies between, that we still live.
KEEP_ALIVE_S = 15.0


class Pulse:
    """The store's pulse, asked at most once in ``every_s``, however many pages are open."""

    def __init__(self, read: Callable[[], str], every_s: float) -> None:
        self.every_s = every_s
        self._read = read
        self._lock = threading.Lock()
        self._value = ""
        self._asked_at = float("-inf")
        self._is_stopped = threading.Event()

    def now(self) -> str:
        """Return the pulse, not older than ``every_s``."""
        with self._lock:
            if time.monotonic() - self._asked_at >= self.every_s:
                self._value = self._read()
                self._asked_at = time.monotonic()
            return self._value

    def stop(self) -> None:
        """End all streams: a server that shuts down waits for them."""
        self._is_stopped.set()

    async def stream(self) -> AsyncIterator[str]:
        """Yield the pulse as an event at once and after each change, until stopped."""
        yield "retry: 2000\n\n"
        sent, quiet_s = None, 0.0
        while not self._is_stopped.is_set():
            value = await run_in_threadpool(self.now)
            if value != sent:
                sent, quiet_s = value, 0.0
                yield f"event: pulse\ndata: {value}\n\n"
            elif quiet_s >= KEEP_ALIVE_S:
                quiet_s = 0.0
                yield ": still here\n\n"
            await anyio.sleep(self.every_s)
            quiet_s += self.every_s
