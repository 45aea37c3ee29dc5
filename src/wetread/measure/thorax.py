"""The air-filled thorax on the coarse grid: body, airway, right and left lung.

In: block means of an upright CT.  Out: masks on the coarse grid.  Never: bowel gas, air around the body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.domain.mask import BoolArray
from wetread.measure.airway import find_airway
from wetread.measure.coarse import Coarse, Float32Array
from wetread.measure.distance import find_deep

# Halfway between lung (-850) and soft tissue (+50): where a blurred edge truly lies.
TISSUE_HU = -400.0
_SOFTENING_VOXELS = 0.45
_SMALLEST_LUNG_ML = 25.0
#: Free air with nothing but a collapsed lung in it is at least so much.
_COLLAPSED_ML = 300.0
#: Radius of the largest ball in a lung; air between body and table is thinner.
_LUNG_RADIUS_MM = 8.0
Labels = npt.NDArray[np.uint8]

RIGHT = 1
LEFT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Thorax:
    """What the coarse grid shows."""

    #: ``RIGHT``, ``LEFT``, else 0: aerated lung and free air, without airway.
    sides: Labels
    #: The same air, closed over vessels, nodules and the hilum.
    closed: Labels
    body: BoolArray
    airway: BoolArray
    #: CT number of air on this scanner.
    air_hu: float


def find_thorax(coarse: Coarse) -> Thorax | None:
    """Find the air-filled thorax, or None where no lung is found."""
    hu = coarse.voxels
    body = find_body(coarse)
    air_hu = measure_air_hu(coarse, body)
    airway = find_airway(hu, body, coarse.spacing_mm, air_hu)
    air_hu = _measure_tracheal_hu(coarse, airway, air_hu)
    air = body & (soften(coarse) < TISSUE_HU) & ~airway
    sides = _find_sides(air, body, coarse, air_hu)
    if not sides.any():
        return None
    return Thorax(
        sides=sides, closed=close_sides(sides, coarse, 10.0), body=body, airway=airway, air_hu=air_hu
    )


def soften(coarse: Coarse) -> Float32Array:
    """Smooth voxels that are too large for block means by less than half a voxel; blocks stay.

    On voxels of 2 mm and more, a slip of fat or pleura one voxel wide falls below the half
    level by partial volume alone; a block mean of finer voxels has taken its neighbours in.
    """
    if coarse.factors != (1, 1, 1):
        return coarse.voxels
    return np.asarray(ndimage.gaussian_filter(coarse.voxels, _SOFTENING_VOXELS), dtype=np.float32)


def find_body(coarse: Coarse) -> BoolArray:
    """Find the body, filled plane by plane, without the table."""
    tissue = coarse.voxels > TISSUE_HU
    # Opened in each plane, so that the thin shell of the table falls away.
    steps = max(1, round(4.0 / coarse.spacing_mm[2]))
    flat = ndimage.generate_binary_structure(3, 1)
    flat[0] = flat[2] = False
    opened = ndimage.binary_opening(tissue, flat, iterations=steps)
    labels, count = ndimage.label(opened)
    if count == 0:
        return np.zeros(tissue.shape, dtype=bool)
    largest = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    body = np.asarray(labels == largest)
    for plane in body:
        plane[:] = ndimage.binary_fill_holes(ndimage.binary_dilation(plane, iterations=1))
    return body


def measure_air_hu(coarse: Coarse, body: BoolArray) -> float:
    """Median CT number of the air around the body; -1000 where none is shown."""
    clear = ~ndimage.binary_dilation(body, iterations=4)
    # Padding outside the reconstructed circle is far below any air; table and clothes above.
    values = coarse.voxels[clear & (coarse.voxels > -1080.0) & (coarse.voxels < -900.0)]
    if values.size < 1000:
        return -1000.0
    return float(np.median(values))


def _measure_tracheal_hu(coarse: Coarse, airway: BoolArray, air_hu: float) -> float:
    """Median of the tracheal lumen: scatter and beam hardening shift it as they shift free air."""
    flat = ndimage.generate_binary_structure(3, 1)
    flat[0] = flat[2] = False
    core = coarse.voxels[ndimage.binary_erosion(airway, flat, iterations=2)]
    if core.size < 40:
        return air_hu
    return float(np.clip(np.median(core), air_hu - 20.0, air_hu + 30.0))


def _find_sides(air: BoolArray, body: BoolArray, coarse: Coarse, air_hu: float) -> Labels:
    labels, count = ndimage.label(air)
    sides = np.zeros(air.shape, dtype=np.uint8)
    if count == 0:
        return sides
    lung = _select_lung(labels, count, body, coarse, air_hu)
    middle = float(np.nonzero(body)[2].mean())
    parts, part_count = ndimage.label(_detach(lung, middle, coarse))
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        inside = parts[box] == number
        column = float(np.nonzero(inside)[2].mean()) + box[2].start
        sides[box][inside] = RIGHT if column < middle else LEFT
    del part_count
    return _share_rest(sides, lung)


def _select_lung(
    labels: npt.NDArray[np.int32], count: int, body: BoolArray, coarse: Coarse, air_hu: float
) -> BoolArray:
    """Components that are lung: thick, not gas alone; and what lies thinly beside them."""
    volume_ml = np.bincount(labels.ravel(), minlength=count + 1) * coarse.voxel_ml
    is_thick = np.zeros(count + 1, dtype=bool)
    is_thick[np.unique(labels[find_deep(labels > 0, _LUNG_RADIUS_MM, coarse.spacing_mm)])] = True
    aerated = _is_aerated(labels, count, coarse, air_hu)
    main = aerated & (volume_ml >= _SMALLEST_LUNG_ML) & is_thick
    if not main[1:].any():
        return np.zeros(labels.shape, dtype=bool)
    main &= volume_ml >= 0.04 * volume_ml[1:][main[1:]].max()
    main[0] = False
    lung = main[labels]
    lung |= _beside_thin_wall(labels, lung, aerated, coarse)
    lung |= _beside_in_height(labels, lung, aerated, coarse)
    # Slips of lung in the costophrenic angle come loose on thick slices.
    near = ~find_deep(~lung, 15.0, coarse.spacing_mm)
    deep = find_deep(body, 8.0, coarse.spacing_mm)
    beside = np.unique(labels[near & deep & (labels > 0)])
    slips = [one for one in beside if aerated[one] and volume_ml[one] < _SMALLEST_LUNG_ML]
    return np.asarray(lung | (np.isin(labels, slips) & deep))


def _beside_thin_wall(
    labels: npt.NDArray[np.int32], lung: BoolArray, aerated: BoolArray, coarse: Coarse
) -> BoolArray:
    """Gas that only a thin wall parts from lung is free pleural air; bowel and diaphragm are thicker.

    The visceral pleura is a fraction of a millimetre: averaged over a block it stays far below
    soft tissue.
    """
    result = np.zeros(lung.shape, dtype=bool)
    sizes = np.bincount(labels.ravel()) * coarse.voxel_ml
    beside = ndimage.binary_dilation(lung, iterations=2)
    for number in np.unique(labels[ndimage.binary_dilation(beside) & (labels > 0) & ~lung]):
        if aerated[number] or sizes[number] < 3.0:
            continue
        part = labels == number
        layer = ndimage.binary_dilation(part) & ~part
        thin = layer & beside & (coarse.voxels < -150.0)
        if np.count_nonzero(thin) > 0.12 * np.count_nonzero(layer):
            result |= part
    return result


def _beside_in_height(
    labels: npt.NDArray[np.int32], lung: BoolArray, aerated: BoolArray, coarse: Coarse
) -> BoolArray:
    """A large gas space that stands as high as the lung of the other side: that lung has collapsed.

    Stomach and bowel lie below.
    """
    result = np.zeros(lung.shape, dtype=bool)
    sizes = np.bincount(labels.ravel()) * coarse.voxel_ml
    middle = float(np.nonzero(lung)[0].mean())
    for number in np.flatnonzero((sizes > _COLLAPSED_ML) & ~aerated):
        part = labels == number
        if number and np.count_nonzero(part[int(middle) :]) > 0.25 * np.count_nonzero(part):
            result |= part
    return result


def _is_aerated(labels: npt.NDArray[np.int32], count: int, coarse: Coarse, air_hu: float) -> BoolArray:
    """Whether a component's inside is more than gas (bowel, stomach)."""
    core = np.where(ndimage.binary_erosion(labels > 0), labels, 0)
    gas = np.bincount(core[coarse.voxels < air_hu + 40.0], minlength=count + 1)
    whole = np.bincount(core.ravel(), minlength=count + 1)
    return np.asarray(gas < 0.6 * np.maximum(whole, 1))


