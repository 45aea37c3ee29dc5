"""The volume of a nodule, finer than its voxels.

In: patch and outline.  Out: mm3.  Never: a factor fitted to any phantom.

A CT image is the object blurred by the scanner, and blur moves no signal away: the sum of
(HU - lung) / (nodule - lung) over everything that the blur can reach is the volume, whatever the
blur and the voxels. Counting voxels above the half level instead loses about 3 sigma^2 / R^2 of a
small sphere, since the half level of a blurred sphere lies inside its surface.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from wetread.domain.mask import BoolArray
from wetread.measure.outline import Outline, Texture
from wetread.measure.patch import Patch
from wetread.measure.share import measure_share

#: How far a clinical kernel and a slice profile carry signal across an edge (3 sigma).
_REACH_MM = 1.8


def measure_volume_mm3(patch: Patch, outline: Outline) -> float:
    """Measure the volume by the signal.

    The outline is counted; to it comes what the blur carried across its edge, summed where the edge
    is free and taken alike where a vessel or the wall hides it.
    """
    voxel = patch.spacing_mm**3
    counted = float(np.count_nonzero(outline.mask)) * voxel
    inner_hu = outline.inner_hu
    volume = counted
    for _ in range(3):
        excess = _sum_excess(patch, outline, inner_hu) * voxel
        volume = max(counted + excess, 0.5 * counted)
        inner_hu = _restore_peak(outline, volume, excess)
    return volume


def _sum_excess(patch: Patch, outline: Outline, inner_hu: float) -> float:
    """Signal outside the outline less what is missing inside, in voxels."""
    mask = outline.mask
    reach = max(_REACH_MM, 1.2 * max(patch.volume_spacing_mm))
    outside = ndimage.distance_transform_edt(~mask) * patch.spacing_mm
    inside = ndimage.distance_transform_edt(mask) * patch.spacing_mm
    band = np.where(mask, inside, outside) <= reach
    free = find_free(patch, outline, reach)
    background = _measure_background(patch, outline, outside, reach, free)
    share = (patch.hu - background) / (inner_hu - background)
    if outline.texture is Texture.PART_SOLID:
        share = np.minimum(share, 1.0)
    surface = mask & (inside <= 1.5 * patch.spacing_mm)
    seen = measure_share(surface & free, surface)
    if seen < 0.15:
        return 0.0
    total = float(np.sum((share - mask)[band & free]))
    return float(total / seen)


def find_free(patch: Patch, outline: Outline, reach_mm: float) -> BoolArray:
    """Where nothing but the nodule and lung lies within reach."""
    foreign = outline.attached | ~patch.lung | ~patch.known
    if not foreign.any():
        return np.ones(foreign.shape, dtype=bool)
    # Seen from the nodule: each voxel belongs to the nearest point of its surface.
    away = ndimage.distance_transform_edt(~foreign) * patch.spacing_mm
    surface = outline.mask & ~ndimage.binary_erosion(outline.mask)
    hidden = surface & (away <= 1.6 * reach_mm)
    nearest = ndimage.distance_transform_edt(~surface, return_distances=False, return_indices=True)
    return np.asarray(~hidden[tuple(nearest)])


def _measure_background(
    patch: Patch, outline: Outline, outside: np.ndarray, reach_mm: float, free: BoolArray
) -> float:
    """Mean of the lung just beyond reach, vessels left out."""
    shell = free & (outside > reach_mm) & (outside <= reach_mm + 2.5) & patch.known & patch.lung
    values = patch.hu[shell & (patch.hu < outline.level_hu)]
    if values.size < 100:
        return outline.outer_hu
    return float(np.median(values))


def _restore_peak(outline: Outline, volume: float, excess: float) -> float:
    """The density that the blur took from the middle of a small nodule given back.

    A sphere of radius R that loses 3 sigma^2 / R^2 of its volume to the half level was blurred by
    sigma; its middle then shows erf(q / sqrt 2) - sqrt(2 / pi) q exp(-q^2 / 2) of its density, q = R / sigma.
    """
    if outline.texture is Texture.PART_SOLID or excess <= 0.0:
        return outline.inner_hu
    ratio = math.sqrt(min(3.0 * volume / excess, 100.0))
    middle = math.erf(ratio / math.sqrt(2)) - math.sqrt(2 / math.pi) * ratio * math.exp(-(ratio**2) / 2)
    return outline.outer_hu + (outline.inner_hu - outline.outer_hu) / max(middle, 0.85)
