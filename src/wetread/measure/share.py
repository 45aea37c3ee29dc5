"""How much of one mask another covers.

In: boolean arrays.  Out: a share, 0 to 1.  Never: an empty division.
"""

from __future__ import annotations

from wetread.domain.mask import BoolArray


def measure_share(part: BoolArray, whole: BoolArray) -> float:
    """Return the voxels of ``part`` over those of ``whole``; 0 where that is empty."""
    total = int(whole.sum())
    return float(int(part.sum()) / total) if total else 0.0
