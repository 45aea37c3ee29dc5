"""What readers changed in what a model found: by hand, by a segmentation that came back, or added.

In: changes of a Reading, oldest first.  Out: those that stand, the findings as readers have them.
Never: a change to the Reading itself; a size measured on one outline beside the growth of another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from wetread.domain import code
from wetread.domain.code import Code
from wetread.domain.comparison import PriorComparison
from wetread.domain.finding import Axes, Finding, _check_measurements
from wetread.domain.mask import Mask
from wetread.domain.reading import Reading
from wetread.domain.volume import Triple

#: What a reader measures by hand; the mean follows from them.
LONG, SHORT, MEAN = "long_axis_mm", "short_axis_mm", "mean_diameter_mm"
#: What a length by hand contradicts, or may.
_OF_THE_OUTLINE = ("greatest_long_axis_mm", "greatest_short_axis_mm", "greatest_mean_diameter_mm", "area_mm2")
#: What a reader called by a name of their own.
UNNAMED = Code(value="404684003", scheme="SCT", meaning="Clinical finding")
SIDES: Mapping[str, Code] = MappingProxyType({"right": code.RIGHT, "left": code.LEFT})
TEXTURES: Mapping[str, Code] = MappingProxyType(
    {"solid": code.SOLID, "part-solid": code.PART_SOLID, "ground-glass": code.GROUND_GLASS}
)


class ChangeKind(StrEnum):
    """What a reader did."""

    #: By hand: what it is called, its type, side or size.
    EDITED = "edited"
    #: A segmentation came back with another outline, which was measured.
    OUTLINED = "outlined anew"
    #: The model does not have it.
    ADDED = "added"
    #: The last change of a finding was taken back.
    UNDONE = "taken back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Where a finding is that nobody outlined."""

    series_instance_uid: str
    sop_instance_uid: str
    #: Instance Number, as viewers show it.
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """An outline that came back, on the grid of the Reading."""

    mask: Mask
    center_lps_mm: Triple
    #: Lowest and highest corner.
    box_lps_mm: tuple[Triple, Triple]
    key_plane: int
    axes: Axes | None = None
    #: The object that it came in, and its place there.
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    segment_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a reader says; None: as it was."""

    label: str | None = None
    #: Of the label; None where it is free text.
    code: Code | None = None
    laterality: Code | None = None
    texture: Code | None = None
    #: By hand the lengths; of an outline all that was measured.
    measurements: Mapping[str, float] = field(default_factory=dict)
    place: Slice | None = None
    outline: Outline | None = None

    def __post_init__(self) -> None:
        _check_measurements(self.measurements)
        if any(value <= 0 for name, value in self.measurements.items() if name.endswith("_mm")):
            raise ValueError("a length is more than nothing")
        if self.measurements.get(SHORT, 0.0) > self.measurements.get(LONG, float("inf")):
            raise ValueError("the short axis is not longer than the long one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change by one reader; all are kept."""

    #: 0: not kept yet.
    id: int = 0
    study_instance_uid: str
    #: Of the Reading that was looked at.
    reading_digest: str
    tracking_uid: str
    kind: ChangeKind
    said: Said = Said()
    #: The reader's own words, or those of the segmentation.
    text: str = ""
    #: Seconds since 1970.
    at: float
    #: Account, or the sender of the segmentation.
    who: str

    def __post_init__(self) -> None:
        if (self.kind is ChangeKind.OUTLINED) is not (self.said.outline is not None):
            raise ValueError("what is outlined anew has an outline, nothing else")
        if (self.kind is ChangeKind.ADDED) is not (self.said.place is not None):
            raise ValueError("what is added has a place, nothing else")
        if self.kind is ChangeKind.ADDED and not self.said.label:
            raise ValueError("what is added has a name")


