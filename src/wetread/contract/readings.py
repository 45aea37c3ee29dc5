"""Readings as the API tells them.

In: nothing.  Out: values; lengths mm, volumes mm3, positions LPS mm.  Never: masks (a SEG document has them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from wetread.contract.answers import Page, ProblemSaid
from wetread.domain.code import Code
from wetread.domain.comparison import Status
from wetread.domain.document import DocumentKind
from wetread.domain.reading import Outcome, Priority

#: x, y, z.
Position = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSaid:
    """Which model it was."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingLine:
    """One Reading of a list."""

    id: int
    #: Names the study in addresses.
    study_key: str
    #: Empty for who may not see who the patient is.
    study_instance_uid: str
    revision: int
    model: ModelSaid
    outcome: Outcome
    priority: Priority
    #: 0 to 1 within the priority.
    score: float
    reasons: tuple[str, ...]
    problems: tuple[ProblemSaid, ...]
    finding_count: int
    made_at: datetime
    #: True: a newer one has taken its place.
    superseded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingPage(Page):
    """A page of Readings."""

    items: tuple[ReadingLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSaid:
    """The same finding in an earlier study."""

    volume_change_percent: float
    volume_change_ci95: tuple[float, float]
    doubling_time_days: float | None = None
    #: Between the two studies.
    interval_days: int | None = None
    #: Then, measured again by the model that read this study.
    volume_mm3: float | None = None
    mean_diameter_mm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderSaid:
    """A finding as readers have it; what the model said stands beside it, unchanged."""

    label: str
    #: None: no code is known for this name.
    code: Code | None = None
    laterality: Code | None = None
    texture: Code | None = None
    measurements: Mapping[str, float] = field(default_factory=dict)
    #: Account, or the sender of a segmentation; the last of several.
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedSaid(ReaderSaid):
    """A finding that a reader added: the model does not have it."""

    #: As pages call it, e.g. ``Added 1``.
    name: str
    #: Instance Number of the slice that shows it.
    slice_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingSaid:
    """Something worth a radiologist's look."""

    #: As documents call it, e.g. ``Nodule 1``.
    name: str
    label: str
    code: Code
    probability: float | None = None
    center_lps_mm: Position
    #: Lowest and highest corner.
    box_lps_mm: tuple[Position, Position]
    measurements: Mapping[str, float] = field(default_factory=dict)
    laterality: Code | None = None
    site: Code | None = None
    texture: Code | None = None
    #: What became of it since the prior study; None: not compared, or not judged.
    status: Status | None = None
    prior: PriorSaid | None = None
    #: None: no reader changed it.
    reader: ReaderSaid | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionSaid:
    """A normal part that was measured."""

    label: str
    code: Code
    laterality: Code | None = None
    measurements: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneSaid:
    """A finding of the prior study that this one does not have."""

    label: str
    #: ``resolved`` or ``not-scanned``.
    status: Status
    #: Where it would lie in this study.
    center_lps_mm: Position
    #: In the prior study.
    volume_mm3: float
    mean_diameter_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSaid:
    """How a study was compared with the prior one."""

    #: Names the prior study in addresses; empty for who may not see it, and where it is not held any more.
    study_key: str
    interval_days: int | None
    #: One sentence on all changes; "No change" is one as well.
    summary: str
    gone: tuple[GoneSaid, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLine:
    """One document of a Reading."""

    id: int
    kind: DocumentKind
    title: str
    #: Empty for who may not see who the patient is, and where it is no DICOM object.
    sop_instance_uid: str
    #: Where its bytes are.
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingDetail:
    """One Reading with what it found."""

    reading: ReadingLine
    model_digest: str
    operating_point: str
    #: Empty where none was read, and for who may not see who the patient is.
    series_instance_uid: str
    findings: tuple[FindingSaid, ...]
    #: By readers.
    added: tuple[AddedSaid, ...] = ()
    regions: tuple[RegionSaid, ...]
    #: Of the whole study.
    measurements: Mapping[str, float]
    documents: tuple[DocumentLine, ...]
    #: None: with no earlier study.
    comparison: ComparisonSaid | None = None
