"""How high in its lung something lies.

In: a label per voxel of an upright CT.  Out: 0 to 100 % from the lowest to the highest plane of a lung.
Never: the height in a lung that is cut off.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from wetread.measure.lungs import touches_ends
from wetread.measure.thorax import LEFT, RIGHT, Labels


def find_heights(labels: Labels, pixel_mm2: float) -> Mapping[int, tuple[int, int]]:
    """Return the lowest and highest plane of each lung; none where an end of the scan cuts lung off."""
    if any(touches_ends(labels, pixel_mm2)):
        return {}
    heights = {}
    for side in (RIGHT, LEFT):
        planes = np.flatnonzero((labels == side).any(axis=(1, 2)))
        if planes.size > 1:
            heights[side] = (int(planes[0]), int(planes[-1]))
    return heights


def measure_height(heights: Mapping[int, tuple[int, int]], side: int, plane: float) -> float | None:
    """Return how high a plane lies in a lung, percent; None where that cannot be told."""
    if side not in heights:
        return None
    low, high = heights[side]
    return float(np.clip(100.0 * (plane - low) / (high - low), 0.0, 100.0))