def lengths(long_mm: float | None, short_mm: float | None) -> dict[str, float]:
    """Return the measurements that follow from axes by hand."""
    found = {LONG: long_mm, SHORT: short_mm}
    given = {name: round(value, 3) for name, value in found.items() if value is not None}
    if len(given) == len(found):
        given[MEAN] = round((given[LONG] + given[SHORT]) / 2, 3)
    return given


def new_tracking_uid(*parts: object) -> str:
    """Return the UID of a finding that a reader adds (PS3.5 B.2)."""
    text = "\x1f".join(["added", *map(str, parts)])
    return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"


def standing(changes: Iterable[Change], reading_digest: str) -> dict[str, tuple[Change, ...]]:
    """Return the changes of a Reading that nobody took back, by tracking UID, oldest first.

    Parameters
    ----------
    changes
        Oldest first.
    """
    stacks: dict[str, list[Change]] = {}
    for one in changes:
        if one.reading_digest != reading_digest:
            continue
        stack = stacks.setdefault(one.tracking_uid, [])
        if one.kind is not ChangeKind.UNDONE:
            stack.append(one)
        elif stack:
            stack.pop()
    return {uid: tuple(stack) for uid, stack in stacks.items() if stack}


def apply(finding: Finding, changes: Sequence[Change]) -> Finding:
    """Return a finding as readers have it; of two that say the same thing the later counts."""
    for one in changes:
        finding = _apply(finding, one.said)
    return finding


def _apply(finding: Finding, said: Said) -> Finding:
    if said.label is not None:
        # The model's code is not that of another name.
        changed_code = said.code or UNNAMED
        finding = replace(finding, label=said.label, code=changed_code)
    finding = replace(
        finding,
        laterality=said.laterality or finding.laterality,
        texture=said.texture or finding.texture,
    )
    if said.outline is not None:
        return replace(
            finding,
            measurements=dict(said.measurements),
            center_lps_mm=said.outline.center_lps_mm,
            box_lps_mm=said.outline.box_lps_mm,
            key_plane=said.outline.key_plane,
            axes=said.outline.axes,
            # It was compared as the model outlined it.
            prior=None,
        )
    return _with_lengths(finding, said.measurements) if said.measurements else finding


def _with_lengths(finding: Finding, by_hand: Mapping[str, float]) -> Finding:
    kept = {name: value for name, value in finding.measurements.items() if name not in _OF_THE_OUTLINE}
    measured = kept | dict(by_hand)
    if LONG in measured and SHORT in measured:
        measured[MEAN] = round((measured[LONG] + measured[SHORT]) / 2, 3)
    prior = _without_diameters(finding.prior) if finding.prior else None
    return replace(finding, measurements=measured, axes=None, prior=prior)


def _without_diameters(prior: PriorComparison) -> PriorComparison:
    return replace(prior, mean_diameter_change_mm=None, mean_diameter_change_percent=None)


def revise(reading: Reading, changes: Mapping[str, Sequence[Change]]) -> Reading:
    """Return a Reading as readers have it: same findings, same names, their values.

    Parameters
    ----------
    changes
        Those that stand, by tracking UID.
    """
    outlines = {
        finding.segment_number: one.said.outline
        for finding in reading.findings
        for one in changes.get(finding.tracking_uid, ())
        if one.said.outline is not None
    }
    segments = tuple(
        replace(segment, mask=found.mask) if (found := outlines.get(segment.number)) else segment
        for segment in reading.segments
    )
    findings = tuple(apply(one, changes.get(one.tracking_uid, ())) for one in reading.findings)
    return replace(reading, findings=findings, segments=segments)


def added(changes: Mapping[str, Sequence[Change]]) -> tuple[tuple[str, Change], ...]:
    """Return what readers added, with the name that pages and reports call it by."""
    found = sorted((one for stack in changes.values() for one in stack), key=lambda one: one.id)
    missed = [one for one in found if one.kind is ChangeKind.ADDED]
    return tuple((f"Added {number}", one) for number, one in enumerate(missed, start=1))
