"""Models and rules as the API tells them.

In: nothing.  Out: values.  Never: where a package lies; a value that names a patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from wetread.domain.lifecycle import Cause, ModelState
from wetread.domain.model import Eligibility
from wetread.domain.reading import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLine:
    """One registered version of a model."""

    name: str
    version: str
    #: sha256 over the package's files.
    digest: str
    title: str
    #: ``draft``, ``validated``, ``shadow``, ``live`` or ``retired``; what is in the shadow reads for a
    #: comparison only (``GET /models/{name}/{version}/shadow``), what is live for all.
    state: ModelState
    #: When, by whom and why; null and empty where nothing was decided: the package's own word counts.
    since: datetime | None
    by: str
    why: str
    operating_point: str
    #: False: it reads nothing, whatever its state, until it is restored.
    in_service: bool
    #: Why it reads nothing, where that is not plain from its state: out of service, or live elsewhere only.
    withheld: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelList:
    """All registered versions, by name; the one that counts comes first."""

    items: tuple[ModelLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChangeSaid:
    """One decision about a version."""

    at: datetime
    version: str
    digest: str
    #: The state from then on.
    state: ModelState
    cause: Cause
    in_service: bool
    by: str
    why: str
    #: sha256 of the metrics.json that spoke for it; empty: none was asked for.
    report_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPointSaid:
    """A threshold that was set for a version."""

    at: datetime
    version: str
    digest: str
    #: What Readings name.
    title: str
    threshold: float
    #: ``everywhere``, or by the attributes of a study ``device``, ``department`` or ``site``.
    scope: str
    place: str
    by: str
    why: str
    #: sha256 of the metrics.json that it was chosen on; empty: as the package says.
    report_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDetail:
    """One model: its versions, and of the one that counts what it may read, its numbers, its card."""

    model: ModelLine
    versions: tuple[ModelLine, ...]
    #: Newest first.
    history: tuple[ModelChangeSaid, ...]
    #: Newest first; of a version and place the newest counts.
    operating_points: tuple[OperatingPointSaid, ...]
    intended_use: str
    eligibility: Eligibility
    #: Name of the operating point whose numbers these are.
    operating_point: str
    parameters: Mapping[str, float]
    #: Metric to what a validation must reach.
    acceptance: Mapping[str, float]
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
