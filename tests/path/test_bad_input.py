"""What is wrong with a study is said with a code, in the answer that its sender or user sees."""

import shutil
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from wetread.analyze import Analysis, analyze_path
from wetread.match import default_rules
from wetread.registry import read_models

ANALYSIS = Analysis(models=read_models(), rules=default_rules())


def analyze(path: Path, out: Path) -> dict[str, Any]:
    (entry,) = analyze_path(path, out, ANALYSIS)
    assert (out / "findings.json").exists()
    return entry


def codes(entry: dict[str, Any]) -> set[str]:
    return {problem["code"] for problem in entry["problems"]}


def copy(files: Iterable[Path], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copy(file, folder)) for file in files]


def change(files: Iterable[Path], edit: Callable[[pydicom.Dataset, int], None]) -> None:
    for number, path in enumerate(files):
        ds = pydicom.dcmread(path)
        edit(ds, number)
        ds.save_as(path)


def drop_position(ds: pydicom.Dataset, _number: int) -> None:
    del ds.ImagePositionPatient


def nan_position(ds: pydicom.Dataset, number: int) -> None:
    if number == 20:
        ds.ImagePositionPatient = ["0", "0", "NaN"]


def singular(ds: pydicom.Dataset, _number: int) -> None:
    ds.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]


def mixed(ds: pydicom.Dataset, number: int) -> None:
    if number > 60:
        ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]


def coronal(ds: pydicom.Dataset, number: int) -> None:
    ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    ds.ImagePositionPatient = [-150, -150 + 2.5 * number, 100]


def localizer(ds: pydicom.Dataset, _number: int) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def magnetic_resonance(ds: pydicom.Dataset, _number: int) -> None:
    ds.Modality = "MR"


def unsigned_without_rescale(ds: pydicom.Dataset, _number: int) -> None:
    ds.PixelRepresentation = 0
    ds.BitsStored, ds.HighBit = 16, 15
    del ds.RescaleSlope
    del ds.RescaleIntercept


def thick(ds: pydicom.Dataset, number: int) -> None:
    ds.SliceThickness = 8
    x, y, _ = ds.ImagePositionPatient
    ds.ImagePositionPatient = [x, y, 8.0 * number]


