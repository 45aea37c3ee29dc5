"""What a model saw: findings, regions, segments.

In: coded, located, measured values.  Out: the same, valid.  Never: how they were found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from wetread.domain.code import Code
from wetread.domain.comparison import PriorComparison
from wetread.domain.mask import Mask
from wetread.domain.measurement import MEASUREMENTS
from wetread.domain.volume import Triple


def _check_measurements(measurements: Mapping[str, float]) -> None:
    for name, value in measurements.items():
        if name not in MEASUREMENTS:
            raise ValueError(f"{name!r} is not in domain.measurement.MEASUREMENTS")
        if not math.isfinite(value):
            raise ValueError(f"{name} is not a finite number")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentOrigin:
    """The segment of somebody else's Segmentation that a segment is taken from."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    #: Segment Number there.
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of the image that was marked (PS3.3 C.8.20.2)."""

    #: Segment Number, from 1, unique in a Reading.
    number: int
    #: Segment Label, e.g. ``"Left lung"``, ``"Nodule 1"``.
    label: str
    #: Segmented Property Category and Type (PS3.16 CID 7150, 7151).
    category: Code
    type: Code
    laterality: Code | None = None
    #: Anatomic region, where ``type`` does not say it.
    site: Code | None = None
    tracking_uid: str = ""
    mask: Mask
    #: Who marked it instead of the model; None: the model did.
    origin: SegmentOrigin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """Long and short axis on one plane: end points in LPS mm."""

    long: tuple[Triple, Triple]
    short: tuple[Triple, Triple]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A quality of a finding that somebody else's reading says in codes (PS3.16 TID 1501 row 12)."""

    #: What is judged, e.g. margin.
    concept: Code
    #: What it is, e.g. spiculated.
    value: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something worth a radiologist's look."""

    #: Stays with the finding for life (PS3.16 TID 1501).
    tracking_uid: str
    #: For people, e.g. ``"lung nodule"``, ``"pneumothorax"``.
    label: str
    code: Code
    #: 0 to 1; None where the method gives none.
    probability: float | None = None
    center_lps_mm: Triple
    #: Lowest and highest corner.
    box_lps_mm: tuple[Triple, Triple]
    #: Names of ``domain.measurement.MEASUREMENTS``.
    measurements: Mapping[str, float] = field(default_factory=dict)
    laterality: Code | None = None
    site: Code | None = None
    #: Solid, part-solid, ground-glass.
    texture: Code | None = None
    #: ``Segment.number`` of its segment.
    segment_number: int | None = None
    #: Index of the plane that shows it best.
    key_plane: int
    #: On ``key_plane``.
    axes: Axes | None = None
    prior: PriorComparison | None = None
    #: As another vendor's report has them.
    evaluations: tuple[Evaluation, ...] = ()

    def __post_init__(self) -> None:
        _check_measurements(self.measurements)
        if self.probability is not None and not 0.0 <= self.probability <= 1.0:
            raise ValueError("probability must lie between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A normal part that was measured, e.g. one lung."""

    #: Stable for the study, so that two documents name the same thing.
    tracking_uid: str
    label: str
    code: Code
    laterality: Code | None = None
    segment_number: int | None = None
    measurements: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_measurements(self.measurements)
