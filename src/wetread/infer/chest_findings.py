"""What was seen in a chest, as coded findings and segments.

In: nodules and pleural air on the upright grid.  Out: ``Finding`` and ``Segment`` on the volume's own grid.
Never: measuring.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wetread.domain import code
from wetread.domain.code import Code
from wetread.domain.comparison import PriorComparison
from wetread.domain.finding import Axes, Finding, Segment
from wetread.domain.mask import Mask
from wetread.domain.volume import FloatArray, Grid, Triple
from wetread.infer.request import ReadRequest
from wetread.measure.air import PleuralAir
from wetread.measure.coarse import Coarse
from wetread.measure.effusion import Effusion, to_fine_mask
from wetread.measure.nodules import Nodule
from wetread.measure.orientation import Upright
from wetread.measure.outline import Texture
from wetread.measure.thorax import LEFT, RIGHT

LATERALITY: Mapping[int, Code] = {RIGHT: code.RIGHT, LEFT: code.LEFT}
_TEXTURES: Mapping[Texture, Code] = {
    Texture.SOLID: code.SOLID,
    Texture.PART_SOLID: code.PART_SOLID,
    Texture.GROUND_GLASS: code.GROUND_GLASS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The volume's own grid and the upright one, and the way between."""

    grid: Grid
    upright_grid: Grid
    upright: Upright


def make_tracking_uid(request: ReadRequest, what: str) -> str:
    """Derive a UID from study, model and place: the same finding gets it again (PS3.5 B.2)."""
    identity = request.model.identity
    text = f"{request.study_instance_uid}|{identity.name}|{identity.version}|{what}"
    return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"


def _place_text(grid: Grid, mask: Mask) -> str:
    # Never the ordinal: in the next revision another nodule may bear it.
    index = np.argwhere(mask.voxels).mean(axis=0) + mask.offset
    return " ".join(f"{value:.0f}" for value in grid.to_lps_mm(index))


def nodule_segment(
    request: ReadRequest, place: Place, nodule: Nodule, numbers: tuple[int, int], tracking_uid: str = ""
) -> Segment:
    """Segment of a nodule; ``numbers`` are its ordinal among the nodules and its segment number.

    Parameters
    ----------
    tracking_uid
        Of an earlier study; ``""``: it gets its first.
    """
    ordinal, number = numbers
    mask = to_own_grid(place, nodule.mask)
    return Segment(
        number=number,
        label=f"Nodule {ordinal}",
        category=code.MORPHOLOGICALLY_ABNORMAL_STRUCTURE,
        type=code.NODULE,
        laterality=LATERALITY[nodule.side],
        site=code.LUNG,
        tracking_uid=tracking_uid or make_tracking_uid(request, f"nodule at {_place_text(place.grid, mask)}"),
        mask=mask,
    )


def pneumothorax_segment(request: ReadRequest, place: Place, air: PleuralAir, number: int) -> Segment:
    """Segment of free pleural air."""
    return Segment(
        number=number,
        label=f"Pneumothorax, {LATERALITY[air.side].meaning.lower()}",
        category=code.MORPHOLOGICALLY_ABNORMAL_STRUCTURE,
        type=code.PNEUMOTHORAX,
        laterality=LATERALITY[air.side],
        site=code.PLEURAL_CAVITY,
        tracking_uid=make_tracking_uid(request, f"pneumothorax-{air.side}"),
        mask=to_own_grid(place, air.mask),
    )


def to_own_grid(place: Place, mask: Mask) -> Mask:
    """Turn a mask on the upright grid back; only its box is touched."""
    upright, size = place.upright, mask.voxels.shape
    starts = [0, 0, 0]
    for axis, (own, flip) in enumerate(zip(upright.order, upright.flipped, strict=True)):
        starts[own] = mask.shape[axis] - mask.offset[axis] - size[axis] if flip else mask.offset[axis]
    return Mask(
        shape=place.grid.shape,
        offset=(starts[0], starts[1], starts[2]),
        voxels=np.ascontiguousarray(upright.undo(mask.voxels)),
    )


def nodule_finding(
    place: Place,
    nodule: Nodule,
    segment: Segment,
    prior: PriorComparison | None = None,
    height_percent: float | None = None,
) -> Finding:
    """Finding of a nodule, measured, and compared with an earlier study.

    Parameters
    ----------
    height_percent
        In its lung, from base to apex; None: not known.
    """
    center = _triple(place.upright_grid.to_lps_mm(nodule.center))
    return Finding(
        tracking_uid=segment.tracking_uid,
        label="lung nodule",
        code=code.NODULE,
        probability=round(nodule.probability, 4),
        center_lps_mm=center,
        box_lps_mm=box_lps_mm(place.grid, segment.mask),
        measurements=_nodule_measurements(nodule, height_percent),
        laterality=LATERALITY[nodule.side],
        site=code.LUNG,
        texture=_TEXTURES[nodule.texture],
        segment_number=segment.number,
        key_plane=own_plane(place, nodule),
        axes=_axes(place, nodule),
        prior=prior,
    )


