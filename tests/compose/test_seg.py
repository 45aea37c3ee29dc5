"""The SEG holds the voxels of the Reading, where they lie in the patient, on any grid."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.compose.conftest import Composed
from tests.compose.scene import ORIENTATIONS, make_grid, make_reading, make_source, make_volume
from wetread.compose import compose
from wetread.compose.seg import pack_frames
from wetread.domain.document import DocumentKind
from wetread.domain.mask import Mask
from wetread.domain.reading import Reading


def _seg(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def _points_lps(ds: pydicom.Dataset, number: int) -> np.ndarray:
    """Return the centres of the voxels of a segment, from the SEG's own attributes."""
    shared = ds.SharedFunctionalGroupsSequence[0]
    across = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient[:3], float)
    down = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient[3:], float)
    row_mm, column_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    pixels = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    points = []
    for frame, groups in zip(pixels, ds.PerFrameFunctionalGroupsSequence, strict=True):
        if groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber != number:
            continue
        rows, columns = np.nonzero(frame)
        origin = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        points.append(origin + rows[:, None] * row_mm * down + columns[:, None] * column_mm * across)
    return np.concatenate(points)


def _truth_lps(reading: Reading, number: int) -> np.ndarray:
    assert reading.grid is not None
    return reading.grid.to_lps_mm(np.argwhere(reading.get_segment(number).mask.to_array()))


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_voxels_lie_in_their_place(name: str, tmp_path: Path, check_iod) -> None:
    orientation = ORIENTATIONS[name]
    volume = make_volume(make_grid(orientation, shape=(30, 60, 68), spacing_mm=(8.0, 4.0, 4.0)))
    reading, source = make_reading(volume), make_source(tmp_path, volume, orientation)
    (document,) = compose(reading, source, (DocumentKind.SEG,))
    path = tmp_path / "seg.dcm"
    path.write_bytes(document.data)
    assert check_iod(path) == []
    ds = _seg(document.data)
    for number in range(1, 6):
        found, truth = _points_lps(ds, number), _truth_lps(reading, number)
        assert found.shape == truth.shape
        assert np.abs(np.sort(found, axis=0) - np.sort(truth, axis=0)).max() < 1e-3
    _assert_frames_name_their_images(ds, tmp_path)


def _assert_frames_name_their_images(ds: pydicom.Dataset, folder: Path) -> None:
    images = {
        one.SOPInstanceUID: np.array(one.ImagePositionPatient, float)
        for one in (pydicom.dcmread(path, stop_before_pixels=True) for path in folder.glob("0*.dcm"))
    }
    for groups in ds.PerFrameFunctionalGroupsSequence:
        source = groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float) == pytest.approx(
            images[source]
        )
    named = {
        one.ReferencedSOPInstanceUID for one in ds.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert named <= images.keys()


def test_dcmqi_reads_the_same_voxels(composed: Composed, tmp_path: Path) -> None:
    program = shutil.which("segimage2itkimage", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("segimage2itkimage is not installed: pip install dcmqi")
    (document,) = composed.of(DocumentKind.SEG)
    (tmp_path / "seg.dcm").write_bytes(document.data)
    command = [program, "--inputDICOM", "seg.dcm", "--outputDirectory", ".", "--outputType", "nii"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    for number in range(1, 6):
        image = nib.load(tmp_path / f"{number}.nii.gz")
        index = np.argwhere(np.asarray(image.dataobj) > 0)
        ras = nib.affines.apply_affine(image.affine, index)
        found, truth = ras * [-1, -1, 1], _truth_lps(composed.reading, number)
        assert found.shape == truth.shape
        assert np.abs(np.sort(found, axis=0) - np.sort(truth, axis=0)).max() < 1e-3


def test_segments_are_named_and_coded(composed: Composed) -> None:
    ds = _seg(composed.of(DocumentKind.SEG)[0].data)
    labels = [item.SegmentLabel for item in ds.SegmentSequence]
    assert labels == ["Right lung", "Left lung", "Nodule 1", "Nodule 2", "Right pneumothorax"]
    lung, nodule = ds.SegmentSequence[0], ds.SegmentSequence[2]
    modifier = lung.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert modifier.CodeMeaning == "Right"
    assert (nodule.TrackingID, nodule.TrackingUID) == ("Nodule 1", "2.25.103")
    region = nodule.AnatomicRegionSequence[0]
    assert (region.CodeMeaning, region.AnatomicRegionModifierSequence[0].CodeMeaning) == ("Lung", "Right")
    colours = [tuple(item.RecommendedDisplayCIELabValue) for item in ds.SegmentSequence]
    assert len(set(colours)) == 5
    assert ds.FrameOfReferenceUID == composed.reading.grid.frame_of_reference_uid
    assert int(ds.NumberOfFrames) == sum(
        one.mask.voxels.any(axis=(1, 2)).sum() for one in composed.reading.segments
    )


def test_frames_encoded_by_hand_are_as_pydicom_would_write_them(composed: Composed) -> None:
    data = composed.of(DocumentKind.SEG)[0].data
    ds = _seg(data)
    ds.pixel_array  # noqa: B018  a property that checks the length
    for item in ds.PerFrameFunctionalGroupsSequence:
        list(item.iterall())
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    assert buffer.getvalue() == data


@given(hnp.arrays(bool, st.tuples(*[st.integers(1, 5)] * 2, st.sampled_from([3, 8, 11, 16]))))
@settings(deadline=None)
def test_any_mask_is_packed_as_the_standard_says(array: np.ndarray) -> None:
    mask = Mask.from_array(array)
    used = array[array.any(axis=(1, 2))]
    expected = np.packbits(used.ravel(), bitorder="little").tobytes()
    assert pack_frames([mask]) == expected + b"\0" * (len(expected) % 2)
