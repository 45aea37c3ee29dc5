"""How far the surfaces of two masks lie apart.

In: boolean arrays of one shape, the distance between their voxels.  Out: ``Surfaces``: Hausdorff distances
and surface Dice.  Never: a whole volume looked at where a box or a surface does.

The surface of a mask are its voxels that touch, by a face, one outside of it or the border of the array; its
points are their centres. So MONAI and most others count, and the numbers agree with theirs; distances are
found by a tree of the other surface's points, which for organs is many times quicker than a distance
transform of the volume.

References
----------
S. Nikolov et al., J Med Internet Res 23 (2021) e26151, doi:10.2196/26151 (surface Dice).
A. Reinke et al., Nat Methods 21 (2024) 182, doi:10.1038/s41592-023-02150-0 (which distance when).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import spatial

from wetread.stats.interval import FloatArray

BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.int32]

# scipy's tree has no types.
_Tree: Any = spatial.cKDTree
_WORKERS = 2
_LEAF = 64
_ONE, _LAST = np.uint64(1), np.uint64(63)
#: How far around a point is looked, in voxels of the smallest spacing, before a tree is asked.
_LOOK_VOXELS = 5
_STEPS_AT_ONCE = 16
#: Looking goes on while so many of the points that are left find something.
_WORTH_LOOKING = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surfaces:
    """Distances, mm, from each point of a surface to the other surface."""

    from_predicted_mm: FloatArray
    from_true_mm: FloatArray

    def hausdorff_mm(self, percentile: float = 100.0) -> float:
        """Return the larger of the two directed distances; NaN where a mask is empty."""
        if not self.from_predicted_mm.size or not self.from_true_mm.size:
            return math.nan
        return max(
            float(np.percentile(one, percentile)) for one in (self.from_predicted_mm, self.from_true_mm)
        )

    def dice(self, tolerance_mm: float) -> float:
        """Return the share of both surfaces that lies within the tolerance of the other one.

        0 where one mask is empty, NaN where both are.
        """
        points = self.from_predicted_mm.size + self.from_true_mm.size
        if not points:
            return math.nan
        near = sum(
            np.count_nonzero(one <= tolerance_mm) for one in (self.from_predicted_mm, self.from_true_mm)
        )
        return float(near / points)


def measure_surfaces(
    predicted: BoolArray,
    true: BoolArray,
    spacing_mm: tuple[float, ...] | None = None,
    limit_mm: float = math.inf,
) -> Surfaces:
    """Measure the distances between the surfaces of two masks of one shape.

    Parameters
    ----------
    spacing_mm
        Between voxels along each axis; None: 1, so that distances are in voxels.
    limit_mm
        Distances beyond are not wanted, and infinite: enough for surface Dice of that tolerance.
    """
    if predicted.shape != true.shape:
        raise ValueError("the masks must have one shape")
    spacing = np.ones(predicted.ndim) if spacing_mm is None else np.asarray(spacing_mm, dtype=float)
    one, other = find_surface(predicted), find_surface(true)
    if not len(one) or not len(other):
        # Nothing is near what is not there.
        return Surfaces(from_predicted_mm=np.full(len(one), np.inf), from_true_mm=np.full(len(other), np.inf))
    return Surfaces(
        from_predicted_mm=_measure(one, other, spacing, limit_mm),
        from_true_mm=_measure(other, one, spacing, limit_mm),
    )


def find_surface(mask: BoolArray) -> IndexArray:
    """Return the indices of the surface voxels, shape (n, axes), in the order of the array."""
    box = _find_box(mask)
    if box is None:
        return np.zeros((0, mask.ndim), np.int32)
    words = _pack(mask[box])
    inner = words.copy()
    # Neighbours along the last axis are neighbouring bits; what lies beyond an end is outside.
    inner[..., 1:] &= (words[..., 1:] << _ONE) | (words[..., :-1] >> _LAST)
    inner[..., 0] &= words[..., 0] << _ONE
    inner[..., :-1] &= (words[..., :-1] >> _ONE) | (words[..., 1:] << _LAST)
    inner[..., -1] &= words[..., -1] >> _ONE
    for axis in range(mask.ndim - 1):
        ahead, behind = (np.moveaxis(one, axis, 0) for one in (inner, words))
        ahead[1:] &= behind[:-1]
        ahead[:-1] &= behind[1:]
        ahead[[0, -1]] = 0
    return _unpack(words & ~inner) + np.array([one.start for one in box], np.int32)


def _pack(mask: BoolArray) -> npt.NDArray[np.uint64]:
    """Return the mask with 64 voxels of the last axis in a word, the first in its lowest bit."""
    packed = np.packbits(mask, axis=-1, bitorder="little")
    wide = np.zeros((*packed.shape[:-1], -(-packed.shape[-1] // 8) * 8), np.uint8)
    wide[..., : packed.shape[-1]] = packed
    return wide.view("<u8").astype(np.uint64, copy=False)


def _unpack(words: npt.NDArray[np.uint64]) -> IndexArray:
    """Return the indices of the bits that are set, in their order."""
    flat = words.reshape(-1)
    used = np.flatnonzero(flat)
    bits = np.unpackbits(flat[used].astype("<u8").view(np.uint8), bitorder="little").view(bool)
    word, bit = np.divmod(np.flatnonzero(bits).astype(np.int32), np.int32(64))
    points = np.stack(np.unravel_index(used, words.shape), axis=1).astype(np.int32)[word]
    points[:, -1] = points[:, -1] * 64 + bit
    return points


def _find_box(mask: BoolArray) -> tuple[slice, ...] | None:
    box: list[slice] = []
    for axis in range(mask.ndim):
        # Each look is at what the ones before have left.
        part = mask[tuple(box)]
        used = np.flatnonzero(part.any(axis=tuple(one for one in range(mask.ndim) if one != axis)))
        if not used.size:
            return None
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    return tuple(box)


def _measure(points: IndexArray, others: IndexArray, spacing_mm: FloatArray, limit_mm: float) -> FloatArray:
    """Return the distance of each point to the nearest of the others.

    Most surfaces run close to each other: the voxels around are looked at first, nearest first, all points
    together. What finds nothing there asks a tree.
    """
    found = np.full(len(points), np.inf)
    steps, lengths = _steps_around(spacing_mm, limit_mm)
    reach = np.abs(steps).max(axis=0)
    first, last = points.min(axis=0) - reach, points.max(axis=0) + reach
    shape = tuple(int(size) for size in last - first + 1)
    is_other = np.zeros(shape, bool)
    near = others[((others >= first) & (others <= last)).all(axis=1)] - first
    is_other.reshape(-1)[np.ravel_multi_index(tuple(near.T), shape)] = True
    left, is_done = np.arange(len(points)), limit_mm <= _LOOK_VOXELS * spacing_mm.min()
    place = np.ravel_multi_index(tuple((points - first).T), shape)
    flat_steps = steps @ np.array([int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))])
    for at in range(0, len(steps), _STEPS_AT_ONCE):
        before = len(left)
        for step, length in zip(
            flat_steps[at : at + _STEPS_AT_ONCE], lengths[at : at + _STEPS_AT_ONCE], strict=True
        ):
            hit = is_other.reshape(-1)[place + step]
            found[left[hit]] = length
            left, place = left[~hit], place[~hit]
        if not is_done and before - len(left) < _WORTH_LOOKING * before:
            break
    if not is_done:
        found[left] = _ask_tree(points[left] * spacing_mm, others * spacing_mm, limit_mm)
    return found


def _steps_around(spacing_mm: FloatArray, limit_mm: float) -> tuple[IndexArray, FloatArray]:
    """Return steps to all voxels within a radius, nearest first, and their lengths."""
    radius = min(_LOOK_VOXELS * float(spacing_mm.min()), limit_mm)
    reach = np.floor(radius / spacing_mm + 1e-9).astype(int)
    steps = np.indices(tuple(2 * reach + 1)).reshape(len(reach), -1).T - reach
    lengths = np.linalg.norm(steps * spacing_mm, axis=1)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] <= radius + 1e-9]
    return steps[order].astype(np.int32), lengths[order]


def _ask_tree(points: FloatArray, others: FloatArray, limit_mm: float) -> FloatArray:
    if not len(points):
        return np.zeros(0)
    tree = _Tree(others, leafsize=_LEAF, balanced_tree=False, compact_nodes=False)
    # The limit itself is still within.
    found, _ = tree.query(points, workers=_WORKERS, distance_upper_bound=np.nextafter(limit_mm, np.inf))
    return np.asarray(found, dtype=np.float64)