def _detach(lung: BoolArray, middle: float, coarse: Coarse) -> BoolArray:
    """Erode where one component lies on both sides, until none does."""
    depth = None
    for level in range(8):
        parts, count = ndimage.label(lung if depth is None else depth > level)
        if count == 0:
            break
        if not any(_spans(parts == number, middle, coarse) for number in _large(parts, coarse)):
            return np.asarray(parts > 0)
        if depth is None:
            depth = np.asarray(ndimage.distance_transform_cdt(lung, "taxicab"))
    return lung


def _large(parts: npt.NDArray[np.int32], coarse: Coarse) -> list[int]:
    sizes = np.bincount(parts.ravel()) * coarse.voxel_ml
    return [number for number in range(1, sizes.size) if sizes[number] >= _SMALLEST_LUNG_ML]


def _spans(part: BoolArray, middle: float, coarse: Coarse) -> bool:
    """Whether a part has much on either side of the midline (a lung reaches over it by little)."""
    columns = np.nonzero(part)[2]
    right = np.count_nonzero(columns < middle - 15.0 / coarse.spacing_mm[2])
    left = np.count_nonzero(columns > middle + 15.0 / coarse.spacing_mm[2])
    return bool(min(right, left) > 0.15 * columns.size)


def _share_rest(sides: Labels, lung: BoolArray) -> Labels:
    """Give what erosion took to the nearest side."""
    rest = lung & (sides == 0)
    if rest.any() and sides.any():
        nearest = ndimage.distance_transform_edt(sides == 0, return_distances=False, return_indices=True)
        sides[rest] = sides[tuple(index[rest] for index in nearest)]
    return sides


