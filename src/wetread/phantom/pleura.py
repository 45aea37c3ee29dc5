"""Free air and fluid in the pleural cavity.

In: distances on the coarse grid, the wished volume.  Out: a level whose negative part is the gap.
Never: HU.

Both are lenses against the chest wall: thickest at the highest (air) or lowest (fluid) point of the
cavity as the patient lies, thinner away from it, so that large ones also reach apex and base.
"""

from __future__ import annotations

import numpy as np

from wetread.errors import ConfigError
from wetread.phantom.distance import Float
from wetread.phantom.options import PleuralOptions, Side
from wetread.phantom.thorax import Thorax

#: How fast the lens thins with the height below its thickest point, mm per mm.
_TAPER = 0.33
#: Air also stands over the apex: this much lower than the top of the cavity, mm.
_APEX_MM = 22.0


def pleural_gap(
    thorax: Thorax, lps: Float, wish: PleuralOptions, upwards: bool, spacing_mm: float
) -> tuple[Float, float]:
    """Find the lens of the wished volume in one cavity.

    Parameters
    ----------
    lps
        Positions of the coarse grid, shape (planes, rows, columns, 3).
    upwards
        True: towards the patient's front.

    Returns
    -------
    tuple
        Distance (negative within the lens, mm) and the volume in ml on the coarse grid.

    Raises
    ------
    ConfigError
        If the cavity does not hold this volume.
    """
    sign = -1.0 if wish.side is Side.RIGHT else 1.0
    own = (thorax.lungs < spacing_mm) & (sign * thorax.rest[..., 0] > 0)
    height = lps[..., 1] if upwards else -lps[..., 1]
    drop = height - height[own & (thorax.lungs < 0)].min()
    if upwards:
        top_z = thorax.rest[..., 2][own & (thorax.lungs < 0)].max()
        drop = _soft_min(drop, 0.9 * (top_z - thorax.rest[..., 2]) + _APEX_MM)
    level = (_TAPER * drop - thorax.wall).astype(np.float32)
    cover = np.clip(0.5 - thorax.lungs[own] / spacing_mm, 0, 1)
    offset, volume = _solve(level[own], cover, wish.volume_ml * 1000 / spacing_mm**3, spacing_mm)
    if volume < 0.98 * wish.volume_ml * 1000 / spacing_mm**3:
        raise ConfigError("The pleural cavity does not hold this volume", volume_ml=wish.volume_ml)
    distance = np.maximum(level - offset, -sign * thorax.rest[..., 0])
    return distance.astype(np.float32), float(volume * spacing_mm**3 / 1000)


def _soft_min(first: Float, second: Float) -> Float:
    blended: Float = -np.logaddexp(-first / 10.0, -second / 10.0) * 10.0
    return blended


def _solve(level: Float, cover: Float, wished_voxels: float, spacing_mm: float) -> tuple[float, float]:
    """Bisect the offset of the level at which the covered voxels sum up to the wish."""
    low, high = float(level.min()) - spacing_mm, float(level.max())
    for _ in range(40):
        offset = (low + high) / 2
        volume = float(np.sum(cover * np.clip(0.5 - (level - offset) / spacing_mm, 0, 1), dtype=float))
        low, high = (offset, high) if volume < wished_voxels else (low, offset)
    return offset, volume
