"""How much two masks share.

In: boolean arrays of one shape.  Out: numbers; NaN where the question has no answer.
Never: a perfect score for an empty truth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Voxels of two masks."""

    predicted: int
    true: int
    shared: int

    @property
    def dice(self) -> float:
        """Dice's coefficient; NaN where the truth is empty."""
        return 2 * self.shared / (self.predicted + self.true) if self.true else math.nan

    @property
    def iou(self) -> float:
        """Intersection over union (Jaccard); NaN where the truth is empty."""
        return self.shared / (self.predicted + self.true - self.shared) if self.true else math.nan

    @property
    def volume_bias(self) -> float:
        """Predicted volume relative to the true one, minus 1; NaN where the truth is empty."""
        return self.predicted / self.true - 1 if self.true else math.nan


def measure_overlap(predicted: BoolArray, true: BoolArray) -> Overlap:
    """Count the voxels of two masks of one shape."""
    if predicted.shape != true.shape:
        raise ValueError("the masks must have one shape")
    return Overlap(
        predicted=int(np.count_nonzero(predicted)),
        true=int(np.count_nonzero(true)),
        shared=int(np.count_nonzero(predicted & true)),
    )
