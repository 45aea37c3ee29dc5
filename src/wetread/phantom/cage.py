"""The outline of the chest: inner surface of the rib cage, muscle, skin; and the diaphragm.

In: rest points, a seed's variation.  Out: distances, mm.  Never: what lies within.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.interpolate import pchip_interpolate

from wetread.phantom.distance import Float, ellipsoid, smooth_max, smooth_min, superellipse

#: Rest z (mm) and at each: half width, half depth, middle y of the inner rib cage.
_Z = np.array([-260.0, -170, -120, -60, 0, 50, 90, 115, 135, 220])
_HALF_X = np.array([136.0, 137, 136, 133, 125, 111, 92, 76, 58, 50])
_HALF_Y = np.array([98.0, 99, 98, 95, 89, 78, 63, 50, 38, 34])
_MIDDLE_Y = np.array([-6.0, -6, -5, -3, 0, 6, 16, 24, 28, 30])
#: Skin.
_SKIN_X = np.array([163.0, 163, 163, 164, 166, 169, 172, 173, 172, 168])
_SKIN_Y = np.array([124.0, 124, 124, 122, 118, 111, 101, 93, 86, 78])
_SKIN_MIDDLE_Y = np.array([-4.0, -4, -4, -2, 0, 4, 12, 18, 24, 28])

Line = npt.NDArray[np.floating]


def _table(values: Line) -> Line:
    """Return values at every half millimetre of z, for fast look-up."""
    fine = np.arange(_Z[0], _Z[-1], 0.5)
    return np.asarray(pchip_interpolate(_Z, values, fine))


_TABLES = tuple(_table(values) for values in (_HALF_X, _HALF_Y, _MIDDLE_Y, _SKIN_X, _SKIN_Y, _SKIN_MIDDLE_Y))


def _look_up(table: Line, z: npt.NDArray[np.floating]) -> Float:
    index = np.clip((np.asarray(z) - _Z[0]) * 2, 0, len(table) - 2)
    low = index.astype(np.int32)
    share = (index - low).astype(np.float32)
    values = table.astype(np.float32)
    found: Float = values[low] * (1 - share) + values[low + 1] * share
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Cage:
    """The chest's outline; the numbers vary a little from patient to patient."""

    POWER: ClassVar[float] = 2.25

    width: float = 1.0
    depth: float = 1.0
    #: Height of the domes, rest z, (right, left).
    domes_mm: tuple[float, float] = (-84.0, -95.0)
    #: Thickness of the fat under the skin.
    fat_mm: float = 10.0

    @classmethod
    def draw(cls, rng: np.random.Generator, variation: float) -> Cage:
        """Draw a patient."""
        step = variation * np.clip(rng.normal(size=5), -1.5, 1.5)
        return cls(
            width=1.0 + 0.02 * float(step[0]),
            depth=1.0 + 0.025 * float(step[1]),
            domes_mm=(-84.0 + 5.0 * float(step[2]), -95.0 + 5.0 * float(step[3])),
            fat_mm=10.0 + 3.0 * float(step[4]),
        )

    def outline(self, z: npt.NDArray[np.floating]) -> tuple[Float, Float, Float]:
        """Return half width, half depth and middle y of the inner cage at heights z."""
        return (
            _look_up(_TABLES[0], z) * np.float32(self.width),
            _look_up(_TABLES[1], z) * np.float32(self.depth),
            _look_up(_TABLES[2], z),
        )

    def inner(self, points: Float) -> Float:
        """Return the distance to the inner surface of the rib cage, without its top."""
        half_x, half_y, middle_y = self.outline(points[..., 2])
        return superellipse(points[..., 0], points[..., 1] - middle_y, half_x, half_y, self.POWER)

    def skin(self, points: Float) -> Float:
        """Return the distance to the skin."""
        z = points[..., 2]
        half_x, half_y = _look_up(_TABLES[3], z) * self.width, _look_up(_TABLES[4], z) * self.depth
        y = points[..., 1] - _look_up(_TABLES[5], z)
        round_part = superellipse(points[..., 0], y, half_x, half_y, 2.5)
        groove = 7.0 * np.exp(-((points[..., 0] / 16.0) ** 2)) * (y > 0)
        distance: Float = (round_part + groove).astype(np.float32)
        return distance

    def muscle(self, points: Float, skin: Float) -> Float:
        """Return the distance to the outer surface of the muscle of the chest wall."""
        x, y, z = (points[..., axis] for axis in range(3))
        fat = self.fat_mm + 6.0 * np.clip(-y / 100.0, 0.0, 1.0) + 8.0 * np.clip((-z - 60.0) / 80.0, 0.0, 1.0)
        sheath = self.inner(points) - 15.0 - 12.0 * np.exp(-(((np.abs(x) - 45.0) / 40.0) ** 2)) * (y > 0)
        pectoral = 16.0 * np.exp(-(((np.abs(x) - 70.0) / 45.0) ** 2 + ((z - 45.0) / 60.0) ** 2)) * (y < 0)
        shoulder = np.clip((z - 20.0) / 60.0, 0.0, 1.0) * np.clip((np.abs(x) - 75.0) / 50.0, 0.0, 1.0) * 45.0
        chest = smooth_max(sheath - pectoral - shoulder, skin + fat, 6.0)
        for side in (-1.0, 1.0):
            girdle = ellipsoid(points, (side * 118.0, 26.0, 120.0), (50.0, 46.0, 75.0))
            chest = smooth_min(chest, smooth_max(girdle, skin + 7.0, 5.0), 10.0)
        return chest

    def diaphragm(self, points: Float) -> Float:
        """Return how far points lie below the diaphragm (positive) or above it (negative), along z."""
        x, y, z = (points[..., axis] for axis in range(3))
        right, left = self.domes_mm
        domes = [(-68.0, -8.0, right), (70.0, -4.0, left), (8.0, -35.0, left - 2.0)]
        heights = []
        for center_x, center_y, top in domes:
            far = ((x - center_x) / 72.0) ** 2 + ((y - center_y) / 88.0) ** 2
            dome = top - 50.0 * far**1.15 - 14.0 * np.clip((y - 20.0) / 70.0, 0.0, 1.0)
            heights.append(-dome)
        height = smooth_min(smooth_min(heights[0], heights[1], 10.0), heights[2], 10.0)
        return -height - z
