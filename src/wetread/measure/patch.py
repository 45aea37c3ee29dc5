"""A small isotropic copy of the image around one point.

In: an upright CT, its closed lungs, a point.  Out: HU and lung on a fine cubic grid.
Never: the whole volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.domain.mask import BoolArray
from wetread.domain.volume import FloatArray, Shape, Triple, Volume
from wetread.measure.coarse import Coarse, Float32Array
from wetread.measure.thorax import Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Isotropic surroundings of a point, which is the middle voxel."""

    #: Cubic, odd size, HU.
    hu: Float32Array
    #: Closed lung of the point's side; what juts into it from the wall is inside.
    lung: BoolArray
    #: Inside the scanned volume.
    known: BoolArray
    spacing_mm: float
    #: (plane, row, column) of the middle on the upright volume's grid, fractional.
    center: Triple
    #: Spacing of that grid.
    volume_spacing_mm: Triple

    @property
    def middle(self) -> Shape:
        """Index of the middle voxel."""
        half = self.hu.shape[0] // 2
        return half, half, half

    def distance_mm(self) -> FloatArray:
        """Distance of every voxel from the middle."""
        axis = (np.arange(self.hu.shape[0]) - self.hu.shape[0] // 2) * self.spacing_mm
        square = axis**2
        return np.asarray(np.sqrt(square[:, None, None] + square[None, :, None] + square[None, None, :]))

    def to_volume_index(self, index: FloatArray) -> FloatArray:
        """Map patch indices of shape (..., 3) to the volume's grid."""
        offset = (np.asarray(index, dtype=float) - self.hu.shape[0] // 2) * self.spacing_mm
        return np.asarray(np.asarray(self.center) + offset / np.asarray(self.volume_spacing_mm))


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchSource:
    """What patches are cut from."""

    volume: Volume
    coarse: Coarse
    #: Closed lungs on the coarse grid.
    closed: Labels


def cut_patch(source: PatchSource, center: Triple, half_mm: float, spacing_mm: float) -> Patch:
    """Cut an isotropic patch by cubic interpolation.

    Cubic, since linear interpolation would blur a small nodule by up to half a voxel.
    """
    half = int(np.ceil(half_mm / spacing_mm))
    offsets = np.arange(-half, half + 1) * spacing_mm
    spacing = source.volume.grid.spacing_mm
    places = [np.asarray(center[k] + offsets / spacing[k], dtype=np.float64) for k in range(3)]
    shape = source.volume.grid.shape
    inside = [(axis >= -0.5) & (axis <= size - 0.5) for axis, size in zip(places, shape, strict=True)]
    return Patch(
        hu=_sample(source.volume, places),
        lung=_sample_side(source, places),
        known=inside[0][:, None, None] & inside[1][None, :, None] & inside[2][None, None, :],
        spacing_mm=spacing_mm,
        center=center,
        volume_spacing_mm=spacing,
    )


def _sample(volume: Volume, places: list[FloatArray]) -> Float32Array:
    shape = volume.grid.shape
    box = [
        slice(max(0, int(axis[0]) - 3), min(size, int(np.ceil(axis[-1])) + 4))
        for axis, size in zip(places, shape, strict=True)
    ]
    values = volume.voxels[tuple(box)].astype(np.float32)
    for axis in range(3):
        values = _resample_axis(values, axis, places[axis] - box[axis].start)
    return values


def _resample_axis(values: Float32Array, axis: int, places: FloatArray) -> Float32Array:
    """Cubic B-spline along one axis, as a small matrix: much faster than sampling point by point."""
    size = values.shape[axis]
    basis = ndimage.spline_filter1d(np.eye(size), 3, axis=0, mode="nearest") if size > 1 else np.eye(1)
    clipped = np.clip(places, 0, size - 1)
    first = np.floor(clipped).astype(int)
    part = clipped - first
    weights = np.zeros((places.size, size))
    for shift, weight in zip((-1, 0, 1, 2), _cubic(part), strict=True):
        np.add.at(weights, (np.arange(places.size), _mirror(first + shift, size)), weight)
    moved = np.tensordot((weights @ basis).astype(np.float32), values, axes=(1, axis))
    return np.ascontiguousarray(np.moveaxis(moved, 0, axis))


def _mirror(index: npt.NDArray[np.intp], size: int) -> npt.NDArray[np.intp]:
    return np.asarray(np.clip(index, 0, size - 1))


def _cubic(part: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    rest = 1.0 - part
    return (
        rest**3 / 6.0,
        2.0 / 3.0 - part**2 * (2.0 - part) / 2.0,
        2.0 / 3.0 - rest**2 * (2.0 - rest) / 2.0,
        part**3 / 6.0,
    )


def _sample_side(source: PatchSource, places: list[FloatArray]) -> BoolArray:
    """The closed lung of the side nearest to the centre, linear between coarse voxels."""
    factors = source.coarse.factors
    shape = source.closed.shape
    steps = [(axis + 0.5) / factor - 0.5 for axis, factor in zip(places, factors, strict=True)]
    box = [
        slice(max(0, int(axis[0]) - 1), min(size, int(axis[-1]) + 3))
        for axis, size in zip(steps, shape, strict=True)
    ]
    labels = source.closed[tuple(box)]
    counts = np.bincount(labels.ravel(), minlength=3)
    side = 1 + int(np.argmax(counts[1:3]))
    field = (labels == side).astype(np.float32)
    for axis in range(3):
        field = _linear_axis(field, axis, steps[axis] - box[axis].start)
    return np.asarray(field >= 0.5)


def _linear_axis(values: Float32Array, axis: int, places: FloatArray) -> Float32Array:
    clipped = np.clip(places, 0, values.shape[axis] - 1)
    low = np.floor(clipped).astype(int)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    shape = [1, 1, 1]
    shape[axis] = -1
    part = (clipped - low).astype(np.float32).reshape(shape)
    return np.asarray(np.take(values, low, axis) * (1 - part) + np.take(values, high, axis) * part)
