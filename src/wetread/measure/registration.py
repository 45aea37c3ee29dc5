"""Where a point of one CT lies in an earlier CT of the same patient.

In: points in LPS mm of either.  Out: points in LPS mm of the other.  Never: voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.domain.volume import FloatArray, Triple
from wetread.errors import InputError

#: Rounds of the fixed point that undoes the bending; each leaves about a tenth of the error before.
_ROUNDS = 20


class PriorDoesNotFit(InputError):
    """The two CTs do not show the same lungs well enough: compare the studies by eye."""

    code = "prior-does-not-fit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How well two CTs came to lie on each other."""

    #: Share of the current lungs that lies within the prior scan, 0 to 1.
    overlap: float
    #: Dice coefficient of the lungs, where both were scanned.
    dice: float
    #: Correlation of the vessels and whatever else is denser than lung, where both were scanned.
    likeness: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Warp:
    """The map from current to prior: ``prior = matrix @ (current + bend(current)) + shift``."""

    #: Shape (3, 3), and (3,) in mm.
    matrix: FloatArray
    shift: FloatArray
    #: Control points of a cubic B-spline, shape (planes, rows, columns, 3): displacement in LPS, mm.
    bend: npt.NDArray[np.float32]
    #: LPS of the first control point; they lie along z, y and x, this far apart.
    bend_origin_lps_mm: Triple
    bend_spacing_mm: float

    def to_prior(self, lps_mm: npt.ArrayLike) -> FloatArray:
        """Map points of shape (..., 3) of the current CT to the prior one."""
        points = np.asarray(lps_mm, dtype=float)
        return np.asarray((points + self.bend_at(points)) @ self.matrix.T + self.shift)

    def to_current(self, lps_mm: npt.ArrayLike) -> FloatArray:
        """Map points of shape (..., 3) of the prior CT to the current one."""
        target = (np.asarray(lps_mm, dtype=float) - self.shift) @ np.linalg.inv(self.matrix).T
        points = target.copy()
        for _ in range(_ROUNDS):
            points = target - self.bend_at(points)
        return np.asarray(points)

    def bend_at(self, points: FloatArray) -> FloatArray:
        """Return the displacement at points of shape (..., 3) of the current CT, mm."""
        places = (points.reshape(-1, 3) - np.asarray(self.bend_origin_lps_mm)) / self.bend_spacing_mm
        # Control points lie along z, y, x. Outside of them the bending stays as it is at the edge.
        index = np.clip(places[:, ::-1], 1.0, np.array(self.bend.shape[:3]) - 2.0).T
        parts = [
            ndimage.map_coordinates(self.bend[..., k], index, order=3, prefilter=False, mode="nearest")
            for k in range(3)
        ]
        return np.stack(parts, axis=-1).astype(float).reshape(points.shape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Registration(Warp):
    """The map, and how well it fits."""

    fit: Fit
