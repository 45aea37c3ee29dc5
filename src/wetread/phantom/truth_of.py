"""What a scene truly holds.

In: ``Scene``, the tally of what was painted.  Out: ``VisitTruth``.  Never: measured voxels.
"""

from __future__ import annotations

import numpy as np

from wetread.phantom.nodule import measure_axes
from wetread.phantom.options import NoduleKind, PhantomOptions
from wetread.phantom.scene import Scene, SceneNodule
from wetread.phantom.tally import Tally
from wetread.phantom.truth import NoduleStatus, TrueNodule, TruePleura, VisitTruth
from wetread.phantom.uids import make_uid

#: Volume change that counts as a change.
_CHANGE = 0.02


def describe_visit(options: PhantomOptions, number: int, scene: Scene, tally: Tally) -> VisitTruth:
    """State the truth of visit ``number`` (from 0)."""
    visit = options.visits[number]
    volume_ml = tally.volume_ml
    lungs_ml = volume_ml["right"] + volume_ml["left"]
    air, fluid = visit.pneumothorax, visit.effusion
    gone = sorted({name for earlier in options.visits[: number + 1] for name in earlier.resolved})
    return VisitTruth(
        study_instance_uid=make_uid(options, "study", number + 1),
        date=visit.date,
        nodules=tuple(_describe(options, number, nodule) for nodule in scene.nodules),
        right_lung_volume_ml=volume_ml["right"],
        left_lung_volume_ml=volume_ml["left"],
        emphysema_percent=100 * volume_ml["holes"] / max(lungs_ml, 1e-9),
        pneumothorax=None if air is None else TruePleura(side=air.side.value, volume_ml=volume_ml["air"]),
        effusion=None if fluid is None else TruePleura(side=fluid.side.value, volume_ml=volume_ml["fluid"]),
        resolved=tuple(gone),
    )


def _describe(options: PhantomOptions, number: int, placed: SceneNodule) -> TrueNodule:
    nodule = placed.nodule
    long_mm, short_mm = measure_axes(nodule.form)
    x, y, z = (float(value) for value in placed.center_lps_mm)
    core_mm3 = core_mm = 0.0
    if nodule.options.kind is NoduleKind.PART_SOLID:
        fraction = nodule.options.core_fraction
        core_mm3 = nodule.form.volume_mm3 * fraction**3
        core_mm = (long_mm + short_mm) / 2 * fraction
    return TrueNodule(
        nodule_id=nodule.nodule_id,
        kind=nodule.options.kind.value,
        place=nodule.options.place.value,
        shape=nodule.options.shape.value,
        side="right" if nodule.center_rest[0] < 0 else "left",
        center_lps_mm=(x, y, z),
        volume_mm3=nodule.form.volume_mm3,
        long_axis_mm=long_mm,
        short_axis_mm=short_mm,
        hu=nodule.hu,
        status=_status(options, number, placed),
        volume_factor=placed.volume_factor,
        core_volume_mm3=core_mm3,
        core_diameter_mm=core_mm,
    )


def _status(options: PhantomOptions, number: int, placed: SceneNodule) -> NoduleStatus:
    if number == 0:
        return NoduleStatus.BASELINE
    if placed.since == number:
        return NoduleStatus.NEW
    before = options.visits[number - 1].growth.get(placed.nodule.nodule_id, 1.0)
    change = np.log(placed.volume_factor / before)
    if abs(change) < _CHANGE:
        return NoduleStatus.STABLE
    return NoduleStatus.GROWING if change > 0 else NoduleStatus.SHRINKING
