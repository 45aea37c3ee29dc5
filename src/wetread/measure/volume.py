"""The volume of a nodule, finer than its voxels.

In: patch and outline.  Out: mm3.  Never: a factor fitted to any phantom.

A CT image is the object blurred by the scanner, and blur moves no signal away: the sum of
(HU - lung) / (nodule - lung) over everything that the blur can reach is the volume, whatever the
blur and the voxels. Counting voxels above the half level instead loses about 3 sigma^2 / R^2 of a
small sphere, since the half level of a blurred sphere lies inside its surface.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from wetread.domain.mask import BoolArray
from wetread.measure.coarse import Float32Array
from wetread.measure.distance import measure_distance
from wetread.measure.outline import Outline, Texture
from wetread.measure.patch import Patch
from wetread.measure.share import measure_share

#: How far a clinical kernel and a slice profile carry signal across an edge (3 sigma).
_REACH_MM = 1.8
#: With less of the surface free, nothing is added to the count.
_LEAST_SEEN = 0.15


def measure_volume_mm3(patch: Patch, outline: Outline) -> float:
    """Measure the volume by the signal.

    The outline is counted; to it comes what the blur carried across its edge, summed where the edge
    is free and taken alike where a vessel or the wall hides it.
    """
    voxel = patch.spacing_mm**3
    counted = float(np.count_nonzero(outline.mask)) * voxel
    edge = _find_edge(patch, outline)
    inner_hu = outline.inner_hu
    volume = counted
    for _ in range(3):
        excess = _sum_excess(edge, outline, inner_hu) * voxel
        volume = max(counted + excess, 0.5 * counted)
        inner_hu = _restore_peak(outline, volume, excess)
    return volume


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edge:
    """The free part of the band that the blur can reach."""

    #: HU, and whether it is inside the outline, of each voxel of the band.
    hu: Float32Array
    inside: BoolArray
    #: Share of the surface that is free.
    seen: float
    background_hu: float


def _find_edge(patch: Patch, outline: Outline) -> _Edge:
    mask = outline.mask
    reach = max(_REACH_MM, 1.2 * max(patch.volume_spacing_mm))
    outside = measure_distance(~mask) * patch.spacing_mm
    inside = measure_distance(mask) * patch.spacing_mm
    free = find_free(patch, outline, reach)
    band = free & (np.where(mask, inside, outside) <= reach)
    surface = mask & (inside <= 1.5 * patch.spacing_mm)
    return _Edge(
        hu=patch.hu[band],
        inside=mask[band],
        seen=measure_share(surface & free, surface),
        background_hu=_measure_background(patch, outline, outside, reach, free),
    )


def _sum_excess(edge: _Edge, outline: Outline, inner_hu: float) -> float:
    """Signal outside the outline less what is missing inside, in voxels."""
    if edge.seen < _LEAST_SEEN:
        return 0.0
    share = (edge.hu - edge.background_hu) / (inner_hu - edge.background_hu)
    if outline.texture is Texture.PART_SOLID:
        share = np.minimum(share, 1.0)
    return float(np.sum(share - edge.inside)) / edge.seen


def find_free(patch: Patch, outline: Outline, reach_mm: float) -> BoolArray:
    """Where nothing but the nodule and lung lies within reach."""
    foreign = outline.attached | ~patch.lung | ~patch.known
    if not foreign.any():
        return np.ones(foreign.shape, dtype=bool)
    # Seen from the nodule: each voxel belongs to the nearest point of its surface.
    away = measure_distance(~foreign) * patch.spacing_mm
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
