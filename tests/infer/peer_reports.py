"""Structured Reports as other vendors write them, about a small CT; made by highdicom and pydicom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from highdicom import sr
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

CHEST_CAD, MAMMOGRAPHY_CAD = "1.2.840.10008.5.1.4.1.1.88.65", "1.2.840.10008.5.1.4.1.1.88.50"
COMPREHENSIVE = "1.2.840.10008.5.1.4.1.1.88.33"
SPICULATED = sr.CodedConcept("RID34281", "RADLEX", "Spiculated")
MARGIN = sr.CodedConcept("C25563", "NCIt", "Margin")


def flat_region(image: Dataset, points: Sequence[Sequence[float]], graphic: str = "POLYLINE") -> Any:
    return sr.ImageRegion(
        graphic_type=sr.GraphicTypeValues(graphic),
        graphic_data=np.array(points, dtype=float),
        source_image=sr.SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID),
    )


def group(uid: str = "1.2.3.500", **content: Any) -> Any:
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid, identifier="Nodule 7"),
        finding_type=content.pop("finding_type", codes.SCT.Nodule),
        **content,
    )


def measurement(name: Any, value: float, unit: Any) -> sr.Measurement:
    return sr.Measurement(name=name, value=value, unit=unit)


def report(images: list[Path], groups: Sequence[Any], uid: str = "1.2.3.8.1", **more: Any) -> Dataset:
    """Return a TID 1500 report; without groups, one whose measurements are empty."""
    evidence = [*(dcmread(path) for path in images), *more.pop("besides", [])]
    held = groups or [group("1.2.3.1", referenced_region=flat_region(evidence[0], [[3, 3]], "POINT"))]
    context = sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(uid="1.2.3.77"),
        )
    )
    made = sr.MeasurementReport(
        observation_context=context,
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=held,
    )
    whole = sr.Comprehensive3DSR(
        evidence=evidence,
        content=made,
        series_instance_uid=more.pop("series", "1.2.3.8"),
        series_number=8,
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer="Vendor",
        manufacturer_model_name="Nodules",
        software_versions="4.2",
        device_serial_number="77",
        is_complete=more.pop("is_complete", True),
        **more,
    )
    whole.ContentDate, whole.ContentTime = "20261124", "101500"
    if not groups:
        for item in whole.ContentSequence:
            if item.ConceptNameCodeSequence[0].CodeValue == "126010":
                item.ContentSequence = []
    return whole


def coded(value: str, scheme: str = "DCM", meaning: str = "x") -> list[Dataset]:
    one = Dataset()
    one.CodeValue, one.CodingSchemeDesignator, one.CodeMeaning = value, scheme, meaning
    return [one]


def item(kind: str, concept: str, relationship: str, *children: Dataset, **values: Any) -> Dataset:
    one = Dataset()
    one.RelationshipType, one.ValueType = relationship, kind
    one.ConceptNameCodeSequence = coded(concept)
    for keyword, value in values.items():
        setattr(one, keyword, value)
    if children:
        one.ContentSequence = list(children)
    return one


def number(concept: str, value: float, unit: str = "%") -> Dataset:
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = value, coded(unit, "UCUM")
    return item("NUM", concept, "HAS PROPERTIES", MeasuredValueSequence=[measured])


def reference(*place: int, relationship: str = "SELECTED FROM") -> Dataset:
    one = Dataset()
    one.RelationshipType, one.ReferencedContentItemIdentifier = relationship, list(place)
    return one


def image_item(image: Dataset, relationship: str = "CONTAINS") -> Dataset:
    one, held = Dataset(), Dataset()
    one.RelationshipType, one.ValueType = relationship, "IMAGE"
    held.ReferencedSOPClassUID, held.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    one.ReferencedSOPSequence = [held]
    return one


def point(concept: str, column: float, row: float, *image: Dataset) -> Dataset:
    return item(
        *("SCOORD", concept, "HAS PROPERTIES"), *image, GraphicType="POINT", GraphicData=[column, row]
    )


def feature(*children: Dataset, code: tuple[str, str] = ("27925004", "SCT"), single: bool = True) -> Dataset:
    concept = "111059" if single else "111015"
    return item("CODE", concept, "INFERRED FROM", *children, ConceptCodeSequence=coded(*code, "Nodule"))


def intent(value: str) -> Dataset:
    return item("CODE", "111056", "HAS CONCEPT MOD", ConceptCodeSequence=coded(value))


def cad(
    images: list[Path], summary: str, *features: Dataset, root: str = "112000", uid: str = "1.2.3.8.2"
) -> Dataset:
    """Return a Chest CAD report: an image library as item 1.1, and what was found."""
    source = dcmread(images[0])
    library = item("CONTAINER", "111028", "CONTAINS", *(image_item(dcmread(path)) for path in images))
    found = item("CODE", "111017", "CONTAINS", *features, ConceptCodeSequence=coded(summary))
    return bare(source, images, root, [library, found], uid)


def bare(
    source: Dataset, images: list[Path], root: str, content: list[Dataset], uid: str, sop_class: str = ""
) -> Dataset:
    """Return any report, written by hand."""
    known = {"112000": CHEST_CAD, "111036": MAMMOGRAPHY_CAD}
    ds = Dataset()
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
        setattr(ds, keyword, source.get(keyword, ""))
    ds.SOPClassUID = sop_class or known.get(root, COMPREHENSIVE)
    ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.Modality = uid, "1.2.3.8", "SR"
    ds.Manufacturer, ds.ContentDate, ds.ContentTime = "Vendor", "20261124", "101500"
    ds.ValueType, ds.ConceptNameCodeSequence, ds.CompletionFlag = "CONTAINER", coded(root), "COMPLETE"
    ds.ContentSequence = content
    study, series = Dataset(), Dataset()
    study.StudyInstanceUID, series.SeriesInstanceUID = source.StudyInstanceUID, source.SeriesInstanceUID
    series.ReferencedSOPSequence = [image_item(dcmread(path)).ReferencedSOPSequence[0] for path in images]
    study.ReferencedSeriesSequence = [series]
    ds.CurrentRequestedProcedureEvidenceSequence = [study]
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, uid
    return ds
