"""The built-in reader ``chest-ct``: lungs, free pleural air and fluid, nodules.

In: a ``ReadRequest`` with a chest CT.  Out: a ``Reading``.
Never: thresholds of its own (they are parameters of the model package).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from wetread.domain import code
from wetread.domain.finding import Finding, Region, Segment
from wetread.domain.mask import Mask
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.reading import Reading
from wetread.infer.chest_findings import (
    LATERALITY,
    Place,
    effusion_finding,
    effusion_segment,
    make_tracking_uid,
    nodule_finding,
    nodule_segment,
    pneumothorax_finding,
    pneumothorax_segment,
)
from wetread.infer.chest_follow import Followed, follow_nodules
from wetread.infer.chest_look import Seen, look_at_chest
from wetread.infer.chest_triage import triage_chest
from wetread.infer.request import ReadRequest
from wetread.measure.emphysema import measure_emphysema
from wetread.measure.lungs import measure_density
from wetread.measure.thorax import LEFT, RIGHT
from wetread.measure.zone import find_heights, measure_height


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
    seen = look_at_chest(request.volume, request.model)
    if seen is None:
        return _not_read(request)
    followed = follow_nodules(request, seen)
    segments = _segments(request, seen, followed)
    findings = _findings(request, seen, segments, followed)
    reading = replace(
        request.begin_reading(),
        findings=findings,
        regions=_regions(request, seen),
        segments=segments,
        measurements=_study_measurements(seen),
        problems=request.problems + seen.problems + followed.problems,
        comparison=followed.compare(segments[len(segments) - len(followed.nodules) :]),
    )
    return replace(reading, triage=triage_chest(reading, request.model.parameters))


def _not_read(request: ReadRequest) -> Reading:
    problem = Problem(
        code=ProblemCode.NO_LUNGS_FOUND,
        message="No lung was found in these images: check that this series is a CT of the chest.",
    )
    return request.begin_reading(refused=problem)


def _sides(seen: Seen) -> list[int]:
    return [side for side in (RIGHT, LEFT) if (seen.lungs == side).any()]


def _segments(request: ReadRequest, seen: Seen, followed: Followed) -> tuple[Segment, ...]:
    segments = [_lung_segment(request, seen, side, number) for number, side in enumerate(_sides(seen), 1)]
    place = Place(grid=request.volume.grid, upright_grid=seen.volume.grid, upright=seen.upright)
    for air in seen.air:
        segments.append(pneumothorax_segment(request, place, air, len(segments) + 1))
    for fluid in seen.fluid:
        coarse = seen.scan.views.coarse
        segments.append(effusion_segment(request, place, fluid, coarse, len(segments) + 1))
    for ordinal, (nodule, link) in enumerate(zip(followed.nodules, followed.links, strict=True), 1):
        numbers = ordinal, len(segments) + 1
        segments.append(nodule_segment(request, place, nodule, numbers, link.tracking_uid))
    return tuple(segments)


def _lung_segment(request: ReadRequest, seen: Seen, side: int, number: int) -> Segment:
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


def _findings(
    request: ReadRequest, seen: Seen, segments: tuple[Segment, ...], followed: Followed
) -> tuple[Finding, ...]:
    place = Place(grid=request.volume.grid, upright_grid=seen.volume.grid, upright=seen.upright)
    first = len(_sides(seen))
    second = first + len(seen.air)
    third = second + len(seen.fluid)
    airs = zip(seen.air, segments[first:second], strict=True)
    fluids = zip(seen.fluid, segments[second:third], strict=True)
    rest = zip(followed.nodules, followed.links, segments[third:], strict=True)
    _, row_mm, column_mm = seen.volume.grid.spacing_mm
    heights = find_heights(seen.lungs, row_mm * column_mm)
    return (
        *(pneumothorax_finding(place, air, segment) for air, segment in airs),
        *(effusion_finding(place, fluid, segment) for fluid, segment in fluids),
        *(
            nodule_finding(place, one, segment, link.prior, measure_height(heights, one.side, one.center[0]))
            for one, link, segment in rest
        ),
    )


def _regions(request: ReadRequest, seen: Seen) -> tuple[Region, ...]:
    return tuple(
        Region(
            tracking_uid=make_tracking_uid(request, f"lung-{side}"),
            label=f"{LATERALITY[side].meaning} lung",
            code=code.LUNG,
            laterality=LATERALITY[side],
            segment_number=number,
            measurements=_rounded(
                {
                    **measure_density(seen.volume, seen.lungs, (side,)),
                    **_emphysema(seen, side),
                }
            ),
        )
        for number, side in enumerate(_sides(seen), 1)
    )


def _emphysema(seen: Seen, side: int) -> Mapping[str, float]:
    """How what is destroyed of a lung hangs together; how much it is, its density says."""
    found = measure_emphysema(seen.volume, seen.lungs, (side,))
    if found is None or found.cluster_slope is None:
        return {}
    return {
        "laa_cluster_slope": found.cluster_slope,
        "laa_largest_cluster_ml": found.largest_cluster_ml,
    }


def _study_measurements(seen: Seen) -> Mapping[str, float]:
    both = dict(measure_density(seen.volume, seen.lungs, (RIGHT, LEFT)))
    both["lung_volume_ml"] = both.pop("volume_ml")
    return _rounded(both)


def _rounded(measurements: Mapping[str, float]) -> Mapping[str, float]:
    return {name: float(np.round(value, 3)) for name, value in measurements.items()}
