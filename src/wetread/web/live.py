"""Tell open pages that something changed.

In: the store's pulse.  Out: server-sent events.
Never: what changed (pages ask for that themselves); a sign of a study that the reader of the page may not
see; a stream that outlives a session.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable

import anyio
from starlette.concurrency import run_in_threadpool

#: A comment this often tells a browser, and whatever lies between, that we still live.
KEEP_ALIVE_S = 15.0
#: How long a stream may go on after its session ended.
WELCOME_S = 2.0
#: Senders' AE titles that a page's reader may see the studies of; None: all.
Sources = tuple[str, ...] | None


class Pulse:
    """The store's pulse, asked at most once in ``every_s`` for each set of sources."""

    def __init__(self, read: Callable[[Sources], str], every_s: float) -> None:
        self.every_s = every_s
        self._read = read
        self._lock = threading.Lock()
        #: By sources: the pulse, and when it was asked for.
        self._known: dict[Sources, tuple[str, float]] = {}
        self._is_stopped = threading.Event()

    def now(self, sources: Sources) -> str:
        """Return the pulse, not older than ``every_s``."""
        with self._lock:
            value, asked_at = self._known.get(sources, ("", float("-inf")))
            if time.monotonic() - asked_at >= self.every_s:
                value = self._read(sources)
                self._known[sources] = (value, time.monotonic())
            return value

    @property
    def is_stopped(self) -> bool:
        """Whether all streams are to end."""
        return self._is_stopped.is_set()

    def stop(self) -> None:
        """End all streams: a server that shuts down waits for them."""
        self._is_stopped.set()

    async def stream(self, sources: Sources, is_welcome: Callable[[], bool]) -> AsyncIterator[str]:
        """Yield the pulse as an event at once and after each change, until stopped or no longer welcome."""
        yield "retry: 2000\n\n"
        sent, quiet_s, unasked_s = None, 0.0, 0.0
        while not self._is_stopped.is_set():
            if unasked_s >= WELCOME_S:
                unasked_s = 0.0
                if not await run_in_threadpool(is_welcome):
                    return
            value = await run_in_threadpool(self.now, sources)
            if value != sent:
                sent, quiet_s = value, 0.0
                yield f"event: pulse\ndata: {value}\n\n"
            elif quiet_s >= KEEP_ALIVE_S:
                quiet_s = 0.0
                yield ": still here\n\n"
            await anyio.sleep(self.every_s)
            quiet_s += self.every_s
            unasked_s += self.every_s
