"""IHE AI Results (AIR), Evidence Creator: what the profile asks of our objects, each by its name.

RAD TF supplement AIR, volume 3 section 6.5; templates of PS3.16.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.compose.conftest import Composed
from tests.compose.scene import MODEL
from wetread.compose import compose
from wetread.domain.document import DICOM_KINDS, DocumentKind

SR_CLASS, SEG_CLASS = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.66.4"


def read(composed: Composed, kind: DocumentKind) -> Dataset:
    [document] = composed.of(kind)
    return pydicom.dcmread(io.BytesIO(document.data))


@pytest.fixture
def report(composed: Composed) -> Dataset:
    return read(composed, DocumentKind.SR)


@pytest.fixture
def segmentation(composed: Composed) -> Dataset:
    return read(composed, DocumentKind.SEG)


def code(item: Dataset) -> tuple[str, str]:
    return item.get("CodeValue") or item.LongCodeValue, item.CodingSchemeDesignator


def name(item: Dataset) -> tuple[str, str]:
    return code(item.ConceptNameCodeSequence[0]) if "ConceptNameCodeSequence" in item else ("", "")


def children(item: Dataset, value: str) -> list[Dataset]:
    return [one for one in item.get("ContentSequence", ()) if name(one)[0] == value]


def everything(item: Dataset) -> Iterator[Dataset]:
    for one in item.get("ContentSequence", ()):
        yield one
        yield from everything(one)


def groups(report: Dataset) -> list[Dataset]:
    [container] = children(report, "126010")
    return list(container.ContentSequence)


def test_root_is_an_imaging_measurement_report_of_tid_1500(report: Dataset) -> None:
    assert report.SOPClassUID == SR_CLASS
    assert name(report) == ("126000", "DCM")
    [template] = report.ContentTemplateSequence
    assert (template.TemplateIdentifier, template.MappingResource) == ("1500", "DCMR")


def test_results_are_preliminary_and_unverified(report: Dataset) -> None:
    flags = (report.CompletionFlag, report.PreliminaryFlag, report.VerificationFlag)
    assert flags == ("COMPLETE", "PRELIMINARY", "UNVERIFIED")
    assert "VerifyingObserverSequence" not in report


def test_language_of_content(report: Dataset) -> None:
    [language] = children(report, "121049")
    assert code(language.ConceptCodeSequence[0])[0].startswith("en")


def test_observer_is_a_device_with_uid_manufacturer_model_and_serial_number(report: Dataset) -> None:
    [kind] = children(report, "121005")
    assert code(kind.ConceptCodeSequence[0]) == ("121007", "DCM")
    for value in ("121012", "121013", "121014", "121015", "121016"):
        assert children(report, value), value


def test_procedure_reported(report: Dataset) -> None:
    assert code(children(report, "121058")[0].ConceptCodeSequence[0]) == ("24627-2", "LN")


def test_image_library_names_every_analysed_image_and_its_modality(
    report: Dataset, composed: Composed
) -> None:
    [library] = children(report, "111028")
    group, prior = children(library, "126200")
    assert [one for one in prior.ContentSequence if one.ValueType == "IMAGE"]
    [modality] = children(group, "121139")
    assert code(modality.ConceptCodeSequence[0]) == ("CT", "DCM")
    images = [one.ReferencedSOPSequence[0] for one in group.ContentSequence if one.ValueType == "IMAGE"]
    analysed = {plane.sop_instance_uid for plane in composed.source.planes}
    assert len(images) == len(analysed)
    assert {one.ReferencedSOPInstanceUID for one in images} == analysed


def test_evidence_lists_every_reference_of_the_content(report: Dataset) -> None:
    named = {
        reference.ReferencedSOPInstanceUID
        for item in everything(report)
        for reference in item.get("ReferencedSOPSequence", ())
    }
    [study] = report.CurrentRequestedProcedureEvidenceSequence
    [other] = report.PertinentOtherEvidenceSequence
    listed = {
        one.ReferencedSOPInstanceUID
        for evidence in (study, other)
        for series in evidence.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert study.StudyInstanceUID == report.StudyInstanceUID
    assert named == listed


def test_each_result_is_a_tid_1501_group_with_tracking_identifier_and_uid(report: Dataset) -> None:
    found = groups(report)
    assert found
    for group in found:
        assert name(group) == ("125007", "DCM")
        assert group.ContentTemplateSequence[0].TemplateIdentifier == "1501"
        assert children(group, "112039")[0].TextValue
        assert children(group, "112040")[0].UID
        assert children(group, "121071"), "a finding"
    uids = [children(group, "112040")[0].UID for group in found]
    assert len(set(uids)) == len(uids)


def test_each_result_has_algorithm_identification_of_tid_4019(report: Dataset) -> None:
    for group in groups(report):
        assert children(group, "111001")[0].TextValue == MODEL.name
        assert children(group, "111003")[0].TextValue == MODEL.version
        assert any(MODEL.digest in one.TextValue for one in children(group, "111002"))


def test_measurements_have_coded_names_and_ucum_units(report: Dataset) -> None:
    numbers = [one for group in groups(report) for one in group.ContentSequence if one.ValueType == "NUM"]
    assert numbers
    for one in numbers:
        assert all(name(one))
        [value] = one.MeasuredValueSequence
        assert value.MeasurementUnitsCodeSequence[0].CodingSchemeDesignator == "UCUM"


def test_qualitative_findings_are_codes(report: Dataset) -> None:
    codes = [
        one for group in groups(report) for one in group.ContentSequence
        if one.ValueType == "CODE" and one.RelationshipType == "CONTAINS"
    ]  # fmt: skip
    assert codes
    assert all(code(one.ConceptCodeSequence[0])[1] for one in codes)


def test_volumes_point_to_their_segment_as_tid_1411_has_it(report: Dataset, segmentation: Dataset) -> None:
    found = [reference for group in groups(report) for reference in children(group, "121191")]
    assert found
    numbers = {item.SegmentNumber for item in segmentation.SegmentSequence}
    for one in found:
        [reference] = one.ReferencedSOPSequence
        assert reference.ReferencedSOPClassUID == SEG_CLASS
        assert reference.ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
        assert reference.ReferencedSegmentNumber in numbers


def test_outlines_are_coordinates_on_an_image_as_tid_1410_has_it(report: Dataset) -> None:
    outlines = [one for group in groups(report) for one in everything(group) if one.ValueType == "SCOORD"]
    assert outlines
    for one in outlines:
        [image] = [child for child in one.ContentSequence if child.ValueType == "IMAGE"]
        assert image.RelationshipType == "SELECTED FROM"


def test_nothing_found_is_said_and_not_left_out(composed: Composed) -> None:
    nothing = dataclasses.replace(composed.reading, findings=(), regions=(), segments=(), measurements={})
    [document] = compose(nothing, composed.source, (DocumentKind.SR,))
    ds = pydicom.dcmread(io.BytesIO(document.data))
    assert not children(ds, "126010")
    assert children(ds, "111028")
    [evaluations] = children(ds, "C0034375")
    assert children(evaluations, "121073"), "an impression"


def test_segments_are_tracked_coded_and_automatic(segmentation: Dataset, report: Dataset) -> None:
    tracked = {children(group, "112040")[0].UID for group in groups(report)}
    for item in segmentation.SegmentSequence:
        assert (item.SegmentAlgorithmType, item.SegmentAlgorithmName) == ("AUTOMATIC", MODEL.name)
        [algorithm] = item.SegmentationAlgorithmIdentificationSequence
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == (MODEL.name, MODEL.version)
        assert item.SegmentedPropertyCategoryCodeSequence
        assert item.SegmentedPropertyTypeCodeSequence
        assert item.TrackingID
        assert item.TrackingUID in tracked
    assert segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence


def test_each_object_names_its_equipment_and_stands_in_a_series_of_its_own(
    composed: Composed, check_iod, tmp_path: Path
) -> None:
    series: dict[str, str] = {}
    for document in composed.documents:
        if document.kind not in DICOM_KINDS:
            continue
        ds = pydicom.dcmread(io.BytesIO(document.data))
        model, *others = ds.ContributingEquipmentSequence
        assert code(model.PurposeOfReferenceCodeSequence[0]) == ("109102", "DCM")
        assert (model.ManufacturerModelName, model.SoftwareVersions) == (MODEL.name, MODEL.version)
        assert model.DeviceSerialNumber == MODEL.digest
        assert all(code(one.PurposeOfReferenceCodeSequence[0]) == ("109101", "DCM") for one in others)
        assert ds.StudyInstanceUID == composed.reading.study_instance_uid
        assert ds.SeriesInstanceUID != composed.source.series_instance_uid
        assert series.setdefault(ds.SeriesInstanceUID, ds.Modality) == ds.Modality
        path = tmp_path / f"{document.kind.value}.dcm"
        path.write_bytes(document.data)
        assert check_iod(path) == []
    assert len(set(series.values())) == len(series)
