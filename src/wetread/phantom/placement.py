"""Where nodules go: free in the lung, against the pleura, against a vessel; never into each other.

In: wishes, the lungs as points, the trees.  Out: ``PlacedNodule`` in rest mm.  Never: voxels of a scan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wetread.errors import ConfigError
from wetread.phantom.nodule import NoduleForm, draw_form
from wetread.phantom.options import NoduleKind, NoduleOptions, Place, Side
from wetread.phantom.thorax import HILUM
from wetread.phantom.tree import Points, Tree

#: From this radius a vessel counts as one that a nodule touches or keeps away from.
SEEN_VESSEL_MM = 1.2
_TRIES = 600
_APART_MM = 6.0
_HILUM_MM = 34.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LungMap:
    """Points inside the lungs at rest with what lies around them."""

    #: Shape (n, 3).
    points: Points
    #: Distance to the surface of the lung, and to the rib cage alone, shape (n,).
    depth_mm: Points
    wall_mm: Points
    fissure_mm: Points


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlacedNodule:
    """A nodule with its form at its first visit."""

    nodule_id: str
    options: NoduleOptions
    form: NoduleForm
    hu: float
    core_hu: float
    #: Rest mm; where ``away`` is not None, the point that the nodule touches.
    anchor: Points
    #: Unit vector from the touched vessel to the nodule's centre.
    away: Points | None = None
    #: How far the grown nodule reaches at most, mm.
    largest_mm: float = 0.0

    @property
    def center_rest(self) -> Points:
        """Centre for the form as it is; a perivascular one dips a tenth of its radius into the vessel."""
        if self.away is None:
            return self.anchor
        reach = self.form.support_mm(-self.away)
        center: Points = self.anchor + self.away * 0.9 * reach
        return center


def place_nodules(
    wished: list[NoduleOptions], growth: list[float], lungs: LungMap, trees: list[Tree], seed: int
) -> list[PlacedNodule]:
    """Place nodules one after the other, the largest first.

    Raises
    ------
    ConfigError
        If there is no room for one.
    """
    order = sorted(range(len(wished)), key=lambda index: -wished[index].diameter_mm * growth[index])
    placed: dict[int, PlacedNodule] = {}
    for index in order:
        rng = np.random.default_rng([seed, 5, index])
        placed[index] = _place(
            index, wished[index], growth[index], _Room(lungs, trees, [*placed.values()]), rng
        )
    return [placed[index] for index in range(len(wished))]


@dataclass(frozen=True)
class _Room:
    lungs: LungMap
    trees: list[Tree]
    others: list[PlacedNodule]

    def is_free(self, center: Points, reach_mm: float) -> bool:
        return all(
            float(np.linalg.norm(center - other.center_rest)) > reach_mm + other.largest_mm + _APART_MM
            for other in self.others
        )

    def gap_to_vessels_mm(self, center: Points) -> float:
        gaps = []
        for tree in self.trees:
            seen = tree.near_mm >= SEEN_VESSEL_MM
            gaps.append((tree.distance_mm(center) - tree.near_mm)[seen].min(initial=1e3))
        return float(min(gaps))


def _place(
    index: int, wish: NoduleOptions, growth: float, room: _Room, rng: np.random.Generator
) -> PlacedNodule:
    form = draw_form(wish, rng)
    reach_mm = form.reach_mm * growth
    find = {
        Place.INTRAPULMONARY: _find_free,
        Place.JUXTAPLEURAL: _find_at_pleura,
        Place.PERIVASCULAR: _find_at_vessel,
    }[wish.place]
    found = find(wish, reach_mm, room, rng)
    if found is None:
        raise ConfigError(
            "No room in the lungs for a nodule: make it smaller, or ask for fewer",
            nodule=f"n{index + 1}",
            diameter_mm=wish.diameter_mm,
            place=wish.place.value,
        )
    anchor, away = found
    if away is None:
        # The map's points lie on a grid; real centres do not.
        anchor = anchor + rng.uniform(-1.2, 1.2, size=3)
    solid = rng.uniform(10.0, 60.0)
    hazy = rng.uniform(-650.0, -500.0)
    drawn = solid if wish.kind is NoduleKind.SOLID else hazy
    return PlacedNodule(
        nodule_id=f"n{index + 1}",
        options=wish,
        form=form,
        hu=float(drawn if wish.hu is None else wish.hu),
        core_hu=float(solid),
        anchor=anchor,
        away=away,
        largest_mm=reach_mm,
    )


_Found = tuple[Points, Points | None] | None


def _on_side(points: Points, side: Side | None) -> npt.NDArray[np.bool_]:
    if side is None:
        return np.ones(len(points), dtype=bool)
    chosen: npt.NDArray[np.bool_] = (points[:, 0] < 0) == (side is Side.RIGHT)
    return chosen


def _hilum_gap(points: Points) -> Points:
    gaps = [np.linalg.norm(points - np.array(position), axis=-1) for position in HILUM.values()]
    gap: Points = np.minimum(*gaps)
    return gap


def _draw(points: Points, rng: np.random.Generator) -> Points:
    count = min(_TRIES, len(points))
    chosen: Points = points[rng.choice(len(points), size=count, replace=False)] if count else points
    return chosen


def _find_free(wish: NoduleOptions, reach_mm: float, room: _Room, rng: np.random.Generator) -> _Found:
    lungs = room.lungs
    fits = (lungs.depth_mm > reach_mm + 4.0) & (_hilum_gap(lungs.points) > reach_mm + _HILUM_MM)
    return _first_free(lungs.points[fits & _on_side(lungs.points, wish.side)], reach_mm, room, rng)


def _first_free(candidates: Points, reach_mm: float, room: _Room, rng: np.random.Generator) -> _Found:
    """Return a place clear of seen vessels; a large nodule that finds none may lie on one."""
    tried = [center for center in _draw(candidates, rng) if room.is_free(center, reach_mm)]
    for center in tried:
        if room.gap_to_vessels_mm(center) > reach_mm + 1.5:
            return center, None
    return (tried[0], None) if tried and reach_mm > 12.0 else None


def _find_at_pleura(wish: NoduleOptions, reach_mm: float, room: _Room, rng: np.random.Generator) -> _Found:
    lungs = room.lungs
    at_wall = (np.abs(lungs.depth_mm - reach_mm) < 2.5) & (np.abs(lungs.wall_mm - lungs.depth_mm) < 2.0)
    at_wall &= lungs.points[:, 2] > -105.0
    return _first_free(lungs.points[at_wall & _on_side(lungs.points, wish.side)], reach_mm, room, rng)


def _find_at_vessel(wish: NoduleOptions, reach_mm: float, room: _Room, rng: np.random.Generator) -> _Found:
    for _ in range(_TRIES):
        tree = room.trees[int(rng.integers(len(room.trees)))]
        able = np.flatnonzero((tree.far_mm >= SEEN_VESSEL_MM) & (tree.near_mm < 2.6))
        if not len(able):
            continue
        index = int(rng.choice(able))
        axis = tree.ends[index] - tree.starts[index]
        away = np.cross(axis, rng.normal(size=3))
        away /= np.linalg.norm(away) + 1e-9
        middle = (tree.starts[index] + tree.ends[index]) / 2
        anchor = middle + away * (tree.near_mm[index] + tree.far_mm[index]) / 2
        center = anchor + away * reach_mm
        if _fits_at_vessel(center, wish, reach_mm, room):
            return anchor, away
    return None


def _fits_at_vessel(center: Points, wish: NoduleOptions, reach_mm: float, room: _Room) -> bool:
    lungs = room.lungs
    nearest = int(np.argmin(np.sum((lungs.points - center) ** 2, axis=1)))
    return bool(
        _on_side(center[None], wish.side)[0]
        and lungs.depth_mm[nearest] > reach_mm + 5.0
        and _hilum_gap(center) > reach_mm + 25.0
        and room.is_free(center, reach_mm)
        and room.gap_to_vessels_mm(center) > 0.75 * reach_mm
    )


def clear_branches(tree: Tree, nodules: list[PlacedNodule], stays_mm: float) -> Tree:
    """Take away branches below a radius that would run through or along a nodule."""
    wanted = np.ones(len(tree.starts), dtype=bool)
    for nodule in nodules:
        gap = tree.distance_mm(nodule.center_rest) - nodule.largest_mm - tree.near_mm
        wanted &= (gap > 1.2) | (tree.far_mm >= stays_mm)
    return tree.keep(wanted)
