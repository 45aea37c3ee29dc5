"""What was turned away at a door, without a flood.

In: who and why, from threads that must not wait.  Out: calls that may take their time.
Never: a wait at the door; more than some calls a minute for one address, however often it knocks.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)

#: Calls for one address in ``_PERIOD_S``; the rest are counted and told of together.
_PER_ADDRESS = 120
_PERIOD_S = 60.0
_WAITING = 512
#: Addresses that are counted apart.
_ADDRESSES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Somebody was not let in."""

    address: str
    #: How it called itself, made printable; "" where it did not say.
    calling: str
    message: str


class Refusals:
    """Takes refusals at the door and passes them on in a thread of its own."""

    def __init__(self, tell: Callable[[Refused], None]) -> None:
        self._tell = tell
        self._queue: queue.Queue[Refused | None] = queue.Queue(_WAITING)
        self._told: Counter[str] = Counter()
        self._untold: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, name="receive-refusals", daemon=True)
        self._thread.start()

    def add(self, refused: Refused) -> None:
        """Take one; never waits."""
        try:
            self._queue.put_nowait(refused)
        except queue.Full:
            logger.warning("Too many refusals at once: one is not told of.")

    def stop(self) -> None:
        """Tell what is known and end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        ends_at = time.monotonic() + _PERIOD_S
        while True:
            try:
                one = self._queue.get(timeout=max(0.0, ends_at - time.monotonic()))
                if one is None:
                    break
                self._take(one)
            except queue.Empty:
                pass
            if time.monotonic() >= ends_at:
                self._sum_up()
                ends_at = time.monotonic() + _PERIOD_S
        self._sum_up()

    def _take(self, one: Refused) -> None:
        address = one.address if one.address in self._told or len(self._told) < _ADDRESSES else ""
        self._told[address] += 1
        if self._told[address] > _PER_ADDRESS:
            self._untold[address] += 1
        else:
            self._call(one)

    def _sum_up(self) -> None:
        for address, count in self._untold.items():
            message = f"{count} more connections from {address or 'many addresses'} were refused."
            self._call(Refused(address=address, calling="", message=message))
        self._told.clear()
        self._untold.clear()

    def _call(self, one: Refused) -> None:
        try:
            self._tell(one)
        except Exception:  # telling may fail, the door must stay guarded
            logger.exception("A refusal could not be noted")
