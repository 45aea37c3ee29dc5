"""A coarse copy of a volume for the steps that need no detail, and the way back.

In: a volume, or a field on its coarse grid.  Out: block means, or the field interpolated.
Never: the origin of the grid (a coarse voxel is a block of fine ones, nothing else).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wetread.domain.mask import BoolArray
from wetread.domain.volume import Shape, Triple, Volume

Float32Array = npt.NDArray[np.float32]
Window = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coarse:
    """Block means of a volume."""

    #: Shape (planes, rows, columns), HU.
    voxels: Float32Array
    spacing_mm: Triple
    #: Fine voxels per block along (planes, rows, columns).
    factors: Shape
    #: Shape of the fine volume.
    fine_shape: Shape

    @property
    def voxel_ml(self) -> float:
        """Volume of one coarse voxel, ml."""
        return float(np.prod(self.spacing_mm)) / 1000.0


def shrink(volume: Volume, target_mm: float) -> Coarse:
    """Average blocks of voxels so that the spacing comes near ``target_mm`` (never finer than it was).

    Block means are what a scanner with larger voxels would have measured: noise falls with
    the square root of the block and partial volume stays linear.
    """
    spacing = volume.grid.spacing_mm
    factors: Shape = (
        max(1, round(target_mm / spacing[0])),
        max(1, round(target_mm / spacing[1])),
        max(1, round(target_mm / spacing[2])),
    )
    planes = [
        _mean_slab(volume.voxels, start, factors) for start in range(0, volume.grid.shape[0], factors[0])
    ]
    return Coarse(
        voxels=np.stack(planes),
        spacing_mm=(spacing[0] * factors[0], spacing[1] * factors[1], spacing[2] * factors[2]),
        factors=factors,
        fine_shape=volume.grid.shape,
    )


def _mean_slab(voxels: npt.NDArray[Any], start: int, factors: Shape) -> Float32Array:
    slab = voxels[start : start + factors[0]].astype(np.float32).mean(axis=0)
    for axis, factor in ((0, factors[1]), (1, factors[2])):
        slab = _mean_blocks(slab, axis, factor)
    return np.asarray(slab, dtype=np.float32)


def _mean_blocks(image: Float32Array, axis: int, factor: int) -> Float32Array:
    if factor == 1:
        return image
    edges = np.arange(0, image.shape[axis], factor)
    sums = np.add.reduceat(image, edges, axis=axis)
    counts = np.diff(np.append(edges, image.shape[axis])).astype(np.float32)
    return np.asarray(sums / (counts[:, None] if axis == 0 else counts[None, :]), dtype=np.float32)


def iter_fine_planes(field: Float32Array, coarse: Coarse) -> Iterator[Float32Array]:
    """Yield a coarse field linearly interpolated on each fine plane, shape (rows, columns)."""
    rows, columns = (_weights(field.shape[k], coarse.factors[k], coarse.fine_shape[k]) for k in (1, 2))
    low, high, part = _weights(field.shape[0], coarse.factors[0], coarse.fine_shape[0])
    for index in range(coarse.fine_shape[0]):
        share = part[index]
        image = field[low[index]] * (1 - share) + field[high[index]] * share
        image = image[rows[0]] * (1 - rows[2][:, None]) + image[rows[1]] * rows[2][:, None]
        yield image[:, columns[0]] * (1 - columns[2]) + image[:, columns[1]] * columns[2]


def _weights(
    count: int, factor: int, fine: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Float32Array]:
    position = np.clip((np.arange(fine) + 0.5) / factor - 0.5, 0, count - 1)
    low = np.floor(position).astype(np.intp)
    return low, np.minimum(low + 1, count - 1), (position - low).astype(np.float32)


def find_window(mask: BoolArray, source: Coarse, target: Coarse) -> Window:
    """Find the box of ``target`` blocks that covers a mask on the ``source`` grid."""
    parts = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        used = np.flatnonzero(mask.any(axis=others))
        low = int(used[0]) * source.factors[axis] // target.factors[axis] - 1
        high = -(-(int(used[-1]) + 1) * source.factors[axis] // target.factors[axis]) + 1
        parts.append(slice(max(0, low), min(target.voxels.shape[axis], high)))
    return parts[0], parts[1], parts[2]


def bring_to(mask: BoolArray, source: Coarse, target: Coarse, window: Window) -> BoolArray:
    """Bring a mask from one block grid to a window of another, linear between blocks."""
    field = mask.astype(np.float32)
    for axis in range(3):
        fine = (np.arange(window[axis].start, window[axis].stop) + 0.5) * target.factors[axis]
        steps = np.clip(fine / source.factors[axis] - 0.5, 0, mask.shape[axis] - 1)
        low = np.floor(steps).astype(int)
        high = np.minimum(low + 1, mask.shape[axis] - 1)
        shape = [1, 1, 1]
        shape[axis] = -1
        part = (steps - low).astype(np.float32).reshape(shape)
        field = np.take(field, low, axis) * (1 - part) + np.take(field, high, axis) * part
    return np.asarray(field >= 0.5)
