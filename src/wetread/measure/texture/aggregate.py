"""Numbers of several directions as one.

In: what was measured of each direction.  Out: the mean.  Never: a direction in which there was nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

Values = dict[str, float | None]


def average(several: Sequence[Values]) -> Values:
    """Return the mean of each number over the directions in which it is defined; None where in none."""
    means: Values = {}
    for name in several[0]:
        defined = [value for one in several if (value := one[name]) is not None]
        means[name] = sum(defined) / len(defined) if defined else None
    return means
