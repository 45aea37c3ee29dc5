"""An earlier study of the same patient, as the model's process gets it.

In: its series, and what is known of its findings.  Out: plain JSON and back.
Never: a choice of priors (``match.visits`` makes it); a Reading's masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wetread.domain.comparison import PastSize
from wetread.domain.model import ModelIdentity
from wetread.domain.problem import Problem
from wetread.domain.reading import Outcome, Reading
from wetread.domain.study import Series
from wetread.domain.volume import Triple


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFinding:
    """A finding of the prior study's Reading."""

    tracking_uid: str
    label: str
    center_lps_mm: Triple
    measurements: Mapping[str, float]
    #: Earlier than the prior study, oldest first, measured by the version that made that Reading.
    history: tuple[PastSize, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorStudy:
    """The study that is compared with."""

    study_instance_uid: str
    #: The series that is compared with; it is decoded in the model's process.
    series: Series
    #: Study Date, e.g. ``2026-01-12``.
    studied_on: str
    #: Days from it to the study that is read.
    interval_days: int
    #: What limits the comparison, as far as headers say.
    problems: tuple[Problem, ...] = ()
    #: Who read it; None: nobody did.
    known_by: ModelIdentity | None = None
    known: tuple[KnownFinding, ...] = ()
    #: As in ``ReadJob``.
    keys: tuple[str, ...] = field(default=(), repr=False)


def list_known(reading: Reading) -> tuple[KnownFinding, ...]:
    """Return the findings of a prior study's Reading; none where nothing was read."""
    if reading.outcome is not Outcome.READ:
        return ()
    return tuple(
        KnownFinding(
            tracking_uid=finding.tracking_uid,
            label=finding.label,
            center_lps_mm=finding.center_lps_mm,
            measurements=finding.measurements,
            history=finding.prior.history if finding.prior else (),
        )
        for finding in reading.findings
    )
