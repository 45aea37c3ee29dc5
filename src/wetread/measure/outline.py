"""The outline of one nodule, without the vessels and the wall it touches.

In: an isotropic patch around a spot.  Out: mask, density inside and around, texture.
Never: volume by counting alone (``volume`` does better).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy import ndimage

from wetread.domain.mask import BoolArray
from wetread.domain.volume import FloatArray
from wetread.measure.distance import measure_distance
from wetread.measure.patch import Patch

#: A structure thinner than this share of the nodule's inner radius is a vessel or a strand, not nodule.
_OPENING = 0.6
#: For a small nodule on a vessel nearly as thick as itself, tried where the first leaves no compact shape.
_STRONG_OPENING = 0.85
_COMPACT = 0.5
#: Below this contrast the patch is smoothed before it is cut, or noise would fray the edge.
_FAINT_HU = 450.0
_SMOOTHING_MM = 0.8
_SOLID_HU = -300.0
#: Ground glass is at least this much denser than the lung around it.
_GLASS_CONTRAST_HU = 130.0
_HALO_MM = 1.7


class Texture(StrEnum):
    """Type of a nodule (Fleischner glossary, doi:10.1148/radiol.2462070712)."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    GROUND_GLASS = "ground-glass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """One nodule on its patch."""

    mask: BoolArray
    #: Everything as dense as it that touches it: vessels, wall, other nodules.
    attached: BoolArray
    #: Density well inside.
    inner_hu: float
    #: Density of the lung around.
    outer_hu: float
    texture: Texture

    @property
    def level_hu(self) -> float:
        """Half of the step between inside and outside."""
        return 0.5 * (self.inner_hu + self.outer_hu)


def outline_nodule(patch: Patch, radius_mm: float) -> Outline | None:
    """Outline what lies in the middle of a patch.

    Parameters
    ----------
    radius_mm
        Of the spot that was found there.

    Returns
    -------
    Outline or None
        None where nothing denser than lung is there.
    """
    distance = patch.distance_mm()
    lung_hu = _measure_lung(patch, distance, radius_mm)
    middle = patch.hu[(distance <= max(0.5 * radius_mm, 1.2)) & patch.lung]
    if not middle.size:
        return None
    peak_hu = float(np.percentile(middle, 80))
    if peak_hu - lung_hu < _GLASS_CONTRAST_HU:
        return None
    site = _Site(patch=patch, distance=distance, radius_mm=radius_mm)
    outline = _cut_twice(site, peak_hu, lung_hu)
    if outline is not None and measure_compactness(outline.mask) < _COMPACT:
        outline = _cut_twice(replace(site, opening=_STRONG_OPENING), peak_hu, lung_hu)
    return None if outline is None else _with_halo(site, outline)


