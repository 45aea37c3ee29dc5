"""Counts by grey level and size, and what is measured of them.

In: how often each pair of grey level and size (of a run, a zone, a dependence) occurs.
Out: the sixteen numbers that run length, size zone and dependence matrices share.
Never: a table of levels by sizes: zones may be as large as the region.

IBSI defines the three families alike; the names differ, and are those of ``NAMES`` in the family's file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wetread.domain.volume import FloatArray
from wetread.measure.texture.entropy import measure_entropy

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LevelSizeCounts:
    """Which pairs of grey level and size occur, each once, and how often."""

    level: IntArray
    size: IntArray
    number: IntArray
    #: Of the region; of several directions merged: the sum.
    voxels: int


def count_pairs(level: IntArray, size: IntArray, voxels: int) -> LevelSizeCounts:
    """Count equal pairs."""
    return merge_counts([LevelSizeCounts(level=level, size=size, number=np.ones_like(level), voxels=voxels)])


def merge_counts(several: Sequence[LevelSizeCounts]) -> LevelSizeCounts:
    """Add up counts; the voxels are added up too (IBSI, run percentage)."""
    level = np.concatenate([one.level for one in several])
    size = np.concatenate([one.size for one in several])
    number = np.concatenate([one.number for one in several])
    factor = int(size.max(initial=0)) + 1
    keys, place = np.unique(level * factor + size, return_inverse=True)
    return LevelSizeCounts(
        level=keys // factor,
        size=keys % factor,
        number=np.bincount(place, weights=number, minlength=len(keys)).astype(np.int64),
        voxels=sum(one.voxels for one in several),
    )


def measure_counts(counts: LevelSizeCounts, names: Sequence[str]) -> dict[str, float]:
    """Measure what the three families share.

    Parameters
    ----------
    names
        Sixteen, in the order of IBSI's chapters: emphasis of small and of large sizes, of low and of high
        levels, of the four pairs; non-uniformity of levels and of sizes, each plain and normalised;
        percentage; variance of levels and of sizes; entropy.
    """
    values = [*_measure_emphasis(counts), *_measure_uniformity(counts), *_measure_spread(counts)]
    return dict(zip(names, values, strict=True))


def _measure_emphasis(counts: LevelSizeCounts) -> list[float]:
    share = counts.number / counts.number.sum()
    level, size = counts.level.astype(np.float64) ** 2, counts.size.astype(np.float64) ** 2
    weights: list[FloatArray] = [
        *(1 / size, size, 1 / level, level),
        *(1 / (level * size), level / size, size / level, level * size),
    ]
    return [float(share @ weight) for weight in weights]


def _measure_uniformity(counts: LevelSizeCounts) -> list[float]:
    total = float(counts.number.sum())
    values: list[float] = []
    for kind in (counts.level, counts.size):
        _, place = np.unique(kind, return_inverse=True)
        squares = float(np.sum(np.bincount(place, weights=counts.number) ** 2))
        values += [squares / total, squares / total**2]
    return [*values, total / counts.voxels]


def _measure_spread(counts: LevelSizeCounts) -> list[float]:
    share = counts.number / counts.number.sum()
    values = [float(share @ (kind - share @ kind) ** 2) for kind in (counts.level, counts.size)]
    return [*values, measure_entropy(share)]
