"""The line of studies that wait for their models: who is where, what is stuck, what failed and what to do.

In: the index, the engine's jobs, the clock.  Out: lines of the queue.  Never: a change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from wetread.domain.fetching import FetchState, Purpose
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import QueueStage
from wetread.domain.reading import Priority
from wetread.jobs import JobRow
from wetread.steps.faults import FAULTS
from wetread.store import Store
from wetread.store.queue import Fault
from wetread.store.room import GivenPriority
from wetread.store.studies import RevisionRow, StudyRow

#: A begun revision without a job is found and handed to the engine within this time, in s.
_FOUND_S = 60.0
#: What takes so many times as long as usual, and at least so many s, is looked at.
_SLOW, _LEAST_SLOW_S = 3.0, 60.0
#: Images that nobody adds to are read long before this, in s.
_SILENT_S = 900.0

_AGAIN = "Have it read again; should that fail too, look at the history and at the model."
_PACKAGE = "Check its package with `wetread models verify`, then have the study read again."
#: What to do about what went wrong, beside what its own sentence says.
ADVICE: Mapping[ProblemCode, str] = {
    **dict.fromkeys(FAULTS, _AGAIN),
    ProblemCode.MODEL_TIMEOUT: "Have it read again when less is to do, or raise timeout_s of its package.",
    ProblemCode.INVALID_PACKAGE: _PACKAGE,
    ProblemCode.INVALID_SIGNATURE: _PACKAGE,
    ProblemCode.UNKNOWN_MODEL: _PACKAGE,
    ProblemCode.MODEL_OUT_OF_SERVICE: "Once it is mended, restore it on its page; have the study read again.",
    ProblemCode.PEER_UNREACHABLE: "Check the connection to the other AI; then have the study read again.",
    ProblemCode.PEER_TIMEOUT: "Ask whoever runs the other AI; then have the study read again.",
    ProblemCode.FILE_MISSING: "Restore the file from a backup or send the study again.",
    ProblemCode.FILE_DAMAGED: "Restore the file from a backup or send the study again.",
    ProblemCode.COMPOSE_FAILED: "The findings stand on its page. Report it with the study's history.",
    ProblemCode.STORAGE_ERROR: "Free space or mend the disk; it goes on by itself.",
    ProblemCode.INTERNAL_ERROR: "Have it read again once, and report it with the study's history.",
    ProblemCode.READING_CALLED_OFF: "Have it read again when it is wanted after all.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLine:
    """One study of the queue."""

    study: StudyRow
    #: 0: none is begun.
    revision: int
    stage: QueueStage
    urgency: Priority
    #: In this stage, seconds since 1970.
    since: float
    #: Among those that wait, from 1; 0: it does not.
    position: int = 0
    #: The process that reads it; ``""``: none, or not known.
    worker: str = ""
    #: Names and versions of models that were chosen; of a failure, whose it was.
    models: tuple[str, ...] = ()
    #: How long these take usually, in s; None: they are not known, or have read too little.
    usual_s: float | None = None
    code: str = ""
    message: str = ""
    advice: str = ""

    @property
    def may_be_called_off(self) -> bool:
        """Whether nothing has looked at it yet."""
        return self.stage is QueueStage.WAITING and not self.models


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long one version of a model takes for a study, lately."""

    name: str
    version: str
    count: int
    median_s: float
    p90_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueNow:
    """The whole queue: all that is arriving, waits, is read or is stuck, and what failed last."""

    arriving: tuple[QueueLine, ...]
    waiting: tuple[QueueLine, ...]
    reading: tuple[QueueLine, ...]
    stuck: tuple[QueueLine, ...]
    failed: tuple[QueueLine, ...]
    paces: tuple[Pace, ...]


def look_at_queue(
    store: Store,
    jobs: Sequence[JobRow] | None,
    now: datetime,
    *,
    failures: int,
    sources: Collection[str] | None = None,
) -> QueueNow:
    """Return who is where.

    Parameters
    ----------
    jobs
        Of the engine, in its order; None: they cannot be asked.
    failures
        Most studies that failed.
    sources
        Only studies that came from these; None: all.

    Raises
    ------
    StorageError
        If the index does not answer.
    """
    paces = _list_paces(store)
    look = _Look(
        now=now.timestamp(),
        jobs={} if jobs is None else {one.key.rpartition("/")[0]: one for one in jobs},
        has_engine=jobs is not None,
        usual={f"{one.name} {one.version}": one.median_s for one in paces},
        names={one.name: f"{one.name} {one.version}" for one in reversed(paces)},
    )
    pairs = store.queue.list_unfinished(sources)
    uids = [study.study_instance_uid for _, study in pairs]
    given = store.room.priorities(uids)
    held = store.queue.list_held_up(uids, ProblemCode.STORAGE_ERROR.value)
    lines = [look.judge(*pair, given.get(pair[1].study_instance_uid), held) for pair in pairs]
    lines += look.arriving(store, sources)
    waits = sorted((one for one in lines if one.stage is QueueStage.WAITING), key=look.turn)
    failed = store.queue.list_failed([one.value for one in ADVICE], failures, sources)
    return QueueNow(
        arriving=_of(lines, QueueStage.ARRIVING),
        waiting=tuple(replace(one, position=number) for number, one in enumerate(waits, start=1)),
        reading=_of(lines, QueueStage.READING),
        stuck=_of(lines, QueueStage.STUCK),
        failed=tuple(map(_failed, failed)),
        paces=paces,
    )