def measure_compactness(mask: BoolArray) -> float:
    """Volume over that of the ball around the centre which holds 98 % of it: 1 for a ball."""
    places = np.argwhere(mask).astype(float)
    away = np.linalg.norm(places - places.mean(axis=0), axis=1)
    reach = float(np.percentile(away, 98)) + 0.5
    return min(len(places) / (4.0 / 3.0 * math.pi * reach**3), 1.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """Where is cut, and how much is taken off."""

    patch: Patch
    #: From the middle, mm.
    distance: FloatArray
    radius_mm: float
    opening: float = _OPENING


def _cut_twice(site: _Site, peak_hu: float, lung_hu: float) -> Outline | None:
    """Cut, and again at the level that the inside of the first cut gives."""
    outline = _cut(site, peak_hu, lung_hu)
    return None if outline is None else _cut(site, outline.inner_hu, lung_hu) or outline


def _measure_lung(patch: Patch, distance: FloatArray, radius_mm: float) -> float:
    around = patch.lung & patch.known & (distance > radius_mm) & (patch.hu < -600.0)
    values = patch.hu[around]
    return float(np.median(values)) if values.size > 50 else -850.0


def _cut(site: _Site, inner_hu: float, outer_hu: float) -> Outline | None:
    """Cut at half of the step, then take off what is thin."""
    patch = site.patch
    dense = _threshold(patch, 0.5 * (inner_hu + outer_hu), inner_hu - outer_hu)
    part = _component(dense, site.distance, site.radius_mm)
    if part is None:
        return None
    mask = _open_ball(part, site)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    depth = measure_distance(np.pad(mask[box], 1))[1:-1, 1:-1, 1:-1] * patch.spacing_mm
    core = depth >= min(0.6 * float(depth.max()), float(depth.max()) - 0.3)
    inner = float(np.median(patch.hu[box][core]))
    return Outline(
        mask=mask,
        attached=_find_foreign(dense, mask, patch.spacing_mm),
        inner_hu=inner,
        outer_hu=outer_hu,
        texture=Texture.SOLID if inner > _SOLID_HU else Texture.GROUND_GLASS,
    )


def _find_foreign(dense: BoolArray, mask: BoolArray, spacing_mm: float) -> BoolArray:
    """What is as dense and reaches away from the nodule; frayed edges of its own are not foreign."""
    rest, count = ndimage.label(dense & ~mask)
    beside = ndimage.binary_dilation(mask, iterations=max(1, round(1.0 / spacing_mm)))
    foreign = np.zeros(count + 1, dtype=bool)
    foreign[np.unique(rest[~beside])] = True
    foreign[0] = False
    return np.asarray(foreign[rest])


def _threshold(patch: Patch, level_hu: float, contrast_hu: float) -> BoolArray:
    hu = patch.hu
    if contrast_hu < _FAINT_HU:
        hu = ndimage.gaussian_filter(hu, _SMOOTHING_MM / patch.spacing_mm)
    return np.asarray((hu > level_hu) & patch.lung & patch.known)


def _component(dense: BoolArray, distance: FloatArray, radius_mm: float) -> BoolArray | None:
    """The connected part nearest to the middle."""
    labels, _ = ndimage.label(dense)
    near = np.where(dense, distance, np.inf)
    place = np.unravel_index(int(np.argmin(near)), near.shape)
    if near[place] > max(radius_mm, 2.0):
        return None
    return np.asarray(labels == labels[place])


def _open_ball(part: BoolArray, site: _Site) -> BoolArray:
    """Take off what is thinner than a share of the inner radius; a ball stays as it is."""
    spacing_mm = site.patch.spacing_mm
    box = ndimage.find_objects(part.astype(np.uint8))[0]
    inner = np.pad(part[box], 1)
    depth = measure_distance(inner)[1:-1, 1:-1, 1:-1] * spacing_mm
    central = np.where(site.distance[box] <= max(0.8 * site.radius_mm, 1.5), depth, 0.0)
    if central.max() == 0.0:
        central = depth
    place = np.unravel_index(int(np.argmax(central)), central.shape)
    cut = site.opening * float(central[place])
    labels, _ = ndimage.label(depth >= cut)
    core = labels == labels[place]
    # A quarter of a voxel more, or the steps of the core's surface would fray that of a ball.
    reach_mm = cut + 0.25 * spacing_mm
    grown = measure_distance(~core, reach_mm / spacing_mm + 1.0) * spacing_mm <= reach_mm
    opened, _ = ndimage.label((grown & part[box]) | core)
    result = np.zeros(part.shape, dtype=bool)
    result[box] = opened == opened[place]
    return result


def _with_halo(site: _Site, outline: Outline) -> Outline:
    """Take ground glass around a solid core into the outline."""
    if outline.texture is not Texture.SOLID:
        return outline
    patch = site.patch
    glass_hu = _measure_halo(patch, outline)
    if glass_hu - outline.outer_hu < _GLASS_CONTRAST_HU:
        return outline
    whole = _cut(replace(site, radius_mm=1.5 * site.radius_mm), glass_hu, outline.outer_hu)
    if whole is None or radius_of(whole.mask, patch) < radius_of(outline.mask, patch) + _HALO_MM:
        return outline
    return Outline(
        mask=whole.mask,
        attached=whole.attached,
        inner_hu=glass_hu,
        outer_hu=outline.outer_hu,
        texture=Texture.PART_SOLID,
    )


def _measure_halo(patch: Patch, outline: Outline) -> float:
    """Median density 1.5 to 2.5 mm outside the solid core: beyond the blur of its edge."""
    away = measure_distance(~outline.mask, 2.5 / patch.spacing_mm + 1.0) * patch.spacing_mm
    shell = (away > 1.5) & (away <= 2.5) & patch.lung & patch.known
    values = patch.hu[shell]
    return float(np.median(values)) if values.size > 50 else outline.outer_hu


def radius_of(mask: BoolArray, patch: Patch) -> float:
    """Radius of the sphere of the same volume, mm."""
    return float((3.0 * np.count_nonzero(mask) / (4.0 * np.pi)) ** (1 / 3) * patch.spacing_mm)
