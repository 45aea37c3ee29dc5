from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.phantom.conftest import SLAB, Demo
from wetread.phantom import PatientOptions, PatientPosition, PhantomOptions, ScannerOptions, write_phantom

TINY = dataclasses.replace(SLAB, matrix=64, spacing_mm=5.0, length_mm=25.0)


def check_dicom(path: Path) -> str:
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("dciodvfy is not installed: install dicom3tools to check the files against the Standard")
    done = subprocess.run([tool, str(path)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def write(folder: Path, scanner: ScannerOptions) -> list[pydicom.Dataset]:
    options = PhantomOptions(seed=3, patient=PatientOptions(vessel_ends=20), scanner=scanner, nodules=())
    write_phantom(options, folder)
    return [pydicom.dcmread(path) for path in sorted((folder / "visit1").iterdir())]


def test_written_pixels_are_the_volume_in_its_place(demo: Demo, tmp_path: Path) -> None:
    paths = demo.write(tmp_path)
    visit = demo.visits[0]
    assert len(paths) == sum(one.volume.grid.shape[0] for one in demo.visits)
    for plane in (0, 40, 100):
        ds = pydicom.dcmread(tmp_path / "visit1" / f"{plane + 1:04d}.dcm")
        hu = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        assert np.array_equal(hu, visit.volume.voxels[plane])
        assert ds.ImagePositionPatient == pytest.approx(visit.volume.grid.to_lps_mm([plane, 0, 0]), abs=1e-6)
        assert ds.SOPInstanceUID == visit.volume.grid.sop_instance_uids[plane]


def test_visits_are_one_patient_and_two_studies(demo: Demo, tmp_path: Path) -> None:
    demo.write(tmp_path)
    first, second = (pydicom.dcmread(tmp_path / f"visit{number}" / "0001.dcm") for number in (1, 2))
    assert first.PatientID == second.PatientID
    assert str(first.PatientName).startswith("PHANTOM^")
    assert first.StudyInstanceUID == demo.truths[0].study_instance_uid
    assert second.StudyInstanceUID == demo.truths[1].study_instance_uid
    assert first.FrameOfReferenceUID != second.FrameOfReferenceUID
    assert first.AccessionNumber != second.AccessionNumber
    assert first.StudyDate < second.StudyDate


def test_files_of_the_demo_are_valid(demo: Demo, tmp_path: Path) -> None:
    demo.write(tmp_path)
    for name in ("visit1/0001.dcm", "visit2/0064.dcm"):
        said = check_dicom(tmp_path / name)
        assert "Error" not in said
        assert "Warning" not in said


@pytest.mark.parametrize(
    "scanner",
    [
        dataclasses.replace(TINY, patient_position=PatientPosition.FFS),
        dataclasses.replace(TINY, patient_position=PatientPosition.HFP, dose_mgy=0.0),
        dataclasses.replace(TINY, patient_position=PatientPosition.FFP, tilt_deg=(11.3, -6.7)),
        dataclasses.replace(TINY, reverse_order=True, thickness_mm=3.0),
    ],
    ids=["feet-first", "prone", "oblique", "reversed"],
)
def test_other_orientations_are_valid_too(scanner: ScannerOptions, tmp_path: Path) -> None:
    slices = write(tmp_path, scanner)
    assert "Error" not in check_dicom(tmp_path / "visit1" / "0002.dcm")
    first, second = slices[:2]
    across, down = np.array(first.ImageOrientationPatient[:3]), np.array(first.ImageOrientationPatient[3:])
    step = np.subtract(second.ImagePositionPatient, first.ImagePositionPatient) @ np.cross(across, down)
    assert step == pytest.approx(-2.5 if scanner.reverse_order else 2.5, abs=1e-4)
    assert first.PatientPosition == scanner.patient_position.value
    assert [ds.InstanceNumber for ds in slices] == list(range(1, len(slices) + 1))


def test_truth_json_is_as_promised(demo: Demo) -> None:
    truth = json.loads(json.dumps(demo.truth_json()))
    assert [len(visit["nodules"]) for visit in truth["visits"]] == [3, 4]
    for visit in truth["visits"]:
        assert {"study_instance_uid", "date", "lung_volume_ml", "pneumothorax", "effusion"} <= set(visit)
        for nodule in visit["nodules"]:
            assert nodule["diameter_mm"] == pytest.approx(
                (nodule["long_axis_mm"] + nodule["short_axis_mm"]) / 2, abs=2e-3
            )
            assert len(nodule["center_mm"]) == 3
            assert {"id", "type", "volume_mm3", "status"} <= set(nodule)
    assert truth["visits"][1]["pneumothorax"]["side"] == "right"


def test_writing_reports_progress_and_leaves_dicom_only(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    options = PhantomOptions(seed=3, patient=PatientOptions(vessel_ends=20), scanner=TINY, nodules=())
    truths = write_phantom(
        options, tmp_path / "new" / "folder", lambda done, total: seen.append((done, total))
    )
    assert seen == [(number, 10) for number in range(1, 11)]
    assert {path.suffix for path in (tmp_path / "new" / "folder" / "visit1").iterdir()} == {".dcm"}
    truth = json.loads((tmp_path / "new" / "folder" / "truth.json").read_text())
    assert truth["visits"][0]["study_instance_uid"] == truths[0].study_instance_uid
