"""All families of one region.

In: a volume, a mask on its grid, settings.  Out: ``RegionFeatures``.
Never: another order than the catalogue's; a name that is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from wetread.domain.mask import Mask
from wetread.domain.volume import Volume
from wetread.measure.texture.aggregate import Values
from wetread.measure.texture.catalogue import FEATURES
from wetread.measure.texture.first_order import measure_first_order
from wetread.measure.texture.glcm import measure_glcm
from wetread.measure.texture.glrlm import measure_glrlm
from wetread.measure.texture.glszm import measure_glszm
from wetread.measure.texture.ngldm import measure_ngldm
from wetread.measure.texture.ngtdm import measure_ngtdm
from wetread.measure.texture.region import cut_region
from wetread.measure.texture.settings import TextureSettings
from wetread.measure.texture.shape import measure_shape


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionFeatures:
    """What was measured, and how."""

    settings: TextureSettings
    voxel_count: int
    #: The highest grey level.
    level_count: int
    #: By the names of ``FEATURES``, in their order; None: undefined for this region.
    values: Mapping[str, float | None]


def measure_texture(volume: Volume, mask: Mask, settings: TextureSettings) -> RegionFeatures:
    """Measure a region.

    Parameters
    ----------
    volume
        CT: HU.
    mask
        On the grid of the volume.

    Returns
    -------
    RegionFeatures
        Lengths mm, areas mm2, volumes mm3, intensities in the unit of the image.

    Raises
    ------
    RegionRefused
        If the mask marks nothing (``EmptyRegion``) or too much (``RegionTooLarge``).
    NotFinite
        If a value inside is NaN or infinite.
    LabelsDoNotFit
        If the mask is of another shape than the volume.
    InvalidTextureSettings
        If the settings do not suit the values.

    Notes
    -----
    Memory: some twenty bytes a voxel of the box around the region, which has at most 2**27 voxels. Time grows
    with its voxels, and for the zones with the levels as well; ``benchmarks/texture.py`` measures both.
    """
    region = cut_region(volume, mask, settings)
    families: dict[str, Values] = {
        "first_order": measure_first_order(region),
        "shape": measure_shape(region),
        "glcm": measure_glcm(region, settings.aggregation),
        "glrlm": measure_glrlm(region, settings.aggregation),
        "glszm": measure_glszm(region),
        "ngldm": measure_ngldm(region),
        "ngtdm": measure_ngtdm(region),
    }
    found = {
        f"{family}_{name}": value for family, values in families.items() for name, value in values.items()
    }
    return RegionFeatures(
        settings=settings,
        voxel_count=region.voxel_count,
        level_count=region.level_count,
        values={name: _finite(found[name]) for name in FEATURES},
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
