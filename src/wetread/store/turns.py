"""Writers of one process, one after the other.

In: who wants to write, and how long it waits without progress.  Out: its turn, in order of asking.
Never: a writer turned away because many others write before it.

SQLite lets one writer in and lets chance decide who is next: under load a writer may starve until its time is
up. Here writers queue, and only the first one waits for SQLite's lock, which then is held by another process.
Time that others of this process needed to write does not count as waiting: load is no fault.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

#: What is left at least for SQLite's own lock, once it is a writer's turn.
_LEAST_S = 0.05


@dataclass(slots=True)
class Turns:
    """The queue before one SQLite file."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _waiting: deque[threading.Event] = field(default_factory=deque)
    _is_taken: bool = False
    _progress_at: float = float("-inf")

    def take(self, patience_s: float) -> float:
        """Wait for one's turn; returns how much of the patience is left for SQLite, in s.

        Raises
        ------
        TimeoutError
            If nobody made progress for so long.
        """
        asked_at = time.monotonic()
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return patience_s
            turn = threading.Event()
            self._waiting.append(turn)
        while not turn.wait(max(self._left_s(asked_at, patience_s), 0.0)):
            with self._lock:
                if turn.is_set():
                    break
                if self._left_s(asked_at, patience_s) <= 0:
                    self._waiting.remove(turn)
                    raise TimeoutError
        return max(self._left_s(asked_at, patience_s), _LEAST_S)

    def give(self, *, has_written: bool) -> None:
        """Let the next one write."""
        with self._lock:
            if has_written:
                self._progress_at = time.monotonic()
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._is_taken = False

    def _left_s(self, asked_at: float, patience_s: float) -> float:
        return max(asked_at, self._progress_at) + patience_s - time.monotonic()
