"""Long and short axis of an outline on one plane, finer than its pixels.

In: a field that is negative inside, its spacing.  Out: lengths and end points.
Never: an ellipse in place of the outline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wetread.domain.volume import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneAxes:
    """Axes on one plane; points are (row, column) of the field, fractional."""

    long_mm: float
    short_mm: float
    long_points: FloatArray
    short_points: FloatArray
    area_mm2: float

    @property
    def mean_mm(self) -> float:
        """Mean of long and short axis: the diameter that guidelines ask for."""
        return 0.5 * (self.long_mm + self.short_mm)


def measure_axes(field: FloatArray, spacing_mm: float) -> PlaneAxes | None:
    """Measure the longest diameter and the longest one across it at a right angle.

    Parameters
    ----------
    field
        Negative inside, shape (rows, columns); its zero line is the outline.
    spacing_mm
        Of the square pixels.

    Returns
    -------
    PlaneAxes or None
        None where nothing is inside.

    References
    ----------
    Bankier et al. 2017, Recommendations for measuring pulmonary nodules at CT,
    doi:10.1148/radiol.2017162894.
    """
    points = _zero_crossings(field)
    if len(points) < 3:
        return None
    first, last = _farthest(points)
    along = (last - first) / max(float(np.linalg.norm(last - first)), 1e-9)
    across = np.array([-along[1], along[0]])
    short = _widest(points, along, across)
    return PlaneAxes(
        long_mm=float(np.linalg.norm(last - first)) * spacing_mm,
        short_mm=float(np.linalg.norm(short[1] - short[0])) * spacing_mm,
        long_points=np.stack([first, last]),
        short_points=short,
        area_mm2=_area(field) * spacing_mm**2,
    )


def _zero_crossings(field: FloatArray) -> FloatArray:
    """Where the field changes sign between neighbours, by linear interpolation."""
    padded = np.pad(field, 1, constant_values=max(float(field.max()), 1.0))
    points = []
    for axis in (0, 1):
        low = padded[:-1] if axis == 0 else padded[:, :-1]
        high = padded[1:] if axis == 0 else padded[:, 1:]
        places = np.argwhere((low < 0) != (high < 0)).astype(float)
        index = tuple(places.astype(int).T)
        places[:, axis] += low[index] / (low[index] - high[index])
        points.append(places - 1.0)
    return np.concatenate(points)


def _farthest(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    square = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    first, last = np.unravel_index(int(square.argmax()), square.shape)
    return points[first], points[last]


def _widest(points: FloatArray, along: FloatArray, across: FloatArray) -> FloatArray:
    """End points of the longest chord at a right angle, found in bins of one pixel along the axis."""
    position, height = points @ along, points @ across
    bins = np.floor(position - position.min() + 0.5).astype(int)
    top = np.full(bins.max() + 1, -np.inf)
    bottom = np.full(bins.max() + 1, np.inf)
    np.maximum.at(top, bins, height)
    np.minimum.at(bottom, bins, height)
    best = int(np.argmax(top - bottom))
    where = float(np.median(position[bins == best]))
    return np.stack([where * along + bottom[best] * across, where * along + top[best] * across])


def _area(field: FloatArray) -> float:
    """Pixels inside, the edge ones in part (the field changes by about one per pixel there)."""
    return float(np.clip(0.5 - field, 0.0, 1.0).sum())
