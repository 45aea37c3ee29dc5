"""The same voxels seen the same way up, whatever way they came.

In: a Volume of any orientation.  Out: a view whose planes go up, rows go back, columns go left.
Never: resampling; a copy of the voxels.

All measuring is done on this view, so that no algorithm assumes a direction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from wetread.domain.volume import Grid, Shape, Triple, Volume

# Planes towards the head, rows towards the back, columns towards the left (LPS).
_OPPOSITE = {"R": "L", "A": "P", "I": "S"}
_WANTED = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Upright:
    """How the axes of a grid were permuted and flipped."""

    #: ``order[k]`` is the original axis that became axis ``k``.
    order: tuple[int, int, int]
    #: Whether axis ``k`` of the view runs against the original axis.
    flipped: tuple[bool, bool, bool]

    def view(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the upright view of an array on the original grid."""
        turned = np.transpose(array, self.order)
        return turned[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]

    def undo(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the original view of an array on the upright grid."""
        turned = array[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]
        return np.transpose(turned, np.argsort(self.order))


def find_upright(grid: Grid) -> Upright:
    """Find the permutation and flips that bring a grid nearest to upright."""
    cosines = _WANTED @ np.array(grid.directions).T
    order = max(permutations(range(3)), key=lambda one: float(sum(abs(cosines[k, one[k]]) for k in range(3))))
    first, second, third = order
    flips = [bool(cosines[k, axis] < 0) for k, axis in enumerate(order)]
    return Upright(order=(first, second, third), flipped=(flips[0], flips[1], flips[2]))


def to_upright(volume: Volume) -> tuple[Volume, Upright]:
    """Return the volume as an upright view, and how to go back.

    The grid of the view may be left-handed and names no instances: it is for measuring only.
    """
    upright = find_upright(volume.grid)
    return Volume(voxels=upright.view(volume.voxels), grid=_turn_grid(volume.grid, upright)), upright


def _turn_grid(grid: Grid, upright: Upright) -> Grid:
    corner = [0.0, 0.0, 0.0]
    for axis, flip in zip(upright.order, upright.flipped, strict=True):
        corner[axis] = float(grid.shape[axis] - 1) if flip else 0.0
    signs = [-1.0 if flip else 1.0 for flip in upright.flipped]
    directions = [
        _scaled(grid.directions[axis], sign) for axis, sign in zip(upright.order, signs, strict=True)
    ]
    shape: Shape = (
        grid.shape[upright.order[0]],
        grid.shape[upright.order[1]],
        grid.shape[upright.order[2]],
    )
    spacing: Triple = (
        grid.spacing_mm[upright.order[0]],
        grid.spacing_mm[upright.order[1]],
        grid.spacing_mm[upright.order[2]],
    )
    origin = grid.to_lps_mm(corner)
    return replace(
        grid,
        shape=shape,
        spacing_mm=spacing,
        origin_lps_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        directions=(directions[0], directions[1], directions[2]),
        sop_instance_uids=(),
    )


def _scaled(vector: Triple, sign: float) -> Triple:
    return (sign * vector[0], sign * vector[1], sign * vector[2])


def face(upright: npt.NDArray[Any], axes: str) -> npt.NDArray[Any]:
    """Return an upright array with each axis pointing where a network's does; the axes keep their places.

    Done twice it is undone.

    Parameters
    ----------
    upright
        (planes, rows, columns), towards head, back and left.
    axes
        Where each axis of the network's tensor points to: three of R or L, A or P, I or S, e.g. ``"RAS"``.
    """
    # Opposite to planes, rows and columns.
    return upright[tuple(slice(None, None, -1 if letter in axes else 1) for letter in "IAR")]


def axis_order(axes: str) -> tuple[int, int, int]:
    """Return which of (planes, rows, columns) each axis of a network's tensor is."""
    first, second, third = ("SPL".index(_OPPOSITE.get(letter, letter)) for letter in axes)
    return first, second, third
