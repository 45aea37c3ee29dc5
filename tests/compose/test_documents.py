"""Composing twice gives the same bytes; every object is valid, whatever the header holds."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.compose.conftest import ALL_KINDS, Composed
from tests.compose.past import compare
from tests.compose.scene import (
    ORIENTATIONS,
    make_grid,
    make_reading,
    make_source,
    make_unread,
    make_volume,
    write_series,
)
from wetread.compose import (
    DocumentReference,
    Source,
    compose,
    derive_instance_uid,
    derive_series_uid,
    read_source,
)
from wetread.compose.documents import KINDS_WHEN_NOT_READ
from wetread.compose.report import BASIC_TEXT_SR_STORAGE
from wetread.conformance.claim import Role
from wetread.conformance.services import SERVICES
from wetread.domain.document import DICOM_KINDS, SIGNED_KINDS, DocumentKind
from wetread.domain.reading import Reading, digest

HOSTILE = {
    "markup": {"PatientName": "<img src=x onerror=alert(1)>^<b>", "StudyDescription": "</para>&amp;<script>"},
    "delimiters": {"PatientName": "A|B^C~D&E", "PatientID": "1|2^3~4", "AccessionNumber": "A|^~&"},
    "japanese": {"PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう", "StudyDescription": "胸部CT"},
    "ideographs only": {"PatientName": "=山田^太郎"},
    "greek and cyrillic": {"PatientName": "Παπαδόπουλος^Жанна"},
    "nothing told": {
        "PatientName": "",
        "PatientID": "",
        "PatientBirthDate": None,
        "PatientSex": None,
        "StudyDate": None,
        "StudyTime": None,
        "AccessionNumber": None,
        "StudyID": None,
        "ReferringPhysicianName": None,
        "StudyDescription": None,
        "BodyPartExamined": None,
        "RescaleIntercept": None,
        "RescaleSlope": None,
        "SpecificCharacterSet": None,
    },
    "local body part": {"BodyPartExamined": "THORAX"},
    "no code for a body part": {"BodyPartExamined": "Thorax, 2.0"},
    "abdomen": {"BodyPartExamined": "ABDOMEN"},
    "very long": {"PatientName": "N" * 64 + "^" + "M" * 64, "PatientID": "9" * 64},
}


def _small(tmp_path: Path, **changes: object) -> tuple[Reading, Source]:
    volume = make_volume(make_grid(shape=(16, 40, 44), spacing_mm=(15.0, 6.0, 6.0)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = make_source(tmp_path / "ct", volume, ORIENTATIONS["axial"], **changes)
    return compare(make_reading(volume)), source


def test_composing_twice_gives_the_same_bytes(composed: Composed) -> None:
    again = compose(composed.reading, composed.source, ALL_KINDS)
    assert again == composed.documents
    assert [document.data for document in again] == [document.data for document in composed.documents]


def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    script = """
import hashlib, sys, pathlib
from tests.compose.past import compare
from tests.compose.scene import *
from wetread.compose import compose
from wetread.domain.document import READING_KINDS
volume = make_volume(make_grid(shape=(16, 40, 44), spacing_mm=(15.0, 6.0, 6.0)))
source = make_source(pathlib.Path(sys.argv[1]), volume, ORIENTATIONS["axial"])
for document in compose(compare(make_reading(volume)), source, READING_KINDS):
    print(document.sop_instance_uid, hashlib.sha256(document.data).hexdigest())
