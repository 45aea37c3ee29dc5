"""What is wrong with a Reading, beyond its types.

In: a Reading that a model made.  Out: a sentence, or nothing.
Never: an opinion on what was found; a place outside the images believed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from wetread.domain.finding import Finding
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
            numbers += [finding.prior.volume_change_percent, *finding.prior.volume_change_ci95]
            numbers.append(finding.prior.doubling_time_days or 0.0)
    if reading.grid is not None:
        numbers += [*reading.grid.origin_lps_mm, *reading.grid.spacing_mm]
    return all(math.isfinite(number) for number in numbers)


def _points(finding: Finding) -> Iterator[tuple[float, float, float]]:
    yield finding.center_lps_mm
    yield from finding.box_lps_mm
    if finding.axes is not None:
        yield from (*finding.axes.long, *finding.axes.short)


def _lies_inside(finding: Finding, grid: Grid) -> bool:
    if not 0 <= finding.key_plane < grid.shape[0]:
        return False
    index = grid.to_index(list(_points(finding)))
    low, high = -_MARGIN_VOXELS, np.array(grid.shape) - 1 + _MARGIN_VOXELS
    return bool(((index >= low) & (index <= high)).all())
