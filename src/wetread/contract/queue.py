"""The queue of readings as the API tells it.

In: nothing.  Out: values.  Never: a patient's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from wetread.domain.fetching import Purpose
from wetread.domain.progress import QueueStage
from wetread.domain.reading import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedStudy:
    """One study on its way to its models."""

    study_key: str
    #: Empty for who may not see who the patient is.
    study_instance_uid: str
    #: 0: none is begun.
    revision: int
    stage: QueueStage
    urgency: Priority
    purpose: Purpose
    #: Since when it is in this stage.
    since: datetime
    #: Among those that wait, from 1; 0: it does not.
    position: int
    #: The process that reads it; empty where none does.
    worker: str
    #: Names and versions of the models that were chosen; of a failure, whose it was.
    models: tuple[str, ...]
    #: How long these take usually, in s; null where that is not known.
    usual_s: float | None
    code: str
    #: What stands in its way, or went wrong, and what to do.
    message: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPace:
    """How long a version of a model takes for a study, by its last readings."""

    name: str
    version: str
    count: int
    median_s: float
    p90_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingQueue:
    """What arrives, waits, is read, is stuck; and what failed last, newest first."""

    arriving: tuple[QueuedStudy, ...]
    #: In the order in which they are taken.
    waiting: tuple[QueuedStudy, ...]
    reading: tuple[QueuedStudy, ...]
    stuck: tuple[QueuedStudy, ...]
    failed: tuple[QueuedStudy, ...]
    paces: tuple[ModelPace, ...]
