"""Compare index and files once after each start, while the service already works.

In: a store.  Out: what ``store.reconcile`` puts right; headers that an earlier version did not keep.
Never: a sender who waits for it; an end without having compared everything, but by ``stop``.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from wetread.domain.problem import ProblemCode
from wetread.store import Store
from wetread.store.history import Event
from wetread.store.reconcile import reconcile

logger = logging.getLogger(__name__)

#: Before it is tried again where index or disk refused.
RETRY_S = 10.0


@dataclass(frozen=True, slots=True)
class Inventory:
    """A thread that compares until it got through."""

    store: Store
    clock: Callable[[], datetime]
    retry_s: float = RETRY_S
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin to compare."""
        thread = threading.Thread(target=self._loop, name="inventory", daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Stop comparing; returns when the thread has ended. The next start compares anew."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _loop(self) -> None:
        is_noted = False
        while not self._stop.is_set():
            try:
                reconcile(self.store, self._stop.is_set)
                while not self._stop.is_set() and self.store.catalogue.describe_missing():
                    pass
            except Exception as error:  # noqa: BLE001 - an index or disk that refuses must not end the thread
                is_noted = is_noted or self._note(error)
                self._stop.wait(self.retry_s)
            else:
                return

    def _note(self, error: Exception) -> bool:
        name = type(error).__name__
        logger.warning("Index and files could not be compared: %s", name)
        event = Event(
            at=self.clock(),
            stage="receive",
            level="problem",
            code=ProblemCode.INTERNAL_ERROR.value,
            message=f"Index and files could not be compared ({name}); trying again.",
        )
        # Where the index itself is out, the next try notes it.
        with contextlib.suppress(Exception):
            self.store.history.add(event)
            return True
        return False
