"""The patient at one visit: anatomy, pleura, trees and nodules brought into the scan.

In: ``Patient``, ``VisitOptions``.  Out: ``Scene``: coarse fields and things in LPS mm.  Never: fine voxels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from wetread.domain.volume import Grid
from wetread.errors import ConfigError
from wetread.phantom.distance import Float, cut
from wetread.phantom.options import PhantomOptions, Place, Side
from wetread.phantom.patient import Patient, stream
from wetread.phantom.placement import PlacedNodule
from wetread.phantom.pleura import pleural_gap
from wetread.phantom.space import COARSE_MM, Motion, Waves, coarse_grid, grid_points, is_prone
from wetread.phantom.stamp import Segments
from wetread.phantom.texture import emphysema_holes, lung_texture, soft_grain
from wetread.phantom.thorax import HILUM, Thorax, build_thorax
from wetread.phantom.tissue import Fields
from wetread.phantom.tree import Points, Tree

_SIDES = ("right", "left")
#: How much patients differ in shape from the model, mm.
_BUILD_MM = 5.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneNodule:
    """A nodule of this visit: its form is the size that it has now."""

    nodule: PlacedNodule
    #: Index of the visit at which it appeared.
    since: int
    center_lps_mm: Points
    volume_factor: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """All that the scanner sees."""

    coarse: Grid
    fields: Fields
    #: Rest x on the coarse grid: negative is the right lung.
    side_x: Float
    vessels: Segments
    bronchi: Segments
    nodules: tuple[SceneNodule, ...]


def make_scene(options: PhantomOptions, patient: Patient, number: int, grid: Grid) -> Scene:
    """Bring the patient into the scan of visit ``number`` (from 0)."""
    visit = options.visits[number]
    motion = make_motion(options, number)
    coarse = coarse_grid(grid)
    lps = grid_points(coarse)
    thorax = build_thorax(motion.to_rest(lps.copy()).astype(np.float32), patient.cage, COARSE_MM)
    prone = is_prone(options.scanner)
    gaps = {
        name: pleural_gap(thorax, lps, wish, upwards=(name == "air") is not prone, spacing_mm=COARSE_MM)[0]
        for name, wish in (("air", visit.pneumothorax), ("fluid", visit.effusion))
        if wish is not None
    }
    shrink = _shrinkage(options, number, thorax)
    fields = _make_fields(options, thorax, gaps, (lps, shrink))
    surface = thorax.lungs
    for gap in gaps.values():
        surface = np.maximum(surface, -gap)
    carry = _Carrier(motion=motion, shrink=shrink, surface=surface, coarse=coarse)
    trees = [(side, tree) for side in _SIDES for tree in patient.vessels[side]]
    return Scene(
        coarse=coarse,
        fields=fields,
        side_x=cut(thorax.rest[..., 0]),
        vessels=carry.trees(trees),
        bronchi=carry.trees([(side, patient.bronchi[side]) for side in _SIDES]),
        nodules=tuple(_scene_nodules(options, patient, number, carry)),
    )


def make_motion(options: PhantomOptions, number: int) -> Motion:
    """Return the pose, breath and deformation of visit ``number`` (from 0)."""
    visit = options.visits[number]
    return Motion(
        visit=visit,
        scale=options.patient.scale,
        build=Waves.draw(_BUILD_MM * options.patient.variation, stream(options, 12)),
        deformation=Waves.draw(visit.deformation_mm, stream(options, 6, number)),
    )


def _make_fields(
    options: PhantomOptions, thorax: Thorax, gaps: dict[str, Float], pose: tuple[Float, dict[str, float]]
) -> Fields:
    lps, shrink = pose
    prone = is_prone(options.scanner)
    lungs = cut(thorax.lungs)
    # What is left of a collapsed lung holds the same tissue in less room.
    right, left = (min(shrink[side] ** -3, 2.5) for side in _SIDES)
    density = np.where(thorax.rest[..., 0] < 0, np.float32(right), np.float32(left))
    lung_hu = lung_texture(options, thorax, lps, -1.0 if prone else 1.0)
    percent = options.patient.emphysema_percent
    return Fields(
        skin=thorax.skin,
        muscle=thorax.muscle,
        wall=np.clip(thorax.wall, -15.0, 45.0),
        bone=thorax.bone,
        soft=thorax.soft,
        organs=thorax.organs,
        gas=thorax.gas,
        lungs=lungs,
        fissure=thorax.fissure,
        lung_hu=(lung_hu + 1000) * density - 1000,
        grain=soft_grain(stream(options, 8), thorax.rest),
        holes=emphysema_holes(stream(options, 9), thorax, percent, COARSE_MM) if percent > 0 else None,
        air=cut(gaps["air"]) if "air" in gaps else None,
        fluid=cut(gaps["fluid"]) if "fluid" in gaps else None,
        table=_table(lps, prone) if options.scanner.table else None,
    )


def _table(lps: Float, prone: bool) -> Float:
    """Return the distance to the middle of a curved table top, mm."""
    y = -lps[..., 1] if prone else lps[..., 1]
    top = 131.0 - 0.0009 * lps[..., 0] ** 2
    return cut((y - top).astype(np.float32))


def _shrinkage(options: PhantomOptions, number: int, thorax: Thorax) -> dict[str, float]:
    """Return by how much each lung's inside is pulled towards its hilum."""
    visit = options.visits[number]
    shrink = {}
    for side in _SIDES:
        sign = -1.0 if side == "right" else 1.0
        cavity_ml = (
            np.count_nonzero((thorax.lungs < 0) & (sign * thorax.rest[..., 0] > 0)) * COARSE_MM**3 / 1e3
        )
        taken = sum(
            wish.volume_ml
            for wish in (visit.pneumothorax, visit.effusion)
            if wish is not None and wish.side is Side(side)
        )
        shrink[side] = float(max(0.3, 1 - taken / max(cavity_ml, 1.0)) ** (1 / 3)) if taken else 1.0
    return shrink


