"""From a probability for each voxel to separate things, each with how sure it is.

In: a probability map.  Out: numbered parts and their scores.  Never: a part without a core that is sure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

#: Voxels that touch at a face or an edge are one thing.
_TOUCHING = ndimage.generate_binary_structure(3, 2)
#: For the part in the middle: levels tried, the smallest part, pixels that a sure part may lie farther off.
_LEVELS = (0.5, 0.3, 0.15, 0.05)
_FEWEST_CENTRAL = 3
_REACH = 16.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSettings:
    """What counts as a part."""

    #: Probability from which a voxel belongs to a part.
    outline_from: float
    #: Probability that some voxel of a part must reach.
    core_from: float
    fewest_voxels: int = 1


def find_parts(
    probability: npt.NDArray[np.float32], settings: PartSettings
) -> tuple[npt.NDArray[np.int32], tuple[float, ...]]:
    """Return the parts of a map, the surest first.

    Parameters
    ----------
    probability
        (planes, rows, columns), 0 to 1.

    Returns
    -------
    parts
        Of the same shape: 0, or the number of a voxel's part.
    scores
        Of part 1, 2, ...: the mean of the surest voxels, as many as the smallest part has, at least four.
    """
    labels, count = ndimage.label(probability >= settings.outline_from, _TOUCHING)
    found: list[tuple[float, int]] = []
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        values = probability[box][labels[box] == number]
        if len(values) >= settings.fewest_voxels and values.max() >= settings.core_from:
            surest = np.sort(values)[-max(4, settings.fewest_voxels) :]
            found.append((float(surest.mean()), number))
    found.sort(key=lambda one: -one[0])
    renumber = np.zeros(count + 1, np.int32)
    for new, (_score, number) in enumerate(found, 1):
        renumber[number] = new
    return renumber[labels], tuple(score for score, _number in found)


def choose_central_part(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return the part nearest to the middle of rows and columns, the surer the farther it may lie.

    Where nothing is sure, less sure parts count; in the end the surest voxels alone. Never empty.
    """
    for level in _LEVELS:
        settings = PartSettings(outline_from=level, core_from=level, fewest_voxels=_FEWEST_CENTRAL)
        parts, scores = find_parts(probability, settings)
        if scores:
            costs = [_distance(parts == number) - _REACH * score for number, score in enumerate(scores, 1)]
            return np.asarray(parts == int(np.argmin(costs)) + 1)
    return np.asarray(probability >= probability.max())


def _distance(part: npt.NDArray[np.bool_]) -> float:
    """Return how far a part lies from the middle at its nearest, pixels."""
    middle = (np.array(part.shape[1:]) - 1) / 2
    return float(np.hypot(*(np.argwhere(part.any(axis=0)) - middle).T).min())
