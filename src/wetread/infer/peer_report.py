"""What another vendor's AI answered, as a Reading.

In: a ``ReadRequest`` with an answer: a Segmentation or a Structured Report.  Out: a ``Reading``.
Never: an answer about other images, of the other side, or half understood told as "nothing found".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wetread.dicom.content import Report, read_report
from wetread.dicom.header import is_uid
from wetread.domain import code
from wetread.domain.finding import Finding, Region, Segment
from wetread.domain.model import Output
from wetread.domain.problem import Problem, ProblemCode, RefusedAnswer
from wetread.domain.reading import Answered, Reading
from wetread.domain.study import Instance, header_text
from wetread.domain.volume import Grid
from wetread.errors import InvalidOutput, InvalidPackage, UnreadableInstance
from wetread.imaging.segmentation import SEGMENTATION_STORAGE
from wetread.infer.by_task import code_of, make_reading, read_by_task
from wetread.infer.chest_findings import make_tracking_uid
from wetread.infer.peer_cad import is_cad, read_cad
from wetread.infer.peer_groups import Said, Taken, read_groups
from wetread.infer.peer_places import Places
from wetread.infer.peer_words import label_of, not_understood, other_images
from wetread.infer.request import ReadRequest

#: A series that is as wide shows both sides; nearer to its middle nothing is said about sides.
_BOTH_SIDES_MM, _MIDDLE_MM = 300.0, 50.0
_MOST_CODES = 12
_LONGEST_WORD = 64


def read_answer(request: ReadRequest) -> Reading:
    """Read an answer.

    Raises
    ------
    InvalidPackage
        If there is none, or the package does not say what it looks for.
    InvalidOutput
        If it marks more than ``output.most_findings``, or a Segmentation does not fit.
    """
    if not request.answers:
        raise InvalidPackage("Another vendor's AI is asked by a service only: `wetread serve`.")
    answer = request.answers[0]
    answered = Answered(
        sop_instance_uids=tuple(one.sop_instance_uid for one in request.answers), device=_device(answer)
    )
    if answer.sop_class_uid == SEGMENTATION_STORAGE:
        return replace(read_by_task(request), answer=answered)
    try:
        return replace(_read_report(request, answer), answer=answered)
    except RefusedAnswer as error:
        return replace(request.begin_reading(refused=error.problem), answer=answered)


def _read_report(request: ReadRequest, answer: Instance) -> Reading:
    output = request.model.output
    if output is None:
        raise InvalidPackage("The package does not say what it looks for: give it [task] and [output].")
    try:
        report = read_report(answer)
    except UnreadableInstance as error:
        raise not_understood("it cannot be read as a Structured Report") from error
    if any(study != request.study_instance_uid for study, _, _ in report.evidence):
        raise other_images("its evidence is of another study")
    places = Places(report, request.volume.grid, request.series_instance_uid, request.answers[1:])
    taken = read_cad(report, places) if is_cad(report) else read_groups(report, places)
    if len(taken.said) > output.most_findings:
        raise InvalidOutput(
            "The answer marks more than it may: its result is a fault.",
            found=len(taken.said),
            limit=output.most_findings,
        )
    return _tell(request, output, report, taken)


def _tell(request: ReadRequest, output: Output, report: Report, taken: Taken) -> Reading:
    findings: list[Finding] = []
    regions: list[Region] = []
    segments: list[Segment] = []
    for said in taken.said:
        _require_side(request.volume.grid, said)
        number = None
        if said.place.mask is not None:
            number = len(segments) + 1
            segments.append(_segment(request, output, said, number))
        if said.is_anatomy:
            regions.append(_region(request, output, said, number))
        else:
            findings.append(_finding(request, output, said, number))
    reading = make_reading(request, findings=tuple(findings), segments=tuple(segments))
    notes = tuple(_notes(report, taken))
    return replace(reading, regions=tuple(regions), problems=(*reading.problems, *notes))


def _finding(request: ReadRequest, output: Output, said: Said, number: int | None) -> Finding:
    return Finding(
        tracking_uid=_tracking_uid(request, output, said),
        label=_label(output, said),
        code=said.code or code_of(output),
        probability=None if said.probability is None else round(said.probability, 4),
        center_lps_mm=said.place.center_lps_mm,
        box_lps_mm=said.place.box_lps_mm,
        measurements=said.measurements,
        laterality=said.laterality,
        site=said.site,
        texture=said.texture,
        segment_number=number,
        key_plane=said.place.key_plane,
        axes=said.axes,
        evaluations=said.evaluations,
    )


def _region(request: ReadRequest, output: Output, said: Said, number: int | None) -> Region:
    return Region(
        tracking_uid=_tracking_uid(request, output, said),
        label=_label(output, said),
        code=said.code or code_of(output),
        laterality=said.laterality,
        segment_number=number,
        measurements=said.measurements,
    )


def _segment(request: ReadRequest, output: Output, said: Said, number: int) -> Segment:
    if said.place.mask is None:
        raise ValueError("no mask")
    return Segment(
        number=number,
        label=f"{_label(output, said).capitalize()} {number}",
        category=code.ANATOMICAL_STRUCTURE if said.is_anatomy else code.MORPHOLOGICALLY_ABNORMAL_STRUCTURE,
        type=said.code or code_of(output),
        laterality=said.laterality,
        site=said.site,
        tracking_uid=_tracking_uid(request, output, said),
        mask=said.place.mask,
    )


def _label(output: Output, said: Said) -> str:
    if said.code is None or said.code.value == output.code:
        return output.label
    return label_of(said.code, output.label)


def _tracking_uid(request: ReadRequest, output: Output, said: Said) -> str:
    if is_uid(said.tracking_uid):
        return said.tracking_uid
    place = " ".join(f"{one:.0f}" for one in said.place.center_lps_mm)
    return make_tracking_uid(request, f"{(said.code or code_of(output)).value} at {place}")


def _require_side(grid: Grid, said: Said) -> None:
    """Refuse a side that the place contradicts: +x is the patient's left."""
    if said.laterality is None or not said.is_placed:
        return
    ends = grid.to_lps_mm(np.array([(0, 0, 0), grid.shape]) - [[0], [1]])[:, 0]
    away = said.place.center_lps_mm[0] - float(ends.mean())
    is_wrong = away > _MIDDLE_MM if said.laterality == code.RIGHT else away < -_MIDDLE_MM
    if is_wrong and abs(float(ends[1] - ends[0])) >= _BOTH_SIDES_MM:
        side, other = ("right", "left") if said.laterality == code.RIGHT else ("left", "right")
        raise not_understood(f"a finding that is said to be {side} lies on the {other}")


