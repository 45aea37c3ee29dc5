"""Fluid in the pleural cavity: how much, on which side.

In: block means of an upright CT, its thorax.  Out: each side's region and volume, or that nobody can tell.
Never: blood or pus told from water; atelectasis, organs or muscle taken for fluid to find more of it.

Fluid that is free lies where gravity draws it, between lung and chest wall: in front of it is lung, behind it
none. It is less dense than muscle, vessels, liver and spleen, and even: fat between muscle, which is as dense
on the mean, is not. Which way gravity draws is seen by the lungs, which are denser below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from wetread.domain.mask import BoolArray, Mask
from wetread.domain.volume import Triple
from wetread.measure.coarse import Coarse, Float32Array
from wetread.measure.share import measure_share
from wetread.measure.thorax import LEFT, RIGHT, Labels, Thorax

#: Soft tissue and fluid; what is averaged.
_SOFT_HU = (-60.0, 110.0)
#: Density of fluid, and of what is next to it at half of the step to lung.
_FLUID_HU = (-12.0, 30.0)
_EDGE_HU = -400.0
_SMOOTHING_MM = 3.0
#: All of it on the median: below, fat has a part in it.
_LEAST_HU = -5.0
#: How much fluid may vary around its mean, in units of what soft tissue varies here, and beyond it, HU.
_UNEVEN, _MORE_UNEVEN_HU = 1.6, 6.0
#: Half of the thickness from which a layer counts, and of what is followed from there, mm.
_THICK_MM, _THIN_MM = 4.0, 2.0
#: From the middle of the blur to the edge of the layer.
_RIM_MM = 3.0
#: Around what is thick enough.
_AROUND_MM = 30.0
#: So near to the lung lies at least this share of the surface.
_NEAR_MM, _LEAST_CONTACT = 8.0, 0.2
#: And at least this share of it has lung above.
_LEAST_BELOW = 0.5
_MARGIN_MM = 40.0
_BONE_HU, _BETWEEN_RIBS_MM = 180.0, 10.0
#: Lungs denser in front than behind by more than the first: on the front. Between both: nobody can tell.
_PRONE_HU, _UNSURE_HU = 15.0, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Effusion:
    """Fluid of one side, on the coarse grid."""

    #: ``RIGHT`` or ``LEFT``.
    side: int
    region: BoolArray
    volume_ml: float
    mean_hu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chest:
    """What is looked at: around the lungs, gravity towards larger rows."""

    hu: Float32Array
    sides: Labels
    body: BoolArray
    spacing_mm: Triple

    def away_mm(self, mask: BoolArray) -> Float32Array:
        """Return the distance of every voxel to a mask."""
        return np.asarray(ndimage.distance_transform_edt(~mask, sampling=self.spacing_mm), dtype=np.float32)


def find_effusions(coarse: Coarse, thorax: Thorax, least_ml: float) -> tuple[Effusion, ...] | None:
    """Find fluid, largest first.

    Parameters
    ----------
    least_ml
        Less is not told.

    Returns
    -------
    tuple of Effusion or None
        Empty: none is seen. None: the lungs do not show which way gravity draws.
    """
    window = _surround(thorax.closed > 0, coarse)
    turn = _find_gravity(coarse.voxels[window], thorax.sides[window])
    if turn == 0:
        return None
    down = (slice(None), slice(None, None, turn))
    chest = _Chest(
        hu=coarse.voxels[window][down],
        sides=thorax.sides[window][down],
        body=thorax.body[window][down],
        spacing_mm=coarse.spacing_mm,
    )
    found = []
    for side, region in _find_regions(chest):
        volume_ml = float(np.count_nonzero(region)) * coarse.voxel_ml
        if volume_ml < least_ml:
            continue
        whole = np.zeros(coarse.voxels.shape, dtype=bool)
        whole[window][down] = region
        mean_hu = float(np.median(chest.hu[region]))
        if mean_hu < _LEAST_HU:
            continue
        found.append(Effusion(side=side, region=whole, volume_ml=volume_ml, mean_hu=mean_hu))
    return tuple(sorted(found, key=lambda one: -one.volume_ml))


def to_fine_mask(effusion: Effusion, coarse: Coarse) -> Mask:
    """Return the blocks of fluid as voxels of the volume: its volume stays what was measured."""
    cropped = Mask.from_array(effusion.region)
    fine = cropped.voxels
    for axis, factor in enumerate(coarse.factors):
        fine = np.repeat(fine, factor, axis=axis)
    starts = [offset * factor for offset, factor in zip(cropped.offset, coarse.factors, strict=True)]
    ends = zip(starts, coarse.fine_shape, strict=True)
    planes, rows, columns = (slice(0, size - start) for start, size in ends)
    return Mask(
        shape=coarse.fine_shape,
        offset=(starts[0], starts[1], starts[2]),
        voxels=np.ascontiguousarray(fine[planes, rows, columns]),
    )


def _surround(inside: BoolArray, coarse: Coarse) -> tuple[slice, slice, slice]:
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    planes, rows, columns = (
        slice(max(0, part.start - extra), min(size, part.stop + extra))
        for part, extra, size in zip(
            box, [round(_MARGIN_MM / step) for step in coarse.spacing_mm], inside.shape, strict=True
        )
    )
    return planes, rows, columns


def _find_gravity(hu: Float32Array, sides: Labels) -> int:
    """Return 1 where gravity draws towards larger rows, -1 towards smaller ones, 0 where nobody can tell."""
    lung = (sides > 0) & (hu < -700.0) & (hu > -970.0)
    rows = np.nonzero(lung)[1]
    if rows.size == 0:
        return 0
    front, back = np.percentile(rows, [35, 65])
    values = hu[lung]
    denser = float(np.median(values[rows < front])) - float(np.median(values[rows > back]))
    if denser > _PRONE_HU:
        return -1
    return 0 if denser > _UNSURE_HU else 1


def _find_regions(chest: _Chest) -> list[tuple[int, BoolArray]]:
    """Return the fluid of each side that has any."""
    fluid, soft = _find_fluid(chest)
    lung = chest.sides > 0
    beyond = np.maximum.accumulate(lung[:, ::-1], axis=1)[:, ::-1]
    within = fluid & ~beyond & ~_find_outside(chest)
    # The cheapest first: in most chests nothing is left of this.
    steps = max(1, round(_THICK_MM / max(chest.spacing_mm)))
    core = ndimage.binary_erosion(within, iterations=steps)
    if not core.any():
        return []
    box = _enlarge(ndimage.find_objects(core.astype(np.uint8))[0], chest)
    above = [np.maximum.accumulate(chest.sides == side, axis=1)[box] for side in (RIGHT, LEFT)]
    near = _Chest(hu=chest.hu[box], sides=chest.sides[box], body=chest.body[box], spacing_mm=chest.spacing_mm)
    thin = _open(within[box], near, _THIN_MM)
    regions = []
    for side, over in zip((RIGHT, LEFT), above, strict=True):
        part = _choose(thin, over, near)
        if part is not None:
            region = np.zeros(lung.shape, dtype=bool)
            region[box] = _grow(part, (soft & ~beyond & ~lung)[box], near)
            regions.append((side, region))
    return regions


def _find_outside(chest: _Chest) -> BoolArray:
    """Return what lies behind ribs, as seen from the lung; between two ribs as behind the nearer one."""
    bone = (chest.hu > _BONE_HU) & np.maximum.accumulate(chest.sides > 0, axis=1)
    behind = np.maximum.accumulate(bone, axis=1)
    planes = 2 * round(_BETWEEN_RIBS_MM / chest.spacing_mm[0]) + 1
    return np.asarray(ndimage.maximum_filter1d(behind.view(np.uint8), planes, axis=0) > 0)


def _enlarge(box: tuple[slice, ...], chest: _Chest) -> tuple[slice, ...]:
    return tuple(
        slice(max(0, part.start - extra), min(size, part.stop + extra))
        for part, extra, size in zip(
            box, [round(_AROUND_MM / step) for step in chest.spacing_mm], chest.hu.shape, strict=True
        )
    )


def _choose(thin: BoolArray, above: BoolArray, chest: _Chest) -> BoolArray | None:
    """Return what lies below one lung and is thick somewhere."""
    seeds = _open(thin & above, chest, _THICK_MM)
    if not seeds.any():
        return None
    labels, _ = ndimage.label(thin)
    beside = chest.away_mm(chest.sides > 0) <= _NEAR_MM
    chosen = [
        number
        for number in np.unique(labels[seeds])
        if number and _is_beside(labels == number, above, beside)
    ]
    return np.isin(labels, chosen) if chosen else None


def _find_fluid(chest: _Chest) -> tuple[BoolArray, BoolArray]:
    """Return where it is as dense and as even as fluid, and where it is not denser."""
    soft = chest.body & (chest.hu > _SOFT_HU[0]) & (chest.hu < _SOFT_HU[1])
    sigma = [_SMOOTHING_MM / step for step in chest.spacing_mm]

    def mean(values: Float32Array) -> Float32Array:
        return np.asarray(ndimage.gaussian_filter(values, sigma, truncate=2.5), dtype=np.float32)

    share = np.maximum(mean(soft.astype(np.float32)), np.float32(1e-3))
    inside = np.where(soft, chest.hu, np.float32(0))
    level = mean(inside) / share
    varies = np.sqrt(np.maximum(mean(inside**2) / share - level**2, np.float32(0)))
    deep = soft & (share > 0.98)
    usual = float(np.median(varies[deep])) if deep.any() else 0.0
    even = varies < _UNEVEN * usual + _MORE_UNEVEN_HU
    fluid = soft & even & (level > _FLUID_HU[0]) & (level < _FLUID_HU[1])
    return fluid, chest.body & (chest.hu > _EDGE_HU) & (level < _FLUID_HU[1])


def _open(mask: BoolArray, chest: _Chest, radius_mm: float) -> BoolArray:
    """Take off what is thinner than a ball."""
    if not mask.any():
        return mask
    core = np.asarray(ndimage.distance_transform_edt(mask, sampling=chest.spacing_mm)) > radius_mm
    if not core.any():
        return core
    return np.asarray(mask & (chest.away_mm(core) <= radius_mm))


def _is_beside(part: BoolArray, above: BoolArray, near: BoolArray) -> bool:
    """Tell whether a part lies along a lung, below it."""
    surface = part & ~ndimage.binary_erosion(part)
    contact, below = measure_share(surface & near, surface), measure_share(part & above, part)
    return contact >= _LEAST_CONTACT and below >= _LEAST_BELOW


def _grow(part: BoolArray, soft: BoolArray, chest: _Chest) -> BoolArray:
    """Give back the rim that the blur took: towards lung and wall up to half of the step."""
    return np.asarray(part | (soft & (chest.away_mm(part) <= _RIM_MM)))