def close_sides(sides: Labels, coarse: Coarse, radius_mm: float) -> Labels:
    """Close each side by a ball, so that the surface passes over nodules and vessels.

    The ends of the scan are continued outwards first, or closing would shrink a cut lung there.
    """
    closed = np.zeros_like(sides)
    for side in (RIGHT, LEFT):
        mask = sides == side
        if mask.any():
            closed[_close_ball(mask, coarse, radius_mm) & (closed == 0) & ((sides == 0) | mask)] = side
    return closed


def _close_ball(mask: BoolArray, coarse: Coarse, radius_mm: float) -> BoolArray:
    margin = [int(np.ceil(radius_mm / step)) + 1 for step in coarse.spacing_mm]
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    outer = tuple(
        slice(max(0, part.start - extra), min(size, part.stop + extra))
        for part, extra, size in zip(box, margin, mask.shape, strict=True)
    )
    inner = mask[outer]
    padded = np.pad(inner, [(extra, extra) for extra in margin], mode="constant")
    _continue_ends(padded, margin, outer, mask.shape)
    grown = ~find_deep(~padded, radius_mm, coarse.spacing_mm)
    shrunk = find_deep(grown, radius_mm, coarse.spacing_mm)
    cut = tuple(slice(extra, size - extra) for extra, size in zip(margin, padded.shape, strict=True))
    # In 3D only: in one plane the dome of the liver is a hole in the lung, too.
    filled = ndimage.binary_fill_holes(shrunk[cut] | inner)
    result = np.zeros(mask.shape, dtype=bool)
    result[outer] = filled
    return result


def _continue_ends(
    padded: BoolArray, margin: list[int], outer: tuple[slice, ...], shape: tuple[int, ...]
) -> None:
    if outer[0].start == 0:
        padded[: margin[0]] = padded[margin[0]]
    if outer[0].stop == shape[0]:
        padded[-margin[0] :] = padded[-margin[0] - 1]
