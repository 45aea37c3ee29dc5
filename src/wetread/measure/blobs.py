"""Round bright spots in the lung, by size.

In: block means of an upright CT, the closed lungs.  Out: centre, radius and strength of each spot.
Never: a verdict; vessels that branch are still among them.

A spot is where all three principal curvatures of the smoothed image point down. The strength is
the weakest of them: 0 along a vessel (one curvature is flat), about 0.31 of its contrast at the
centre of a sphere of radius ``sqrt(3) sigma`` (Lindeberg 1998, doi:10.1023/A:1008045108935;
Sato et al. 1998, doi:10.1016/S1361-8415(98)80009-1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.domain.mask import BoolArray
from wetread.domain.volume import FloatArray, Triple
from wetread.measure.coarse import Float32Array

#: Smoothing scales; spheres of 2.4 to 14 mm radius.
_SIGMAS_MM = (1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
_HIGHEST_HU = 100.0
#: At the finest scale noise makes spots too, and only solid nodules are so small: this much more is asked.
_FINEST_FACTOR = 2.0
#: Second look for ground glass: denser things count as this far above lung, so that a vessel which
#: runs through does not outweigh the glass around it. Its spots are weaker and larger.
_GLASS_HU = 300.0
_GLASS_SIGMAS_MM = (2.8, 4.0, 5.6, 8.0)
_GLASS_FACTOR = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A round bright spot."""

    #: (plane, row, column) on the grid that was searched, fractional.
    index: Triple
    #: Radius of the sphere that fits best.
    radius_mm: float
    #: Weakest principal curvature times sigma squared, HU.
    strength_hu: float


def find_blobs(
    hu: Float32Array, inside: BoolArray, spacing_mm: Triple, lung_hu: float, least_hu: float
) -> list[Blob]:
    """Find the round bright spots, strongest first.

    Parameters
    ----------
    hu
        CT, shape (planes, rows, columns).
    inside
        Where to look (closed lungs); everything else counts as lung, so that a nodule on the
        pleura stands out as one in the middle does.
    spacing_mm
        Of ``hu``.
    lung_hu
        Median of aerated lung.
    least_hu
        Least strength.
    """
    found: list[Blob] = []
    image = np.where(inside, np.clip(hu, lung_hu, _HIGHEST_HU), lung_hu).astype(np.float32)
    usable = [sigma for sigma in _SIGMAS_MM if sigma >= 0.5 * max(spacing_mm)]
    for sigma in usable:
        least = least_hu * (_FINEST_FACTOR if sigma == _SIGMAS_MM[0] else 1.0)
        found += _find_at_scale(image, inside, spacing_mm, sigma, least)
    np.minimum(image, lung_hu + _GLASS_HU, out=image)
    for sigma in _GLASS_SIGMAS_MM:
        found += _find_at_scale(image, inside, spacing_mm, sigma, _GLASS_FACTOR * least_hu)
    return _suppress(found, spacing_mm)


def _find_at_scale(
    image: Float32Array, inside: BoolArray, spacing_mm: Triple, sigma_mm: float, least_hu: float
) -> list[Blob]:
    smooth = ndimage.gaussian_filter(image, [sigma_mm / step for step in spacing_mm], truncate=3.0)
    bowl = _laplacian(smooth, spacing_mm)
    bowl *= -(sigma_mm**2)
    places = np.argwhere(inside[1:-1, 1:-1, 1:-1] & (bowl > 3.0 * least_hu)) + 1
    if not len(places):
        return []
    strength = np.full(image.shape, 0.0, dtype=np.float32)
    curvature = _weakest_curvature(smooth, places, spacing_mm)
    strength[tuple(places.T)] = sigma_mm**2 * curvature
    size = [max(3, 2 * int(sigma_mm / step) + 1) for step in spacing_mm]
    peak = ndimage.maximum_filter(strength, size=size)
    chosen = places[(strength[tuple(places.T)] >= least_hu) & (strength == peak)[tuple(places.T)]]
    return [
        Blob(
            index=(float(one[0]), float(one[1]), float(one[2])),
            radius_mm=3**0.5 * sigma_mm,
            strength_hu=float(strength[tuple(one)]),
        )
        for one in chosen
    ]


def _laplacian(image: Float32Array, spacing_mm: Triple) -> Float32Array:
    """Of the inner voxels (one voxel less on each side)."""
    centre = image[1:-1, 1:-1, 1:-1]
    total = np.zeros(centre.shape, dtype=np.float32)
    for axis in range(3):
        before, after = [slice(1, -1)] * 3, [slice(1, -1)] * 3
        before[axis], after[axis] = slice(0, -2), slice(2, None)
        total += (image[tuple(before)] + image[tuple(after)] - 2 * centre) / np.float32(spacing_mm[axis] ** 2)
    return total


def _weakest_curvature(image: Float32Array, places: npt.NDArray[np.intp], spacing_mm: Triple) -> FloatArray:
    """The smallest of the three downward curvatures (HU per mm2) at each place, from differences."""
    hessian: FloatArray = np.empty((len(places), 3, 3))
    unit = np.eye(3, dtype=np.intp)

    def at(shift: npt.NDArray[np.intp]) -> Float32Array:
        values: Float32Array = image[tuple((places + shift).T)]
        return values

    middle = at(0 * unit[0])
    for a in range(3):
        hessian[:, a, a] = (at(unit[a]) + at(-unit[a]) - 2 * middle) / spacing_mm[a] ** 2
        for b in range(a):
            mixed = (
                at(unit[a] + unit[b]) + at(-unit[a] - unit[b]) - at(unit[a] - unit[b]) - at(unit[b] - unit[a])
            )
            hessian[:, a, b] = hessian[:, b, a] = mixed / (4 * spacing_mm[a] * spacing_mm[b])
    return np.asarray(-np.linalg.eigvalsh(hessian)[:, 2], dtype=np.float64)


def _suppress(found: list[Blob], spacing_mm: Triple) -> list[Blob]:
    """Keep the strongest of those that share a place."""
    ordered = sorted(found, key=lambda one: (-one.strength_hu, one.index))
    kept: list[Blob] = []
    centres = np.empty((0, 3))
    for blob in ordered:
        centre = np.array(blob.index) * spacing_mm
        if len(kept) and np.any(np.linalg.norm(centres - centre, axis=1) < _reach(kept, blob)):
            continue
        kept.append(blob)
        centres = np.vstack([centres, centre])
    return kept


def _reach(kept: list[Blob], blob: Blob) -> FloatArray:
    return np.array([max(0.8 * one.radius_mm, 0.5 * blob.radius_mm) for one in kept])
