"""Free air in the pleural cavity (pneumothorax).

In: block means of an upright CT, its thorax.  Out: for each side the region, its volume, a probability.
Never: emphysema, trachea, bowel.

Free air has the density of air, nothing runs through it, and it lies against the wall. Destroyed
lung is ragged: vessels and septa run through it, and its outline closes over much that is not air.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.domain.mask import BoolArray, Mask
from wetread.domain.volume import Volume
from wetread.measure.coarse import Coarse, iter_fine_planes
from wetread.measure.thorax import LEFT, RIGHT, Labels, Thorax

#: A block of free air is no denser than this above the scanner's own air (noise, scatter).
_AIR_BAND_HU = 42.0
#: Least share of the region's surface on the wall.
_LEAST_WALL = 0.2


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AirSettings:
    """Operating point."""

    least_ml: float
    least_probability: float = 0.5
    weights: AirWeights


@dataclass(frozen=True, slots=True, kw_only=True)
class AirFeatures:
    """What tells free air from destroyed lung."""

    density: float
    raggedness: float
    wall: float
    volume_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AirRegion:
    """Free air on the coarse grid."""

    #: ``RIGHT`` or ``LEFT``.
    side: int
    region: BoolArray
    features: AirFeatures
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PleuralAir:
    """Free air of one side on the upright grid."""

    side: int
    mask: Mask
    volume_ml: float
    mean_hu: float
    probability: float


def find_pleural_air(coarse: Coarse, thorax: Thorax, settings: AirSettings) -> tuple[AirRegion, ...]:
    """Find free pleural air, largest first."""
    found = []
    for side in (RIGHT, LEFT):
        one = find_air_of_side(coarse, thorax, side, settings)
        if one is not None:
            found.append(one)
    return tuple(sorted(found, key=lambda one: -one.features.volume_ml))


def find_air_of_side(coarse: Coarse, thorax: Thorax, side: int, settings: AirSettings) -> AirRegion | None:
    """Find the free air of one side, or None."""
    cavity = thorax.sides == side
    if not cavity.any():
        return None
    dark = cavity & (coarse.voxels < thorax.air_hu + _AIR_BAND_HU)
    opened = ndimage.binary_opening(dark, ndimage.generate_binary_structure(3, 1))
    labels, count = ndimage.label(opened, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * coarse.voxel_ml
    region = np.zeros(cavity.shape, dtype=bool)
    best: tuple[float, AirFeatures] | None = None
    for number in np.flatnonzero(sizes[1:] >= 0.3 * settings.least_ml) + 1:
        part = np.asarray(labels == number)
        features = measure_air(part, cavity, coarse, thorax)
        probability = _probability(features, settings.weights)
        if probability >= settings.least_probability and features.wall >= _LEAST_WALL:
            region |= part
            if best is None or features.volume_ml > best[1].volume_ml:
                best = probability, features
    if best is None:
        return None
    whole = share_cavity(region, cavity, coarse, thorax)
    if np.count_nonzero(whole) * coarse.voxel_ml < settings.least_ml:
        return None
    return AirRegion(side=side, region=whole, features=best[1], probability=best[0])


def measure_air(part: BoolArray, cavity: BoolArray, coarse: Coarse, thorax: Thorax) -> AirFeatures:
    """Measure what tells free air from destroyed lung."""
    core = ndimage.binary_erosion(part)
    inner = coarse.voxels[core if np.count_nonzero(core) > 20 else part]
    grown = ndimage.binary_dilation(part, iterations=4)
    closed = ndimage.binary_erosion(grown | ~cavity, iterations=4, border_value=1) & cavity & grown
    rim = ndimage.binary_dilation(part, iterations=1)
    ragged = closed & ~rim
    surface = part & ~ndimage.binary_erosion(part)
    outside = ndimage.binary_dilation(~thorax_filled(thorax, cavity), iterations=2)
    return AirFeatures(
        density=float(np.mean(inner) - thorax.air_hu) / 10.0,
        raggedness=float(np.count_nonzero(ragged) / np.count_nonzero(closed | part)),
        wall=float(np.count_nonzero(surface & outside) / max(np.count_nonzero(surface), 1)),
        volume_ml=float(np.count_nonzero(part)) * coarse.voxel_ml,
    )


def thorax_filled(thorax: Thorax, cavity: BoolArray) -> BoolArray:
    """The cavity with what runs through it."""
    return np.asarray((thorax.closed > 0) | cavity)


def _probability(features: AirFeatures, weights: AirWeights) -> float:
    total = (
        weights.intercept
        + weights.density * features.density
        + weights.raggedness * features.raggedness
        + weights.wall * features.wall
    )
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, total))))


def share_cavity(region: BoolArray, cavity: BoolArray, coarse: Coarse, thorax: Thorax) -> BoolArray:
    """Give each block of the cavity to free air or to lung, whichever is nearer.

    Blocks in part on the wall or on the pleural line have a density between: neither dark nor lung.
    """
    lung_hu = float(np.median(coarse.voxels[cavity & ~region]))
    inner = ndimage.binary_erosion(thorax_filled(thorax, cavity), iterations=2)
    lung = cavity & ~region & inner & (coarse.voxels > 0.5 * (thorax.air_hu + lung_hu))
    lung = ndimage.binary_opening(lung)
    if not lung.any():
        return region
    to_air = ndimage.distance_transform_edt(~region, sampling=coarse.spacing_mm)
    to_lung = ndimage.distance_transform_edt(~lung, sampling=coarse.spacing_mm)
    reach = 2.5 * max(coarse.spacing_mm)
    return np.asarray(region | (cavity & ~lung & (to_air < to_lung) & (to_air <= reach)))


def mark_pleural_air(volume: Volume, coarse: Coarse, found: AirRegion, lungs: Labels) -> PleuralAir:
    """Bring a region to the volume's grid and take it out of the lung's labels (in place)."""
    mask = np.zeros(volume.grid.shape, dtype=bool)
    total, count = 0.0, 0
    for index, inside in enumerate(iter_fine_planes(found.region.astype(np.float32), coarse)):
        here = (inside >= 0.5) & (lungs[index] == found.side)
        if here.any():
            mask[index] = here
            lungs[index][here] = 0
            total += float(volume.voxels[index][here].sum(dtype=np.float64))
            count += int(np.count_nonzero(here))
    return PleuralAir(
        side=found.side,
        mask=Mask.from_array(mask),
        volume_ml=count * volume.grid.voxel_volume_mm3 / 1000.0,
        mean_hu=total / max(count, 1),
        probability=found.probability,
    )


def without_air(thorax: Thorax, regions: tuple[AirRegion, ...]) -> Thorax:
    """Take free air out of the thorax, so that what is left is lung."""
    air: npt.NDArray[np.bool_] = np.zeros(thorax.sides.shape, dtype=bool)
    for one in regions:
        air |= one.region
    return Thorax(
        sides=np.where(air, 0, thorax.sides).astype(np.uint8),
        closed=np.where(air, 0, thorax.closed).astype(np.uint8),
        body=thorax.body,
        airway=thorax.airway,
        air_hu=thorax.air_hu,
    )
