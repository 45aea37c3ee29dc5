"""How a plane is turned to be seen as usual: patient's right on the left, anterior or head up.

In: two directions of an array in the patient.  Out: how to turn the array, its letters.
Never: interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wetread.domain.volume import Triple

# Of two letters the second must tell something: cos 70 degrees.
_SECOND_LETTER = 0.34


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A turn of an image: first transpose, then flip."""

    is_transposed: bool
    flips_rows: bool
    flips_columns: bool
    #: Patient directions in which the turned image's columns and rows grow (right, down).
    right: Triple
    down: Triple

    def turn(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the image turned; a view, shape (rows, columns, ...)."""
        turned = np.swapaxes(image, 0, 1) if self.is_transposed else image
        if self.flips_rows:
            turned = turned[::-1]
        return turned[:, ::-1] if self.flips_columns else turned

    def turn_points(self, points: npt.NDArray[np.float64], shape: tuple[int, int]) -> npt.NDArray[np.float64]:
        """Turn points (column, row) of an image of this shape (rows, columns)."""
        rows, columns = shape
        turned = points[:, ::-1].copy() if self.is_transposed else points.copy()
        if self.is_transposed:
            rows, columns = columns, rows
        if self.flips_rows:
            turned[:, 1] = rows - turned[:, 1]
        if self.flips_columns:
            turned[:, 0] = columns - turned[:, 0]
        return turned

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Return what lies at the left, right, top and bottom edge, e.g. ``("R", "L", "A", "P")``."""
        return (
            _letters(self.right, -1),
            _letters(self.right, 1),
            _letters(self.down, -1),
            _letters(self.down, 1),
        )


def choose_view(down: Triple, right: Triple) -> View:
    """Return the usual view of an image whose rows and columns grow in these directions.

    Axial: the patient's left on the right, posterior down; coronal: left on the right, feet down;
    sagittal: posterior on the right, feet down.
    """
    normal = np.abs(np.cross(right, down))
    wanted_right, wanted_down = {
        0: (np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, -1.0])),
        1: (np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, -1.0])),
        2: (np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])),
    }[int(np.argmax(normal))]
    is_transposed = bool(abs(np.dot(down, wanted_right)) > abs(np.dot(right, wanted_right)))
    across, along = (down, right) if is_transposed else (right, down)
    flips_columns, flips_rows = bool(np.dot(across, wanted_right) < 0), bool(np.dot(along, wanted_down) < 0)
    return View(
        is_transposed=is_transposed,
        flips_rows=flips_rows,
        flips_columns=flips_columns,
        right=_signed(across, -1 if flips_columns else 1),
        down=_signed(along, -1 if flips_rows else 1),
    )


def _signed(direction: Triple, sign: int) -> Triple:
    return (sign * direction[0], sign * direction[1], sign * direction[2])


def _letters(direction: Triple, sign: int) -> str:
    names = (("R", "L"), ("A", "P"), ("F", "H"))
    order = sorted(range(3), key=lambda axis: -abs(direction[axis]))[:2]
    shown = [axis for rank, axis in enumerate(order) if rank == 0 or abs(direction[axis]) > _SECOND_LETTER]
    return "".join(names[axis][int(sign * direction[axis] > 0)] for axis in shown)
