"""Shapes as signed distances: negative inside, millimetres, good near the surface.

In: coordinate arrays.  Out: float32 arrays of the same shape.  Never: patients.

Distances beyond ``REACH_MM`` are cut off: nobody looks that far, and interpolation stays tame.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.floating[Any]]

REACH_MM = 15.0
#: Stands for "out of reach" until distances are cut off; far from REACH_MM, so that fillets leave it alone.
_FAR_MM = 60.0


def smooth_min(first: Float, second: Float, radius_mm: float) -> Float:
    """Unite two shapes with a fillet (polynomial smooth minimum, I. Quilez)."""
    blend = np.clip(radius_mm - np.abs(first - second), 0.0, None) / np.float32(radius_mm)
    united: Float = np.minimum(first, second) - blend * blend * np.float32(radius_mm / 4)
    return united


def smooth_max(first: Float, second: Float, radius_mm: float) -> Float:
    """Intersect two shapes with a rounded edge."""
    return -smooth_min(-first, -second, radius_mm)


def ellipsoid(points: Float, center: npt.ArrayLike, axes_mm: npt.ArrayLike) -> Float:
    """Return the first-order distance to an ellipsoid with axes along x, y, z, within reach of it."""
    middle, axes = np.asarray(center, dtype=np.float32), np.asarray(axes_mm, dtype=np.float32)
    distance = np.full(points.shape[:-1], _FAR_MM, dtype=np.float32)
    signs = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1], indexing="ij"), axis=-1).reshape(-1, 3)
    where = _Box(points).around(middle + signs * axes, REACH_MM)
    if where is None:
        return distance
    inverse = 1 / axes
    scaled = (points[where] - middle) * inverse
    radius = np.sqrt(np.einsum("...i,...i->...", scaled, scaled))
    scaled *= inverse
    slope = np.sqrt(np.einsum("...i,...i->...", scaled, scaled))
    distance[where] = radius * (radius - 1) / np.maximum(slope, np.float32(1e-3))
    return distance


def superellipse(
    across: Float, along: Float, half_across: Float | float, half_along: Float | float, power: float
) -> Float:
    """Return the first-order distance to |u/a|^p + |v/b|^p = 1 in a plane."""
    u, v = np.abs(across) / half_across, np.abs(along) / half_along
    value = u**power + v**power + np.float32(1e-6)
    radius = value ** (1 / power)
    slope = (
        radius / value * np.sqrt((u ** (power - 1) / half_across) ** 2 + (v ** (power - 1) / half_along) ** 2)
    )
    distance: Float = (radius - 1) / np.maximum(slope, np.float32(2e-3))
    return distance.astype(np.float32)


def tube(points: Float, path: npt.ArrayLike, radii_mm: npt.ArrayLike) -> Float:
    """Return the distance to a tube along a polyline, radius linear between its points."""
    knots = np.asarray(path, dtype=np.float32)
    radii = np.broadcast_to(np.asarray(radii_mm, dtype=np.float32), (len(knots),))
    result = np.full(points.shape[:-1], _FAR_MM, dtype=np.float32)
    box = _Box(points)
    for start, end, near, far in zip(knots[:-1], knots[1:], radii[:-1], radii[1:], strict=True):
        where = box.around(np.stack([start, end]), REACH_MM + max(near, far))
        if where is not None:
            np.minimum(result[where], _capsule(points[where], start, end, near, far), out=result[where])
    return result


def _capsule(points: Float, start: Float, end: Float, near: float, far: float) -> Float:
    axis = end - start
    offset = points - start
    share = np.clip(offset @ axis / max(float(axis @ axis), 1e-6), 0.0, 1.0)
    away = offset - share[..., None] * axis
    distance: Float = np.sqrt(np.einsum("...i,...i->...", away, away)) - (near + (far - near) * share)
    return distance.astype(np.float32)


class _Box:
    """Finds the part of a (nearly) regular point grid around a segment."""

    def __init__(self, points: Float) -> None:
        self._shape = points.shape[:3]
        self._origin = points[0, 0, 0].astype(float)
        ends = (points[-1, 0, 0], points[0, -1, 0], points[0, 0, -1])
        steps = [(end - self._origin) / max(n - 1, 1) for end, n in zip(ends, self._shape, strict=True)]
        self._inverse = np.linalg.inv(np.stack(steps, axis=1))
        self._step = float(np.linalg.norm(steps[0]))
        self._bend_mm = self._measure_bend(points, np.stack(steps, axis=1))

    def _measure_bend(self, points: Float, steps: npt.NDArray[np.float64]) -> float:
        """Return how far points stray from the straight grid that the corners span."""
        axes = [np.unique(np.linspace(0, count - 1, 12).astype(int)) for count in self._shape]
        index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        straight = self._origin + index @ steps.T
        return float(np.abs(points[np.ix_(*axes)] - straight).max())

    def around(self, corners: Float, margin_mm: float) -> tuple[slice, ...] | None:
        """Return the part of the grid around the hull of points, None if there is none."""
        corners = corners.astype(float) - self._origin
        index = corners @ self._inverse.T
        margin = (margin_mm + 1.3 * self._bend_mm) / self._step + 2
        low = np.maximum(np.floor(index.min(axis=0) - margin).astype(int), 0)
        high = np.minimum(np.ceil(index.max(axis=0) + margin).astype(int) + 1, self._shape)
        if np.any(low >= high):
            return None
        return tuple(slice(a, b) for a, b in zip(low, high, strict=True))


def as_distance(value: Float, spacing_mm: float) -> Float:
    """Turn any smooth level function on a regular grid into a first-order distance."""
    squared = np.zeros_like(value)
    for axis in range(3):
        slope = np.gradient(value, spacing_mm, axis=axis)
        squared += slope * slope
    distance: Float = value / np.maximum(np.sqrt(squared), np.float32(0.2))
    return distance


def cut(distance: Float) -> Float:
    """Cut distances off at ``REACH_MM``."""
    return np.clip(distance, -REACH_MM, REACH_MM).astype(np.float32)
