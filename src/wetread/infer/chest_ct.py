"""The built-in reader ``chest-ct``: lungs, free pleural air, nodules.

In: a ``ReadRequest`` with a chest CT.  Out: a ``Reading``.
Never: weights, network, thresholds of its own (they are parameters of the model package).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wetread.domain import code
from wetread.domain.finding import Finding, Region, Segment
from wetread.domain.mask import Mask
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.reading import Outcome, Reading
from wetread.domain.volume import Volume
from wetread.infer.chest_findings import (
    LATERALITY,
    Place,
    make_tracking_uid,
    nodule_finding,
    nodule_segment,
    pneumothorax_finding,
    pneumothorax_segment,
)
from wetread.infer.chest_triage import triage_chest
from wetread.infer.request import ReadRequest
from wetread.measure.air import (
    AirSettings,
    AirWeights,
    PleuralAir,
    find_pleural_air,
    mark_pleural_air,
    without_air,
)
from wetread.measure.coarse import shrink
from wetread.measure.lungs import measure_density, segment_lungs, touches_ends
from wetread.measure.nodules import Nodule, NoduleSettings, Views, find_nodules
from wetread.measure.orientation import Upright, to_upright
from wetread.measure.thorax import LEFT, RIGHT, Labels, find_thorax

_COARSE_MM = 2.0
_BLOCK_MM = 1.3
_WEIGHT = "nodule_weight_"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What was measured, on the upright grid."""

    volume: Volume
    upright: Upright
    lungs: Labels
    air: tuple[PleuralAir, ...]
    nodules: tuple[Nodule, ...]
    problems: tuple[Problem, ...]


def read_chest_ct(request: ReadRequest) -> Reading:
    """Read one chest CT.

    Parameters
    ----------
    request
        ``volume`` in HU, any orientation; ``model.parameters`` holds every threshold.

    Returns
    -------
    Reading
        ``NOT_READ`` with ``NO_LUNGS_FOUND`` where no lung is seen.
    """
    seen = _look(request)
    if seen is None:
        return _not_read(request)
    segments = _segments(request, seen)
    findings = _findings(request, seen, segments)
    regions = _regions(request, seen)
    return Reading(
        study_instance_uid=request.study_instance_uid,
        series_instance_uid=request.series_instance_uid,
        revision=request.revision,
        model=request.model.identity,
        operating_point=request.model.operating_point,
        outcome=Outcome.READ,
        triage=triage_chest(findings, request.model.parameters),
        findings=findings,
        regions=regions,
        segments=segments,
        measurements=_study_measurements(seen),
        problems=request.problems + seen.problems,
        grid=request.volume.grid,
        made_at=request.made_at,
        predecessor_digest=request.predecessor_digest,
    )


def _look(request: ReadRequest) -> _Seen | None:
    parameters = request.model.parameters
    volume, upright = to_upright(request.volume)
    coarse = shrink(volume, _COARSE_MM)
    blocks = shrink(volume, _BLOCK_MM)
    thorax = find_thorax(coarse)
    if thorax is None:
        return None
    air = find_pleural_air(blocks, coarse, thorax, air_settings(parameters))
    lungs = segment_lungs(volume, coarse, thorax)
    views = Views(volume=volume, coarse=coarse, blocks=blocks)
    marked = tuple(mark_pleural_air(volume, (coarse, thorax), one, lungs) for one in air)
    nodules, too_many = find_nodules(views, without_air(thorax, coarse, air), nodule_settings(parameters))
    return _Seen(
        volume=volume,
        upright=upright,
        lungs=lungs,
        air=marked,
        # Largest first: "Nodule 1" is the one to look at.
        nodules=tuple(sorted(nodules, key=lambda one: (-one.volume_mm3, one.center))),
        problems=_limits(volume, lungs, too_many),
    )


def nodule_settings(parameters: Mapping[str, float]) -> NoduleSettings:
    """Take the operating point of the nodule search out of a model's parameters."""
    return NoduleSettings(
        least_strength_hu=parameters["nodule_least_strength_hu"],
        least_probability=parameters["nodule_least_probability"],
        least_diameter_mm=parameters["nodule_least_diameter_mm"],
        greatest_diameter_mm=parameters["nodule_greatest_diameter_mm"],
        most_candidates=int(parameters["nodule_most_candidates"]),
        weights={
            name.removeprefix(_WEIGHT): value
            for name, value in parameters.items()
            if name.startswith(_WEIGHT)
        },
    )


