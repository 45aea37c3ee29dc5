"""The shape of a region (IBSI HCUG).

In: a region.  Out: volumes, surface, axes, diameter, how full its boxes and hull are.
Never: the grey levels; a copy of the coordinates of all voxels.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist

from wetread.domain.mask import BoolArray
from wetread.domain.volume import FloatArray, Triple
from wetread.measure.texture.aggregate import Values
from wetread.measure.texture.mesh import find_outermost, measure_surface
from wetread.measure.texture.region import Region

NAMES = {
    "volume_mesh": "RNU0",
    "volume_voxels": "YEKZ",
    "surface_area": "C0JK",
    "surface_to_volume_ratio": "2PR5",
    "compactness_1": "SKGS",
    "compactness_2": "BQWJ",
    "spherical_disproportion": "KRCK",
    "sphericity": "QCFX",
    "asphericity": "25C7",
    "centre_of_mass_shift": "KLMA",
    "maximum_3d_diameter": "L0JK",
    "major_axis_length": "TDIC",
    "minor_axis_length": "P9VJ",
    "least_axis_length": "7J51",
    "elongation": "Q3CK",
    "flatness": "N17B",
    "volume_density_aligned_box": "PBX1",
    "area_density_aligned_box": "R59B",
    "volume_density_ellipsoid": "6BDE",
    "volume_density_convex_hull": "R3ER",
    "area_density_convex_hull": "7T7F",
    "integrated_intensity": "99N0",
}

_ELLIPSOID = (
    *("major_axis_length", "minor_axis_length", "least_axis_length"),
    *("elongation", "flatness", "volume_density_ellipsoid"),
)

#: Distances that are in memory at once.
_MOST_DISTANCES = 1 << 22


def measure_shape(region: Region) -> Values:
    """Measure the shape; an axis of length 0 (a region one voxel thick) leaves ratios to it None."""
    area, volume = measure_surface(region.mask, region.spacing_mm)
    axes = measure_axes(region.mask, region.spacing_mm)
    return {
        **_measure_roundness(area, volume),
        "volume_voxels": region.voxel_count * math.prod(region.spacing_mm),
        **_measure_intensity(region, volume),
        **_measure_extent(region, area, volume),
        **_measure_ellipsoid(axes, volume),
    }


def _measure_roundness(area: float, volume: float) -> Values:
    sphere = (36 * math.pi * volume**2) ** (1 / 3)
    return {
        "volume_mesh": volume,
        "surface_area": area,
        "surface_to_volume_ratio": area / volume,
        "compactness_1": volume / (math.sqrt(math.pi) * area**1.5),
        "compactness_2": 36 * math.pi * volume**2 / area**3,
        "spherical_disproportion": area / sphere,
        "sphericity": sphere / area,
        "asphericity": (area**3 / (36 * math.pi * volume**2)) ** (1 / 3) - 1,
    }


def measure_axes(mask: BoolArray, spacing_mm: Triple) -> tuple[float, float, float] | None:
    """Return the lengths of the axes of the ellipsoid with the same covariance, longest first, mm.

    The covariance of the voxels' centres is that of a sample (divided by voxels - 1), as in what IBSI
    published; None of one voxel. It comes from sums over each axis: voxels need not be listed.
    """
    voxels = int(np.count_nonzero(mask))
    if voxels == 1:
        return None
    covariance = np.zeros((3, 3))
    for first, second in ((0, 1), (0, 2), (1, 2)):
        shadow = mask.sum(axis=3 - first - second, dtype=np.int64) / voxels
        margins = shadow.sum(axis=1), shadow.sum(axis=0)
        away = [
            _centre(margin, spacing_mm[axis]) for margin, axis in zip(margins, (first, second), strict=True)
        ]
        covariance[first, second] = covariance[second, first] = away[0] @ shadow @ away[1]
        covariance[first, first] = margins[0] @ away[0] ** 2
        covariance[second, second] = margins[1] @ away[1] ** 2
    found = np.linalg.eigvalsh(covariance * voxels / (voxels - 1))
    # A flat region has an axis of 0, but for what rounding leaves.
    least, minor, major = (4 * math.sqrt(one) if one > 1e-12 * found[-1] else 0.0 for one in found)
    return major, minor, least


def _centre(margin: FloatArray, spacing_mm: float) -> FloatArray:
    place = np.arange(len(margin)) * spacing_mm
    return np.asarray(place - float(margin @ place), dtype=np.float64)


def _measure_intensity(region: Region, volume: float) -> Values:
    """Measure where the intensities have their centre, against where the voxels have theirs."""
    weights = [np.zeros(size) for size in region.mask.shape]
    for plane, inside in enumerate(region.mask):
        bright = np.where(inside, region.image[plane], 0).astype(np.float64)
        weights[0][plane] = bright.sum()
        weights[1] += bright.sum(axis=1)
        weights[2] += bright.sum(axis=0)
    total = float(weights[0].sum())
    shift = None
    if total:
        away = []
        for axis, weight in enumerate(weights):
            others = tuple(other for other in range(3) if other != axis)
            place = np.arange(len(weight), dtype=np.float64)
            geometric = place @ region.mask.sum(axis=others) / region.voxel_count
            away.append((weight @ place / total - geometric) * region.spacing_mm[axis])
        shift = math.hypot(*away)
    return {"centre_of_mass_shift": shift, "integrated_intensity": volume * total / region.voxel_count}


def _measure_extent(region: Region, area: float, volume: float) -> Values:
    points = find_outermost(region.mask, region.spacing_mm)
    hull = ConvexHull(points)
    sides = points.max(axis=0) - points.min(axis=0)
    box_area = 2 * (sides[0] * sides[1] + sides[0] * sides[2] + sides[1] * sides[2])
    return {
        "maximum_3d_diameter": _find_farthest(points[hull.vertices]),
        "volume_density_aligned_box": volume / float(np.prod(sides)),
        "area_density_aligned_box": area / float(box_area),
        "volume_density_convex_hull": volume / float(hull.volume),
        "area_density_convex_hull": area / float(hull.area),
    }


def _find_farthest(points: FloatArray) -> float:
    step = max(1, _MOST_DISTANCES // len(points))
    return max(
        float(cdist(points[start : start + step], points).max()) for start in range(0, len(points), step)
    )


def _measure_ellipsoid(axes: tuple[float, float, float] | None, volume: float) -> Values:
    if axes is None:
        return dict.fromkeys(_ELLIPSOID)
    major, minor, least = axes
    values = (
        *(major, minor, least),
        minor / major if major else None,
        least / major if major else None,
        6 * volume / (math.pi * major * minor * least) if least else None,
    )
    return dict(zip(_ELLIPSOID, values, strict=True))
