"""What is wrong with a Reading, beyond its types.

In: a Reading that a model made.  Out: a sentence, or nothing.
Never: an opinion on what was found; a place outside the images believed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from wetread.domain.finding import Finding
from wetread.domain.jsonable import to_jsonable
from wetread.domain.reading import Outcome, Reading
from wetread.domain.volume import Grid

#: How far outside the images a point may lie, in voxels: corners of boxes do.
_MARGIN_VOXELS = 1.5


def find_fault(reading: Reading) -> str:
    """Return why a Reading cannot be right; ``""`` where nothing speaks against it."""
    if not _are_finite(reading):
        return "a number is not finite"
    grid = reading.grid
    if grid is None:
        has_places = bool(reading.findings or reading.segments)
        return "it places findings without a grid" if has_places else ""
    if reading.outcome is Outcome.NOT_READ:
        return ""
    if any(segment.mask.shape != grid.shape for segment in reading.segments):
        return "a mask has another shape than the images"
    if any(not _lies_inside(finding, grid) for finding in reading.findings):
        return "a finding lies outside the images"
    named = [one.segment_number for one in reading.findings] + [one.segment_number for one in reading.regions]
    if any(number is not None and not 1 <= number <= len(reading.segments) for number in named):
        return "a finding names a segment that is not there"
    return ""


def _are_finite(reading: Reading) -> bool:
    numbers = [reading.triage.score]
    for finding in reading.findings:
        numbers += [value for point in _points(finding) for value in point]
        if finding.prior is not None:
            numbers += _numbers(to_jsonable(finding.prior))
    numbers += _numbers(to_jsonable(reading.comparison))
    if reading.grid is not None:
        numbers += [*reading.grid.origin_lps_mm, *reading.grid.spacing_mm]
    return all(math.isfinite(number) for number in numbers)


def _numbers(plain: object) -> Iterator[float]:
    """Every number of a value in its plain form."""
    if isinstance(plain, dict):
        plain = list(plain.values())
    if isinstance(plain, list):
        for item in plain:
            yield from _numbers(item)
    elif isinstance(plain, int | float):
        yield float(plain)


def _points(finding: Finding) -> Iterator[tuple[float, float, float]]:
    yield finding.center_lps_mm
    yield from finding.box_lps_mm
    if finding.axes is not None:
        yield from (*finding.axes.long, *finding.axes.short)


def _lies_inside(finding: Finding, grid: Grid) -> bool:
    if not 0 <= finding.key_plane < grid.shape[0]:
        return False
    axes = finding.axes
    points = [finding.center_lps_mm, *((*axes.long, *axes.short) if axes is not None else ())]
    index = grid.to_index(points)
    low, high = -_MARGIN_VOXELS, np.array(grid.shape) - 1 + _MARGIN_VOXELS
    return bool(((index >= low) & (index <= high)).all()) and _box_lies_inside(finding, grid)


def _box_lies_inside(finding: Finding, grid: Grid) -> bool:
    """Tell it of a box along the patient's axes: around a part of an oblique series it leaves the grid."""
    ends = [[0, size - 1] for size in grid.shape]
    corners = grid.to_lps_mm(
        [[ends[axis][bit] for axis, bit in enumerate(bits)] for bits in np.ndindex(2, 2, 2)]
    )
    margin = _MARGIN_VOXELS * np.linalg.norm(grid.spacing_mm)
    box = np.array(finding.box_lps_mm)
    return bool(((box >= corners.min(axis=0) - margin) & (box <= corners.max(axis=0) + margin)).all())