def _of(lines: Sequence[QueueLine], stage: QueueStage) -> tuple[QueueLine, ...]:
    return tuple(sorted((one for one in lines if one.stage is stage), key=lambda one: one.since))


def _list_paces(store: Store) -> tuple[Pace, ...]:
    """Return the paces, of each model the version that read last before the others."""
    return tuple(
        Pace(
            name=name,
            version=version,
            count=len(seconds),
            median_s=float(np.median(seconds)),
            p90_s=float(np.quantile(seconds, 0.9)),
        )
        for (name, version), seconds in store.queue.list_seconds().items()
    )


def _failed(fault: Fault) -> QueueLine:
    return QueueLine(
        study=fault.study,
        revision=fault.revision,
        stage=QueueStage.FAILED,
        urgency=fault.study.urgency,
        since=fault.at,
        models=(fault.model,) if fault.model else (),
        code=fault.code,
        message=fault.message,
        advice=ADVICE[ProblemCode(fault.code)],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One look at the queue."""

    now: float
    #: By key without the number of the try.
    jobs: Mapping[str, JobRow]
    has_engine: bool
    #: By name and version of a model: how long it takes, in s.
    usual: Mapping[str, float]
    #: Name of a model -> the same with the version that read last.
    names: Mapping[str, str]
    _order: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._order.update({key: number for number, key in enumerate(self.jobs)})

    def turn(self, line: QueueLine) -> tuple[int, float]:
        """Return what those that wait are ordered by: as the engine takes them."""
        key = f"read/{line.study.study_instance_uid}/{line.revision}"
        return self._order.get(key, len(self._order)), line.since

    def judge(
        self, revision: RevisionRow, study: StudyRow, given: GivenPriority | None, held: Mapping[str, Fault]
    ) -> QueueLine:
        """Return where a begun revision is."""
        uid = study.study_instance_uid
        job = self.jobs.get(f"read/{uid}/{revision.revision}")
        models = self._chosen(revision.match)
        usual = [self.usual[one] for one in models if one in self.usual]
        usual_s = sum(usual) if usual and len(usual) == len(models) else None
        is_running = job is not None and job.is_running
        since = job.since if job is not None and is_running else revision.begun_at
        stage, code, message, advice = self._stage(job, since, usual_s, held.get(uid))
        return QueueLine(
            study=study,
            revision=revision.revision,
            stage=stage,
            urgency=given.priority if given and given.priority else study.urgency,
            since=since,
            worker=job.worker if job is not None else "",
            models=models,
            usual_s=usual_s,
            code=code,
            message=message,
            advice=advice,
        )

    def _stage(
        self, job: JobRow | None, since: float, usual_s: float | None, held: Fault | None
    ) -> tuple[QueueStage, str, str, str]:
        waited_s = self.now - since
        if job is not None and job.is_running:
            limit_s = max(_SLOW * usual_s, _LEAST_SLOW_S) if usual_s is not None else None
            if limit_s is not None and waited_s > limit_s:
                told = "It takes much longer than usual."
                return QueueStage.STUCK, "", told, "Its model's time limit ends it; then it says why."
            return QueueStage.READING, "", "", ""
        if held is not None:
            return QueueStage.STUCK, held.code, held.message, ADVICE[ProblemCode(held.code)]
        if self.has_engine and job is None and waited_s > _FOUND_S:
            told = "No process has taken it up."
            return QueueStage.STUCK, "", told, "Is a service or a worker running? See the overview."
        is_idle = self.has_engine and not any(one.is_running for one in self.jobs.values())
        if job is not None and is_idle and waited_s > _FOUND_S:
            told = "It waits though nothing is read."
            return QueueStage.STUCK, "", told, "Start a worker, or set work.readings above 0."
        return QueueStage.WAITING, "", "", ""

    def _chosen(self, match: Mapping[str, Any] | None) -> tuple[str, ...]:
        chosen = [one["name"] for one in (match or {}).get("models", ()) if one.get("chosen_series")]
        return tuple(self.names.get(name, name) for name in chosen)

    def arriving(self, store: Store, sources: Collection[str] | None) -> list[QueueLine]:
        """Return the studies with images that no revision covers yet."""
        return [
            self._arriving(store, row)
            for row in store.studies.list_due()
            if sources is None or row.source in sources
        ]

    def _arriving(self, store: Store, row: StudyRow) -> QueueLine:
        count = row.instance_count - row.covered_count
        stage, told, advice = (
            QueueStage.ARRIVING,
            f"{count} image{'' if count == 1 else 's'} not read yet.",
            "",
        )
        if store.fetches.is_open(row.study_instance_uid, FetchState.FETCHING):
            told = "The rest of it is being fetched."
        elif row.purpose is Purpose.BACKFILL:
            told = "It waits until nothing live arrives, waits or is read."
        elif self.now - row.last_received_at > _SILENT_S:
            stage, told = QueueStage.STUCK, "No image has come for long, and nobody has taken it as complete."
            advice = "Is a service or a worker running? See the overview, and the study's history."
        return QueueLine(
            study=row,
            revision=row.revision,
            stage=stage,
            urgency=row.urgency,
            since=row.last_received_at,
            message=told,
            advice=advice,
        )
