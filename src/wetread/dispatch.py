"""Start whatever the index says is due.

In: the index and the clock.  Out: jobs in the engine, and when to look again.
Never: a job that is not backed by a row; trust in an earlier call.

Level-triggered: a lost wake-up, a crash between commit and enqueue, or a job that ended in an
error are all found by looking again. Several processes may look at one index: a revision begins once
(``begin_revision``), and who finds the same job missing makes the same key.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wetread.assemble import NOTHING_TOLD, Arrival, check_completeness
from wetread.domain.fetching import FetchState, Purpose
from wetread.domain.notice import Told
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import DeliveryState
from wetread.engine import OPEN_STATES, Engine, Job
from wetread.errors import AssociationRejected, PeerUnreachable, StorageError
from wetread.outbox import Outbox, Parcel
from wetread.path import delivery_job, follow_urgency, reading_job, shadow_job
from wetread.steps import DeliverySteps, KeepingSteps, PerformingSteps, ReadingSteps, ShadowSteps
from wetread.steps.awaiting import AwaitingSteps
from wetread.steps.delivering import turn_of
from wetread.steps.late_priors import LatePriorSteps
from wetread.steps.priors import PriorSteps
from wetread.steps.settling import SettlingSteps
from wetread.store import Store
from wetread.store.deliveries import DeliveryRow
from wetread.store.history import Event
from wetread.store.shadows import ShadowRow
from wetread.store.studies import RevisionRow, StudyRow
from wetread.waits import LEAST_S, SWEEP_S, Backoff, Rounds, Waits

#: Look again after this time at what waits for something that tells nobody.
HELD_BACK_S = 1.0
#: Of the time that is spent on looking at deliveries.
MOST_SHARE = 0.1
#: Between the tries of a reading that could not be kept, e.g. for want of space: the model runs each time.
READ_WAITS_S = (5.0, 30.0, 60.0)
#: Readings in the shadow that are handed to the engine at once: a process does as many as it does live ones.
SHADOWS_AHEAD = 4
#: The engine forgets jobs that ended longer ago: the index holds all that pages show.
KEEP_JOBS = timedelta(days=7)
#: The destination itself was away, not only unwilling to take this document.
UNANSWERED = (PeerUnreachable.code, AssociationRejected.code)


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """A thread that looks at the index when woken, when a wait is over, and every ``SWEEP_S``."""

    store: Store
    reading: ReadingSteps
    delivery: DeliverySteps
    engine: Engine
    clock: Callable[[], datetime]
    keeping: KeepingSteps
    #: None: nobody is asked for priors.
    priors: PriorSteps | None = None
    #: Readings of a backfill that are begun at once.
    backfill_readings: int = 1
    #: None: workitems are performed elsewhere.
    performing: PerformingSteps | None = None
    #: None: nothing is read in the shadow.
    shadow: ShadowSteps | None = None
    #: None: what another vendor's AI owes is awaited for ever.
    awaiting: AwaitingSteps | None = None
    #: None: what readers change follows into reports elsewhere.
    settling: SettlingSteps | None = None
    #: None: a prior that comes late changes nothing.
    late: LatePriorSteps | None = None
    waits: Waits = field(default_factory=Waits)
    outbox: Outbox = field(default_factory=Outbox)
    backoff: Backoff = field(default_factory=lambda: Backoff(READ_WAITS_S))
    shadow_backoff: Backoff = field(default_factory=lambda: Backoff(READ_WAITS_S))
    rounds: Rounds = field(default_factory=Rounds)
    _wake: threading.Event = field(default_factory=threading.Event)
    _sweep: threading.Event = field(default_factory=threading.Event)
    _tried: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin to look."""
        thread = threading.Thread(target=self._loop, name="dispatch", daemon=True)
        self._threads.append(thread)
        thread.start()

    def wake(self, sweep: bool = False) -> None:
        """Look now: something arrived; ``sweep``: look at everything, not only at arrivals."""
        if sweep:
            self._sweep.set()
        self._wake.set()

    def wake_tried(self) -> None:
        """Look at the deliveries soon: a try has ended, and the wait for the next begins."""
        self._tried.set()
        self._wake.set()

    def stop(self) -> None:
        """Stop looking; returns when the thread has ended."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join()

    def look(self, sweep: bool = True) -> float:
        """Start what is due; returns how long nothing new can become due by itself, in s."""
        wait_s = self._perform(is_due=sweep)
        due = self.store.studies.list_due()
        told = self.store.notices.tell([row.study_instance_uid for row in due]) if due else {}
        studies = {row.study_instance_uid for row in due}
        self.waits.forget_others(set(studies))
        if self.priors is not None:
            self.priors.end_round(studies)
        for row in due:
            wait_s = min(wait_s, self._consider_safely(row, told.get(row.study_instance_uid, NOTHING_TOLD)))
        if sweep:
            self._resume_jobs()
        if sweep or self._deliveries_rest_s() <= 0:
            self._resume_deliveries()
        if sweep:
            self._sweep_beside()
        # Last: whatever comes of it, everything live was seen to.
        self._begin_shadows(sweep=sweep)
        if sweep:
            self._begin_late()
        return min(wait_s, self._deliveries_rest_s())

    def _resume_jobs(self) -> None:
        if self.engine.is_alone:
            # A full disk ends the thread that works on a job, and keeps that from being noted.
            self.engine.recover_missing()
        self.engine.prune((self.clock() - KEEP_JOBS).isoformat())
        self._resume_readings()
        with contextlib.suppress(StorageError):
            # Their order may wait: deliveries do not wait for it.
            follow_urgency(self.store, self.engine.jobs)

    def _sweep_beside(self) -> None:
        worklist = self.performing.worklist if self.performing is not None else None
        for one in (self.keeping, self.awaiting, self.settling, worklist):
            if one is not None:
                one.sweep()

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            now = self.waits.monotonic()
            sweep = self._sweep.is_set() or now - self.rounds.swept_at >= SWEEP_S
            self._sweep.clear()
            self.rounds.swept_at = now if sweep else self.rounds.swept_at
            wait_s = self._look_safely(sweep)
            to_sweep_s = self.rounds.swept_at + SWEEP_S - self.waits.monotonic()
            self._wake.wait(max(0.0, min(wait_s, to_sweep_s)))

    def _deliveries_rest_s(self) -> float:
        """Return how long no delivery need be looked at, in s."""
        rounds = self.rounds
        rest_s = 0.0 if self._tried.is_set() else rounds.next_due_s
        return rounds.delivered_at + max(rest_s, rounds.least_s) - self.waits.monotonic()

    def _look_safely(self, sweep: bool) -> float:
        try:
            return self.look(sweep)
        except Exception as error:  # noqa: BLE001 - a locked or full database must not end the thread
            self._report(error)
            return 1.0

    def _report(self, error: Exception, study: str = "") -> None:
        event = Event(
            study_instance_uid=study,
            at=self.clock(),
            stage="assemble",
            level="problem",
            code=ProblemCode.INTERNAL_ERROR.value,
            message=f"Looking for due studies failed with {type(error).__name__}; trying again.",
        )
        # Where the index itself is out, this cannot be noted either: the next look will.
        with contextlib.suppress(Exception):
            self.store.history.add(event)

    def _consider_safely(self, row: StudyRow, told: Told) -> float:
        try:
            return self._consider(row, told)
        except Exception as error:  # noqa: BLE001 - one study must not hold up the others
            self._report(error, row.study_instance_uid)
            return SWEEP_S

    def _consider(self, row: StudyRow, told: Told) -> float:
        # From the first image on: while the rest arrives, its priors may come.
        priors_wait_s = self.priors.wait_s(row) if self.priors is not None else 0.0
        arrival = Arrival(
            instance_count=row.instance_count,
            covered_count=row.covered_count,
            expected_instances=row.expected_instances,
            expected_by=row.expected_by,
            silence_s=self.waits.seen_s(row.study_instance_uid, row.instance_count),
            told=told,
        )
        now = self.clock()
        quiet_s = self.reading.quiet_s(row.study_instance_uid)
        completeness = check_completeness(arrival, quiet_s)
        if not completeness.is_complete:
            return min(completeness.wait_s, priors_wait_s or completeness.wait_s)
        if priors_wait_s or self._is_held_back(row):
            return priors_wait_s or HELD_BACK_S
        begun = self.store.studies.begin_revision(row.study_instance_uid, completeness.cause, now)
        if begun is not None:
            self.store.history.add(
                Event(
                    study_instance_uid=row.study_instance_uid,
                    revision=begun.revision,
                    at=now,
                    stage="assemble",
                    message=f"{begun.instance_count} images taken as complete: {begun.cause}.",
                )
            )
            if completeness.missing:
                self._note_missing(begun, completeness.missing)
            if self.priors is not None:
                self.priors.tell(row, begun.revision)
            self._enqueue_reading(row.study_instance_uid, begun.revision)
        return SWEEP_S

    def _note_missing(self, begun: RevisionRow, missing: int) -> None:
        them = "1 image that was told of has" if missing == 1 else f"{missing} images that were told of have"
        self.store.history.add(
            Event(
                study_instance_uid=begun.study_instance_uid,
                revision=begun.revision,
                at=self.clock(),
                stage="assemble",
                level="problem",
                code=ProblemCode.IMAGES_MISSING.value,
                message=f"{them} not come: what is here is read; should they come, it is read again.",
            )
        )

    def _is_held_back(self, row: StudyRow) -> bool:
        """Tell whether the rest of a study is being fetched, or a backfill waits for what is live."""
        study, is_backfill = row.study_instance_uid, row.purpose is Purpose.BACKFILL
        states = (FetchState.FETCHING, FetchState.WAITING) if is_backfill else (FetchState.FETCHING,)
        if self.store.fetches.is_open(study, *states):
            return True
        if not is_backfill:
            return False
        unfinished = len(self.store.studies.list_unfinished_revisions())
        return unfinished >= self.backfill_readings or self.store.purposes.has_live_waiting()

    def _enqueue_reading(self, study: str, revision: int) -> None:
        self.engine.enqueue(self._job(study, revision))

    def _job(self, study: str, revision: int, attempt: int = 1) -> Job:
        urgency, is_backfill = self.reading.urgency(study), self.reading.is_backfill(study, revision)
        return reading_job(study, revision, urgency, attempt, is_backfill=is_backfill)

    def _perform(self, *, is_due: bool) -> float:
        """Do what workitems ask of us, every ``LEAST_S`` at most; returns how long it may rest, in s."""
        rest_s = self.rounds.performed_at + LEAST_S - self.waits.monotonic()
        if self.performing is None or (rest_s > 0 and not is_due):
            return max(0.0, rest_s) if self.performing else SWEEP_S
        self.rounds.performed_at = self.waits.monotonic()
        for workitem, order in self.performing.iter_open():
            try:
                again = self.performing.consider(workitem, order)
                if again is not None:
                    study, revision = again
                    number, _ = self.engine.last_attempt(f"read/{study}/{revision}/")
                    self.engine.enqueue(self._job(study, revision, number + 1))
            except Exception as error:  # noqa: BLE001 - one workitem must not hold up the others
                self._report(error, order.parts[0].study_instance_uid)
        return SWEEP_S

    def _resume_readings(self) -> None:
        jobs = {key.rsplit("/", 1)[0] for key in self.engine.list_open("read/")}
        unfinished = self.store.studies.list_unfinished_revisions()
        for row in unfinished:
            if f"read/{row.study_instance_uid}/{row.revision}" not in jobs:
                self._resume_reading(row.study_instance_uid, row.revision)
        self.backoff.end_round({(row.study_instance_uid, row.revision) for row in unfinished})

    def _resume_reading(self, study: str, revision: int) -> None:
        number, state = self.engine.last_attempt(f"read/{study}/{revision}/")
        is_finished = self.store.studies.get_revision(study, revision).finished_at is not None
        if state in OPEN_STATES or is_finished:
            # Begun, or done, since the list was made: here or in another process.
            return
        if self._may_go_on(f"read/{study}/{revision}/{number}", state):
            if self.backoff.is_due((study, revision), number):
                self.engine.enqueue(self._job(study, revision, number + 1))
        else:
            # The engine gave it up: say so on the study instead of waiting for ever.
            self.reading.stop(study, revision, f"{ProblemCode.INTERNAL_ERROR} {state}")

    def _may_go_on(self, key: str, state: str) -> bool:
        """Tell whether a job that ended and left its work undone is to be begun again.

        It was never begun, it ended to be tried again later and the later job is not there, its disk was
        full, or we were killed so often that the engine gave it up. Models run apart: no study can kill us.
        """
        is_passing = state in ("", "SUCCESS", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
        return is_passing or self.engine.is_broken_by_disk(key)

    def _begin_shadows(self, *, sweep: bool) -> None:
        """Have read in the shadow what waits, while nothing else arrives, waits or is read."""
        if self.shadow is None:
            return
        if sweep:
            self.shadow.forget_withdrawn()
        rows = self.shadow.list_waiting(SHADOWS_AHEAD)
        if rows and not self._is_busy():
            for row in rows:
                self._begin_shadow(self.shadow, row)
        self.shadow_backoff.end_round({row.id for row in rows})

    def _begin_shadow(self, shadow: ShadowSteps, row: ShadowRow) -> None:
        place = (row.study_instance_uid, row.revision, row.model_digest)
        prefix = "shadow/{}/{}/{}/".format(*place)
        number, state = self.engine.last_attempt(prefix)
        if state in OPEN_STATES:
            return
        if not self._may_go_on(f"{prefix}{number}", state):
            shadow.stop(*place, f"{ProblemCode.INTERNAL_ERROR} {state}")
        elif self.shadow_backoff.is_due(row.id, number):
            self.engine.enqueue(shadow_job(*place, number + 1))

    def _begin_late(self) -> None:
        """Have a study read again with a prior that came late, while nothing else waits or is read."""
        begun = self.late.look() if self.late is not None and not self._is_busy() else None
        if begun is not None:
            self._enqueue_reading(*begun)

    def _is_busy(self) -> bool:
        return self.store.purposes.has_live_waiting() or bool(self.store.studies.list_unfinished_revisions())

    def _resume_deliveries(self) -> None:
        begun_at = self.waits.monotonic()
        # Before anything is read: what ends from now on is looked at the next time.
        self._tried.clear()
        # In this order: what ends meanwhile is looked at the next time, and not tried twice.
        running = {key.rsplit("/", 1)[0] for key in self.engine.list_open("deliver/")}
        parcels = self._list_parcels()
        answers = self.store.deliveries.count_arrived() if parcels else {}
        for parcel in self.outbox.take_due(parcels, answers):
            if f"deliver/{parcel.study}/{parcel.revision}/{parcel.destination}" not in running:
                self._resume_delivery(parcel)
        rounds = self.rounds
        rounds.delivered_at = self.waits.monotonic()
        rounds.least_s = max(LEAST_S, (rounds.delivered_at - begun_at) / MOST_SHARE)
        rounds.next_due_s = self.outbox.next_due_s(parcels)

    def _resume_delivery(self, parcel: Parcel) -> None:
        place = (parcel.study, parcel.revision, parcel.destination)
        number, state = self.engine.last_attempt("deliver/{}/{}/{}/".format(*place))
        # Asked last: what was delivered meanwhile needs nothing more.
        if state not in OPEN_STATES and self.delivery.needs_delivery(*place):
            self.engine.enqueue(delivery_job(*place, number + 1, parcel.turn))

    def _list_parcels(self) -> list[Parcel]:
        """Return what waits for each destination."""
        rows: dict[tuple[str, int, str], list[DeliveryRow]] = {}
        for row in self.delivery.list_unsettled():
            rows.setdefault((row.study_instance_uid, row.revision, row.destination), []).append(row)
        backfilled = self.store.purposes.list_backfilled_waiting() if rows else set()
        return [
            self._parcel(members, is_backfill=study in backfilled) for (study, _, _), members in rows.items()
        ]

    def _parcel(self, rows: list[DeliveryRow], *, is_backfill: bool) -> Parcel:
        # What somebody asked to be tried again does not wait for the others.
        is_new = any(row.state is DeliveryState.WAITING and not row.attempts for row in rows)
        first, attempts = rows[0], 0 if is_new else max(row.attempts for row in rows)
        wait_s = self.delivery.wait_s(first.study_instance_uid, first.destination, attempts)
        return Parcel(
            study=first.study_instance_uid,
            revision=first.revision,
            destination=first.destination,
            attempts=attempts,
            # Whatever became of the last try, its time changed; as a name it needs no true clock.
            version=f"{attempts} {max(row.updated_at for row in rows)}",
            wait_s=wait_s or 0.0 if attempts else 0.0,
            is_unanswered=any(row.problem_code in UNANSWERED for row in rows),
            turn=turn_of(rows, is_backfill=is_backfill),
        )
