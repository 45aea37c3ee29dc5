"""A region cut out of its volume, its grey levels made.

In: a volume, a mask on its grid, settings.  Out: ``Region``.
Never: a value outside of the mask that matters; a NaN made a level; more than a few copies of the box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wetread.domain.mask import BoolArray, Mask
from wetread.domain.volume import Triple, Volume
from wetread.errors import LabelsDoNotFit, NotFinite
from wetread.measure.texture.refused import EmptyRegion, InvalidTextureSettings, RegionTooLarge
from wetread.measure.texture.settings import MOST_LEVELS, TextureSettings

LevelArray = npt.NDArray[np.uint16]

#: Voxels of the box around a region: 512 x 512 x 512. A few arrays of the box are in memory at once,
#: seven bytes a voxel at most.
MOST_VOXELS = 2**27
#: Levels times voxels of the box: zones are looked for level by level, some minutes at this bound.
MOST_WORK = 2**33


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """What all families measure; arrays are of the box around the region."""

    #: Shape (planes, rows, columns).
    mask: BoolArray
    #: Values of the image, as they came.
    image: npt.NDArray[Any]
    #: Grey levels from 1; 0 outside of the region.
    levels: LevelArray
    #: The highest grey level; not every one up to it need occur.
    level_count: int
    #: Along (planes, rows, columns).
    spacing_mm: Triple

    @property
    def values(self) -> npt.NDArray[Any]:
        """Return the image's values inside, in one row; a copy."""
        inside: npt.NDArray[Any] = self.image[self.mask]
        return inside

    @property
    def voxel_count(self) -> int:
        """Return the number of voxels inside."""
        return int(np.count_nonzero(self.mask))


def cut_region(volume: Volume, mask: Mask, settings: TextureSettings) -> Region:
    """Cut a region out and make its grey levels.

    Raises
    ------
    LabelsDoNotFit
        If the mask is of another shape than the volume.
    EmptyRegion
        If it marks nothing.
    NotFinite
        If a value inside is NaN or infinite; outside they do not matter.
    InvalidTextureSettings
        If ``lowest`` lies above the region's minimum, or the width makes more than 1024 levels.
    RegionTooLarge
        If the box has more than ``MOST_VOXELS``, or ``MOST_WORK`` is passed.
    """
    if mask.shape != volume.grid.shape:
        raise LabelsDoNotFit(
            "The mask has another shape than the image: resample it", mask=mask.shape, image=volume.grid.shape
        )
    if not mask.voxel_count:
        raise EmptyRegion()
    if mask.voxels.size > MOST_VOXELS:
        raise RegionTooLarge("The box around the region has too many voxels", most=MOST_VOXELS)
    image = volume.voxels[mask.box]
    levels, level_count = _make_levels(image, mask.voxels, settings)
    if level_count * levels.size > MOST_WORK:
        raise RegionTooLarge(levels=level_count, voxels=levels.size)
    return Region(
        mask=mask.voxels,
        image=image,
        levels=levels,
        level_count=level_count,
        spacing_mm=volume.grid.spacing_mm,
    )


def _make_levels(
    image: npt.NDArray[Any], mask: BoolArray, settings: TextureSettings
) -> tuple[LevelArray, int]:
    low, high = _find_range(image, mask)
    width, base = settings.bin_width, low if settings.lowest is None else settings.lowest
    if base > low:
        raise InvalidTextureSettings("The lowest value lies above the region's minimum", lowest=base)
    if width is not None and (high - base) / width >= MOST_LEVELS:
        raise InvalidTextureSettings(f"The bins are so narrow that there are more than {MOST_LEVELS}")
    levels = np.zeros(image.shape, dtype=np.uint16)
    top = 0
    for plane, inside in enumerate(mask):
        values = image[plane][inside].astype(np.float64)
        if not values.size:
            continue
        made = _to_levels(values, base, high, settings)
        levels[plane][inside] = made
        top = max(top, int(made.max()))
    return levels, top if settings.bin_count is None or high == low else settings.bin_count


def _to_levels(
    values: npt.NDArray[np.float64], base: float, high: float, settings: TextureSettings
) -> npt.NDArray[np.float64]:
    if settings.bin_width is not None:
        return np.asarray(np.floor((values - base) / settings.bin_width) + 1, dtype=np.float64)
    count = settings.bin_count or 1
    if high == base:
        return np.ones(values.shape)
    made = np.floor(count * (values - base) / (high - base)) + 1
    return np.asarray(np.minimum(made, count), dtype=np.float64)


def _find_range(image: npt.NDArray[Any], mask: BoolArray) -> tuple[float, float]:
    """Return minimum and maximum inside, plane by plane."""
    lows, highs = [], []
    for plane, inside in zip(image, mask, strict=True):
        values = plane[inside]
        if not values.size:
            continue
        if not np.isfinite(values).all():
            raise NotFinite("The image has values inside of the region that are no numbers")
        lows.append(float(values.min()))
        highs.append(float(values.max()))
    return min(lows), max(highs)
