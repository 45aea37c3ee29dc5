"""What a version said of a series, short enough to be compared by the thousand.

In: a Reading.  Out: ``Said``: its findings without masks, what stood in the way, how long it took.
Never: masks; patient names; a sentence that a model wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from wetread.domain.reading import Outcome, Priority, Reading
from wetread.domain.volume import Triple


class ShadowState(StrEnum):
    """How far a reading in the shadow is."""

    WAITING = "waiting"
    READ = "read"
    NOT_READ = "not-read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spotted:
    """One finding."""

    label: str
    #: Code Value and Coding Scheme Designator (PS3.3 section 8).
    code: str
    scheme: str
    center_lps_mm: Triple
    #: Edges of its box, mm.
    size_mm: Triple
    measurements: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one version said of one series."""

    version: str
    #: sha256 over the package's files.
    digest: str
    series_instance_uid: str
    outcome: Outcome
    priority: Priority
    #: Problem codes that kept it from reading.
    codes: tuple[str, ...] = ()
    findings: tuple[Spotted, ...] = ()
    #: Study level.
    measurements: Mapping[str, float]
    #: From the start of its process to its answer; None: not measured.
    seconds: float | None = None


def shorten(reading: Reading, seconds: float | None) -> Said:
    """Return what a Reading says, without its masks."""
    return Said(
        version=reading.model.version,
        digest=reading.model.digest,
        series_instance_uid=reading.series_instance_uid,
        outcome=reading.outcome,
        priority=reading.triage.priority,
        codes=tuple(dict.fromkeys(one.code.value for one in reading.problems if one.refuses)),
        findings=tuple(
            Spotted(
                label=one.label,
                code=one.code.value,
                scheme=one.code.scheme,
                center_lps_mm=one.center_lps_mm,
                size_mm=_edges(*one.box_lps_mm),
                measurements=dict(one.measurements),
            )
            for one in reading.findings
        ),
        measurements=dict(reading.measurements),
        seconds=seconds,
    )


def _edges(low: Triple, high: Triple) -> Triple:
    return (high[0] - low[0], high[1] - low[1], high[2] - low[2])
