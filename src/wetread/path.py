"""The path of a study on one page.

In: a study and its revision.  Out: readings, documents, deliveries, each noted in the history.
Never: knowledge that belongs to a stage; a step whose repetition would change anything outside.

    receive > assemble > match > infer > compose > deliver > (worklist shows it all)

``read_study``, ``read_shadow`` and ``deliver`` are durable workflows: each step is done once and
remembered, a killed process goes on behind the last finished step. The index is the truth; ``dispatch``
starts whatever it says is due.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wetread.domain.problem import ProblemCode
from wetread.domain.reading import Priority
from wetread.engine import Job, Queue, Step, Workflow
from wetread.errors import IndexUnavailable, ModelInterrupted, StorageError, WetreadError
from wetread.jobs import Jobs
from wetread.steps import DeliverySteps, ReadingSteps, ReturningSteps, ShadowSteps
from wetread.steps.places import list_urgencies
from wetread.steps.returning import list_peers
from wetread.store import Store

#: Models one after another (``[work]`` may say otherwise), destinations side by side.
READ_QUEUE = Queue(name="read", concurrency=1)
#: Beside the other, so that what is live never waits for its turn; it gives way (``infer.precedence``).
SHADOW_QUEUE = Queue(name="shadow", concurrency=1)
DELIVER_QUEUE = Queue(name="deliver", concurrency=8, partitioned=True)
#: Lower runs first; room is left between for what comes later.
URGENCY = {Priority.STAT: 10, Priority.URGENT: 20, Priority.ROUTINE: 30}
#: Of a backfill, whatever its rule says: behind everything that is live.
BACKFILL_PRIORITY = 90
#: The engine's numbers end here.
_LAST_TURN = 2**31 - 1
#: What passes by itself: the study stays unfinished, and ``dispatch`` has it read again.
PASSING = (StorageError.code, IndexUnavailable.code, ModelInterrupted.code)
#: Of these, what somebody must be told of: a model that was interrupted goes on by itself.
_TOLD = (StorageError.code, IndexUnavailable.code)


class Stopped(Exception):
    """A step could not be done; the code says why."""


@dataclass(frozen=True, slots=True)
class StudyPath:
    """The workflows, over the steps that do the work."""

    reading: ReadingSteps
    shadow: ShadowSteps
    delivery: DeliverySteps
    enqueue: Callable[[Job], None]
    #: Told after each try of a delivery.
    tried: Callable[[], None] = lambda: None
    #: Told after each try of a reading.
    read: Callable[[], None] = lambda: None

    def workflows(self) -> dict[str, Workflow]:
        """Return the workflows by their stored names."""
        return {"read_study": self.read_study, "read_shadow": self.read_shadow, "deliver": self.deliver}

    def read_study(self, step: Step, study: str, revision: int, _attempt: int) -> None:
        """Read one revision of a study: match, infer, compose, hand over to delivery."""
        try:
            if not _run(step, "newest", self.reading.is_newest, study, revision):
                return
            for chosen in _run(step, "match", self.reading.match, study, revision):
                _run(step, "infer", self.reading.infer, study, revision, chosen["model"], chosen["series"])
            for reading_id in _run(step, "list", self.list_readings, study, revision):
                self._compose(step, study, revision, reading_id)
            destinations = _run(step, "address", self.reading.address, study, revision)
            _run(step, "finish", self.reading.finish, study, revision)
        except Stopped as stopped:
            self._stop(step, study, revision, str(stopped))
            self.read()
            return
        self.read()
        for destination in destinations:
            turn = self.delivery.turn(study, revision, destination)
            self.enqueue(delivery_job(study, revision, destination, attempt=1, turn=turn))

    def read_shadow(self, step: Step, study: str, revision: int, digest: str, _attempt: int) -> None:
        """Read one revision in the shadow: apart from the study, which has ended."""
        try:
            _run(step, "shadow", self.shadow.read, study, revision, digest)
        except Stopped as stopped:
            if str(stopped) not in PASSING:
                step("stop", self.shadow.stop, study, revision, digest, str(stopped))
        self.read()

    def deliver(self, step: Step, study: str, revision: int, destination: str, _attempt: int) -> None:
        """Try once to deliver what a destination still lacks; ``dispatch`` comes back for the rest."""
        try:
            _run(step, "send", self.delivery.send, study, revision, destination)
            _run(step, "verify", self.delivery.verify, study, revision, destination)
            # Named "delay" for good: what is in flight since an earlier version finds its steps by name.
            _run(step, "delay", self.delivery.give_up, study, revision, destination)
        except Stopped as stopped:
            if str(stopped) not in PASSING:
                step("stop", self.delivery.stop, study, revision, destination, str(stopped))
            elif str(stopped) in _TOLD:
                # No step: what is in flight since an earlier version knows none here.
                self.delivery.note_waiting(study, revision, destination, str(stopped))
        self.tried()

    def list_readings(self, study: str, revision: int) -> list[int]:
        """Take in segmentations that came back, then list the revision's Readings.

        No step of its own: what is in flight since an earlier version knows none here.

        Raises
        ------
        StorageError
            If disk or index refuse: the step is done again.
        """
        peers = list_peers(self.reading.lineup.packages)
        returning = ReturningSteps(store=self.reading.store, clock=self.reading.clock, peers=peers)
        taken = _guard(returning.take, (study, revision))
        if not taken["ok"] and taken["code"] in PASSING:
            raise StorageError
        if not taken["ok"]:
            returning.note_failed(study, revision, taken["code"])
        return self.reading.list_readings(study, revision)

    def _compose(self, step: Step, study: str, revision: int, reading_id: int) -> None:
        """Compose one Reading; the others go on where it cannot be done."""
        try:
            _run(step, "compose", self.reading.compose, reading_id)
        except Stopped as stopped:
            if str(stopped) in PASSING:
                raise
            step("note", self.reading.note_uncomposed, study, revision, str(stopped))

    def _stop(self, step: Step, study: str, revision: int, code: str) -> None:
        if code not in PASSING:
            step("stop", self.reading.stop, study, revision, code)
        elif code in _TOLD:
            # No step, as in ``deliver``.
            self.reading.note_waiting(study, revision, code)


def reading_job(
    study: str, revision: int, urgency: Priority, attempt: int = 1, *, is_backfill: bool = False
) -> Job:
    """Return the job that reads a revision."""
    return Job(
        workflow="read_study",
        queue=READ_QUEUE.name,
        key=f"read/{study}/{revision}/{attempt}",
        arguments=(study, revision, attempt),
        priority=BACKFILL_PRIORITY if is_backfill else URGENCY[urgency],
    )


def follow_urgency(store: Store, jobs: Jobs) -> None:
    """Let readings that wait take the place that their urgency has now.

    Raises
    ------
    StorageError
        If index or engine do not answer.
    """
    waiting = {one.key: one for one in jobs.list_open("read/") if not one.is_running}
    urgencies = list_urgencies(store) if waiting else {}
    for key, held in waiting.items():
        _, study, revision, attempt = key.split("/")
        urgency, is_backfill = urgencies.get((study, int(revision)), (None, False))
        if urgency is None:
            continue
        job = reading_job(study, int(revision), urgency, int(attempt), is_backfill=is_backfill)
        if job.priority != held.priority:
            jobs.put(key, job.priority)


def shadow_job(study: str, revision: int, digest: str, attempt: int) -> Job:
    """Return the job that reads a revision in the shadow."""
    return Job(
        workflow="read_shadow",
        queue=SHADOW_QUEUE.name,
        key=f"shadow/{study}/{revision}/{digest}/{attempt}",
        arguments=(study, revision, digest, attempt),
        priority=BACKFILL_PRIORITY,
    )


def delivery_job(study: str, revision: int, destination: str, attempt: int, turn: int) -> Job:
    """Return the job for one try at one destination.

    Parameters
    ----------
    turn
        Of those that wait for a destination the lowest goes first. Not the engine's order: on SQLite it
        knows jobs of the same second by their names only, and a clock that is set back reverses it.
    """
    return Job(
        workflow="deliver",
        queue=DELIVER_QUEUE.name,
        key=f"deliver/{study}/{revision}/{destination}/{attempt}",
        arguments=(study, revision, destination, attempt),
        priority=min(max(1, turn), _LAST_TURN),
        partition=destination,
    )


def _run(step: Step, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    outcome = step(name, _guard, function, arguments)
    if not outcome["ok"]:
        raise Stopped(outcome["code"])
    return outcome["value"]


def _guard(function: Callable[..., Any], arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Turn an expected failure into a value, since a stored exception loses its type."""
    try:
        return {"ok": True, "value": function(*arguments)}
    except WetreadError as error:
        return {"ok": False, "code": error.code}
    except Exception as error:  # noqa: BLE001 - the one boundary: a bug stops this study alone, visibly
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        where = f"{frame.tb_frame.f_code.co_name}:{frame.tb_lineno}" if frame else ""
        return {"ok": False, "code": f"{ProblemCode.INTERNAL_ERROR} {type(error).__name__} {where}"}
