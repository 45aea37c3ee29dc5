"""Neighbourhood grey tone difference (IBSI IPET).

In: a region.  Out: 5 numbers of how far each voxel's level lies from the mean of those around it.
Never: a voxel without neighbours in the region.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wetread.domain.volume import FloatArray
from wetread.measure.texture.aggregate import Values
from wetread.measure.texture.neighbours import sum_around
from wetread.measure.texture.region import Region

NAMES = {
    "coarseness": "QCDE",
    "contrast": "65HE",
    "busyness": "NQ30",
    "complexity": "HDEZ",
    "strength": "1X9X",
}

#: What IBSI sets where nothing differs from what is around it.
COARSEST = 1e6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ToneDifferences:
    """The matrix: by grey level, from 1."""

    #: Voxels that have a neighbour.
    number: FloatArray
    #: Sum of their differences to the mean of their neighbours.
    difference: FloatArray


def measure_ngtdm(region: Region) -> Values:
    """Measure tone differences; every number is None where no two voxels of the region touch."""
    tones = sum_differences(region)
    if not tones.number.any():
        return dict.fromkeys(NAMES)
    return measure_tones(tones)


def sum_differences(region: Region) -> ToneDifferences:
    """Sum up how far voxels differ from those around them, plane by plane."""
    size = region.level_count + 1
    number, difference = np.zeros(size), np.zeros(size)
    for plane, level in enumerate(region.levels):
        around = sum_around(region.mask, plane) - 1
        chosen = (level > 0) & (around > 0)
        own = level[chosen].astype(np.int64)
        mean = (sum_around(region.levels, plane)[chosen] - own) / around[chosen]
        number += np.bincount(own, minlength=size)
        difference += np.bincount(own, weights=np.abs(own - mean), minlength=size)
    return ToneDifferences(number=number[1:], difference=difference[1:])


def measure_tones(tones: ToneDifferences) -> Values:
    """Measure the matrix, at least one voxel in it."""
    occurs = np.flatnonzero(tones.number)
    level = occurs + 1.0
    voxels = float(tones.number.sum())
    share, difference = tones.number[occurs] / voxels, tones.difference[occurs]
    weighted, total = float(share @ difference), float(difference.sum())
    apart = level[:, None] - level
    together = share[:, None] + share
    kinds = len(occurs)
    if kinds == 1:
        # As IBSI says of one level.
        return {"coarseness": COARSEST, "contrast": 0.0, "busyness": 0.0, "complexity": 0.0, "strength": 0.0}
    product = share * difference
    wanting = float(np.sum(np.abs(level[:, None] * share[:, None] - level * share)))
    return {
        "coarseness": min(1 / weighted, COARSEST) if weighted > 0 else COARSEST,
        "contrast": float(share @ apart**2 @ share) / (kinds * (kinds - 1)) * total / voxels,
        "busyness": weighted / wanting if wanting > 0 else None,
        "complexity": float(np.sum(np.abs(apart) * (product[:, None] + product) / together)) / voxels,
        "strength": float(np.sum(together * apart**2)) / total if total > 0 else 0.0,
    }