@dataclass(frozen=True, kw_only=True)
class _Carrier:
    """Brings rest points to LPS, through breath and collapse."""

    motion: Motion
    shrink: dict[str, float]
    #: Distance to the surface of what is left of the lungs, on the coarse grid.
    surface: Float
    coarse: Grid

    def points(self, rest: Points, side: str) -> Points:
        hilum = np.array(HILUM[side])
        return self.motion.from_rest(hilum + self.shrink[side] * (rest - hilum))

    def trees(self, trees: list[tuple[str, Tree]]) -> Segments:
        return Segments(
            starts=np.concatenate([self.points(tree.starts, side) for side, tree in trees]),
            ends=np.concatenate([self.points(tree.ends, side) for side, tree in trees]),
            near_mm=np.concatenate([tree.near_mm for _, tree in trees]),
            far_mm=np.concatenate([tree.far_mm for _, tree in trees]),
        )

    def outside_mm(self, lps: Points) -> float:
        """Return how far a point lies outside what is left of the lung, negative inside."""
        index = self.coarse.to_index(lps)[:, None]
        return float(ndimage.map_coordinates(self.surface, index, order=1, mode="nearest")[0])

    def outwards(self, lps: Points) -> Points:
        """Return the unit vector to the nearest pleura."""
        steps = np.eye(3) * 1.5 * COARSE_MM
        slope = np.array([self.outside_mm(lps + step) - self.outside_mm(lps - step) for step in steps])
        unit: Points = slope / (np.linalg.norm(slope) + 1e-9)
        return unit


def _scene_nodules(
    options: PhantomOptions, patient: Patient, number: int, carry: _Carrier
) -> list[SceneNodule]:
    gone = {name for visit in options.visits[: number + 1] for name in visit.resolved}
    found: list[SceneNodule] = []
    for since, nodule in patient.nodules:
        if since > number or nodule.nodule_id in gone:
            continue
        factor = options.visits[number].growth.get(nodule.nodule_id, 1.0)
        grown = replace(nodule, form=nodule.form.scaled(factor ** (1 / 3)))
        center = _settle(grown, carry, found)
        found.append(SceneNodule(nodule=grown, since=since, center_lps_mm=center, volume_factor=factor))
    return found


def _settle(nodule: PlacedNodule, carry: _Carrier, others: list[SceneNodule]) -> Points:
    """Return the nodule's centre: tangent to the pleura or clear of it, as its place wants."""
    rest = nodule.center_rest
    center = carry.points(rest[None], "right" if rest[0] < 0 else "left")[0]
    for _ in range(80):
        outwards = carry.outwards(center)
        miss = carry.outside_mm(center) + nodule.form.support_mm(outwards)
        if nodule.options.place is not Place.JUXTAPLEURAL:
            miss = max(0.0, miss + 2.0)
        push = _push(center, nodule.form.reach_mm, others)
        if abs(miss) < 0.05 and not push.any():
            break
        center = center - 0.7 * np.clip(miss, -4.0, 4.0) * outwards + push
    # In a crease of the pleura the way in turns and turns: half a millimetre is near enough there.
    if abs(miss) < 0.5:
        return np.asarray(center)
    raise ConfigError(
        "A nodule does not fit into what the pleural air or fluid leaves of the lung",
        nodule=nodule.nodule_id,
        diameter_mm=nodule.options.diameter_mm,
    )


def _push(center: Points, reach_mm: float, others: list[SceneNodule]) -> Points:
    """Return the way to keep clear of other nodules, which a collapse brings closer."""
    push = np.zeros(3)
    for other in others:
        apart = center - other.center_lps_mm
        gap = float(np.linalg.norm(apart)) - reach_mm - other.nodule.form.reach_mm - 1.5
        if gap < 0:
            push += apart / max(float(np.linalg.norm(apart)), 1e-3) * min(-gap + 0.2, 4.0)
    return push
