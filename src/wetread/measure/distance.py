"""Distance to the nearest voxel outside of a mask.

In: a mask, on the small isotropic cubes that spots are looked at in, or on a whole volume.
Out: the exact Euclidean distance in voxels; or whether it is more than so many mm.
Never: far distances on whole volumes (``scipy.ndimage.distance_transform_edt`` has them).

The same numbers as scipy's, five times as fast, where it took half of a reading: scipy finds
for every voxel which one is nearest, and only how far it is counts here. Lower envelopes of parabolas,
axis by axis (Felzenszwalb and Huttenlocher 2012, doi:10.4086/toc.2012.v008a019), by shifts of the array.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from wetread.domain.mask import BoolArray
from wetread.domain.volume import FloatArray, Triple

#: On sides up to this, the sum of three squares and one more fits 16 bits.
_SHORT_SIDE = 90
#: A full look whether everything is settled costs as much as one shift.
_LOOK_EVERY = 4
#: What the square of a reach becomes: twice as much fits 16 bits, and it errs by less than 0.01 %.
_REACH = 16000


def measure_distance(mask: BoolArray, limit: float = math.inf) -> FloatArray:
    """Return the distance of each voxel to the nearest one that is False.

    Parameters
    ----------
    mask
        At least one voxel is False.
    limit
        Voxels; larger distances may come out too large, never below it.

    Returns
    -------
    FloatArray
        Voxels, 0 where the mask is False.
    """
    longest = max(mask.shape)
    kind: npt.DTypeLike = np.int16 if longest <= _SHORT_SIDE else np.int32
    far = 3 * (longest - 1) ** 2 + 1
    square = np.where(mask, far, 0).astype(kind)
    for axis in range(mask.ndim):
        square = _lower(square, axis, far, limit)
    distance: FloatArray = np.sqrt(square, dtype=np.float64)
    return distance


def find_deep(mask: BoolArray, reach_mm: float, spacing_mm: Triple) -> BoolArray:
    """Tell which voxels lie farther than a reach from each voxel that is False: erosion by a ball.

    Parameters
    ----------
    reach_mm
        Exact to 0.01 %.
    spacing_mm
        Of the mask's axes; they may differ.
    """
    square = np.where(mask, np.int16(_REACH + 1), np.int16(0))
    for axis, step_mm in enumerate(spacing_mm):
        nearest = square.copy()
        for step in range(1, min(int(reach_mm / step_mm + 1e-6), mask.shape[axis] - 1) + 1):
            raised = square + np.int16(round(_REACH * (step * step_mm / reach_mm) ** 2))
            _take_lower(nearest, raised, axis, step)
        square = nearest
    return np.asarray(square > _REACH)


def _lower(square: npt.NDArray[Any], axis: int, far: int, limit: float) -> npt.NDArray[Any]:
    """Let each voxel take the least of its line's values, each plus the square of the way there."""
    nearest = square.copy()
    for step in range(1, square.shape[axis]):
        settled = step % _LOOK_EVERY == 1 and step * step >= min(int(nearest.max()), far)
        if settled or step > limit:
            break
        _take_lower(nearest, square + square.dtype.type(step * step), axis, step)
    return nearest


def _take_lower(nearest: npt.NDArray[Any], raised: npt.NDArray[Any], axis: int, step: int) -> None:
    """Let each voxel take what is lower so many steps before and behind it."""
    whole = (slice(None),) * axis
    before, after = (*whole, slice(None, -step)), (*whole, slice(step, None))
    np.minimum(nearest[before], raised[after], out=nearest[before])
    np.minimum(nearest[after], raised[before], out=nearest[after])
