"""Documents to deliver: small DICOM objects as the composer would hand them over."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from wetread.domain.document import Document, DocumentKind

SOP_CLASSES = {
    DocumentKind.SR: "1.2.840.10008.5.1.4.1.1.88.34",
    DocumentKind.SEG: "1.2.840.10008.5.1.4.1.1.66.4",
    DocumentKind.PR: "1.2.840.10008.5.1.4.1.1.11.1",
    DocumentKind.SC: "1.2.840.10008.5.1.4.1.1.7",
    DocumentKind.PDF: "1.2.840.10008.5.1.4.1.1.104.1",
}

MakeDocument = Callable[..., Document]


@pytest.fixture
def study_uid() -> str:
    return str(generate_uid())


@pytest.fixture
def make_document(study_uid: str) -> MakeDocument:
    def make(kind: DocumentKind = DocumentKind.SR, **attributes: str) -> Document:
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SOP_CLASSES[kind]
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, generate_uid()
        ds.PatientID, ds.PatientName, ds.Modality = "P1", "Test^Deliver", kind.value.upper()
        for keyword, value in attributes.items():
            setattr(ds, keyword, value)
        target = io.BytesIO()
        ds.save_as(target, enforce_file_format=True)
        return Document(
            kind=kind,
            ordinal=1,
            sop_instance_uid=str(ds.SOPInstanceUID),
            sop_class_uid=str(ds.SOPClassUID),
            series_instance_uid=str(ds.SeriesInstanceUID),
            title=kind.value,
            data=target.getvalue(),
        )

    return make


@pytest.fixture
def documents(make_document: MakeDocument) -> list[Document]:
    return [make_document(kind) for kind in SOP_CLASSES]