def air_settings(parameters: Mapping[str, float]) -> AirSettings:
    """Take the operating point of the search for free air out of a model's parameters."""
    return AirSettings(
        least_ml=parameters["pneumothorax_least_ml"],
        least_probability=parameters["pneumothorax_least_probability"],
        weights=AirWeights(
            intercept=parameters["pneumothorax_weight_intercept"],
            density=parameters["pneumothorax_weight_density"],
            raggedness=parameters["pneumothorax_weight_raggedness"],
            wall=parameters["pneumothorax_weight_wall"],
            line=parameters["pneumothorax_weight_line"],
        ),
    )


def _limits(volume: Volume, lungs: Labels, too_many: bool) -> tuple[Problem, ...]:
    problems = []
    pixel_mm2 = volume.grid.spacing_mm[1] * volume.grid.spacing_mm[2]
    lower, upper = touches_ends(lungs, pixel_mm2)
    if lower or upper:
        ends = " and ".join(name for name, cut in (("lower", lower), ("upper", upper)) if cut)
        problems.append(
            Problem(
                code=ProblemCode.LUNGS_CUT_OFF,
                message=f"The lungs are cut off at the {ends} end of the scan: measured is what is shown.",
                refuses=False,
            )
        )
    if too_many:
        problems.append(
            Problem(
                code=ProblemCode.TOO_MANY_CANDIDATES,
                message="More bright spots than this reader looks at: nodules may have been missed.",
                refuses=False,
            )
        )
    return tuple(problems)


def _not_read(request: ReadRequest) -> Reading:
    problem = Problem(
        code=ProblemCode.NO_LUNGS_FOUND,
        message="No lung was found in these images: check that this series is a CT of the chest.",
    )
    return Reading(
        study_instance_uid=request.study_instance_uid,
        series_instance_uid=request.series_instance_uid,
        revision=request.revision,
        model=request.model.identity,
        operating_point=request.model.operating_point,
        outcome=Outcome.NOT_READ,
        problems=(*request.problems, problem),
        grid=request.volume.grid,
        made_at=request.made_at,
        predecessor_digest=request.predecessor_digest,
    )


def _sides(seen: _Seen) -> list[int]:
    return [side for side in (RIGHT, LEFT) if (seen.lungs == side).any()]


def _segments(request: ReadRequest, seen: _Seen) -> tuple[Segment, ...]:
    segments = [_lung_segment(request, seen, side, number) for number, side in enumerate(_sides(seen), 1)]
    place = Place(grid=request.volume.grid, upright_grid=seen.volume.grid, upright=seen.upright)
    for air in seen.air:
        segments.append(pneumothorax_segment(request, place, air, len(segments) + 1))
    for ordinal, nodule in enumerate(seen.nodules, 1):
        segments.append(nodule_segment(request, place, nodule, (ordinal, len(segments) + 1)))
    return tuple(segments)


def _lung_segment(request: ReadRequest, seen: _Seen, side: int, number: int) -> Segment:
    laterality = LATERALITY[side]
    return Segment(
        number=number,
        label=f"{laterality.meaning} lung",
        category=code.ANATOMICAL_STRUCTURE,
        type=code.LUNG,
        laterality=laterality,
        tracking_uid=make_tracking_uid(request, f"lung-{side}"),
        mask=Mask.from_array(seen.upright.undo(seen.lungs == side)),
    )


def _findings(request: ReadRequest, seen: _Seen, segments: tuple[Segment, ...]) -> tuple[Finding, ...]:
    place = Place(grid=request.volume.grid, upright_grid=seen.volume.grid, upright=seen.upright)
    first = len(_sides(seen))
    airs = segments[first : first + len(seen.air)]
    rest = segments[first + len(seen.air) :]
    return (
        *(pneumothorax_finding(place, air, segment) for air, segment in zip(seen.air, airs, strict=True)),
        *(nodule_finding(place, one, segment) for one, segment in zip(seen.nodules, rest, strict=True)),
    )


def _regions(request: ReadRequest, seen: _Seen) -> tuple[Region, ...]:
    return tuple(
        Region(
            tracking_uid=make_tracking_uid(request, f"lung-{side}"),
            label=f"{LATERALITY[side].meaning} lung",
            code=code.LUNG,
            laterality=LATERALITY[side],
            segment_number=number,
            measurements=_rounded(measure_density(seen.volume, seen.lungs, (side,))),
        )
        for number, side in enumerate(_sides(seen), 1)
    )


def _study_measurements(seen: _Seen) -> Mapping[str, float]:
    both = dict(measure_density(seen.volume, seen.lungs, (RIGHT, LEFT)))
    both["lung_volume_ml"] = both.pop("volume_ml")
    return _rounded(both)


def _rounded(measurements: Mapping[str, float]) -> Mapping[str, float]:
    return {name: float(np.round(value, 3)) for name, value in measurements.items()}
