"""What a model says of one image.

In: numbers.  Out: frozen values.  Never: the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from wetread.domain.mask import BoolArray
from wetread.domain.volume import Triple

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Something found, as a box: planes, rows, columns of the image; the first voxel has its middle at 0."""

    low: Triple
    high: Triple
    score: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """What a model says, as far as its task goes."""

    #: Of the classes, in their order; they sum to 1.
    probabilities: tuple[float, ...] = ()
    #: (planes, rows, columns), 0 to 1, on the grid of the image.
    probability_map: FloatArray | None = None
    #: What is marked in the end, of the same shape; None: the map from the task's threshold on.
    mask: BoolArray | None = None
    #: Separate things that were marked: 0, or the number of the part that a voxel belongs to.
    parts: npt.NDArray[np.int32] | None = None
    #: How sure each part is, part 1 first. ``mask`` holds those that count; others are below the threshold.
    part_scores: tuple[float, ...] = ()
    #: What was found, the surest first; None where the model answers otherwise.
    boxes: tuple[Box, ...] | None = None
    #: A measured value.
    value: float | None = None
    #: 95 % interval of the probability of the positive class, or of the value.
    interval: tuple[float, float] | None = None
    #: What spoke for and against, by name, in the unit of the score; largest first.
    reasons: Mapping[str, float] = field(default_factory=dict)
