"""The findings as a Comprehensive 3D SR (TID 1500, PS3.16).

In: a draft.  Out: one SR.  Never: a measurement group without coordinates, a random UID.

A finding has a group with its segment and all its measurements, the first of them, the area, inferred
from the outline on the largest slice; and a group with its axes. OHIF 3.13 draws and
takes over both: it knows them by the head of the tracking identifier, reads coordinates only below NUM
items, and stops with an error at any group that has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from wetread.compose import header
from wetread.compose.draft import Draft, Revised
from wetread.compose.library import image_library
from wetread.compose.outline import Outline, Points, outline_box, outline_plane, to_image_points
from wetread.compose.references import add_evidence, add_predecessors
from wetread.compose.reg import list_references
from wetread.compose.seg import frame_of_reference_uid
from wetread.compose.sr_change import change_measurements, comparison_items, concept, status_evaluation
from wetread.compose.sr_readers import added_items, by_whom, observer
from wetread.compose.uid import derive_uid
from wetread.compose.wording import (
    NOT_FOR_CLINICAL_USE,
    impression_lines,
    label_text,
    limit_lines,
    measurement_lines,
    model_line,
    prior_line,
)
from wetread.domain import code
from wetread.domain.code import Code
from wetread.domain.document import Document, DocumentKind
from wetread.domain.finding import Axes, Finding, Region
from wetread.domain.measurement import MEASUREMENTS

COMPREHENSIVE_3D_SR_STORAGE = "1.2.840.10008.5.1.4.1.1.88.34"

# What OHIF's cornerstone adapters look for; a suffix after it is allowed and carries the name.
_OUTLINE_TOOL = "Cornerstone3DTools@^0.1.0:PlanarFreehandROI"
_AXES_TOOL = "Cornerstone3DTools@^0.1.0:Bidirectional"


_Group = sr.MeasurementsAndQualitativeEvaluations


def _dcm(value: str, meaning: str) -> Code:
    return Code(value=value, scheme="DCM", meaning=meaning)


_IMAGING_MEASUREMENTS = "126010"
_IMAGING_MEASUREMENT_REPORT = _dcm("126000", "Imaging Measurement Report")
_CT_CHEST = Code(value="24627-2", scheme="LN", meaning="CT Chest")
_CT_BODY = Code(value="25045-6", scheme="LN", meaning="CT Unspecified Body Region")
_ARTIFICIAL_INTELLIGENCE = _dcm("123110", "Artificial Intelligence")
_DEVICE = _dcm("121007", "Device")
_COMMENT = _dcm("121106", "Comment")
_IMPRESSION = _dcm("121073", "Impression")
_QUALITATIVE_EVALUATIONS = Code(value="C0034375", scheme="UMLS", meaning="Qualitative Evaluations")
_PROBABILITY = _dcm("122157", "Probability")
_TEXTURE = Code(value="C41144", scheme="NCIt", meaning="Texture")


def compose_sr(draft: Draft) -> tuple[Document, ...]:
    """Return the SR of a study that was read."""
    ds = header.new_dataset(draft, DocumentKind.SR, 1, COMPREHENSIVE_3D_SR_STORAGE)
    ds.ReferencedPerformedProcedureStepSequence = Sequence()
    ds.PerformedProcedureCodeSequence = Sequence()
    ds.CompletionFlag = "COMPLETE"
    ds.PreliminaryFlag = "PRELIMINARY"
    ds.VerificationFlag = "UNVERIFIED"
    add_predecessors(ds, draft)
    for element in _report(draft):
        ds[element.tag] = element
    ds.ContentSequence.append(_evaluations(draft))
    add_evidence(ds, draft)
    return (header.finish(ds, DocumentKind.SR, "Structured report"),)


def _report(draft: Draft) -> Dataset:
    """Return the root of the content tree."""
    model = draft.reading.model
    observer = sr.ObserverContext(
        observer_type=concept(_DEVICE),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=derive_uid("device", model.name, model.version, model.digest),
            name=header.long_string(model.name),
            manufacturer_name="Wetread",
            model_name=header.long_string(f"{model.name} {model.version}"),
            serial_number=header.long_string(model.digest) or None,
        ),
    )
    groups = [
        group for name, finding in draft.named_findings for group in _finding_groups(draft, name, finding)
    ]
    groups += [group for region in draft.reading.regions for group in _region_groups(draft, region)]
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=concept(_CT_BODY if draft.reading.sources else _CT_CHEST),
        imaging_measurements=groups or [_nothing(draft)],
        title=concept(_IMAGING_MEASUREMENT_REPORT),
    )
    root: Dataset = report[0]
    # TID 1500 has the library before the measurements; a study without any keeps none of them.
    before = [item for item in root.ContentSequence if item.name.value != _IMAGING_MEASUREMENTS]
    measured = [item for item in root.ContentSequence if item.name.value == _IMAGING_MEASUREMENTS]
    library = image_library(draft, frame_of_reference_uid(draft))
    root.ContentSequence = sr.ContentSequence([*before, library, *(measured if groups else [])])
    return root


def _nothing(draft: Draft) -> _Group:
    """Return a group that is taken out again: highdicom wants one, TID 1500 does not."""
    uid = derive_uid(draft.digest, "nothing")
    return sr.MeasurementsAndQualitativeEvaluations(sr.TrackingIdentifier(uid=uid, identifier="nothing"))


def _finding_groups(draft: Draft, name: str, finding: Finding) -> Iterator[_Group]:
    outline = _finding_outline(draft, finding)
    evaluations = status_evaluation(draft.reading.status_of(finding))
    if finding.texture:
        evaluations.insert(0, sr.QualitativeEvaluation(concept(_TEXTURE), concept(finding.texture)))
    evaluations += [
        sr.QualitativeEvaluation(concept(one.concept), concept(one.value)) for one in finding.evaluations
    ]
    site = finding.site or (code.LUNG if finding.laterality else None)
    revised = draft.by_readers.findings.get(finding.tracking_uid) if draft.by_readers else None
    yield _group(
        draft,
        revised=revised,
        identifier=f"{_OUTLINE_TOOL}:{name}",
        tracking_uid=finding.tracking_uid,
        segment_number=finding.segment_number,
        comment=_finding_comment(name, finding),
        measurements=[
            _area(draft, outline, **by_whom(revised, "area_mm2", _algorithm(draft))),
            *_measurements(draft, finding.measurements, revised),
            *_probability(finding),
            *change_measurements(finding.prior),
        ],
        finding_type=concept(finding.code),
        finding_category=concept(code.MORPHOLOGICALLY_ABNORMAL_STRUCTURE),
        finding_sites=_sites(site, finding.laterality),
        qualitative_evaluations=evaluations or None,
    )
    if finding.axes is not None:
        yield _group(
            draft,
            revised=revised,
            identifier=f"{_AXES_TOOL}:{name}",
            tracking_uid=derive_uid(finding.tracking_uid, "axes"),
            segment_number=None,
            comment=label_text(name, finding),
            measurements=_axes(draft, finding.key_plane, finding.axes, revised),
            finding_type=concept(finding.code),
            finding_sites=_sites(site, finding.laterality),
        )


def _region_groups(draft: Draft, region: Region) -> Iterator[_Group]:
    outline = _region_outline(draft, region)
    if outline is None:
        return  # no coordinates: it stands among the evaluations
    yield _group(
        draft,
        identifier=region.label,
        tracking_uid=region.tracking_uid,
        segment_number=region.segment_number,
        comment=region.label,
        measurements=[_area(draft, outline), *_measurements(draft, region.measurements)],
        finding_type=concept(region.code),
        finding_category=concept(code.ANATOMICAL_STRUCTURE),
        finding_sites=_sites(region.code, region.laterality),
    )


def _group(
    draft: Draft,
    *,
    identifier: str,
    tracking_uid: str,
    segment_number: int | None,
    comment: str,
    revised: Revised | None = None,
    **content: Any,
) -> _Group:
    """Return a measurement group, TID 1501, with the segment that it measures."""
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=tracking_uid, identifier=header.long_string(identifier, 1024)
        ),
        # What a reader changed is no algorithm's as a whole: each measurement says whose it is.
        algorithm_id=None if revised else _algorithm(draft),
        **content,
    )
    if revised is not None:
        group[0].ContentSequence.extend(observer(revised.person))
    if segment_number is not None:
        place = draft.segment_place(segment_number)
        # As TID 1411 has it. TID 1411 itself forbids coordinates below a measurement, and TID 1410
        # allows either an outline or a segment; TID 1501 is extensible and takes both.
        group[0].ContentSequence.extend(
            sr.ReferencedSegment(
                sop_class_uid=place.sop_class_uid,
                sop_instance_uid=place.sop_instance_uid,
                segment_number=place.number,
                source_series=sr.SourceSeriesForSegmentation(draft.source.series_instance_uid),
            )
        )
    # OHIF shows the comment as the measurement's name.
    group[0].ContentSequence.append(_text(_COMMENT, comment))
    return group


def _algorithm(draft: Draft) -> sr.AlgorithmIdentification:
    model = draft.reading.model
    return sr.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        parameters=[f"operating point {draft.reading.operating_point}", f"digest {model.digest}"],
        family=concept(_ARTIFICIAL_INTELLIGENCE),
        manufacturer="Wetread",
    )


def _finding_outline(draft: Draft, finding: Finding) -> Outline:
    if finding.segment_number is not None:
        mask = draft.reading.get_segment(finding.segment_number).mask
        for plane in (mask.largest_plane, finding.key_plane) if mask.voxel_count else ():
            outlines = outline_plane(mask, plane, draft.grid)
            if outlines:
                return outlines[0]
    return outline_box(finding.box_lps_mm, finding.key_plane, draft.grid)


def _region_outline(draft: Draft, region: Region) -> Outline | None:
    if region.segment_number is None:
        return None
    mask = draft.reading.get_segment(region.segment_number).mask
    if not mask.voxel_count:
        return None
    return outline_plane(mask, mask.largest_plane, draft.grid)[0]


def _area(draft: Draft, outline: Outline, **by: Any) -> sr.Measurement:
    quantity = MEASUREMENTS["area_mm2"]
    return sr.Measurement(
        name=concept(quantity.concept),
        value=_number(outline.area_mm2),
        unit=concept(quantity.unit),
        referenced_coordinates=[_polyline(draft, outline.plane, outline.points)],
        **by,
    )


def _axes(draft: Draft, plane: int, axes: Axes, revised: Revised | None) -> list[sr.Measurement]:
    measurements = []
    for name, ends in (("long_axis_mm", axes.long), ("short_axis_mm", axes.short)):
        quantity = MEASUREMENTS[name]
        length_mm = float(np.linalg.norm(np.subtract(ends[1], ends[0])))
        measurements.append(
            sr.Measurement(
                name=concept(quantity.concept),
                value=_number(length_mm),
                unit=concept(quantity.unit),
                referenced_coordinates=[_polyline(draft, plane, to_image_points(ends, draft.grid))],
                **by_whom(revised, name, _algorithm(draft)),
            )
        )
    return measurements


def _polyline(draft: Draft, plane: int, points: Points) -> sr.CoordinatesForMeasurement:
    image = draft.source.planes[plane]
    return sr.CoordinatesForMeasurement(
        graphic_type=sr.GraphicTypeValues.POLYLINE,
        graphic_data=points,
        source_image=sr.SourceImageForRegion(
            image.sop_class_uid,
            image.sop_instance_uid,
            referenced_frame_numbers=None if image.frame_number is None else [image.frame_number],
        ),
    )


def _measurements(
    draft: Draft, values: Mapping[str, float], revised: Revised | None = None
) -> list[sr.Measurement]:
    # The area is the outline's own.
    return [
        sr.Measurement(
            name=concept(MEASUREMENTS[name].concept),
            value=_number(values[name]),
            unit=concept(MEASUREMENTS[name].unit),
            **by_whom(revised, name, _algorithm(draft)),
        )
        for name in MEASUREMENTS
        if name in values and name != "area_mm2"
    ]


def _probability(finding: Finding) -> list[sr.Measurement]:
    if finding.probability is None:
        return []
    return [_plain_measurement(_PROBABILITY, finding.probability, code.NO_UNITS)]


def _plain_measurement(name: Code, value: float, unit: Code) -> sr.Measurement:
    return sr.Measurement(name=concept(name), value=_number(value), unit=concept(unit))


def _number(value: float) -> float:
    return round(value, 3) + 0.0


def _sites(site: Code | None, laterality: Code | None) -> list[sr.FindingSite] | None:
    if site is None:
        return None
    return [sr.FindingSite(concept(site), laterality=concept(laterality) if laterality else None)]


def _finding_comment(name: str, finding: Finding) -> str:
    probability = "" if finding.probability is None else f" (p={finding.probability:.2f})"
    prior = f". Compared: {prior_line(finding.prior)}" if finding.prior else ""
    return label_text(name, finding) + probability + prior


def _evaluations(draft: Draft) -> sr.ContainerContentItem:
    """Return the Qualitative Evaluations (TID 1500 row 12): the impression, the limits, the warning."""
    lines: list[sr.ContentItem] = [
        _text(_COMMENT, f"{NOT_FOR_CLINICAL_USE}. Read by {model_line(draft)}."),
        *comparison_items(draft.reading.comparison, list_references(draft)),
    ]
    lines += [_text(_IMPRESSION, line) for line in impression_lines(draft)]
    lines += [_text(_COMMENT, f"Limit: {line}") for line in limit_lines(draft)]
    lines += [_text(_COMMENT, f"Study: {line}") for line in measurement_lines(draft.reading.measurements)]
    lines += [_text(_COMMENT, line) for line in (draft.by_readers.lines if draft.by_readers else ())]
    lines += added_items(draft)
    for region in draft.reading.regions:
        if _region_outline(draft, region) is None:
            values = ", ".join(measurement_lines(region.measurements))
            lines.append(_text(_COMMENT, f"{region.label}: {values}"))
    container = sr.ContainerContentItem(
        name=concept(_QUALITATIVE_EVALUATIONS),
        is_content_continuous=False,
        relationship_type=sr.RelationshipTypeValues.CONTAINS,
    )
    container.ContentSequence = sr.ContentSequence(lines)
    return container


def _text(name: Code, text: str) -> sr.TextContentItem:
    return sr.TextContentItem(
        name=concept(name), value=text, relationship_type=sr.RelationshipTypeValues.CONTAINS
    )
