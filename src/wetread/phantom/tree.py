"""Branching trees that fill a lung: arteries, veins, bronchi.

In: points to reach, where to start.  Out: ``Tree``, tapering segments in rest mm.  Never: images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

#: Radius grows with the number of ends to this power; 1/3 is Murray's law (doi:10.1073/pnas.12.3.207).
_POWER = 0.365


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tree:
    """Segments; each but the first starts where an earlier one ends."""

    #: Shape (n, 3).
    starts: Points
    ends: Points
    #: Radius at start and end, shape (n,).
    near_mm: Points
    far_mm: Points
    #: Index of the segment that each one continues, -1 for the first.
    parents: npt.NDArray[np.int64]

    def keep(self, wanted: npt.NDArray[np.bool_]) -> Tree:
        """Return the tree without unwanted segments and without all that hangs on them."""
        kept = wanted.copy()
        for index, parent in enumerate(self.parents):
            if parent >= 0 and not kept[parent]:
                kept[index] = False
        renumbered = np.cumsum(kept) - 1
        parents = np.where(self.parents >= 0, renumbered[self.parents], -1)
        return Tree(
            starts=self.starts[kept],
            ends=self.ends[kept],
            near_mm=self.near_mm[kept],
            far_mm=self.far_mm[kept],
            parents=parents[kept],
        )

    def distance_mm(self, point: npt.ArrayLike) -> Points:
        """Return the distance of a point to the axis of each segment, shape (n,)."""
        axis = self.ends - self.starts
        offset = np.asarray(point) - self.starts
        squared = np.maximum(np.einsum("ij,ij->i", axis, axis), 1e-9)
        share = np.clip(np.einsum("ij,ij->i", offset, axis) / squared, 0.0, 1.0)
        away: Points = np.linalg.norm(offset - share[:, None] * axis, axis=1)
        return away


def grow_tree(root: npt.ArrayLike, targets: Points, end_radius_mm: float, rng: np.random.Generator) -> Tree:
    """Grow a tree by halving the targets again and again, each half served by one branch.

    Parameters
    ----------
    root
        Where the trunk starts.
    targets
        Points that the ends reach, shape (n, 3).

    References
    ----------
    Tawhai et al. 2000, volume-filling branching, doi:10.1114/1.1289457.
    """
    rows: list[tuple[Points, Points, float, float, int]] = []
    trunk_mm = end_radius_mm * len(targets) ** _POWER
    waiting = [(np.asarray(root, dtype=float), targets, -1, trunk_mm)]
    while waiting:
        start, served, parent, near_mm = waiting.pop()
        for half in _split(start, served, rng):
            share = 1.0 if len(half) == 1 else rng.uniform(0.36, 0.50)
            end = start + share * (half.mean(axis=0) - start)
            far_mm = min(near_mm, end_radius_mm * len(half) ** _POWER * rng.uniform(0.88, 1.12))
            last = _bend(rows, (start, end, min(near_mm, far_mm * 1.15), far_mm, parent), rng)
            if len(half) > 1:
                waiting.append((end, half, last, far_mm))
    return Tree(
        starts=np.array([row[0] for row in rows]),
        ends=np.array([row[1] for row in rows]),
        near_mm=np.array([row[2] for row in rows]),
        far_mm=np.array([row[3] for row in rows]),
        parents=np.array([row[4] for row in rows]),
    )


def _split(start: Points, served: Points, rng: np.random.Generator) -> list[Points]:
    """Cut the targets by a plane that contains the way to their middle."""
    if len(served) == 1:
        return [served]
    centered = served - served.mean(axis=0)
    ahead = served.mean(axis=0) - start
    ahead /= np.linalg.norm(ahead) + 1e-9
    across = centered - np.outer(centered @ ahead, ahead)
    _, axes = np.linalg.eigh(across.T @ across)
    along = across @ axes[:, -1]
    order = np.argsort(along)
    cut = int(np.clip(round(len(served) * rng.uniform(0.3, 0.7)), 1, len(served) - 1))
    return [served[order[:cut]], served[order[cut:]]]


def _bend(
    rows: list[tuple[Points, Points, float, float, int]],
    segment: tuple[Points, Points, float, float, int],
    rng: np.random.Generator,
) -> int:
    """Append a segment, bent once in the middle; return the index of its last part."""
    start, end, near_mm, far_mm, parent = segment
    length = float(np.linalg.norm(end - start))
    if length < 5.0:
        rows.append(segment)
        return len(rows) - 1
    middle = (start + end) / 2 + rng.normal(size=3) * length * 0.055
    halfway_mm = (near_mm + far_mm) / 2
    rows.append((start, middle, near_mm, halfway_mm, parent))
    rows.append((middle, end, halfway_mm, far_mm, len(rows) - 1))
    return len(rows) - 1
