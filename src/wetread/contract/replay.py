"""What changed rules would do, as the API tells it.

In: nothing.  Out: values.  Never: who a patient is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from wetread.domain.reading import Priority


class Change(StrEnum):
    """What changed rules change for a study; the first that holds."""

    #: No model reads it now, one would.
    NEWLY_READ = "newly-read"
    #: A model reads it now, none would.
    NO_LONGER_READ = "no-longer-read"
    #: Other models, or another series.
    OTHER_MODEL = "other-model"
    #: The same models, another urgency of the rules.
    OTHER_URGENCY = "other-urgency"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What rules do with a study."""

    #: Names of the models that read it.
    models: tuple[str, ...]
    #: The rules that asked for them.
    rules: tuple[str, ...]
    #: What rules say, before a model has read it.
    urgency: Priority
    #: Why, one sentence for each model.
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyChange:
    """One study under the rules now and the changed ones."""

    study_key: str
    study_date: date | None
    modalities: tuple[str, ...]
    change: Change
    now: Plan
    then: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySummary:
    """How many studies change how."""

    newly_read: int = 0
    no_longer_read: int = 0
    other_model: int = 0
    other_urgency: int = 0
    unchanged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What changed rules would do with a batch of past studies, newest first."""

    summary: ReplaySummary
    items: tuple[StudyChange, ...]
    #: Cursor for the studies that were not looked at, to be sent as ``after``; null: there are none.
    after: str | None
    #: Models that the changed rules name and nobody registered.
    unknown_models: tuple[str, ...]
