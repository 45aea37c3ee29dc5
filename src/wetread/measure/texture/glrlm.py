"""Grey level run lengths (IBSI TP0I).

In: a region.  Out: 16 numbers of how long the same level goes on, in 13 directions.
Never: a run across a voxel outside of the region.
"""

from __future__ import annotations

import numpy as np

from wetread.measure.texture.aggregate import Values, average
from wetread.measure.texture.counts import IntArray, LevelSizeCounts, measure_counts, merge_counts
from wetread.measure.texture.neighbours import DIRECTIONS, Array, shift
from wetread.measure.texture.region import Region
from wetread.measure.texture.settings import Aggregation

NAMES = {
    "short_runs_emphasis": "22OV",
    "long_runs_emphasis": "W4KF",
    "low_grey_level_run_emphasis": "V3SW",
    "high_grey_level_run_emphasis": "G3QZ",
    "short_run_low_grey_level_emphasis": "HTZT",
    "short_run_high_grey_level_emphasis": "GD3A",
    "long_run_low_grey_level_emphasis": "IVPO",
    "long_run_high_grey_level_emphasis": "3KUM",
    "grey_level_non_uniformity": "R5YN",
    "normalised_grey_level_non_uniformity": "OVBL",
    "run_length_non_uniformity": "W92Y",
    "normalised_run_length_non_uniformity": "IC23",
    "run_percentage": "9ZK5",
    "grey_level_variance": "8CE5",
    "run_length_variance": "SXLW",
    "run_entropy": "HJ9O",
}


def measure_glrlm(region: Region, aggregation: Aggregation) -> Values:
    """Measure runs."""
    counts = [count_runs(region, direction) for direction in DIRECTIONS]
    if aggregation is Aggregation.MERGED:
        counts = [merge_counts(counts)]
    return average([dict(measure_counts(one, tuple(NAMES))) for one in counts])


def count_runs(region: Region, direction: tuple[int, ...]) -> LevelSizeCounts:
    """Count the runs along a direction.

    Notes
    -----
    One slice after the other, along the first axis that the direction goes along: what is remembered of
    the slices before is how long the run that reaches each voxel is.
    """
    axis = next(index for index, step in enumerate(direction) if step)
    sideways = direction[:axis] + direction[axis + 1 :]
    slices = np.moveaxis(region.levels, axis, 0)
    longest = len(slices) + 1
    counts = np.zeros((region.level_count + 1) * longest, dtype=np.int64)
    level, length = slices[0], (slices[0] > 0).astype(np.int64)
    for following in slices[1:]:
        goes_on, reached = _follow(level, following, length, sideways)
        _count(counts, level[~goes_on], length[~goes_on], longest)
        level, length = following, reached
    _count(counts, level.ravel(), length.ravel(), longest)
    found = np.flatnonzero(counts[longest:]) + longest
    return LevelSizeCounts(
        level=found // longest, size=found % longest, number=counts[found], voxels=region.voxel_count
    )


def _follow(level: Array, following: Array, length: Array, sideways: tuple[int, ...]) -> tuple[Array, Array]:
    """Return which runs go on into the following slice, and how long they are there."""
    first, _ = shift(level, sideways)
    _, second = shift(following, sideways)
    same = (first == second) & (first > 0)
    goes_on = np.zeros(level.shape, dtype=bool)
    shift(goes_on, sideways)[0][...] = same
    reached = (following > 0).astype(np.int64)
    shift(reached, sideways)[1][...] += np.where(same, shift(length, sideways)[0], 0)
    return goes_on, reached


def _count(counts: IntArray, level: Array, length: Array, longest: int) -> None:
    inside = level > 0
    keys = level[inside].astype(np.int64) * longest + length[inside]
    if keys.size:
        found = np.bincount(keys)
        counts[: found.size] += found