"""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / str(run))],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
            env={"PYTHONHASHSEED": str(run), "TZ": ("UTC", "Asia/Tokyo")[run]},
        ).stdout
        for run in range(2)
    ]
    assert outputs[0] == outputs[1]
    assert len(outputs[0].splitlines()) > 10


def test_uids_are_derived_and_unlike(composed: Composed) -> None:
    uids = [document.sop_instance_uid for document in composed.documents]
    assert len(set(uids)) == len(uids)
    sr = composed.of(DocumentKind.SR)[0]
    assert sr.sop_instance_uid == derive_instance_uid(digest(composed.reading), DocumentKind.SR, 1)
    assert sr.series_instance_uid == derive_series_uid(digest(composed.reading), DocumentKind.SR)
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)
    later = dataclasses.replace(composed.reading, revision=2)
    assert not set(uids) & {one.sop_instance_uid for one in compose(later, composed.source, ALL_KINDS)}


@pytest.mark.parametrize("kind", sorted(DICOM_KINDS - SIGNED_KINDS))
def test_objects_are_valid(composed: Composed, kind: DocumentKind, check_iod, tmp_path: Path) -> None:
    assert composed.of(kind)
    for document in composed.of(kind):
        path = tmp_path / f"{document.ordinal}.dcm"
        path.write_bytes(document.data)
        assert check_iod(path) == []
        ds = pydicom.dcmread(path)
        assert (ds.SOPInstanceUID, ds.SOPClassUID) == (document.sop_instance_uid, document.sop_class_uid)
        assert ds.SeriesInstanceUID == document.series_instance_uid
        assert ds.StudyInstanceUID == composed.reading.study_instance_uid
        assert (ds.PatientName, ds.PatientID) == ("Müller^Zoë", "P-1")
        assert (ds.InstanceCreationDate, ds.InstanceCreationTime) == ("20261123", "083015")
        assert ds.DeviceSerialNumber == composed.reading.model.digest


@pytest.mark.parametrize("name", HOSTILE)
def test_any_header_makes_valid_objects(name: str, tmp_path: Path, check_iod) -> None:
    reading, source = _small(tmp_path, **HOSTILE[name])
    documents = compose(reading, source, ALL_KINDS)
    assert {document.kind for document in documents} == set(ALL_KINDS)
    expected = pydicom.dcmread(next((tmp_path / "ct").iterdir())).get("PatientName", "")
    for document in documents:
        if document.kind not in DICOM_KINDS:
            continue
        path = tmp_path / "one.dcm"
        path.write_bytes(document.data)
        errors = check_iod(path)
        assert errors == [], (document.kind, errors)
        ds = pydicom.dcmread(path)
        assert ds.SpecificCharacterSet == "ISO_IR 192"
        assert str(ds.PatientName) == "=".join(group[:64] for group in str(expected).split("="))


def test_other_character_sets_become_utf_8(tmp_path: Path) -> None:
    changes = {"SpecificCharacterSet": "ISO_IR 144", "PatientName": "Иванов^Иван"}
    reading, source = _small(tmp_path, **changes)
    (sr,) = compose(reading, source, (DocumentKind.SR,))
    assert "Иванов^Иван".encode() in sr.data
    (oru,) = compose(reading, source, (DocumentKind.ORU,))
    assert "Иванов^Иван".encode() in oru.data


def test_a_study_that_was_not_read_gets_words_only(tmp_path: Path) -> None:
    _, source = _small(tmp_path)
    documents = compose(make_unread(), dataclasses.replace(source, volume=None), ALL_KINDS)
    assert {document.kind for document in documents} == KINDS_WHEN_NOT_READ
    for document in documents:
        text = document.data.decode()
        assert "Not read" in text
        assert "A slice is missing" in text
        assert "nothing found" not in text.lower()
        assert "priority" not in text.lower()


def test_read_and_nothing_found_says_so(composed: Composed) -> None:
    empty = dataclasses.replace(
        composed.reading, findings=(), segments=composed.reading.segments[:2], measurements={}
    )
    documents = compose(empty, composed.source, ALL_KINDS)
    kinds = {document.kind for document in documents}
    assert kinds == set(ALL_KINDS) - {DocumentKind.PR}
    for document in documents:
        if document.kind in (DocumentKind.SR, DocumentKind.TEXT, DocumentKind.ORU):
            assert b"Read, nothing found." in document.data


def test_nothing_found_and_nothing_measured_is_still_a_report(
    composed: Composed, check_iod, tmp_path
) -> None:
    bare = dataclasses.replace(composed.reading, findings=(), segments=(), regions=(), measurements={})
    documents = {one.kind: one for one in compose(bare, composed.source, ALL_KINDS)}
    assert not {DocumentKind.SEG, DocumentKind.PR} & documents.keys()
    path = tmp_path / "sr.dcm"
    path.write_bytes(documents[DocumentKind.SR].data)
    assert check_iod(path) == []
    assert b"Read, nothing found." in path.read_bytes()
    assert b"126010" not in path.read_bytes()


def test_the_sr_names_its_predecessor(composed: Composed) -> None:
    earlier = DocumentReference(
        kind=DocumentKind.SR,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        sop_instance_uid="2.25.7",
        series_instance_uid="2.25.8",
    )
    source = dataclasses.replace(composed.source, predecessors=(earlier,))
    (sr,) = compose(composed.reading, source, (DocumentKind.SR,))
    series = pydicom.dcmread(io.BytesIO(sr.data)).PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == "2.25.8"
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.7"
    first = pydicom.dcmread(io.BytesIO(composed.of(DocumentKind.SR)[0].data))
    assert "PredecessorDocumentsSequence" not in first


def test_times_are_on_the_clock_of_the_study(tmp_path: Path) -> None:
    reading, source = _small(tmp_path, TimezoneOffsetFromUTC="-0500")
    (sr,) = compose(reading, source, (DocumentKind.SR,))
    ds = pydicom.dcmread(io.BytesIO(sr.data))
    assert (ds.ContentDate, ds.ContentTime, ds.TimezoneOffsetFromUTC) == ("20261123", "033015", "-0500")
    assert reading.made_at.utcoffset() == timedelta(0)


def test_a_source_of_something_else_is_refused(composed: Composed, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="another study"):
        compose(make_unread(study_instance_uid="1.9"), composed.source, ALL_KINDS)
    with pytest.raises(ValueError, match="another series"):
        compose(dataclasses.replace(composed.reading, series_instance_uid="1.9"), composed.source, ALL_KINDS)
    fewer = dataclasses.replace(composed.source, planes=composed.source.planes[1:])
    with pytest.raises(ValueError, match="one image"):
        compose(composed.reading, fewer, ALL_KINDS)


def test_multi_frame_sources_are_referred_to_by_frame(composed: Composed) -> None:
    planes = tuple(
        dataclasses.replace(plane, sop_instance_uid="1.2.3.9", frame_number=index + 1)
        for index, plane in enumerate(composed.source.planes)
    )
    assert composed.reading.grid is not None
    grid = dataclasses.replace(composed.reading.grid, sop_instance_uids=("1.2.3.9",) * len(planes))
    reading = dataclasses.replace(composed.reading, grid=grid)
    source = dataclasses.replace(composed.source, planes=planes)
    documents = {
        one.kind: pydicom.dcmread(io.BytesIO(one.data)) for one in compose(reading, source, DICOM_KINDS)
    }
    seg = documents[DocumentKind.SEG]
    assert len(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 1
    first = seg.PerFrameFunctionalGroupsSequence[0]
    image = first.DerivationImageSequence[0].SourceImageSequence[0]
    plane = image.ReferencedFrameNumber - 1
    assert np.allclose(
        first.PlanePositionSequence[0].ImagePositionPatient, grid.to_lps_mm((plane, 0, 0)), atol=1e-5
    )
    annotation = documents[DocumentKind.PR].GraphicAnnotationSequence[0]
    assert annotation.ReferencedImageSequence[0].ReferencedFrameNumber >= 1


def test_reading_a_source_opens_one_file(tmp_path: Path) -> None:
    orientation = ORIENTATIONS["slices written from the top"]
    volume = make_volume(make_grid(orientation, shape=(8, 20, 24), spacing_mm=(30.0, 12.0, 12.0)))
    series = write_series(tmp_path, volume, orientation)
    for path in sorted(tmp_path.iterdir())[1:]:
        path.unlink()
    source = read_source(series, volume)
    assert tuple(plane.sop_instance_uid for plane in source.planes) == volume.grid.sop_instance_uids
    assert "PixelData" not in source.header


def test_the_conformance_statement_names_every_class_that_is_composed(composed: Composed) -> None:
    [claim] = [one for one in SERVICES if one.role is Role.SCU and one.name == "Storage (C-STORE)"]
    made = {document.sop_class_uid for document in composed.documents if document.kind in DICOM_KINDS}
    made.add(BASIC_TEXT_SR_STORAGE)
    assert made == set(claim.sop_classes)
    objects = [document for document in composed.documents if document.kind in DICOM_KINDS]
    syntaxes = {pydicom.dcmread(io.BytesIO(one.data)).file_meta.TransferSyntaxUID.name for one in objects}
    assert syntaxes == {claim.syntaxes}
