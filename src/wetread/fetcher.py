"""Two threads per PACS: one for what somebody waits for, one to watch and for backfills.

In: rows of what is to be fetched, the clock.  Out: steps done, one after the other, and when to look again.
Never: more associations with a PACS than it takes; a backfill while something live waits; an endless study.

Level-triggered, as ``dispatch``: a lost wake-up or a killed process is found by looking again. Where several
processes share a database, one has a lane of a PACS (``Fetches.owner``); when it ends, another goes on.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from wetread.domain.fetching import BackfillState, FetchReason
from wetread.domain.problem import ProblemCode
from wetread.errors import PeerError, StorageError, TooManyMatches, WetreadError
from wetread.fetch.pacs import Pacs
from wetread.fetch.retrieval import Stopper
from wetread.steps.backfilling import BackfillSteps
from wetread.steps.fetching import FetchSteps
from wetread.steps.priors import PriorSteps
from wetread.steps.watching import WatchSteps
from wetread.store import Store
from wetread.store.fetches import FetchRow
from wetread.store.history import Event
from wetread.waits import Backoff

#: What others write into the index (a command, another process) is seen after this time.
LOOK_S = 1.0
#: Who stops waits so long for a question that is under way.
_LAST_S = 15.0
#: Between two tries to become the one that asks.
_OWNER_S = 5.0
#: After a PACS did not answer, in s; the last one again and again.
_REST_S = (2.0, 5.0, 15.0, 60.0, 120.0)
#: Between the tries of one study.
_TRY_WAITS_S = (5.0, 60.0, 300.0, 1800.0)
_HOUR_S = 3600.0


class Lane(StrEnum):
    """What a thread sees to; where a PACS takes one association only, one thread sees to both."""

    #: Priors that a reading waits for, what people ask for.
    URGENT = "urgent"
    #: Watching, what is new there, backfills: a long transfer delays nothing urgent.
    OTHER = "other"

    def holds(self, priority: int) -> bool:
        """Tell whether a study of this place in line belongs here."""
        return (priority < FetchReason.WATCH.rank) == (self is Lane.URGENT)


LANES = frozenset(Lane)


@dataclass(slots=True)
class _Memory:
    """What one process knows of one PACS; on a clock that nobody sets."""

    watched_at: float = float("-inf")
    rest_until: float = float("-inf")
    failures: int = 0
    #: When studies were begun in the last hour, for the pace.
    begun: deque[float] = field(default_factory=deque)
    backoff: Backoff = field(default_factory=lambda: Backoff(_TRY_WAITS_S))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """One thread of one PACS."""

    pacs: Pacs
    store: Store
    fetching: FetchSteps
    watching: WatchSteps
    priors: PriorSteps
    backfilling: BackfillSteps
    monotonic: Callable[[], float] = time.monotonic
    look_s: float = LOOK_S
    lanes: frozenset[Lane] = LANES
    _memory: _Memory = field(default_factory=_Memory)
    _wake: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin."""
        thread = threading.Thread(target=self._loop, name=f"fetch {self._name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def wake(self) -> None:
        """Look now: there is something to ask."""
        self._wake.set()

    def stop(self) -> None:
        """Stop; what is under way is interrupted, and goes on at the next start."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            # Not for ever: a PACS may take its time for an answer, and nothing hangs on that.
            thread.join(_LAST_S)

    @property
    def _name(self) -> str:
        """Of what one process at a time sees to."""
        return self.pacs.name if self.lanes == LANES else f"{self.pacs.name} {min(self.lanes)}"

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                with self.store.fetches.owner(self._name) as is_owner:
                    if is_owner():
                        self._serve(is_owner)
            except Exception as error:  # noqa: BLE001 - the index is away: looked at again
                self._report(error)
            self._stop.wait(_OWNER_S)

    def _serve(self, is_owner: Callable[[], bool]) -> None:
        self.take_over()
        while not self._stop.is_set() and is_owner():
            self._wake.clear()
            wait_s = self.look()
            if wait_s > 0:
                self._wake.wait(wait_s)

    def take_over(self) -> None:
        """Let wait again what somebody had begun who is no more."""
        self.store.fetches.release(self.pacs.name, self._ranks(), self.fetching.clock())

    def look(self) -> float:
        """Do what is most urgent; returns how long nothing new can become due by itself, in s."""
        memory = self._memory
        rest_s = memory.rest_until - self.monotonic()
        if rest_s > 0:
            return min(rest_s, self.look_s)
        try:
            has_worked = self._work()
        except PeerError as error:
            self._rest(error)
            return self.look_s
        except Exception as error:  # noqa: BLE001 - neither a full disk nor a bug must end the thread
            self._report(error)
            self._rest(None)
            return self.look_s
        return 0.0 if has_worked else self.look_s

    def _work(self) -> bool:
        if Lane.URGENT in self.lanes:
            self._search()
        if Lane.OTHER in self.lanes and self._watch():
            return True
        row = self._next_row()
        if row is not None:
            self._begin(row)
            return True
        return Lane.OTHER in self.lanes and self._advance()

    def _search(self) -> None:
        for search in self.store.pacs.list_searches(self.pacs.name):
            self.priors.search(self.pacs, search)
            self._answered()
            self.fetching.settled()

    def _ranks(self) -> frozenset[int]:
        """Return the places in line that this thread sees to."""
        return frozenset(one.rank for one in FetchReason if any(lane.holds(one.rank) for lane in self.lanes))

    def _watch(self) -> bool:
        watch = self.pacs.watch
        if not watch.on or self.monotonic() - self._memory.watched_at < watch.interval_s:
            return False
        # Before: a PACS that fails is not asked more often than one that does not.
        self._memory.watched_at = self.monotonic()
        self.watching.look(self.pacs)
        self._answered()
        return True

    def _next_row(self) -> FetchRow | None:
        rows = self.store.fetches.list_waiting(self.pacs.name, self._ranks())
        due = [row for row in rows if self._memory.backoff.is_due(row.id, row.attempts)]
        self._memory.backoff.end_round({row.id for row in rows})
        for row in due:
            if row.priority < FetchReason.WATCH.rank:
                return row
            if not self._is_within_pace():
                return None
            if row.priority < FetchReason.BACKFILL.rank or self._may_backfill(row):
                return row
        return None

    def _may_backfill(self, row: FetchRow) -> bool:
        backfill = self.store.backfills.find(row.backfill_id) if row.backfill_id is not None else None
        is_on = backfill is None or backfill.state is BackfillState.RUNNING
        return is_on and self.backfilling.may_work(self.pacs)

    def _begin(self, row: FetchRow) -> None:
        if row.priority >= FetchReason.WATCH.rank:
            self._memory.begun.append(self.monotonic())
        self.fetching.fetch(row, Stopper(self._stops(row)))
        self._answered()

    def _stops(self, row: FetchRow) -> Callable[[], bool]:
        if row.priority < FetchReason.BACKFILL.rank:
            return self._stop.is_set
        return lambda: self._stop.is_set() or not self._may_backfill(row)

    def _advance(self) -> bool:
        if not self.backfilling.may_work(self.pacs):
            return False
        try:
            has_advanced = self.backfilling.advance(self.pacs)
        except TooManyMatches as error:
            self._note_backfill(error)
            raise
        if has_advanced:
            self._answered()
        return has_advanced

    def _note_backfill(self, error: WetreadError) -> None:
        for row in self.store.backfills.list_all(BackfillState.RUNNING):
            if row.pacs == self.pacs.name:
                now = self.fetching.clock()
                self.store.backfills.note_problem(row.id, error.code, str(error), now)

    def _is_within_pace(self) -> bool:
        limit, begun, now = self.pacs.studies_per_hour, self._memory.begun, self.monotonic()
        while begun and now - begun[0] >= _HOUR_S:
            begun.popleft()
        return not limit or len(begun) < limit

    def _answered(self) -> None:
        self._memory.failures = 0
        if self.store.pacs.note(self.pacs.name, self.fetching.clock()):
            self._note("info", "", f"{self.pacs.name} answers again.")

    def _rest(self, error: PeerError | None) -> None:
        """Leave a PACS alone for a while that does not answer."""
        memory = self._memory
        memory.rest_until = self.monotonic() + _REST_S[min(memory.failures, len(_REST_S) - 1)]
        memory.failures += 1
        if error is None:
            return
        with contextlib.suppress(StorageError):
            now, code = self.fetching.clock(), error.code
            if self.store.pacs.note(self.pacs.name, now, code=code, message=str(error)):
                message = f"{self.pacs.name} cannot be asked; it is tried again. {error}"
                shown = code if code in set(ProblemCode) else ProblemCode.PACS_UNANSWERED.value
                self._note("problem", shown, message)

    def _note(self, level: str, code: str, message: str) -> None:
        event = Event(at=self.fetching.clock(), stage="fetch", level=level, code=code, message=message)
        self.store.history.add(event)

    def _report(self, error: Exception) -> None:
        # Where the index itself is out, this cannot be noted either: the next look will.
        with contextlib.suppress(Exception):
            is_storage = isinstance(error, StorageError)
            code = ProblemCode.STORAGE_ERROR if is_storage else ProblemCode.INTERNAL_ERROR
            message = f"Fetching from {self.pacs.name} failed with {type(error).__name__}; trying again."
            self._note("problem", code.value, message)
