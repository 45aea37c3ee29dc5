"""Body composition: muscle and fat of one slice.

In: a CT, a mask that says where, a slice.  Out: areas in cm2, density of the muscle.
Never: a slice chosen (a vertebra's level comes with its mask); muscle told from other soft tissue.

-29 to 150 HU count as muscle, -190 to -30 HU as fat (Mitsiopoulos et al. 1998,
doi:10.1152/jappl.1998.85.1.115), within masks of the muscles, of what lies under the skin, of the abdomen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wetread.domain.mask import Mask
from wetread.domain.volume import Volume
from wetread.errors import LabelsDoNotFit

MUSCLE_HU = (-29.0, 150.0)
FAT_HU = (-190.0, -30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceTissues:
    """What one slice of a mask consists of."""

    #: Of the mask.
    area_cm2: float
    muscle_cm2: float
    fat_cm2: float
    #: Of what counts as muscle; None where nothing does.
    muscle_hu: float | None


def measure_slice(volume: Volume, where: Mask, plane: int) -> SliceTissues:
    """Measure one slice.

    Parameters
    ----------
    where
        E.g. the muscles, or what lies under the skin.
    plane
        Index of the slice, e.g. that of ``find_middle_plane`` of the third lumbar vertebra.

    Raises
    ------
    LabelsDoNotFit
        If the mask is of another shape than the volume, or there is no such slice.
    """
    if where.shape != volume.grid.shape or not 0 <= plane < where.shape[0]:
        raise LabelsDoNotFit("The mask has another shape than the image, or there is no such slice")
    hu = volume.voxels[plane][where.plane(plane)].astype(np.float64)
    pixel_cm2 = volume.grid.spacing_mm[1] * volume.grid.spacing_mm[2] / 100
    muscle = hu[(hu >= MUSCLE_HU[0]) & (hu <= MUSCLE_HU[1])]
    fat = np.count_nonzero((hu >= FAT_HU[0]) & (hu <= FAT_HU[1]))
    return SliceTissues(
        area_cm2=hu.size * pixel_cm2,
        muscle_cm2=muscle.size * pixel_cm2,
        fat_cm2=fat * pixel_cm2,
        muscle_hu=float(muscle.mean()) if muscle.size else None,
    )


def find_middle_plane(vertebra: Mask) -> int | None:
    """Return the slice through the middle of a mask, by its voxels; None where it is empty."""
    counts = vertebra.voxels.sum(axis=(1, 2))
    if not counts.any():
        return None
    return vertebra.offset[0] + int(np.searchsorted(counts.cumsum(), counts.sum() / 2))