def child(ds: pydicom.Dataset, _number: int) -> None:
    ds.PatientAge = "004Y"
    ds.PatientBirthDate = ""


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (drop_position, "missing-geometry"),
        (nan_position, "invalid-geometry"),
        (singular, "invalid-geometry"),
        (mixed, "mixed-orientations"),
        (coronal, "not-axial"),
        (localizer, "localizer"),
        (magnetic_resonance, "rule-not-met"),
        (unsigned_without_rescale, "missing-rescale"),
        (thick, "slices-too-thick"),
        (child, "age-out-of-range"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_bad_series_are_refused_with_a_code(edit, code: str, visits, tmp_path: Path) -> None:
    change(copy(visits[0], tmp_path / "in"), edit)
    entry = analyze(tmp_path / "in", tmp_path / "out")
    assert entry["outcome"] == "not-read"
    assert code in codes(entry)
    assert entry["findings"] == []
    assert not [one for one in entry["documents"] if one["path"].endswith(".dcm")]


def test_a_gap(visits, tmp_path: Path) -> None:
    copy(visits[0][:40] + visits[0][43:], tmp_path / "in")
    assert "slice-gap" in codes(analyze(tmp_path / "in", tmp_path / "out"))


def test_duplicate_positions(visits, tmp_path: Path) -> None:
    copy(visits[0], tmp_path / "in")
    again = [Path(shutil.copy(file, tmp_path / "in" / f"again-{file.name}")) for file in visits[0]]

    def another(ds: pydicom.Dataset, _number: int) -> None:
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()

    change(again, another)
    assert "duplicate-positions" in codes(analyze(tmp_path / "in", tmp_path / "out"))


def test_a_single_slice(visits, tmp_path: Path) -> None:
    entry = analyze(visits[0][60], tmp_path / "out")
    assert "too-few-slices" in codes(entry)


def test_a_text_file_and_an_empty_folder(tmp_path: Path) -> None:
    text = tmp_path / "letter.txt"
    text.write_text("Dear colleague")
    assert codes(analyze(text, tmp_path / "a")) == {"unreadable-instance"}
    (tmp_path / "empty").mkdir()
    assert codes(analyze(tmp_path / "empty", tmp_path / "b")) == {"unreadable-instance"}


def test_a_truncated_slice_leaves_a_gap_that_is_named(visits, tmp_path: Path) -> None:
    files = copy(visits[0], tmp_path / "in")
    files[70].write_bytes(files[70].read_bytes()[:400])
    entry = analyze(tmp_path / "in", tmp_path / "out")
    assert entry["outcome"] == "not-read"
    assert codes(entry) >= {"slice-gap", "unreadable-instance"}


def test_no_meta_header_is_read_all_the_same(visits, tmp_path: Path) -> None:
    for path in copy(visits[0], tmp_path / "in"):
        ds = pydicom.dcmread(path)
        ds.save_as(path, enforce_file_format=False, implicit_vr=False, little_endian=True)
        data = path.read_bytes()
        path.write_bytes(data[data.index(b"\x08\x00\x05\x00CS") :] if b"\x08\x00\x05\x00CS" in data else data)
    assert analyze(tmp_path / "in", tmp_path / "out")["outcome"] == "read"


def test_a_zip_gives_what_its_folder_gives(visits, tmp_path: Path) -> None:
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as members:
        for file in visits[1]:
            members.write(file, f"../../{file.name}")
    zipped = analyze(archive, tmp_path / "zipped")
    plain = analyze(visits[1][0].parent, tmp_path / "plain")
    for entry in (zipped, plain):
        del entry["made_at"], entry["documents"]
    assert zipped == plain
    assert zipped["triage"]["priority"] == "stat"


def test_orientation_changes_nothing_in_the_patient(visits, tmp_path: Path) -> None:
    """The same patient with rows and columns reversed: every finding stays at its place and side."""

    def turned(ds: pydicom.Dataset, _number: int) -> None:
        rows, columns, spacing = ds.Rows, ds.Columns, [float(value) for value in ds.PixelSpacing]
        x, y, z = (float(value) for value in ds.ImagePositionPatient)
        ds.PixelData = np.ascontiguousarray(ds.pixel_array[::-1, ::-1]).tobytes()
        ds.ImagePositionPatient = [x + (columns - 1) * spacing[1], y + (rows - 1) * spacing[0], z]
        ds.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]

    change(copy(visits[1], tmp_path / "turned"), turned)
    plain = analyze(visits[1][0].parent, tmp_path / "a")
    other = analyze(tmp_path / "turned", tmp_path / "b")
    assert len(plain["findings"]) == len(other["findings"]) >= 2
    for one in plain["findings"]:
        near = min(
            other["findings"], key=lambda two: np.linalg.norm(np.subtract(one["center_mm"], two["center_mm"]))
        )
        assert np.linalg.norm(np.subtract(one["center_mm"], near["center_mm"])) < 3
        assert one["side"] == near["side"]
        assert one["label"] == near["label"]


def test_several_studies_give_a_reading_each(visits, tmp_path: Path) -> None:
    for number, files in enumerate(visits):
        copy(files, tmp_path / "in" / str(number))
    entries = analyze_path(tmp_path / "in", tmp_path / "out", ANALYSIS)
    assert len({entry["study_instance_uid"] for entry in entries}) == 2


def test_images_of_two_patients_under_one_uid_are_refused(visits, tmp_path: Path) -> None:
    def another_patient(ds: pydicom.Dataset, number: int) -> None:
        if number > 70:
            ds.PatientID, ds.PatientName, ds.PatientBirthDate = "OTHER", "OTHER^PATIENT", "19500101"

    change(copy(visits[0], tmp_path / "in"), another_patient)
    entry = analyze(tmp_path / "in", tmp_path / "out")
    assert entry["outcome"] == "not-read"
    assert "mixed-patients" in codes(entry)
    assert "OTHER" not in str(entry)


def test_a_folder_of_odd_objects_always_gives_an_answer(tmp_path: Path) -> None:
    names = ["rtstruct.dcm", "ExplVR_BigEndNoMeta.dcm", "CT_small.dcm", "MR_small.dcm", "reportsi.dcm"]
    copy([Path(get_testdata_file(name)) for name in names], tmp_path / "in")
    entries = analyze_path(tmp_path / "in", tmp_path / "out", ANALYSIS)
    assert entries
    assert all(entry["outcome"] == "not-read" and entry["problems"] for entry in entries)


def test_a_folder_named_like_nifti(tmp_path: Path) -> None:
    (tmp_path / "x.nii").mkdir()
    assert codes(analyze(tmp_path / "x.nii", tmp_path / "out")) == {"unreadable-instance"}
