"""Say that this process lives, and take over the work of those that do not.

In: the processes on a shared database.  Out: jobs of the dead back in their queues.
Never: a verdict by another clock than the database's, or by one who was cut off from it itself.

Everybody watches everybody: no leader, no lock, and to bury twice changes nothing. Who was taken for dead
and lives (a stopped process, a lost network) ends at once when it hears of it: its work has gone to others,
and the engine takes no result of it. Whoever started it starts a new one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from wetread.domain.problem import ProblemCode
from wetread.engine import Engine
from wetread.errors import StorageError
from wetread.store import Store
from wetread.store.history import Event

logger = logging.getLogger(__name__)

#: Time between two beats; several may be lost before others take one for dead.
BEAT_S = 5.0


@dataclass(slots=True)
class _Calm:
    """Since when our own beats have come without a gap."""

    #: On the monotonic clock, in s.
    last_beat: float = field(default_factory=time.monotonic)
    #: Before this moment we judge nobody: others had no time yet to beat again either.
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A thread that beats and watches."""

    store: Store
    engine: Engine
    worker_id: str
    #: Called when others took this process for dead; it must not return.
    on_buried: Callable[[], None]
    clock: Callable[[], datetime]
    beat_s: float = BEAT_S
    _calm: _Calm = field(default_factory=_Calm)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin to beat; the process is entered already (``Workers.join``)."""
        thread = threading.Thread(target=self._loop, name="heartbeat", daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Stop beating; returns when the thread has ended."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def beat(self) -> None:
        """Beat once, then take over what the dead held.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        if not self.store.workers.beat(self.worker_id):
            self.on_buried()
            return
        now = time.monotonic()
        limit_s = self.store.workers.time_to_live_s
        if now - self._calm.last_beat > limit_s / 2:
            # The database was away, or we were. The others' beats may be old for the same reason.
            self._calm.since = now + limit_s
        self._calm.last_beat = now
        self.engine.recover_missing()
        if now >= self._calm.since:
            self._take_over()

    def _take_over(self) -> None:
        # Not only who is in the table: a process that was buried may have taken one more job before it knew.
        # Owners are asked for first: a process is entered before it takes anything.
        dead = (self.engine.list_owners() - self.store.workers.list_live()) | self.store.workers.list_dead()
        if not dead:
            return
        buried = self.store.workers.bury(dead)
        # Who beat just now is alive after all.
        count = self.engine.recover(dead - self.store.workers.list_live())
        for name in sorted(buried):
            self._note(f"Worker {name} was not heard of any more. What it worked on goes on elsewhere.")
        if count and not buried:
            logger.info("Jobs of dead workers were given back to their queues: %d", count)

    def _note(self, message: str) -> None:
        code = ProblemCode.WORKER_LOST.value
        self.store.history.add(
            Event(at=self.clock(), stage="work", level="problem", code=code, message=message)
        )

    def _loop(self) -> None:
        while not self._stop.wait(self.beat_s):
            try:
                self.beat()
            except StorageError:
                # The next beat will tell; meanwhile the receiver and the pages say so.
                logger.warning("The heartbeat could not be written; trying again.")
            except Exception:
                logger.exception("The heartbeat failed; trying again.")
