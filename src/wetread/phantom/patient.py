"""One synthetic patient at rest: outline, lung trees, nodules. The same at every visit.

In: ``PhantomOptions``.  Out: ``Patient``.  Never: pose, voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from wetread.domain.volume import Grid
from wetread.errors import ConfigError
from wetread.phantom.cage import Cage
from wetread.phantom.options import NoduleOptions, PhantomOptions
from wetread.phantom.placement import SEEN_VESSEL_MM, LungMap, PlacedNodule, clear_branches, place_nodules
from wetread.phantom.plan import draw_nodules
from wetread.phantom.space import grid_points
from wetread.phantom.thorax import HILUM, Thorax, build_thorax
from wetread.phantom.tree import Points, Tree, grow_tree

_REST_STEP_MM = 4.0
_SIDES = ("right", "left")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patient:
    """What all visits share; everything in rest mm."""

    cage: Cage
    #: Arteries and veins by side.
    vessels: dict[str, tuple[Tree, ...]]
    bronchi: dict[str, Tree]
    #: Nodules of all visits, with the index of the visit at which each appears.
    nodules: tuple[tuple[int, PlacedNodule], ...]


def stream(options: PhantomOptions, *name: int) -> np.random.Generator:
    """Return the random generator of one purpose, independent of all others."""
    return np.random.default_rng([options.seed, *name])


def make_patient(options: PhantomOptions) -> Patient:
    """Draw the patient.

    Raises
    ------
    ConfigError
        If the wished nodules do not fit into the lungs.
    """
    cage = Cage.draw(stream(options, 1), options.patient.variation)
    grid = _rest_grid()
    thorax = build_thorax(grid_points(grid), cage, _REST_STEP_MM)
    lungs = _map_lungs(thorax, grid)
    ends = options.patient.vessel_ends
    vessels = {
        side: tuple(_grow(lungs, side, ends, stream(options, 2, number, kind)) for kind in (0, 1))
        for number, side in enumerate(_SIDES)
    }
    bronchi = {
        side: _grow_bronchi(lungs, side, stream(options, 3, number)) for number, side in enumerate(_SIDES)
    }
    wished = wished_nodules(options)
    _check_names(options, len(wished))
    largest = [_largest_growth(options, index) for index in range(len(wished))]
    placed = place_nodules(
        [nodule for _, nodule in wished],
        largest,
        lungs,
        [tree for side in _SIDES for tree in vessels[side]],
        options.seed,
    )
    vessels = {
        side: tuple(clear_branches(tree, placed, SEEN_VESSEL_MM) for tree in trees)
        for side, trees in vessels.items()
    }
    bronchi = {side: clear_branches(tree, placed, np.inf) for side, tree in bronchi.items()}
    nodules = tuple((visit, nodule) for (visit, _), nodule in zip(wished, placed, strict=True))
    return Patient(cage=cage, vessels=vessels, bronchi=bronchi, nodules=nodules)


def _check_names(options: PhantomOptions, count: int) -> None:
    known = {f"n{index + 1}" for index in range(count)}
    named = {name for visit in options.visits for name in (*visit.growth, *visit.resolved)}
    if named - known:
        raise ConfigError("No nodule of this id", unknown=sorted(named - known), known=sorted(known))


def wished_nodules(options: PhantomOptions) -> list[tuple[int, NoduleOptions]]:
    """List the nodules of all visits with the index of the visit at which each appears."""
    first = options.nodules if options.nodules is not None else draw_nodules(stream(options, 4))
    wished = [(0, nodule) for nodule in first]
    for index, visit in enumerate(options.visits):
        wished += [(index, nodule) for nodule in visit.new_nodules]
    return wished


def _largest_growth(options: PhantomOptions, index: int) -> float:
    factors = [visit.growth.get(f"n{index + 1}", 1.0) for visit in options.visits]
    return float(max(1.0, *factors) ** (1 / 3))


def _rest_grid() -> Grid:
    counts = (85, 70, 80)
    return Grid(
        shape=counts,
        spacing_mm=(_REST_STEP_MM,) * 3,
        origin_lps_mm=(-158.0, -138.0, -188.0),
        directions=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    )


def _map_lungs(thorax: Thorax, grid: Grid) -> LungMap:
    inside = thorax.lungs < 0
    depth = ndimage.distance_transform_edt(inside, sampling=grid.spacing_mm).astype(np.float32)
    near = np.minimum(depth, -thorax.lungs)
    return LungMap(
        points=thorax.rest[inside].astype(float),
        depth_mm=np.where(depth[inside] < 10.0, near[inside], depth[inside]).astype(float),
        wall_mm=-thorax.wall[inside].astype(float),
        fissure_mm=np.abs(thorax.fissure[inside]).astype(float),
    )


def _grow(lungs: LungMap, side: str, ends: int, rng: np.random.Generator) -> Tree:
    root = np.array(HILUM[side]) + np.array([0.0, rng.uniform(-8, 8), rng.uniform(-8, 8)])
    targets = _draw_targets(lungs, side, ends, rng)
    return grow_tree(root, targets, 0.42, rng)


def _grow_bronchi(lungs: LungMap, side: str, rng: np.random.Generator) -> Tree:
    sign = -1.0 if side == "right" else 1.0
    root = np.array([sign * 46.0, 17.0, -8.0])
    targets = _draw_targets(lungs, side, 70, rng)
    # Seen bronchi end well before the pleura.
    return grow_tree(root, root + 0.72 * (targets - root), 0.75, rng)


def _draw_targets(lungs: LungMap, side: str, count: int, rng: np.random.Generator) -> Points:
    """Draw points evenly through one lung: far fewer accidental clusters than independent draws."""
    own = lungs.points[(lungs.points[:, 0] < 0) == (side == "right")]
    deep = lungs.depth_mm[(lungs.points[:, 0] < 0) == (side == "right")]
    own = own[deep > 2.5]
    order = rng.permutation(len(own))
    stride = max(1, len(own) // (count * 3))
    pool = own[order[::stride]] + rng.uniform(-2.0, 2.0, size=(len(order[::stride]), 3))
    chosen = np.linspace(0, len(pool) - 1, count).astype(int)
    return np.asarray(pool[chosen])
