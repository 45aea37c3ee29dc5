"""The queue of readings as its page shows it.

In: lines of the queue.  Out: views.  Never: a study that the caller did not choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wetread.domain.fetching import Purpose
from wetread.domain.progress import QueueStage
from wetread.steps.queueing import Pace, QueueLine, QueueNow
from wetread.web import words

#: Studies shown of each stage; those that failed are asked for in this number.
SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedView:
    """One study of the queue."""

    key: str
    patient_name: str
    study_words: str
    urgency: str
    purpose: str
    position: int
    worker: str
    models: tuple[str, ...]
    #: Since when it is in this stage, and for how long.
    since: str
    for_words: str
    #: ``""``: not known.
    usual_words: str
    code: str
    message: str
    advice: str
    may_be_called_off: bool
    may_be_read_again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """Everything that the page shows."""

    reading: tuple[QueuedView, ...]
    stuck: tuple[QueuedView, ...]
    waiting: tuple[QueuedView, ...]
    arriving: tuple[QueuedView, ...]
    failed: tuple[QueuedView, ...]
    #: Word -> how many there are, shown or not.
    counts: tuple[tuple[str, int], ...]
    #: Model and how long it takes.
    paces: tuple[tuple[str, str, str, int], ...]

    @property
    def more_waiting(self) -> int:
        """How many wait that are not shown."""
        return dict(self.counts)["waiting"] - len(self.waiting)


def view_queue(line: QueueNow, now: datetime) -> QueueView:
    """Return what is shown of the queue."""

    def view(lines: Sequence[QueueLine]) -> tuple[QueuedView, ...]:
        return tuple(view_queued(one, now) for one in lines[:SHOWN])

    return QueueView(
        reading=view(line.reading),
        stuck=view(line.stuck),
        waiting=view(line.waiting),
        arriving=view(line.arriving),
        failed=view(line.failed),
        counts=(
            ("read now", len(line.reading)),
            ("stuck", len(line.stuck)),
            ("waiting", len(line.waiting)),
            ("arriving", len(line.arriving)),
            ("failed", len(line.failed)),
        ),
        paces=tuple(map(_view_pace, line.paces)),
    )


def _view_pace(one: Pace) -> tuple[str, str, str, int]:
    name = f"{one.name} {one.version}"
    return name, words.format_seconds(one.median_s), words.format_seconds(one.p90_s), one.count


def view_queued(line: QueueLine, now: datetime) -> QueuedView:
    """Return what is shown of one study of the queue."""
    study = line.study
    day = words.format_date(study.study_date)
    return QueuedView(
        key=study.key,
        patient_name=words.format_name(study.patient_name),
        study_words=words.join_words([study.study_description or "no description", day]),
        urgency=line.urgency.value,
        purpose="" if study.purpose is Purpose.LIVE else study.purpose.value,
        position=line.position,
        worker=line.worker,
        models=line.models,
        since=words.format_time(line.since),
        for_words=words.format_seconds(now.timestamp() - line.since),
        usual_words=words.format_seconds(line.usual_s) if line.usual_s is not None else "",
        code=line.code,
        message=line.message,
        advice=line.advice,
        may_be_called_off=line.may_be_called_off,
        may_be_read_again=line.stage is QueueStage.FAILED,
    )
