"""How a version in the shadow compares with the live one, as the API tells it.

In: nothing.  Out: values.  Never: what a patient is called; a number without n and interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from wetread.domain.lifecycle import ModelState
from wetread.domain.reading import Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A share or a mean, and the 95 % interval of it, by patient; null: too few, or none."""

    n: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fourfold:
    """What two versions said of the same things: yes or no."""

    both: int
    only_live: int
    only_shadow: int
    neither: int
    #: Share of those of which both said the same.
    agreement: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowSide:
    """What one of the two made of the series."""

    version: str
    #: sha256 over the package's files.
    digest: str
    #: Share of the series that it read.
    read: Estimate
    #: Problem code to series that were not read for it; a series can have several.
    failures: Mapping[str, int]
    #: Mean of the series that it read.
    findings_a_series: Estimate
    #: Series that it read, by the priority that it gave them.
    priorities: Mapping[Priority, int]
    #: Mean, from the start of its process to its answer.
    seconds: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelAgreement:
    """Findings of one code in the series that both read."""

    label: str
    #: Code Value and Coding Scheme Designator.
    code: str
    scheme: str
    both: int
    only_live: int
    only_shadow: int
    #: Share of all of them that both found.
    agreement: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityCase:
    """A series to which the two gave different priorities."""

    #: Names the study in addresses.
    study_key: str
    #: Empty for who may not see who the patient is.
    study_instance_uid: str
    series_instance_uid: str
    live: Priority
    shadow: Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityAgreement:
    """Priorities of the series that both read."""

    #: Share of the same.
    agreement: Estimate
    #: Weighted kappa, linear weights.
    kappa: Estimate
    #: How many differ, and the newest of them that one may see.
    differing: int
    cases: tuple[PriorityCase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredDifference:
    """One measurement of what both found or measured, shadow minus live (Bland and Altman)."""

    #: Of findings that both found, or of the series as a whole.
    of_findings: bool
    #: A name of the measurements of a Reading: it ends in its unit.
    measurement: str
    mean: Estimate
    #: Limits of agreement: between them lie 95 % of the differences.
    low: Estimate
    high: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowComparison:
    """What is known of a version in the shadow, since it went there the last time."""

    name: str
    version: str
    digest: str
    state: ModelState
    in_service: bool
    #: Null: its package's word put it there.
    since: datetime | None
    #: Series that it had to read; those that wait for it.
    series: int
    waiting: int
    #: Series that the numbers are about, the newest.
    counted: int
    #: What counts as the same finding.
    rule: str
    shadow: ShadowSide
    #: Series that another version, or another series of the study, was read of live: in no comparison.
    not_comparable: int
    #: Null, and all below empty: there is no live version of this name that read beside it.
    live: ShadowSide | None = None
    read: Fourfold | None = None
    #: Of the series that both read: those in which something was found.
    found: Fourfold | None = None
    labels: tuple[LabelAgreement, ...] = ()
    priorities: PriorityAgreement | None = None
    differences: tuple[MeasuredDifference, ...] = ()
    #: Mean difference of the series that both read, shadow minus live.
    seconds: Estimate | None = None
