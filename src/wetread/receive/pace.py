"""How fast a peer is: who dawdles must go when others wait for a place.

In: when bytes came.  Out: for how long somebody has been too slow.  Never: a clock of its own thread.
"""

from __future__ import annotations

import math
import time

#: Slower than this (bytes/s) is dawdling, once the time of grace is over. A modem of 1998 did better.
_SLOWEST = 4 << 10
#: Time of grace in s: for who has not sent a whole message yet, and for who has.
GRACE_NEW_S, _GRACE_KNOWN_S = 0.5, 2.0
#: And the longest silence between messages while others wait for a place.
_REST_NEW_S, _REST_KNOWN_S = 10.0, 30.0


class Pace:
    """One peer's pace; written by its association's thread, read by the lobby's."""

    def __init__(self) -> None:
        self._rested_at = time.monotonic()
        self._began_at: float | None = None
        self._read = 0
        self._is_ours = False

    def rest(self) -> None:
        """A PDU or our own work has ended: the next one is the peer's."""
        self._rested_at, self._began_at, self._is_ours = time.monotonic(), None, False

    def pause(self) -> None:
        """We are at work: the peer waits for us."""
        self._is_ours = True

    def take(self, count: int) -> float:
        """Bytes came; returns for how long this PDU has lasted, in s."""
        now = time.monotonic()
        if self._began_at is None:
            self._read, self._began_at = 0, now
        self._read += count
        return now - self._began_at

    def overdue_s(self, *, is_within_message: bool, is_known: bool) -> float:
        """Return for how long the peer has been slower than it may be; below 0: not yet."""
        now, began_at = time.monotonic(), self._began_at
        if self._is_ours:
            return -math.inf
        grace_s = _GRACE_KNOWN_S if is_known else GRACE_NEW_S
        if began_at is not None:
            return now - began_at - grace_s - self._read / _SLOWEST
        if is_within_message:
            return now - self._rested_at - grace_s
        return now - self._rested_at - (_REST_KNOWN_S if is_known else _REST_NEW_S)
