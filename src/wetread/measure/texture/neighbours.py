"""Voxels and their neighbours at Chebyshev distance 1 (IBSI PVMT).

In: an array.  Out: views of it that lie next to each other.  Never: a copy of the whole array.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

#: One of each pair of opposite directions, along (planes, rows, columns); the first that is not 0 is 1.
DIRECTIONS = tuple(one for one in product((-1, 0, 1), repeat=3) if one > (0, 0, 0))

Array = npt.NDArray[Any]


def shift(array: Array, direction: tuple[int, ...]) -> tuple[Array, Array]:
    """Return two views of the same shape: voxels, and what lies at ``direction`` from each."""
    here, there = [], []
    for step in direction:
        here.append(slice(0, -1) if step > 0 else slice(1, None) if step < 0 else slice(None))
        there.append(slice(1, None) if step > 0 else slice(0, -1) if step < 0 else slice(None))
    return array[tuple(here)], array[tuple(there)]


def sum_around(array: Array, plane: int) -> npt.NDArray[np.int64]:
    """Return the sum over the 27 voxels around and at each voxel of one plane; outside is 0."""
    slab = array[max(plane - 1, 0) : plane + 2].sum(axis=0, dtype=np.int64)
    padded = np.pad(slab, 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    total: npt.NDArray[np.int64] = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return total
