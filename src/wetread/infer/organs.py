"""The built-in reader ``organ-measures``: what others marked as organs, measured.

In: a ``ReadRequest`` with Segmentations by others.  Out: a ``Reading`` that names them.
Never: an organ known by a label; a mask moved or corrected; what a CT does not allow said all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wetread.domain import code
from wetread.domain.code import Code
from wetread.domain.finding import Finding, Region, Segment, SegmentOrigin
from wetread.domain.mask import Mask
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.reading import Reading, Triage
from wetread.domain.volume import Grid, Triple
from wetread.errors import InputError, LabelsDoNotFit
from wetread.imaging.segments import MarkedSegment, iter_segments
from wetread.infer.chest_findings import box_lps_mm, make_tracking_uid
from wetread.infer.job import OrganSource
from wetread.infer.request import ReadRequest
from wetread.measure.native import Phase
from wetread.measure.organ_code import Known, find_organ
from wetread.measure.organ_report import (
    Conclusion,
    Limits,
    MarkedOrgan,
    OrganReport,
    Sign,
    iter_parameters,
    only_plane,
    report_organs,
)

#: What a finding is called, and its code.
_SIGNS: Mapping[Sign, tuple[str, Code, Code]] = {
    Sign.FATTY_LIVER: (
        "fat in the liver",
        code.STEATOSIS_OF_LIVER,
        Code(value="10200004", scheme="SCT", meaning="Liver"),
    ),
    Sign.LOW_VERTEBRA: (
        "low density of a vertebra",
        code.LOW_VERTEBRAL_DENSITY,
        Code(value="66794005", scheme="SCT", meaning="L1 vertebra"),
    ),
    Sign.CALCIUM: ("coronary calcium", code.CORONARY_CALCIFICATION, code.CORONARY_ARTERY),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Marked:
    """An organ with where it comes from."""

    known: Known
    mask: Mask
    origin: SegmentOrigin
    #: As documents and pages call it, e.g. ``"Liver"``; of several ``"Liver 2"``.
    name: str = ""


def measure_organs(request: ReadRequest) -> Reading:
    """Measure the organs that others marked in one CT.

    Returns
    -------
    Reading
        Normal parts with their numbers, findings where a threshold says so. ``NOT_READ`` where no
        Segmentation lies on the images.
    """
    marked, problems = _read_sources(request)
    if not marked:
        return request.begin_reading(refused=_why_none(problems))
    named = _name(marked)
    limits = Limits(**dict(iter_parameters(request.model.parameters)))
    organs = [MarkedOrgan(known=one.known, mask=one.mask) for one in named]
    report = report_organs(request.volume, organs, request.acquisition, limits)
    segments = tuple(_segment(request, one, report, index) for index, one in enumerate(named))
    findings = tuple(_finding(request, one, segments) for one in report.conclusions)
    return replace(
        request.begin_reading(),
        findings=findings,
        regions=tuple(_region(one, report.organs[index].measurements) for index, one in enumerate(segments)),
        segments=segments,
        sources=tuple(sorted(one.instance.sop_instance_uid for one in request.organs)),
        problems=(
            *request.problems,
            *_tell_sources(request, named, report),
            *problems,
            *_tell_limits(report),
        ),
        triage=Triage(reasons=tuple(_reason(one) for one in report.conclusions)),
    )


def _read_sources(request: ReadRequest) -> tuple[list[_Marked], list[Problem]]:
    marked: list[_Marked] = []
    problems = list(request.organ_problems)
    for source in request.organs:
        try:
            segments = list(iter_segments(source.instance, request.volume.grid, source.numbers))
        except LabelsDoNotFit as error:
            problems.append(_refuse(ProblemCode.SEGMENTATION_GEOMETRY, source, error.message))
        except InputError as error:
            reason = f"it cannot be read ({error.code}): send it again"
            problems.append(_refuse(ProblemCode.SEGMENTATION_UNREADABLE, source, reason))
        else:
            marked += _list_organs(source, segments)
    return marked, problems


def _list_organs(source: OrganSource, segments: Sequence[MarkedSegment]) -> list[_Marked]:
    found = []
    for one in segments:
        known = find_organ(one.code, one.site)
        if known is not None and one.mask.voxel_count:
            origin = SegmentOrigin(
                sop_class_uid=source.instance.sop_class_uid,
                sop_instance_uid=source.instance.sop_instance_uid,
                series_instance_uid=source.instance.series_instance_uid,
                number=one.number,
            )
            found.append(_Marked(known=known, mask=one.mask, origin=origin))
    return found


def _refuse(which: ProblemCode, source: OrganSource, reason: str) -> Problem:
    message = f"A Segmentation by {_author(source)} was not measured: {reason}."
    return Problem(code=which, message=message, refuses=False)


def _why_none(problems: Sequence[Problem]) -> Problem:
    """Return why nothing is measured; what were notes refuses now."""
    if len(problems) == 1:
        return replace(problems[0], refuses=True)
    which = problems[0].code if problems else ProblemCode.SEGMENTATION_UNREADABLE
    message = " ".join(one.message for one in problems)
    return Problem(code=which, message=message or "No Segmentation marks an organ that is measured.")


def _name(marked: Sequence[_Marked]) -> list[_Marked]:
    names: list[str] = []
    named = []
    for one in marked:
        name = one.known.code.meaning
        names.append(name)
        count = names.count(name)
        named.append(replace(one, name=f"{name} {count}" if count > 1 else name))
    return named


def _segment(request: ReadRequest, one: _Marked, report: OrganReport, index: int) -> Segment:
    plane = report.organs[index].plane
    return Segment(
        number=index + 1,
        label=one.name,
        category=code.ANATOMICAL_STRUCTURE,
        type=one.known.code,
        tracking_uid=make_tracking_uid(request, f"organ {one.name}"),
        # Of what is measured on one slice, that slice.
        mask=one.mask if plane is None else only_plane(one.mask, plane),
        origin=one.origin,
    )


def _region(segment: Segment, measurements: Mapping[str, float]) -> Region:
    return Region(
        tracking_uid=segment.tracking_uid,
        label=segment.label,
        code=segment.type,
        segment_number=segment.number,
        measurements=_rounded(measurements),
    )


def _finding(request: ReadRequest, one: Conclusion, segments: Sequence[Segment]) -> Finding:
    label, concept, site = _SIGNS[one.sign]
    grid = request.volume.grid
    members = [segments[index] for index in one.members]
    boxes = [box_lps_mm(grid, member.mask) for member in members]
    low = np.min([box[0] for box in boxes], axis=0)
    high = np.max([box[1] for box in boxes], axis=0)
    largest = max(members, key=lambda member: member.mask.voxel_count)
    return Finding(
        tracking_uid=make_tracking_uid(request, f"sign {one.sign.value}"),
        label=label,
        code=concept,
        center_lps_mm=_center(grid, largest.mask),
        box_lps_mm=(_triple(low), _triple(high)),
        measurements=_rounded(one.measurements),
        site=site,
        segment_number=largest.number if len(members) == 1 else None,
        key_plane=largest.mask.largest_plane,
    )


def _center(grid: Grid, mask: Mask) -> Triple:
    index = np.argwhere(mask.voxels).mean(axis=0) + mask.offset
    return _triple(grid.to_lps_mm(index))


def _triple(values: np.ndarray) -> Triple:
    x, y, z = (float(one) for one in values)
    return x, y, z


def _rounded(measurements: Mapping[str, float]) -> Mapping[str, float]:
    return {name: float(np.round(value, 3)) for name, value in measurements.items()}


def _tell_sources(request: ReadRequest, named: Sequence[_Marked], report: OrganReport) -> list[Problem]:
    """Name who marked what was measured, and what it was taken for."""
    used = {one.origin.sop_instance_uid for one in named}
    told = []
    for source in request.organs:
        if source.instance.sop_instance_uid in used:
            message = f"Measured within a Segmentation by {_author(source)}; nobody here has checked it."
            told.append(_note(ProblemCode.SEGMENTATION_BY_OTHERS, message))
    if report.phase is Phase.NATIVE and not request.acquisition.agent:
        message = f"Taken as without contrast agent: {report.phase_reason}."
        told.append(_note(ProblemCode.SEGMENTATION_BY_OTHERS, message))
    return told


def _tell_limits(report: OrganReport) -> list[Problem]:
    return [_note(ProblemCode.NOT_EVALUABLE, sentence) for sentence in report.not_evaluable]


def _note(which: ProblemCode, message: str) -> Problem:
    return Problem(code=which, message=message, refuses=False)


def _author(source: OrganSource) -> str:
    made_by = source.made_by or "somebody who does not say who"
    return f"{made_by} (sent by {source.sent_by})"


def _reason(one: Conclusion) -> str:
    label, _, _ = _SIGNS[one.sign]
    numbers = one.measurements
    if one.sign is Sign.CALCIUM:
        return f"{label}, Agatston score {numbers['agatston_score']:.0f}"
    return f"{label}, {numbers['mean_hu']:.0f} HU"
