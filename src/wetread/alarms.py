"""The thread that looks after alerts.

In: the steps.  Out: alerts kept up, every ``LOOK_S``.  Never: a failure that ends it.

Apart from ``dispatch``: a mail server that hangs must hold up no reading.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field

from wetread.domain.problem import ProblemCode
from wetread.steps.alerting import AlertSteps
from wetread.store.history import Event

LOOK_S = 2.0


@dataclass(frozen=True, slots=True)
class Alarms:
    """Looks after alerts until ``stop``."""

    steps: AlertSteps
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin to look."""
        thread = threading.Thread(target=self._loop, name="alarms", daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Stop looking; what waits goes on at the next start."""
        self._stop.set()
        for thread in self._threads:
            # Whoever is being told holds us for their limit at most; a message that was taken is noted.
            thread.join(LOOK_S * 2)

    def _loop(self) -> None:
        is_told = False
        while not self._stop.is_set():
            try:
                self.steps.sweep()
                is_told = False
            except Exception as error:  # noqa: BLE001 - a locked or full database must not end the thread
                if not is_told:
                    self._report(error)
                is_told = True
            self._stop.wait(LOOK_S)

    def _report(self, error: Exception) -> None:
        event = Event(
            at=self.steps.clock(),
            stage="alert",
            level="problem",
            code=ProblemCode.INTERNAL_ERROR.value,
            message=f"Looking after alerts failed with {type(error).__name__}; trying again.",
        )
        with contextlib.suppress(Exception):
            self.steps.store.history.add(event)
