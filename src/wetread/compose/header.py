"""The modules that every DICOM document shares: patient, study, series, equipment, SOP common.

In: a draft.  Out: a data set to fill, then a Part 10 file.  Never: a random UID, the present time.

Text leaves as UTF-8 (ISO_IR 192), whatever the images were written in.
"""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

from pydicom import dcmwrite
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from wetread.compose.draft import Draft
from wetread.compose.source import PlaneSource
from wetread.compose.uid import COMPOSER_VERSION, derive_uid
from wetread.domain.code import Code
from wetread.domain.document import Document, DocumentKind

_IMPLEMENTATION_CLASS_UID = derive_uid("wetread", "implementation")
_IMPLEMENTATION_VERSION_NAME = f"WETREAD_{COMPOSER_VERSION}"

# Type 2 of the Patient and General Study Modules (PS3.3 C.7.1.1, C.7.2.1): there, even if empty.
_ALWAYS = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
_WHERE_KNOWN = (
    *("IssuerOfPatientID", "PatientAge", "StudyDescription"),
    *("ProcedureCodeSequence", "IssuerOfAccessionNumberSequence"),
)

_SERIES = {
    DocumentKind.SR: (9001, "SR", "report"),
    DocumentKind.SEG: (9002, "SEG", "segmentation"),
    DocumentKind.PR: (9003, "PR", "marks"),
    DocumentKind.SC: (9004, "OT", "key images"),
    DocumentKind.PDF: (9005, "DOC", "PDF report"),
    DocumentKind.REPORT: (9006, "SR", "signed report"),
    DocumentKind.REPORT_PDF: (9007, "DOC", "signed report as PDF"),
    DocumentKind.REG: (9008, "REG", "registration"),
}
_VALID = {
    "DA": re.compile(r"\d{8}"),
    "TM": re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?"),
    "AS": re.compile(r"\d{3}[DWMY]"),
    "CS": re.compile(r"[A-Z0-9 _]{1,16}"),
}
_UNPAIRED_PARTS = frozenset({"CHEST", "ABDOMEN", "HEAD", "NECK", "PELVIS", "SPINE", "BRAIN", "HEART"})
_LONGEST = {"SH": 16, "LO": 64, "ST": 1024}
_EQUIPMENT = (
    *("Manufacturer", "InstitutionName", "StationName"),
    *("ManufacturerModelName", "DeviceSerialNumber"),
)
_PROCESSING = Code(value="109102", scheme="DCM", meaning="Processing Equipment")
_ACQUISITION = Code(value="109101", scheme="DCM", meaning="Acquisition Equipment")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def new_dataset(draft: Draft, kind: DocumentKind, ordinal: int, sop_class_uid: str) -> Dataset:
    """Return a data set with the shared modules filled in."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    _add_patient_and_study(ds, draft)
    _add_series(ds, draft, kind)
    _add_equipment(ds, draft)
    ds.SOPClassUID = sop_class_uid
    ds.SOPInstanceUID = draft.instance_uid(kind, ordinal)
    ds.InstanceNumber = ordinal
    day, time = _day_and_time(draft)
    ds.InstanceCreationDate = ds.ContentDate = ds.SeriesDate = day
    ds.InstanceCreationTime = ds.ContentTime = ds.SeriesTime = time
    return ds


def finish(ds: Dataset, kind: DocumentKind, title: str, tail: bytes = b"") -> Document:
    """Return the data set as a document: a Part 10 file, Explicit VR Little Endian.

    ``tail`` holds encoded elements whose tags come after all of the data set's.
    """
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = UID(_IMPLEMENTATION_CLASS_UID)
    ds.file_meta.ImplementationVersionName = _IMPLEMENTATION_VERSION_NAME
    buffer = io.BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return Document(
        kind=kind,
        ordinal=int(ds.InstanceNumber),
        sop_instance_uid=str(ds.SOPInstanceUID),
        sop_class_uid=str(ds.SOPClassUID),
        series_instance_uid=str(ds.SeriesInstanceUID),
        title=title,
        data=buffer.getvalue() + tail,
    )


def code_item(code: Code) -> Dataset:
    """Return a code as the item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    if len(code.value) > _LONGEST["SH"]:
        item.LongCodeValue = code.value  # PS3.3 8.1: instead of Code Value
    else:
        item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme
    item.CodeMeaning = long_string(code.meaning)
    return item


def code_sequence(code: Code, *equivalent: Code) -> Sequence:
    """Return a code sequence of one item, with other codes of the same meaning (PS3.3 Table 8.8-1)."""
    item = code_item(code)
    if equivalent:
        item.EquivalentCodeSequence = Sequence([code_item(one) for one in equivalent])
    return Sequence([item])


