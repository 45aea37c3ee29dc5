"""Models and rules as the API tells them.

In: nothing.  Out: values.  Never: where a package lies; a value that names a patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from wetread.domain.model import Eligibility
from wetread.domain.reading import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLine:
    """One registered model."""

    name: str
    version: str
    #: sha256 over the package's files.
    digest: str
    title: str
    #: ``draft``, ``validated``, ``shadow``, ``live`` or ``retired``; live and shadow read.
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelList:
    """All registered models."""

    items: tuple[ModelLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDetail:
    """One model: what it may read, with which numbers, and its card."""

    model: ModelLine
    intended_use: str
    eligibility: Eligibility
    #: Name of the operating point whose numbers these are.
    operating_point: str
    parameters: Mapping[str, float]
    #: Title to text: data, licence, limits.
    card: Mapping[str, str]


class RuleLevel(StrEnum):
    """What a rule's conditions are held against."""

    STUDY = "study"
    SERIES = "series"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSaid:
    """One rule as it was understood."""

    name: str
    models: tuple[str, ...]
    #: Those of them that nobody registered.
    unknown_models: tuple[str, ...]
    level: RuleLevel
    urgency: Priority
    #: Null: the configured one.
    quiet_s: float | None
    #: In words; all must be met. What a rule wants of a patient's attributes is not told.
    when: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleList:
    """The rules in force, in their order."""

    items: tuple[RuleSaid, ...]
