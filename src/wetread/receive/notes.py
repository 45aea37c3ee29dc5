"""What receiving writes into the history.

In: what happened.  Out: events.  Never: an event for every image; a flood by one sender.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from wetread.domain.problem import ProblemCode
from wetread.errors import StorageError
from wetread.store.history import Event, History
from wetread.store.studies import Studies

logger = logging.getLogger(__name__)

#: The same problem from the same sender is noted once in this time; the count says how often it was.
REPEAT_S = 60.0
_REMEMBERED = 4096
#: Pause between tries to write what the index did not take.
_LATE_S = 0.5


class Notes:
    """Writes events and leaves out repetitions."""

    def __init__(self, history: History, repeat_s: float = REPEAT_S) -> None:
        self._history = history
        self._repeat_s = repeat_s
        self._lock = threading.Lock()
        self._studies: OrderedDict[str, None] = OrderedDict()
        self._is_closed = False
        self._problems: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        # What the index did not take: written by a thread of its own as soon as it does.
        self._late: queue.Queue[Callable[[], None] | None] = queue.Queue(_REMEMBERED)
        self._writer = threading.Thread(target=self._write_late, name="receive-notes", daemon=True)
        self._writer.start()

    def arrived(self, studies: Studies, study_instance_uid: str, source: str) -> None:
        """Note the first image of a study."""
        with self._lock:
            known = _remember(self._studies, study_instance_uid)
        if known:
            return
        row = studies.find(study_instance_uid)
        if row is not None and row.instance_count == 1:
            self._add(f"First image from {source or 'an unnamed sender'}.", study_instance_uid)

    def close(self) -> None:
        """Note nothing more: what breaks off now does so because we stop."""
        self._is_closed = True
        with contextlib.suppress(queue.Full):
            self._late.put_nowait(None)

    def problem(self, message: str, code: str, source: str = "", study_instance_uid: str = "") -> None:
        """Note a problem, unless the same one was noted just now."""
        key = (study_instance_uid, source, message)
        now = time.monotonic()
        with self._lock:
            last = self._problems.get(key)
            if self._is_closed:
                return
            if last is not None and now - last < self._repeat_s:
                return
            self._problems[key] = now
            self._problems.move_to_end(key)
            while len(self._problems) > _REMEMBERED:
                self._problems.popitem(last=False)
        if source and source not in message:
            message = f"{message} Sender: {source}."
        self._add(message, study_instance_uid, "problem", str(code))

    def _add(self, message: str, study_instance_uid: str, level: str = "info", code: str = "") -> None:
        event = Event(
            study_instance_uid=study_instance_uid,
            at=datetime.now(UTC),
            stage="receive",
            level=level,
            code=code,
            message=message,
        )
        if code == ProblemCode.STORAGE_ERROR:
            # The index has just made the sender wait: it must not wait for this too.
            self.put_off(partial(self._history.add, event))
            return
        try:
            self._history.add(event)
        except StorageError:
            self.put_off(partial(self._history.add, event))

    def put_off(self, write: Callable[[], None]) -> None:
        """Have something written as soon as the index takes it; a StorageError says that it does not yet."""
        try:
            self._late.put_nowait(write)
        except queue.Full:
            logger.error("An event could not be kept.")  # noqa: TRY400 - no bug of ours

    def _write_late(self) -> None:
        while (write := self._late.get()) is not None:
            while not self._is_closed:
                try:
                    write()
                    break
                except StorageError:
                    time.sleep(_LATE_S)


def _remember(seen: OrderedDict[str, None], key: str) -> bool:
    known = key in seen
    seen[key] = None
    seen.move_to_end(key)
    while len(seen) > _REMEMBERED:
        seen.popitem(last=False)
    return known
