"""Grey level size zones (IBSI 9SAK).

In: a region.  Out: 16 numbers of how large the groups of touching voxels (26 neighbours) of one level are.
Never: directions; a table as wide as the largest zone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.measure.texture.aggregate import Values
from wetread.measure.texture.counts import IntArray, LevelSizeCounts, count_pairs, measure_counts
from wetread.measure.texture.region import Region

NAMES = {
    "small_zone_emphasis": "P001",
    "large_zone_emphasis": "48P8",
    "low_grey_level_zone_emphasis": "XMSY",
    "high_grey_level_zone_emphasis": "5GN9",
    "small_zone_low_grey_level_emphasis": "5RAI",
    "small_zone_high_grey_level_emphasis": "HW1V",
    "large_zone_low_grey_level_emphasis": "YH51",
    "large_zone_high_grey_level_emphasis": "J17V",
    "grey_level_non_uniformity": "JNSA",
    "normalised_grey_level_non_uniformity": "Y1RO",
    "zone_size_non_uniformity": "4JP3",
    "normalised_zone_size_non_uniformity": "VB3A",
    "zone_percentage": "P30P",
    "grey_level_variance": "BYLV",
    "zone_size_variance": "3NSA",
    "zone_size_entropy": "GU8N",
}

_TOUCHING = np.ones((3, 3, 3), dtype=bool)
_PIECE = 1 << 22


def measure_glszm(region: Region) -> Values:
    """Measure zones."""
    return dict(measure_counts(count_zones(region), tuple(NAMES)))


def count_zones(region: Region) -> LevelSizeCounts:
    """Count the zones by level and size, level by level, each within the box that it fills."""
    levels, sizes = [], []
    for number, box in enumerate(ndimage.find_objects(region.levels), start=1):
        if box is None:
            continue
        labels, zones = ndimage.label(region.levels[box] == number, _TOUCHING)
        sizes.append(_count_voxels(labels.ravel(), zones))
        levels.append(np.full(zones, number, dtype=np.int64))
    return count_pairs(np.concatenate(levels), np.concatenate(sizes), region.voxel_count)


def _count_voxels(labels: npt.NDArray[np.int32], zones: int) -> IntArray:
    """Return the size of each zone, counted piece by piece: counting makes its numbers wider."""
    sizes = np.zeros(zones + 1, dtype=np.int64)
    for start in range(0, len(labels), _PIECE):
        found = np.bincount(labels[start : start + _PIECE])
        sizes[: found.size] += found
    return sizes[1:]
