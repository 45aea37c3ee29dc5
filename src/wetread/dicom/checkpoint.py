"""Where an association's thread stands still while we send.

In: an association being opened.  Out: answers go to who asked.  Never: a wait for a thread that has ended.

pynetdicom's thread takes messages from the queue of answers, too, and pauses for that reason while something
is sent. It notes the pause before it begins and forgets it after it ended (``Association._run_reactor``):
whoever sends at that moment takes it for paused, the thread swallows the answer, and we wait for it until
a time limit of ours or the destination's. It happens where other threads of the process are busy.
"""

from __future__ import annotations

import threading
from typing import Any


class Checkpoint(threading.Event):
    """An event whose ``clear`` returns when the association's thread really waits for it."""

    def __init__(self, association: Any) -> None:
        """Begin set, as the one that it replaces."""
        super().__init__()
        self._association = association
        self._changed = threading.Condition()
        self._is_waiting = False
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until set."""
        with self._changed:
            # Under the lock: who clears either sees us wait or is seen by us before we do.
            self._is_waiting = not self.is_set()
            self._changed.notify_all()
            is_set = self._changed.wait_for(self.is_set, timeout)
            self._is_waiting = False
            return is_set

    def set(self) -> None:
        """Let the thread go on."""
        with self._changed:
            super().set()
            self._changed.notify_all()

    def clear(self) -> None:
        """Stop the thread; returns when it stands still, or has ended."""
        with self._changed:
            super().clear()
            while not self._is_waiting and self._is_running():
                # It may end without a word.
                self._changed.wait(0.01)

    def _is_running(self) -> bool:
        return self._association.is_alive() and threading.current_thread() is not self._association
