"""What became of findings since an earlier study.

In: numbers that one version of one algorithm has measured in both studies.  Out: the same, valid.
Never: a comparison across versions; pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wetread.domain.volume import Shape, Triple


class Status(StrEnum):
    """What became of a finding since the prior study; the words of the guidelines, and one more."""

    NEW = "new"
    GROWING = "growing"
    STABLE = "stable"
    DECREASED = "decreased"
    RESOLVED = "resolved"
    #: One of the two scans does not show its place.
    NOT_SCANNED = "not-scanned"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastSize:
    """A finding in an earlier study."""

    study_instance_uid: str
    #: Study Date, e.g. ``2026-01-12``; ``""`` where none is known.
    studied_on: str
    volume_mm3: float
    mean_diameter_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorPlace:
    """Where a finding lies in an earlier study."""

    #: The image that shows it best.
    sop_instance_uid: str
    #: In that study's own frame of reference.
    center_lps_mm: Triple


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorImages:
    """The images that were compared with."""

    series_instance_uid: str
    sop_class_uid: str
    #: ``""`` where the images name none.
    frame_of_reference_uid: str
    sop_instance_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bending:
    """A smooth displacement: a cubic B-spline on control points along z, y and x."""

    #: (planes, rows, columns) of control points.
    shape: Shape
    #: Of the first control point, and how far they lie apart along each axis.
    origin_lps_mm: Triple
    spacing_mm: float
    #: x, y and z of each control point in micrometres, columns fastest: whole numbers stay as they are.
    displacements_um: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.displacements_um) != 3 * self.shape[0] * self.shape[1] * self.shape[2]:
            raise ValueError("three numbers for each control point")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Where a point of this study lies in the prior one: ``matrix @ (point + bending(point)) + shift``."""

    #: Row by row.
    matrix: tuple[Triple, Triple, Triple]
    shift_mm: Triple
    bending: Bending


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorComparison:
    """The same finding in an earlier study."""

    study_instance_uid: str
    volume_change_percent: float
    volume_change_ci95: tuple[float, float]
    #: None where it is not known to grow.
    doubling_time_days: float | None = None
    #: ``growing``, ``stable`` or ``decreased``; None: not judged, as where both studies show another type.
    status: Status | None = None
    #: ``same``, ``split`` (one became several) or ``merged``.
    match: str = "same"
    #: 0 to 1; that it is not another finding.
    match_confidence: float | None = None
    studied_on: str = ""
    interval_days: int | None = None
    #: In the prior study, measured again by the model that read this one; all parts of what has merged.
    volume_mm3: float | None = None
    mean_diameter_mm: float | None = None
    mean_diameter_change_mm: float | None = None
    mean_diameter_change_percent: float | None = None
    mass_change_percent: float | None = None
    density_change_percent: float | None = None
    #: All earlier studies that this version has measured, oldest first; the prior one is the last.
    history: tuple[PastSize, ...] = ()
    #: From all of them; None for two studies, or where it is not known to grow.
    overall_doubling_time_days: float | None = None
    #: None in Readings of before it was kept.
    place: PriorPlace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneFinding:
    """A finding of the prior study that this one does not have."""

    tracking_uid: str
    label: str
    #: ``resolved`` or ``not-scanned``.
    status: Status
    #: Where it would lie in this study.
    center_lps_mm: Triple
    #: In the prior study.
    volume_mm3: float
    mean_diameter_mm: float
    #: None in Readings of before it was kept.
    place: PriorPlace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How a study was compared with the prior one."""

    study_instance_uid: str
    studied_on: str = ""
    interval_days: int | None = None
    #: Share of the lungs of this study that the prior one shows, and correlation of their vessels.
    lung_overlap: float
    vessel_likeness: float
    #: Tracking UIDs of findings of this study.
    new: tuple[str, ...] = ()
    not_scanned: tuple[str, ...] = ()
    gone: tuple[GoneFinding, ...] = ()
    #: None in Readings of before they were kept.
    images: PriorImages | None = None
    alignment: Alignment | None = None

    def status_of(self, tracking_uid: str) -> Status | None:
        """Return what became of a finding that the prior study does not have; None for all others."""
        if tracking_uid in self.new:
            return Status.NEW
        return Status.NOT_SCANNED if tracking_uid in self.not_scanned else None