def reference_item(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Return a reference to a SOP instance (PS3.3 Table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def plane_item(plane: PlaneSource) -> Dataset:
    """Return a reference to the image, and the frame, of a plane."""
    item = reference_item(plane.sop_class_uid, plane.sop_instance_uid)
    if plane.frame_number is not None:
        item.ReferencedFrameNumber = plane.frame_number
    return item


def instance_items(planes: Iterable[PlaneSource]) -> Sequence:
    """Return references to whole images, each once."""
    classes = {plane.sop_instance_uid: plane.sop_class_uid for plane in planes}
    return Sequence([reference_item(sop_class, uid) for uid, sop_class in classes.items()])


def long_string(text: str, limit: int = 64) -> str:
    """Return text that fits LO: one line, no backslash, not longer than the limit."""
    return _CONTROL.sub(" ", text).replace("\\", "/").strip()[:limit]


def person_name(text: str) -> str:
    """Return who somebody is as a person's name of one component: which part is the family's is not known."""
    return long_string(text.translate({ord("^"): " ", ord("="): " "}))


def decimal(value: float) -> str:
    """Return a number as a decimal string of at most 16 characters."""
    # -0.0 and the noise of rotations read badly, and 1 nm is more than an image knows.
    return format_number_as_ds(round(value, 6) + 0.0)


def local_time(draft: Draft) -> datetime:
    """Return ``made_at`` on the clock of the study: in its offset where the images tell one."""
    made_at = draft.reading.made_at
    match = re.fullmatch(r"([+-])(\d{2})(\d{2})", draft.source.text("TimezoneOffsetFromUTC").strip())
    if match is None:
        return made_at
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return made_at.astimezone(timezone(-offset if match[1] == "-" else offset))


def _day_and_time(draft: Draft) -> tuple[str, str]:
    moment = local_time(draft)
    return moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")


def _add_patient_and_study(ds: Dataset, draft: Draft) -> None:
    header = draft.source.header
    for keyword in _ALWAYS:
        setattr(ds, keyword, _clean(header[keyword]) if keyword in header else None)
    for keyword in _WHERE_KNOWN:
        value = _clean(header[keyword]) if keyword in header else None
        if value:
            setattr(ds, keyword, value)
    ds.StudyInstanceUID = draft.reading.study_instance_uid
    if header.get("TimezoneOffsetFromUTC"):
        ds.TimezoneOffsetFromUTC = draft.source.text("TimezoneOffsetFromUTC")


def add_body_part(ds: Dataset, draft: Draft) -> None:
    """Say which part of the body is shown.

    Laterality is wanted, if only as unknown, unless the part is known to be unpaired (PS3.3 C.7.3.1).
    """
    header = draft.source.header
    part = _clean(header["BodyPartExamined"]) if "BodyPartExamined" in header else None
    if part:
        ds.BodyPartExamined = part
    if part not in _UNPAIRED_PARTS:
        ds.Laterality = None


def _clean(element: DataElement) -> object:
    """Return a value of the images as it may stand in ours: strict when we write."""
    if element.VR == "SQ":
        return copy.deepcopy(element.value)
    value = element.value[0] if isinstance(element.value, MultiValue) and element.value else element.value
    text = _CONTROL.sub(" ", str(value or "")).replace("\\", "/").strip()
    valid = _VALID.get(element.VR)
    if valid is not None and not valid.fullmatch(text):
        return None
    if element.VR == "PN":
        return "=".join(group[:64] for group in text.split("=")[:3])
    return text[: _LONGEST.get(element.VR, 1024)] or None


def _add_series(ds: Dataset, draft: Draft, kind: DocumentKind) -> None:
    number, modality, content = _SERIES[kind]
    ds.Modality = modality
    ds.SeriesInstanceUID = draft.series_uid(kind)
    ds.SeriesNumber = number
    ds.SeriesDescription = long_string(f"Wetread {draft.reading.model.name}: {content}")


def _add_equipment(ds: Dataset, draft: Draft) -> None:
    model = draft.reading.model
    ds.Manufacturer = "Wetread"
    ds.ManufacturerModelName = long_string(model.name) or "Wetread"
    ds.DeviceSerialNumber = long_string(model.digest) or "unknown"
    composer = f"composer {COMPOSER_VERSION}"
    ds.SoftwareVersions = [long_string(model.version) or "0", composer] if model.name else composer
    ds.ContributingEquipmentSequence = Sequence([_processing(draft), *_acquisition(draft)])


def _processing(draft: Draft) -> Dataset:
    """Return the model that made the content (IHE AIR; PS3.3 C.12.1.1.5)."""
    model = draft.reading.model
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = code_sequence(_PROCESSING)
    item.Manufacturer = "Wetread"
    item.ManufacturerModelName = long_string(model.name) or "Wetread"
    item.DeviceSerialNumber = long_string(model.digest) or "unknown"
    item.SoftwareVersions = (
        long_string(model.version) or "0" if model.name else f"composer {COMPOSER_VERSION}"
    )
    moment = local_time(draft)
    item.ContributionDateTime = moment.strftime("%Y%m%d%H%M%S%z")
    item.ContributionDescription = "Read by a model; not verified by a person"
    return item


def _acquisition(draft: Draft) -> list[Dataset]:
    """Return the device that made the images, where they name one."""
    item = Dataset()
    for keyword in (
        "Manufacturer",
        "InstitutionName",
        "StationName",
        "ManufacturerModelName",
        "DeviceSerialNumber",
    ):
        found = draft.source.header
        value = _clean(found[keyword]) if keyword in found else None
        if value:
            setattr(item, keyword, value)
    if "Manufacturer" not in item:
        return []
    item.PurposeOfReferenceCodeSequence = code_sequence(_ACQUISITION)
    return [item]
