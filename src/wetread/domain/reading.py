"""A Reading: everything one model said about one study, once.

In: findings, segments, triage, problems.  Out: the canonical JSON, its digest, findings.json.
Never: patient names; anything that a document would have to look up elsewhere.

All documents are composed from a Reading alone, so they can never disagree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from wetread.domain.comparison import Comparison, Status
from wetread.domain.finding import Finding, Region, Segment, _check_measurements
from wetread.domain.jsonable import to_jsonable
from wetread.domain.model import ModelIdentity
from wetread.domain.problem import Problem
from wetread.domain.volume import Grid


class Priority(StrEnum):
    """Clinical urgency, most urgent first."""

    STAT = "stat"
    URGENT = "urgent"
    ROUTINE = "routine"


class Outcome(StrEnum):
    """Whether the model read the study; "read" without findings means: nothing found."""

    READ = "read"
    NOT_READ = "not-read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """How urgent the study is, and why."""

    priority: Priority = Priority.ROUTINE
    #: 0 to 1 within the priority; higher is more urgent.
    score: float = 0.0
    #: Sentences for people, most important first.
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What another vendor's AI answered with."""

    #: The answer first, then the Segmentations that it places its findings by.
    sop_instance_uids: tuple[str, ...]
    #: Which device made it, as the answer says itself; ``""``: it does not.
    device: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one model said about one revision of a study."""

    study_instance_uid: str
    #: The series that was read; ``""`` where none was.
    series_instance_uid: str
    revision: int
    model: ModelIdentity
    operating_point: str
    outcome: Outcome
    triage: Triage = Triage()
    findings: tuple[Finding, ...] = ()
    regions: tuple[Region, ...] = ()
    segments: tuple[Segment, ...] = ()
    #: Study level, names of ``MEASUREMENTS``.
    measurements: Mapping[str, float] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    #: Grid of the masks; None where nothing was read.
    grid: Grid | None = None
    #: When it was made, with time zone.
    made_at: datetime
    #: Digest of the Reading that this one supersedes, ``""`` for the first.
    predecessor_digest: str = ""
    #: With an earlier study; None: not compared.
    comparison: Comparison | None = None
    #: Of a ``dicom-peer``; None: a model of ours read.
    answer: Answered | None = None
    #: SOP Instance UIDs of the Segmentations by others that were looked at for it, ascending.
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_measurements(self.measurements)
        if self.made_at.tzinfo is None:
            raise ValueError("made_at needs a time zone")
        if self.outcome is Outcome.NOT_READ and not self.problems:
            raise ValueError("not read needs a problem that says why")
        numbers = [segment.number for segment in self.segments]
        if numbers != list(range(1, len(numbers) + 1)):
            raise ValueError("segments are numbered from 1 without gaps")

    @property
    def finding_names(self) -> tuple[str, ...]:
        """The name that each finding has in every document and on every page, e.g. ``"Nodule 1"``."""
        return tuple(self._finding_name(index) for index in range(len(self.findings)))

    def _finding_name(self, index: int) -> str:
        finding = self.findings[index]
        if finding.segment_number is not None:
            return self.get_segment(finding.segment_number).label
        alike = [one for one in self.findings[: index + 1] if one.label == finding.label]
        return f"{finding.label.capitalize()} {len(alike)}"

    def status_of(self, finding: Finding) -> Status | None:
        """Return what became of a finding since the prior study; None: not compared, or not judged."""
        if finding.prior is not None and finding.prior.status is not None:
            return finding.prior.status
        return self.comparison.status_of(finding.tracking_uid) if self.comparison else None

    def get_segment(self, number: int) -> Segment:
        """Return the segment of this number, or raise KeyError."""
        if not 1 <= number <= len(self.segments):
            raise KeyError(number)
        return self.segments[number - 1]


#: Of a Reading that no model made: a report stands with it where no model read the study.
NO_MODEL = ModelIdentity(name="", version="", digest="")


def canonical_json(reading: Reading) -> str:
    """Return the one JSON text of a Reading; masks stand by their digests."""
    value = to_jsonable(reading)
    _leave_out_unknown(value)
    for segment, plain in zip(reading.segments, value["segments"], strict=True):
        plain["mask"] = segment.mask.digest
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _leave_out_unknown(value: dict[str, Any]) -> None:
    """Drop what is newer than a Reading: it keeps its digest, on which the UIDs of documents hang."""
    for name in ("comparison", "answer"):
        if value[name] is None:
            del value[name]
    for finding in value["findings"]:
        if not finding["evaluations"]:
            del finding["evaluations"]
    if not value["sources"]:
        del value["sources"]
    for segment in value["segments"]:
        if segment["origin"] is None:
            del segment["origin"]
    newer = [(value.get("comparison"), name) for name in ("images", "alignment")]
    newer += [(finding["prior"], "place") for finding in value["findings"]]
    newer += [(gone, "place") for gone in (value.get("comparison") or {}).get("gone", ())]
    for holder, name in newer:
        if holder and holder[name] is None:
            del holder[name]


def digest(reading: Reading) -> str:
    """Return the sha256 of the canonical JSON: output UIDs are derived from it."""
    return hashlib.sha256(canonical_json(reading).encode()).hexdigest()


def to_findings_json(reading: Reading, documents: list[dict[str, str]]) -> dict[str, Any]:
    """Return one entry of ``findings.json`` (the stable interface; lengths mm, volumes mm3, LPS).

    Parameters
    ----------
    documents
        ``{"kind", "path", "sop_instance_uid"}`` of each document written.
    """
    entry = {
        "study_instance_uid": reading.study_instance_uid,
        "series_instance_uid": reading.series_instance_uid,
        "revision": reading.revision,
        "model": to_jsonable(reading.model),
        "operating_point": reading.operating_point,
        "outcome": reading.outcome.value,
        "made_at": reading.made_at.isoformat(),
        "triage": to_jsonable(reading.triage),
        "findings": [_finding_json(finding, reading.status_of(finding)) for finding in reading.findings],
        "regions": [
            {"label": region.label, "measurements": dict(region.measurements)} for region in reading.regions
        ],
        "measurements": dict(reading.measurements),
        "problems": [
            {"code": problem.code.value, "message": problem.message} for problem in reading.problems
        ],
        "documents": documents,
    }
    if reading.answer is not None:
        entry["answer"] = to_jsonable(reading.answer)
    if reading.sources:
        entry["sources"] = list(reading.sources)
    if reading.comparison is not None:
        # Its images and the map between the studies are objects of their own.
        entry["comparison"] = to_jsonable(reading.comparison)
        del entry["comparison"]["images"], entry["comparison"]["alignment"]
    return entry


def _finding_json(finding: Finding, status: Status | None) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "tracking_uid": finding.tracking_uid,
        "label": finding.label,
        "code": to_jsonable(finding.code),
        "probability": finding.probability,
        "center_mm": list(finding.center_lps_mm),
        "box_mm": [list(corner) for corner in finding.box_lps_mm],
        "measurements": dict(finding.measurements),
    }
    if finding.laterality:
        plain["side"] = finding.laterality.meaning.lower()
    if finding.texture:
        plain["type"] = finding.texture.meaning.lower()
    if finding.evaluations:
        plain["evaluations"] = to_jsonable(finding.evaluations)
    if status:
        plain["status"] = status.value
    if finding.prior:
        plain["prior"] = to_jsonable(finding.prior)
    return plain