def _nodule_measurements(nodule: Nodule, height_percent: float | None) -> Mapping[str, float]:
    exact = {
        "volume_mm3": nodule.volume_mm3,
        "long_axis_mm": nodule.axial.long_mm,
        "short_axis_mm": nodule.axial.short_mm,
        "mean_diameter_mm": nodule.axial.mean_mm,
        "greatest_long_axis_mm": nodule.greatest.long_mm,
        "greatest_short_axis_mm": nodule.greatest.short_mm,
        "greatest_mean_diameter_mm": nodule.greatest.mean_mm,
        "area_mm2": nodule.axial.area_mm2,
        "mean_hu": nodule.mean_hu,
        "distance_to_pleura_mm": nodule.distance_to_pleura_mm,
    }
    known = {
        "pleural_contact_percent": 100.0 * nodule.features.pleural,
        "vessel_contact_percent": 100.0 * nodule.features.attached,
        "spiculated_percent": nodule.form.spiculated_percent,
        "solid_volume_mm3": nodule.form.solid_volume_mm3,
        "solid_mean_diameter_mm": nodule.form.solid_mean_diameter_mm,
        "lung_height_percent": height_percent,
    }
    exact |= {name: value for name, value in known.items() if value is not None}
    return {name: round(float(value), 3) for name, value in exact.items()}


def own_plane(place: Place, nodule: Nodule) -> int:
    """Return the plane of the volume's own grid: the axial one that was measured, where it is axial."""
    index = [nodule.center[0], nodule.center[1], nodule.center[2]]
    index[0] = float(nodule.plane)
    own = place.grid.to_index(place.upright_grid.to_lps_mm(index))
    return int(np.clip(np.rint(own[0]), 0, place.grid.shape[0] - 1))


def _axes(place: Place, nodule: Nodule) -> Axes:
    ends = []
    for points in (nodule.axial_long, nodule.axial_short):
        snapped = points.copy()
        snapped[:, 0] = nodule.plane
        lps = place.upright_grid.to_lps_mm(snapped)
        ends.append((_triple(lps[0]), _triple(lps[1])))
    return Axes(long=ends[0], short=ends[1])


def pneumothorax_finding(place: Place, air: PleuralAir, segment: Segment) -> Finding:
    """Finding of free pleural air."""
    mask = segment.mask
    places = np.argwhere(mask.voxels)
    center = place.grid.to_lps_mm(places.mean(axis=0) + mask.offset)
    return Finding(
        tracking_uid=segment.tracking_uid,
        label="pneumothorax",
        code=code.PNEUMOTHORAX,
        probability=round(air.probability, 4),
        center_lps_mm=_triple(center),
        box_lps_mm=box_lps_mm(place.grid, mask),
        measurements={"volume_ml": round(air.volume_ml, 3), "mean_hu": round(air.mean_hu, 3)},
        laterality=LATERALITY[air.side],
        site=code.PLEURAL_CAVITY,
        segment_number=segment.number,
        key_plane=mask.largest_plane,
    )


def effusion_segment(
    request: ReadRequest, place: Place, fluid: Effusion, coarse: Coarse, number: int
) -> Segment:
    """Segment of pleural fluid."""
    return Segment(
        number=number,
        label=f"Pleural effusion, {LATERALITY[fluid.side].meaning.lower()}",
        category=code.MORPHOLOGICALLY_ABNORMAL_STRUCTURE,
        type=code.PLEURAL_EFFUSION,
        laterality=LATERALITY[fluid.side],
        site=code.PLEURAL_CAVITY,
        tracking_uid=make_tracking_uid(request, f"effusion-{fluid.side}"),
        mask=to_own_grid(place, to_fine_mask(fluid, coarse)),
    )


def effusion_finding(place: Place, fluid: Effusion, segment: Segment) -> Finding:
    """Finding of pleural fluid."""
    mask = segment.mask
    center = place.grid.to_lps_mm(np.argwhere(mask.voxels).mean(axis=0) + mask.offset)
    return Finding(
        tracking_uid=segment.tracking_uid,
        label="pleural effusion",
        code=code.PLEURAL_EFFUSION,
        center_lps_mm=_triple(center),
        box_lps_mm=box_lps_mm(place.grid, mask),
        measurements={"volume_ml": round(fluid.volume_ml, 3), "mean_hu": round(fluid.mean_hu, 3)},
        laterality=LATERALITY[fluid.side],
        site=code.PLEURAL_CAVITY,
        segment_number=segment.number,
        key_plane=mask.largest_plane,
    )


def box_lps_mm(grid: Grid, mask: Mask) -> tuple[Triple, Triple]:
    """Lowest and highest corner, in LPS, of all voxels of a mask's box."""
    low = np.array(mask.offset) - 0.5
    high = low + mask.voxels.shape
    corners = [[(low, high)[bit][axis] for axis, bit in enumerate(bits)] for bits in np.ndindex(2, 2, 2)]
    points = grid.to_lps_mm(corners)
    return _triple(points.min(axis=0)), _triple(points.max(axis=0))


def _triple(point: FloatArray) -> Triple:
    x, y, z = (round(float(value), 4) for value in point)
    return (x, y, z)
