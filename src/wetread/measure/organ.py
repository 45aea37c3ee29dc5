"""Density of an organ that somebody else segmented.

In: a CT, a mask of the organ.  Out: mean, median and spread of its inside.
Never: voxels at the organ's edge, which are half something else; a verdict such as steatosis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from wetread.domain.mask import BoolArray, Mask
from wetread.domain.volume import Triple, Volume
from wetread.errors import LabelsDoNotFit, NotFinite

#: Three standard deviations of the blur of a usual kernel, rounded up.
EDGE_MM = 2.0
_FEWEST_VOXELS = 10
_PLANES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganDensity:
    """What lies farther inside than the edge."""

    #: Of the whole mask.
    volume_ml: float
    #: That the density was measured of.
    voxel_count: int
    mean_hu: float
    median_hu: float
    #: Standard deviation, of noise and structure together.
    spread_hu: float


def measure_organ(volume: Volume, organ: Mask, *, edge_mm: float = EDGE_MM) -> OrganDensity | None:
    """Measure the density inside of an organ.

    Parameters
    ----------
    edge_mm
        How far from the nearest voxel outside the mask a voxel's centre must lie, at least. For a vertebra
        more: its cortex is not what is asked of.

    Returns
    -------
    OrganDensity or None
        None where fewer than ten voxels are left.

    Raises
    ------
    LabelsDoNotFit
        If the mask is of another shape than the volume.
    NotFinite
        If a value inside is no number.
    """
    if organ.shape != volume.grid.shape:
        raise LabelsDoNotFit("The mask has another shape than the image: resample it")
    inside = find_inside(organ.voxels, volume.grid.spacing_mm, edge_mm)
    values = volume.voxels[organ.box][inside].astype(np.float64)
    if len(values) < _FEWEST_VOXELS:
        return None
    if not np.isfinite(values).all():
        raise NotFinite("The image has values inside of the organ that are no numbers")
    return OrganDensity(
        volume_ml=organ.voxel_count * volume.grid.voxel_volume_mm3 / 1000,
        voxel_count=len(values),
        mean_hu=float(values.mean()),
        median_hu=float(np.median(values)),
        spread_hu=float(values.std()),
    )


def find_inside(mask: BoolArray, spacing_mm: Triple, edge_mm: float) -> BoolArray:
    """Return the voxels whose centres lie at least so far from any outside; beyond the array is outside.

    Some planes at a time, with as many around as the edge can reach: memory does not grow with the planes.
    """
    if edge_mm <= 0:
        return mask
    reach = math.ceil(edge_mm / spacing_mm[0])
    padded = np.pad(mask, ((reach, reach), (1, 1), (1, 1)))
    inside = np.zeros(mask.shape, dtype=bool)
    for start in range(0, len(mask), _PLANES):
        end = min(start + _PLANES, len(mask))
        away = ndimage.distance_transform_edt(padded[start : end + 2 * reach], sampling=spacing_mm)
        inside[start:end] = (away >= edge_mm)[reach : reach + end - start, 1:-1, 1:-1]
    return inside & mask
