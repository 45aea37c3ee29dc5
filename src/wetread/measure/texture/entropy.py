"""Entropy in bits.

In: probabilities.  Out: a number.  Never: a small constant added so that a logarithm exists.
"""

from __future__ import annotations

import numpy as np

from wetread.domain.volume import FloatArray


def measure_entropy(share: FloatArray) -> float:
    """Return - sum p log2 p over what occurs."""
    occurs = share[share > 0]
    return max(0.0, float(-np.sum(occurs * np.log2(occurs))))
