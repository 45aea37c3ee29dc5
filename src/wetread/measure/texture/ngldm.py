"""Neighbouring grey level dependence (IBSI REK0), which pyradiomics calls GLDM.

In: a region.  Out: 17 numbers of how many of the 26 neighbours have the same level (coarseness 0).
Never: a neighbour outside of the region.
"""

from __future__ import annotations

import numpy as np

from wetread.measure.texture.aggregate import Values
from wetread.measure.texture.counts import LevelSizeCounts, measure_counts
from wetread.measure.texture.neighbours import DIRECTIONS, shift
from wetread.measure.texture.region import Region

NAMES = {
    "low_dependence_emphasis": "SODN",
    "high_dependence_emphasis": "IMOQ",
    "low_grey_level_count_emphasis": "TL9H",
    "high_grey_level_count_emphasis": "OAE7",
    "low_dependence_low_grey_level_emphasis": "EQ3F",
    "low_dependence_high_grey_level_emphasis": "JA6D",
    "high_dependence_low_grey_level_emphasis": "NBZI",
    "high_dependence_high_grey_level_emphasis": "9QMG",
    "grey_level_non_uniformity": "FP8K",
    "normalised_grey_level_non_uniformity": "5SPA",
    "dependence_count_non_uniformity": "Z87G",
    "normalised_dependence_count_non_uniformity": "OKJI",
    "dependence_count_percentage": "6XV8",
    "grey_level_variance": "1PFV",
    "dependence_count_variance": "DNX2",
    "dependence_count_entropy": "FCBV",
    "dependence_count_energy": "CAS9",
}

#: Of a voxel: itself and 26 neighbours.
_MOST = 27


def measure_ngldm(region: Region) -> Values:
    """Measure dependences."""
    counts = count_dependences(region)
    shared = measure_counts(counts, tuple(NAMES)[:-1])
    share = counts.number / counts.number.sum()
    return {**shared, "dependence_count_energy": float(np.sum(share**2))}


def count_dependences(region: Region) -> LevelSizeCounts:
    """Count voxels by their level and by how many voxels around, themselves included, have it too."""
    dependence = region.mask.astype(np.uint8)
    for direction in DIRECTIONS:
        first, second = shift(region.levels, direction)
        same = first == second
        same &= first > 0
        for view in shift(dependence, direction):
            view += same
    counts = np.zeros((region.level_count + 1) * (_MOST + 1), dtype=np.int64)
    for level, number in zip(region.levels, dependence, strict=True):
        counts += np.bincount((level.astype(np.int64) * (_MOST + 1) + number).ravel(), minlength=counts.size)
    counts[: _MOST + 1] = 0
    found = np.flatnonzero(counts)
    return LevelSizeCounts(
        level=found // (_MOST + 1),
        size=found % (_MOST + 1),
        number=counts[found],
        voxels=region.voxel_count,
    )
