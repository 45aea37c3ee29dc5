"""Smooth fields on a box, by cubic B-splines on a coarser lattice of control points.

In: control points, or a field on the box.  Out: the field, or what each control point sees of it.
Never: a point outside of the box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wetread.domain.volume import FloatArray
from wetread.measure.coarse import Float32Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """Control points over a box of voxels, one before and two behind it along each axis."""

    #: One matrix (voxels, control points) for each axis.
    weights: tuple[Float32Array, Float32Array, Float32Array]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of control points along each axis."""
        planes, rows, columns = (one.shape[1] for one in self.weights)
        return planes, rows, columns

    def expand(self, control: Float32Array) -> Float32Array:
        """Return the field on the box, shape (planes, rows, columns)."""
        field = control
        for weights in self.weights:
            # Each time the first axis is taken and comes back as the last.
            field = np.tensordot(field, weights, axes=(0, 1))
        return np.asarray(field)

    def gather(self, field: Float32Array) -> Float32Array:
        """Return the adjoint: the sum that each control point sees of a field on the box."""
        for weights in self.weights:
            field = np.tensordot(field, weights, axes=(0, 0))
        return np.asarray(field)


def count_control(shape: tuple[int, int, int], spacing_mm: float, apart_mm: float) -> tuple[int, int, int]:
    """Return how many control points a box of voxels needs along each axis."""
    planes, rows, columns = (int(np.ceil(size * spacing_mm / apart_mm)) + 3 for size in shape)
    return planes, rows, columns


def make_lattice(
    shape: tuple[int, int, int], spacing_mm: float, apart_mm: float, counts: tuple[int, int, int]
) -> Lattice:
    """Lay control points over a box of voxels; the second one of each axis lies on its first voxel."""
    planes, rows, columns = (
        _weigh(np.arange(size, dtype=float) * (spacing_mm / apart_mm) + 1.0, count)
        for size, count in zip(shape, counts, strict=True)
    )
    return Lattice(weights=(planes, rows, columns))


def _weigh(places: FloatArray, count: int) -> Float32Array:
    away = np.abs(places[:, None] - np.arange(count)[None, :])
    near = 2.0 / 3.0 - away**2 + 0.5 * away**3
    far = np.clip(2.0 - away, 0.0, None) ** 3 / 6.0
    return np.asarray(np.where(away < 1.0, near, far), dtype=np.float32)