def _notes(report: Report, taken: Taken) -> list[Problem]:
    told = []
    if report.completion == "PARTIAL":
        told.append("the vendor calls it incomplete")
    if taken.is_partial:
        told.append("not all of the vendor's algorithms succeeded")
    unplaced = sum(not one.is_placed and not one.is_anatomy for one in taken.said)
    if unplaced:
        told.append(f"{unplaced} of its findings have no place, so they stand for the whole series")
    if taken.left:
        more = len(taken.left) - _MOST_CODES
        told.append(
            "not taken: " + ", ".join(taken.left[:_MOST_CODES]) + (f" and {more} more" if more > 0 else "")
        )
    if not told:
        return []
    message = f"The answer of the other vendor's AI was taken in part: {'; '.join(told)}."
    return [Problem(code=ProblemCode.ANSWER_IN_PART, message=message, refuses=False)]


def _device(answer: Instance) -> str:
    """Return which device made an answer, as it says itself (PS3.3 C.7.5.1)."""
    keywords: Sequence[str] = (
        "Manufacturer",
        "ManufacturerModelName",
        "SoftwareVersions",
        "DeviceSerialNumber",
    )
    said = [_printable(header_text(answer.header, name)) for name in keywords]
    return ", ".join(dict.fromkeys(one for one in said if one))


def _printable(text: str) -> str:
    words = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(words.split())[:_LONGEST_WORD]
