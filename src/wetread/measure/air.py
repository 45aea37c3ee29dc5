"""Free air in the pleural cavity (pneumothorax).

In: block means of an upright CT, its thorax.  Out: for each side the region, its volume, a probability.
Never: emphysema, trachea, bowel.

Free air has the density of air, nothing runs through it, and it lies against the wall. Destroyed
lung is ragged: vessels and septa run through it, and its outline closes over much that is not air.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from wetread.domain.mask import BoolArray, Mask
from wetread.domain.volume import Triple, Volume
from wetread.measure.cavity import AIR_BAND_HU, Cavity, cut_cavity, measure_lung_hu
from wetread.measure.coarse import Coarse, Float32Array, Window, bring_to, find_window
from wetread.measure.distance import find_deep
from wetread.measure.share import measure_share
from wetread.measure.thorax import LEFT, RIGHT, Labels, Thorax

#: Of the step from air to lung, the part up to which smoothed blocks count as air, and its limit.
_AIR_SHARE = 0.5
_SMOOTHING_MM = 1.6
#: Less smoothing, and reach, where air that was found is followed into its thin edge.
_GROWING_MM = 0.9
_REACH_MM = 30.0
_FOLLOWING_MM = 0.8
_EDGE_MM = 30.0
_SHORT_EDGE_MM = 6.0
_DESTROYED_SHARE = 0.02
_RAGGED_PROBABILITY = 0.8
_ABOVE_LUNG_HU = 50.0
#: A layer thicker than this is found on the blocks already.
_LAYER_MM = 8.0
_SHARING_MM = 2.0
#: Blocks denser than this touch the wall, a vessel or the pleural line; they do not join the smoothing.
_PARTIAL_HU = -740.0
#: Side of the smallest flat piece of air that is looked at, in blocks.
_FLAT_BLOCKS = 5
#: So much denser than lung is a block on the pleural line.
_LINE_HU = 130.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AirWeights:
    """Weights of the probability: a logistic formula."""

    intercept: float
    #: Mean density above the scanner's air, in 10 HU.
    density: float
    #: Share of its closing that is not air.
    raggedness: float
    #: Share of the surface on the wall.
    wall: float
    #: Share of the surface towards the lung that shows the pleural line.
    line: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AirSettings:
    """Operating point."""

    least_ml: float
    least_probability: float = 0.5
    weights: AirWeights


@dataclass(frozen=True, slots=True, kw_only=True)
class AirFeatures:
    """What tells free air from destroyed lung; see ``AirWeights``."""

    density: float
    raggedness: float
    wall: float
    line: float
    volume_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AirRegion:
    """Free air on the grid of ``blocks``."""

    #: ``RIGHT`` or ``LEFT``.
    side: int
    blocks: Coarse
    region: BoolArray
    features: AirFeatures
    probability: float
    #: How far its layer may be followed beyond it.
    edge_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PleuralAir:
    """Free air of one side on the upright grid."""

    side: int
    mask: Mask
    volume_ml: float
    mean_hu: float
    probability: float


def find_pleural_air(
    blocks: Coarse, coarse: Coarse, thorax: Thorax, settings: AirSettings
) -> tuple[AirRegion, ...]:
    """Find free pleural air, largest first.

    Parameters
    ----------
    blocks
        Block means of 1 to 1.5 mm: a thin layer of air is seen on them.
    coarse, thorax
        Where the lungs are.
    """
    found = []
    for side in (RIGHT, LEFT):
        one = _find_air_of_side(blocks, (coarse, thorax), side, settings)
        if one is not None:
            found.append(one)
    return tuple(sorted(found, key=lambda one: -one.features.volume_ml))


def _find_air_of_side(
    blocks: Coarse, place: tuple[Coarse, Thorax], side: int, settings: AirSettings
) -> AirRegion | None:
    cut = cut_cavity(blocks, place[0], place[1], side)
    if cut is None:
        return None
    cavity, window = cut
    judged = [
        (measure_probability(features := measure_air(part, cavity), settings.weights), features, part)
        for part in find_dark_parts(cavity, 0.15 * settings.least_ml)
    ]
    # Beside destroyed lung, a piece of it may look like free air: more is asked, and less is followed.
    destroyed_ml = sum(one[1].volume_ml for one in judged if one[0] < settings.least_probability)
    ragged = destroyed_ml > _DESTROYED_SHARE * float(np.count_nonzero(cavity.air)) * cavity.voxel_ml
    least = max(settings.least_probability, _RAGGED_PROBABILITY) if ragged else settings.least_probability
    chosen = [one for one in judged if one[0] >= least]
    if not chosen:
        return None
    best = max(chosen, key=lambda one: one[1].volume_ml)
    region = np.logical_or.reduce([one[2] for one in chosen])
    region = share_cavity(grow_air(region, cavity), cavity)
    if np.count_nonzero(region) * cavity.voxel_ml < settings.least_ml:
        return None
    whole = np.zeros(blocks.voxels.shape, dtype=bool)
    whole[window] = region
    return AirRegion(
        side=side,
        blocks=blocks,
        region=whole,
        features=best[1],
        probability=best[0],
        edge_mm=_SHORT_EDGE_MM if ragged else _EDGE_MM,
    )


def find_dark_parts(cavity: Cavity, least_ml: float) -> Iterator[BoolArray]:
    """Connected parts as dark as air that spread along a surface or fill a space."""
    pure = cavity.air & (cavity.hu < _PARTIAL_HU)
    smooth = _smooth_within(cavity.hu, pure, cavity.spacing_mm)
    step = cavity.lung_hu - cavity.air_hu
    dark = pure & (smooth < cavity.air_hu + min(AIR_BAND_HU, _AIR_SHARE * step))
    grown = ndimage.binary_dilation(_open_flat(dark), iterations=2, mask=dark)
    labels, count = ndimage.label(grown)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * cavity.voxel_ml
    for number in np.flatnonzero(sizes[1:] >= least_ml) + 1:
        yield np.asarray(labels == number)


def _open_flat(dark: BoolArray) -> BoolArray:
    """Keep what holds a flat square along any axis: a layer of air is thin in one direction only."""
    kept = np.zeros(dark.shape, dtype=bool)
    for axis in range(3):
        size = [_FLAT_BLOCKS] * 3
        size[axis] = 1
        kept |= ndimage.binary_opening(dark, np.ones(size, dtype=bool))
    return kept


def _smooth_within(
    hu: Float32Array, inside: BoolArray, spacing_mm: Triple, sigma_mm: float = _SMOOTHING_MM
) -> Float32Array:
    sigma = [sigma_mm / step for step in spacing_mm]
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma, truncate=2.5)
    total = ndimage.gaussian_filter(np.where(inside, hu, np.float32(0)), sigma, truncate=2.5)
    return np.asarray(total / np.maximum(weight, 1e-3), dtype=np.float32)


def measure_air(part: BoolArray, cavity: Cavity) -> AirFeatures:
    """Measure what tells free air from destroyed lung."""
    box = tuple(
        slice(max(0, one.start - 6), one.stop + 6) for one in ndimage.find_objects(part.astype(np.uint8))[0]
    )
    part, filled, hu = part[box], cavity.filled[box], cavity.hu[box]
    core = ndimage.binary_erosion(part)
    inner = hu[core if np.count_nonzero(core) > 50 else part]
    surface = part & ~core
    wall = ndimage.binary_dilation(~filled, iterations=2, border_value=0)
    towards_lung = surface & ~wall
    dense = ndimage.binary_dilation(filled & (hu > cavity.lung_hu + _LINE_HU), iterations=2)
    grown = ndimage.binary_dilation(part, iterations=4)
    closed = ndimage.binary_erosion(grown | ~filled, iterations=4, border_value=1) & filled & grown
    ragged = closed & ~ndimage.binary_dilation(part) & ~wall
    return AirFeatures(
        density=float(np.median(inner) - cavity.air_hu) / 10.0,
        raggedness=measure_share(ragged, closed | part),
        wall=measure_share(surface & wall, surface),
        line=measure_share(towards_lung & dense, towards_lung),
        volume_ml=float(np.count_nonzero(part)) * cavity.voxel_ml,
    )


def measure_probability(features: AirFeatures, weights: AirWeights) -> float:
    """Logistic formula over the features."""
    total = (
        weights.intercept
        + weights.density * features.density
        + weights.raggedness * features.raggedness
        + weights.wall * features.wall
        + weights.line * features.line
    )
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, total))))


def grow_air(region: BoolArray, cavity: Cavity) -> BoolArray:
    """Follow the air to where its layer gets thin; the pleural line stops it."""
    pure = cavity.air & (cavity.hu < _PARTIAL_HU)
    smooth = _smooth_within(cavity.hu, pure, cavity.spacing_mm, _GROWING_MM)
    dark = pure & (smooth < 0.5 * (cavity.air_hu + cavity.lung_hu))
    steps = round(_REACH_MM / min(cavity.spacing_mm))
    return np.asarray(ndimage.binary_dilation(region, iterations=steps, mask=dark | region))


def share_cavity(region: BoolArray, cavity: Cavity) -> BoolArray:
    """Give each block of the cavity to free air or to lung, whichever is nearer.

    Blocks in part on the wall or on the pleural line have a density between: neither dark nor lung.
    """
    inner = ndimage.binary_erosion(cavity.filled, iterations=2)
    middle = 0.5 * (cavity.air_hu + cavity.lung_hu)
    smooth = _smooth_within(cavity.hu, cavity.air & (cavity.hu < _PARTIAL_HU), cavity.spacing_mm)
    lung = cavity.air & ~region & inner & (smooth > middle) & (cavity.hu < _PARTIAL_HU)
    lung = ndimage.binary_opening(lung)
    to_air = ndimage.distance_transform_edt(~region, sampling=cavity.spacing_mm)
    to_lung = (
        ndimage.distance_transform_edt(~lung, sampling=cavity.spacing_mm)
        if lung.any()
        else np.full(lung.shape, np.inf)
    )
    near = (to_air < to_lung) & (to_air <= 2.5 * max(cavity.spacing_mm))
    return np.asarray(region | (cavity.air & ~lung & near))


def mark_pleural_air(
    volume: Volume, place: tuple[Coarse, Thorax], found: AirRegion, lungs: Labels
) -> PleuralAir:
    """Bring a region to the volume's own voxels, and take it out of the lung's labels (in place).

    Blocks are coarser than a thin layer of air: the layer is followed on the voxels themselves,
    and what lies between air and lung is shared at the pleural line.
    """
    whole = Coarse(
        voxels=np.asarray(volume.voxels),
        spacing_mm=volume.grid.spacing_mm,
        factors=(1, 1, 1),
        fine_shape=volume.grid.shape,
    )
    window = _widen(find_window(found.region, found.blocks, whole), volume)
    inside = lungs[window] == found.side
    hu = volume.voxels[window].astype(np.float32)
    seed = bring_to(found.region, found.blocks, whole, window) & inside
    near = bring_to(_near_wall(place, found.side), place[0], whole, window)
    lung_hu, air_hu = measure_lung_hu(*place), place[1].air_hu
    levels = (0.5 * (lung_hu + air_hu), lung_hu + _ABOVE_LUNG_HU)
    air = follow_layer(hu, inside, (seed, near), volume.grid.spacing_mm, levels, found.edge_mm)
    lungs[window][air] = 0
    mask = Mask.from_array(air)
    offset = [one.start + extra for one, extra in zip(window, mask.offset, strict=True)]
    return PleuralAir(
        side=found.side,
        mask=Mask(shape=volume.grid.shape, offset=(offset[0], offset[1], offset[2]), voxels=mask.voxels),
        volume_ml=float(np.count_nonzero(air)) * volume.grid.voxel_volume_mm3 / 1000.0,
        mean_hu=float(hu[air].mean()) if air.any() else air_hu,
        probability=found.probability,
    )


def _widen(window: Window, volume: Volume) -> Window:
    parts = []
    for one, step, size in zip(window, volume.grid.spacing_mm, volume.grid.shape, strict=True):
        extra = round(_REACH_MM / step)
        parts.append(slice(max(0, one.start - extra), min(size, one.stop + extra)))
    return parts[0], parts[1], parts[2]


def _near_wall(place: tuple[Coarse, Thorax], side: int) -> BoolArray:
    """Coarse blocks where a thin layer of air may lie."""
    coarse, thorax = place
    closed = thorax.closed == side
    deep = find_deep(np.pad(closed, 1, mode="edge"), _LAYER_MM, coarse.spacing_mm)
    return np.asarray(closed & ~deep[1:-1, 1:-1, 1:-1])


def follow_layer(
    hu: Float32Array,
    inside: BoolArray,
    start: tuple[BoolArray, BoolArray],
    spacing_mm: Triple,
    levels_hu: tuple[float, float],
    edge_mm: float,
) -> BoolArray:
    """Follow air from a seed along the wall, then share the voxels between air and lung.

    Parameters
    ----------
    start
        Air that is known, and where more may be found.
    levels_hu
        Half of the step from air to lung; what is denser than the second touches something else.
    edge_mm
        How far from the seed.
    """
    seed, near = start
    level_hu, pure_hu = levels_hu
    pure = inside & (hu < pure_hu)
    smooth = _smooth_within(hu, pure, spacing_mm, _FOLLOWING_MM)
    dark = pure & (smooth < level_hu) & near
    steps = round(edge_mm / min(spacing_mm))
    air = ndimage.binary_dilation(seed, iterations=steps, mask=dark | seed) | seed
    lung = ndimage.binary_opening(pure & ~air & (smooth >= level_hu))
    open_ = inside & ~air & ~lung
    for _ in range(round(_SHARING_MM / min(spacing_mm))):
        more_air = ndimage.binary_dilation(air) & open_
        more_lung = ndimage.binary_dilation(lung) & open_ & ~more_air
        air |= more_air
        lung |= more_lung
        open_ &= ~(more_air | more_lung)
    return np.asarray(air)


def without_air(thorax: Thorax, coarse: Coarse, regions: tuple[AirRegion, ...]) -> Thorax:
    """Take free air out of the thorax, so that what is left is lung."""
    planes, rows, columns = coarse.voxels.shape
    air = np.zeros((planes, rows, columns), dtype=bool)
    for one in regions:
        window = (slice(0, planes), slice(0, rows), slice(0, columns))
        air |= bring_to(one.region, one.blocks, coarse, window)
    return replace(
        thorax,
        sides=np.where(air, 0, thorax.sides).astype(np.uint8),
        closed=np.where(air, 0, thorax.closed).astype(np.uint8),
    )
