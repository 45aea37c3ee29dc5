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
from functools import partial

from wetread.domain.problem import ProblemCode
from wetread.engine import Engine
from wetread.errors import StorageError
from wetread.store.history import Event, History
from wetread.store.workers import Workers

logger = logging.getLogger(__name__)

#: Time between two beats, and between two looks at the others. Eight beats fit into the time to live
#: (``store.workers``): a starved process or a lost connection costs some of them, not all.
BEAT_S = 2.5


@dataclass(slots=True)
class _Calm:
    """Since when our own beats have come without a gap; both on the monotonic clock, in s."""

    #: Whoever has just begun knows as little about the others as who was cut off.
    last_beat: float = float("-inf")
    #: Before this moment we judge nobody: others had no time yet to beat again either.
    since: float = float("inf")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A thread that beats and, once there is an engine, one that watches.

    Two, because the engine waits until its database is back: whoever waits with it would not beat.
    """

    workers: Workers
    history: History
    worker_id: str
    #: Called when others took this process for dead; it must not return.
    on_buried: Callable[[], None]
    clock: Callable[[], datetime]
    beat_s: float = BEAT_S
    _calm: _Calm = field(default_factory=_Calm)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop_watching: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: dict[str, threading.Thread] = field(default_factory=dict)

    def start(self) -> None:
        """Begin to beat; the process is entered already (``Workers.join``)."""
        self._run("heartbeat", self.beat, self._stop)

    def start_watching(self, engine: Engine) -> None:
        """Begin to take over the work of the dead."""
        self._run("watch", partial(self.watch, engine), self._stop_watching)

    def stop_watching(self) -> None:
        """Take over nothing more: the engine may be stopped."""
        self._stop_watching.set()
        if "watch" in self._threads:
            # Not for ever: the engine may wait for its database.
            self._threads["watch"].join(self.beat_s)

    def stop(self) -> None:
        """Stop beating; returns when the thread has ended."""
        self.stop_watching()
        self._stop.set()
        if "heartbeat" in self._threads:
            self._threads["heartbeat"].join()

    def beat(self) -> None:
        """Beat once.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        if not self.workers.beat(self.worker_id):
            self.on_buried()
            return
        now = time.monotonic()
        limit_s = self.workers.time_to_live_s
        with self._lock:
            if now - self._calm.last_beat > limit_s / 2:
                # The database was away, or we were. The others' beats may be old for the same reason.
                self._calm.since = now + limit_s
            self._calm.last_beat = now

    def watch(self, engine: Engine) -> None:
        """Take over what the dead held.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        engine.recover_missing()
        # Owners are asked for first: a process is entered before it takes anything.
        owners = engine.list_owners()
        # Behind what may have waited for the database, so that a gap is noticed before anybody is judged.
        self.beat()
        if time.monotonic() >= self._calm.since:
            self._take_over(engine, owners)

    def _take_over(self, engine: Engine, owners: set[str]) -> None:
        # Not only who is in the table: a process that was buried may have taken one more job before it knew.
        dead = (owners - self.workers.list_live()) | self.workers.list_dead()
        if not dead:
            return
        buried = self.workers.bury(dead)
        # Who beat just now is alive after all.
        count = engine.recover(dead - self.workers.list_live())
        for name in sorted(buried):
            self._note(f"Worker {name} was not heard of any more. What it worked on goes on elsewhere.")
        if count and not buried:
            logger.info("Jobs of dead workers were given back to their queues: %d", count)

    def _note(self, message: str) -> None:
        code = ProblemCode.WORKER_LOST.value
        self.history.add(Event(at=self.clock(), stage="work", level="problem", code=code, message=message))

    def _run(self, name: str, act: Callable[[], None], stop: threading.Event) -> None:
        thread = threading.Thread(target=self._loop, args=(act, stop), name=name, daemon=True)
        self._threads[name] = thread
        thread.start()

    def _loop(self, act: Callable[[], None], stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                act()
            except StorageError:
                # The next time will tell; meanwhile the receiver and the pages say so.
                logger.warning("The heartbeat could not be written; trying again.")
            except Exception:
                logger.exception("The heartbeat failed; trying again.")
            stop.wait(self.beat_s)
