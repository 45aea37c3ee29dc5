"""What a nodule looks like beyond its size: strands that leave it, the solid part of one that is part-solid.

In: an isotropic patch, the nodule's outline and surface.  Out: ``Form``.
Never: strands where planes are too thick to show any; vessels counted as strands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from wetread.domain.mask import BoolArray
from wetread.domain.volume import FloatArray
from wetread.measure.diameter import measure_axes
from wetread.measure.distance import measure_distance
from wetread.measure.outline import Outline, Texture
from wetread.measure.patch import Patch

#: Thicker planes blur the surface over where strands are looked for.
_THICKEST_MM = 1.6
#: The layer around the nodule in which strands are counted: beyond the blur of its edge.
_LAYER_MM = (1.3, 1.9)
#: Lung without the nodule.
_AROUND_MM = (3.0, 5.0)
#: A strand is denser than lung by this and by so many times the noise.
_LEAST_HU, _OF_NOISE = 120.0, 3.5
#: Cross-section: less is noise, more is a vessel or a lobe.
_LEAST_MM2, _MOST_MM2 = 1.2, 6.0
#: A surface that is hidden by more than the rest shows nothing.
_LEAST_FREE = 0.3
#: Nodules of which the solid part is told, and how far its blur reaches.
_BLUR_MM = 1.6
_LEAST_SOLID_MM3 = 8.0
_LEAST_STEP_HU = 150.0
_DENSEST_MM3, _SMOOTHING_MM = 15.0, 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What was measured; None: it cannot be had here."""

    #: Thin strands that leave the free surface, and the share of it that they take.
    strands: int | None = None
    spiculated_percent: float | None = None
    #: Of a part-solid nodule.
    solid_volume_mm3: float | None = None
    #: On the plane where it is largest.
    solid_mean_diameter_mm: float | None = None


def measure_form(patch: Patch, outline: Outline, field: FloatArray) -> Form:
    """Measure a nodule's form.

    Parameters
    ----------
    field
        Negative inside: ``nodules.surface_field``.
    """
    strands, percent = _count_strands(patch, outline, field < 0)
    volume, diameter = _measure_solid(patch, outline, field < 0)
    return Form(
        strands=strands,
        spiculated_percent=percent,
        solid_volume_mm3=volume,
        solid_mean_diameter_mm=diameter,
    )


def _count_strands(patch: Patch, outline: Outline, inside: BoolArray) -> tuple[int | None, float | None]:
    if outline.texture is Texture.GROUND_GLASS or max(patch.volume_spacing_mm) > _THICKEST_MM:
        return None, None
    away = measure_distance(~inside) * patch.spacing_mm
    seen = patch.lung & patch.known
    layer = (away > _LAYER_MM[0]) & (away <= _LAYER_MM[1])
    around = patch.hu[seen & (away > _AROUND_MM[0]) & (away <= _AROUND_MM[1])]
    free = layer & seen
    if around.size < 100 or np.count_nonzero(free) < _LEAST_FREE * np.count_nonzero(layer):
        return None, None
    lung = float(np.median(around))
    # Vessels are denser, noise is not: what is below the median shows the noise alone.
    noise = float(np.median(lung - around[around <= lung])) / 0.674
    dense = free & (patch.hu > lung + max(_LEAST_HU, _OF_NOISE * noise))
    labels, count = ndimage.label(dense, np.ones((3, 3, 3), dtype=bool))
    per_voxel = patch.spacing_mm**3 / (_LAYER_MM[1] - _LAYER_MM[0])
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:] * per_voxel
    thin = areas[(areas >= _LEAST_MM2) & (areas <= _MOST_MM2)]
    whole = float(np.count_nonzero(free)) * per_voxel
    return len(thin), 100.0 * float(thin.sum()) / whole


def _measure_solid(patch: Patch, outline: Outline, inside: BoolArray) -> tuple[float | None, float | None]:
    """Measure by the signal, as the whole nodule is: blur moves none away."""
    if outline.texture is not Texture.PART_SOLID:
        return None, None
    glass = outline.inner_hu
    solid = _measure_densest(patch, inside)
    if solid - glass < _LEAST_STEP_HU:
        return None, None
    core = _largest(inside & (patch.hu > 0.5 * (glass + solid)))
    near = inside & (measure_distance(~core) * patch.spacing_mm <= _BLUR_MM)
    share = (patch.hu - glass) / (solid - glass)
    volume = float(share[near].sum()) * patch.spacing_mm**3
    # Half of the step is the surface; beyond what is near there is none.
    field = np.where(near, 0.5 - share, 0.5)
    plane = int(np.argmax(core.sum(axis=(1, 2))))
    axes = measure_axes(np.asarray(field[plane], dtype=np.float64), patch.spacing_mm)
    if volume < _LEAST_SOLID_MM3 or axes is None:
        return None, None
    return volume, axes.mean_mm


def _measure_densest(patch: Patch, inside: BoolArray) -> float:
    """Median of the densest part that is large enough to be a solid one, without its noise."""
    smooth = ndimage.gaussian_filter(patch.hu, _SMOOTHING_MM / patch.spacing_mm)
    count = max(1, round(_DENSEST_MM3 / patch.spacing_mm**3))
    return float(np.median(np.sort(smooth[inside])[-count:]))


def _largest(mask: BoolArray) -> BoolArray:
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    return np.asarray(labels == int(np.bincount(labels.ravel())[1:].argmax()) + 1)
