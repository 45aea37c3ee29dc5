"""Which findings of two versions are the same.

In: findings of one series.  Out: pairs, and what is left over.
Never: a finding in two pairs; a pair of different codes; an order that matters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from wetread.domain.shadow import Spotted

#: Centres may always lie so far apart.
LEAST_MM = 5.0
RULE = (
    "The same code, and centres no further apart than half the longest edge of the larger of the two boxes,"
    f" or {LEAST_MM:g} mm; the nearest first, each once."
)


def pair_findings(
    live: Sequence[Spotted], shadow: Sequence[Spotted]
) -> tuple[list[tuple[Spotted, Spotted]], list[Spotted], list[Spotted]]:
    """Return the pairs (live, shadow), what only the live version found, and what only the other did."""
    near = sorted(
        (distance, i, j)
        for i, one in enumerate(live)
        for j, other in enumerate(shadow)
        if (one.scheme, one.code) == (other.scheme, other.code)
        for distance in (math.dist(one.center_lps_mm, other.center_lps_mm),)
        if distance <= max(LEAST_MM, max(*one.size_mm, *other.size_mm) / 2)
    )
    taken: dict[int, int] = {}
    for _, i, j in near:
        if i not in taken and j not in taken.values():
            taken[i] = j
    pairs = [(live[i], shadow[j]) for i, j in sorted(taken.items())]
    left = [one for i, one in enumerate(live) if i not in taken]
    return pairs, left, [one for j, one in enumerate(shadow) if j not in taken.values()]
