"""Right and left lung on the volume's own grid, and their density.

In: an upright CT and its coarse thorax.  Out: a label per voxel; volume, mean density, LAA-950, Perc15.
Never: bowel gas, the airway down to the main bronchi, free pleural air.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.domain.mask import BoolArray
from wetread.domain.volume import Volume
from wetread.measure.coarse import Coarse, iter_fine_planes
from wetread.measure.thorax import TISSUE_HU, Labels, Thorax, close_sides, soften

#: Vessels up to twice this radius belong to the lung, as in other lung masks.
_VESSEL_RADIUS_MM = 5.0
#: Low attenuation area (Müller et al. 1988, doi:10.1378/chest.94.4.782; -950 HU: Gevenois et al.
#: 1996, doi:10.1164/ajrccm.154.1.8680679).
_LOW_HU = -950.0
_LOWEST_HU = -1100


def segment_lungs(volume: Volume, coarse: Coarse, thorax: Thorax) -> Labels:
    """Label each voxel ``RIGHT``, ``LEFT`` or 0.

    The coarse thorax says where the lungs are; the voxels themselves say where they end, at half
    of the step from lung to soft tissue; what is closed over (vessels) is added.
    """
    filled = close_sides(thorax.sides, coarse, _VESSEL_RADIUS_MM)
    near = _grow_labels(filled, thorax.airway)
    field = (filled > 0).astype(np.float32)
    labels = np.zeros(volume.grid.shape, dtype=np.uint8)
    image = soften(coarse) if coarse.factors == (1, 1, 1) else volume.voxels
    rows, columns = (np.arange(coarse.fine_shape[k]) // coarse.factors[k] for k in (1, 2))
    for index, inside in enumerate(iter_fine_planes(field, coarse)):
        side = near[index // coarse.factors[0]]
        if not side.any():
            continue
        side = side[rows][:, columns]
        lung = (image[index] < TISSUE_HU) | (inside >= 0.5)
        labels[index] = np.where(lung, side, 0)
    return labels


def _grow_labels(sides: Labels, airway: BoolArray) -> Labels:
    """One coarse voxel more, where a fine edge may lie; never into the airway."""
    grown = ndimage.grey_dilation(sides, footprint=ndimage.generate_binary_structure(3, 1))
    return np.asarray(np.where((sides > 0) | ~airway, np.where(sides > 0, sides, grown), 0), dtype=np.uint8)


def measure_density(volume: Volume, labels: Labels, wanted: tuple[int, ...]) -> Mapping[str, float]:
    """Measure what the labels ``wanted`` cover together.

    Returns
    -------
    Mapping
        ``volume_ml``, ``mean_hu``, ``laa950_percent``, ``perc15_hu``; empty where nothing is covered.
    """
    histogram = np.zeros(0, dtype=np.int64)
    for plane, marks in zip(volume.voxels, labels, strict=True):
        inside = np.isin(marks, wanted)
        if inside.any():
            histogram = _add(histogram, _histogram(plane[inside]))
    count = int(histogram.sum())
    if count == 0:
        return {}
    hu = np.arange(histogram.size) + _LOWEST_HU
    cumulated = np.cumsum(histogram)
    return {
        "volume_ml": count * volume.grid.voxel_volume_mm3 / 1000.0,
        "mean_hu": float((hu * histogram).sum() / count),
        "laa950_percent": float(100.0 * histogram[hu < _LOW_HU].sum() / count),
        "perc15_hu": float(hu[int(np.searchsorted(cumulated, 0.15 * count))]),
    }


def _histogram(hu: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    clipped = np.clip(np.rint(hu.astype(np.float32)), _LOWEST_HU, 3000).astype(np.int64) - _LOWEST_HU
    return np.bincount(clipped)


def _add(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    total = np.zeros(max(one.size, other.size), dtype=np.int64)
    total[: one.size] += one
    total[: other.size] += other
    return total


def touches_ends(labels: Labels, voxel_mm2: float) -> tuple[bool, bool]:
    """Tell whether lung is cut off at the lower and at the upper end of the scan (more than 2 cm2)."""
    lower, upper = (np.count_nonzero(labels[end]) * voxel_mm2 > 200.0 for end in (0, -1))
    return bool(lower), bool(upper)
