"""Series become volumes in which every voxel lies where it was."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless, RLELossless
from scipy.spatial.transform import Rotation

from tests.dicom.small_ct import SmallCt, data_folder, make_enhanced, make_slice, read_series
from wetread.dicom.header import read_instance
from wetread.domain.problem import RefusedImages
from wetread.domain.study import Series, group_instances
from wetread.imaging.pixels import read_frames
from wetread.imaging.volume import read_volume


def refusal(series: Series) -> str:
    with pytest.raises(RefusedImages) as caught:
        read_volume(series)
    assert "Doe" not in str(caught.value)
    return caught.value.problem.code.value


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    flips=st.sampled_from([(1, 1, 1), (-1, 1, -1), (1, -1, -1), (-1, -1, 1)]),
    order=st.permutations(range(5)),
    voxel=st.tuples(st.integers(0, 4), st.integers(0, 7), st.integers(0, 9)),
)
def test_a_marked_voxel_keeps_its_place(
    tmp_path: Path,
    angles: tuple[float, float, float],
    flips: tuple[int, int, int],
    order: list[int],
    voxel: tuple[int, int, int],
) -> None:
    axes = np.diag(flips) @ Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    stored = np.zeros((5, 8, 10), dtype=np.int16)
    stored[voxel] = 3000
    ct = SmallCt(axes=axes, stored=stored)
    series = read_series(tmp_path, ct)
    shuffled = Series(
        series_instance_uid=series.series_instance_uid,
        instances=tuple(series.instances[index] for index in order),
    )
    volume, problems = read_volume(shuffled)
    assert problems == ()
    plane, row, column = voxel
    expected = (
        np.array(ct.position(plane)) + axes[1] * row * ct.spacing_mm[1] + axes[0] * column * ct.spacing_mm[2]
    )
    found = np.unravel_index(int(volume.voxels.argmax()), volume.voxels.shape)
    assert np.allclose(volume.grid.to_lps_mm(found), expected, atol=2e-3)
    assert volume.grid.sop_instance_uids[int(found[0])] == f"1.2.3.1.{plane + 1}"


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1), (-1, -1, 1)], ids=["hfs", "ffs", "prone"])
def test_slices_written_from_the_head_down_are_the_same_volume(
    tmp_path: Path, flips: tuple[int, int, int]
) -> None:
    axes = np.diag(flips).astype(float)
    forward, _ = read_volume(read_series(tmp_path / "a", SmallCt(axes=axes)))
    stored = SmallCt().voxels()[::-1]
    origin = tuple(SmallCt(axes=axes).position(4))
    backward = SmallCt(
        axes=np.array([axes[0], axes[1], -axes[2]]), origin_lps_mm=origin, stored=np.ascontiguousarray(stored)
    )
    same, _ = read_volume(read_series(tmp_path / "b", backward))
    assert np.array_equal(forward.voxels, same.voxels)
    assert np.allclose(forward.grid.index_to_lps, same.grid.index_to_lps)


def test_hounsfield_units_are_exact_int16(tmp_path: Path) -> None:
    volume, _ = read_volume(read_series(tmp_path, SmallCt()))
    assert volume.voxels.dtype == np.int16
    assert np.array_equal(volume.voxels, SmallCt().voxels() - 1024)
    assert not volume.voxels.flags.writeable


def test_a_fractional_slope_gives_float32(tmp_path: Path) -> None:
    def edit(ds: Dataset, plane: int) -> None:
        ds.RescaleSlope = "0.5"

    volume, _ = read_volume(read_series(tmp_path, SmallCt(edit=edit)))
    assert volume.voxels.dtype == np.float32
    assert np.allclose(volume.voxels, SmallCt().voxels() * 0.5 - 1024)


def test_values_beyond_int16_are_kept(tmp_path: Path) -> None:
    stored = np.full((5, 8, 10), 60_000, dtype=np.uint16)
    volume, _ = read_volume(read_series(tmp_path, SmallCt(stored=stored)))
    assert volume.voxels.max() == 60_000 - 1024


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_missing_rescale_is_refused(tmp_path: Path, keyword: str, dtype: type) -> None:
    def edit(ds: Dataset, plane: int) -> None:
        delattr(ds, keyword)

    stored = np.full((5, 8, 10), 1000, dtype=dtype)
    assert refusal(read_series(tmp_path, SmallCt(stored=stored, edit=edit))) == "missing-rescale"


def test_other_units_than_hounsfield_are_refused(tmp_path: Path) -> None:
    def edit(ds: Dataset, plane: int) -> None:
        ds.RescaleType = "Z_EFF"

    assert refusal(read_series(tmp_path, SmallCt(edit=edit))) == "missing-rescale"


def test_padding_becomes_air(tmp_path: Path) -> None:
    stored = np.full((5, 8, 10), 1000, dtype=np.int16)
    stored[:, :2] = -2000

    def edit(ds: Dataset, plane: int) -> None:
        ds.PixelPaddingValue = -2000

    volume, _ = read_volume(read_series(tmp_path, SmallCt(stored=stored, edit=edit)))
    assert np.unique(volume.voxels).tolist() == [-1024, -24]


def test_padding_that_reads_as_tissue_is_believed_at_the_border_only(tmp_path: Path) -> None:
    stored = np.full((5, 8, 10), 1100, dtype=np.int16)
    stored[:, :2] = 1024
    stored[:, 5, 5] = 1024

    def edit(ds: Dataset, plane: int) -> None:
        ds.PixelPaddingValue = 1024

    volume, _ = read_volume(read_series(tmp_path, SmallCt(stored=stored, edit=edit)))
    assert (volume.voxels[:, :2] == -1024).all()
    assert (volume.voxels[:, 5, 5] == 0).all()


def test_bits_beside_the_stored_ones_are_ignored(tmp_path: Path) -> None:
    stored = np.full((5, 8, 10), 1000 | 0xF000, dtype=np.uint16)

    def edit(ds: Dataset, plane: int) -> None:
        ds.BitsStored, ds.HighBit = 12, 11

    volume, _ = read_volume(read_series(tmp_path, SmallCt(stored=stored, edit=edit)))
    assert np.unique(volume.voxels).tolist() == [-24]


def test_twelve_bits_are_sign_extended(tmp_path: Path) -> None:
    stored = np.full((5, 8, 10), -100 & 0x0FFF, dtype=np.int16)

    def edit(ds: Dataset, plane: int) -> None:
        ds.BitsStored, ds.HighBit, ds.RescaleIntercept = 12, 11, 0

    volume, _ = read_volume(read_series(tmp_path, SmallCt(stored=stored, edit=edit)))
    assert np.unique(volume.voxels).tolist() == [-100]


def test_enhanced_ct_gives_the_same_volume(tmp_path: Path) -> None:
    ct = SmallCt()
    path = tmp_path / "enhanced.dcm"
    make_enhanced(ct).save_as(path, enforce_file_format=True)
    (study,) = group_instances([read_instance(path)])
    volume, _ = read_volume(study.series[0])
    single, _ = read_volume(read_series(tmp_path / "single", ct))
    assert np.array_equal(volume.voxels, single.voxels)
    assert np.allclose(volume.grid.index_to_lps, single.grid.index_to_lps)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_slices_give_the_same_volume(tmp_path: Path, syntax: str) -> None:
    ct = SmallCt(shape=(3, 32, 32), stored=np.random.default_rng(0).integers(0, 4000, (3, 32, 32), np.uint16))
    paths = []
    for plane in range(3):
        ds = make_slice(ct, plane)
        ds.compress(syntax, generate_instance_uid=False)
        paths.append(tmp_path / f"{plane}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    (study,) = group_instances([read_instance(path) for path in paths])
    volume, _ = read_volume(study.series[0])
    assert np.array_equal(volume.voxels, ct.voxels().astype(int) - 1024)


def test_damaged_compressed_pixels_are_refused(tmp_path: Path) -> None:
    ct = SmallCt(shape=(1, 32, 32))
    ds = make_slice(ct, 0)
    ds.compress(JPEGLSLossless, generate_instance_uid=False)
    path = tmp_path / "damaged.dcm"
    ds.save_as(path, enforce_file_format=True)
    data = bytearray(path.read_bytes())
    data[-200:-20] = b"\xff" * 180
    path.write_bytes(data)
    (study,) = group_instances([read_instance(path)])
    assert refusal(study.series[0]) == "undecodable-pixels"


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda ds, _plane: delattr(ds, "PixelData"), "missing-pixels"),
        (lambda ds, _plane: setattr(ds, "PixelData", b"\0\0" * 10), "missing-pixels"),
        (lambda ds, _plane: setattr(ds, "SamplesPerPixel", 3), "undecodable-pixels"),
        (lambda ds, _plane: setattr(ds, "BitsStored", 20), "undecodable-pixels"),
        (lambda ds, _plane: setattr(ds, "Rows", 60_000), "undecodable-pixels"),
        (lambda ds, _plane: setattr(ds, "ImageOrientationPatient", [1, 0, 0, 1, 0, 0]), "invalid-geometry"),
    ],
)
def test_what_cannot_be_decoded_has_its_code(tmp_path: Path, edit: object, code: str) -> None:
    series = read_series(tmp_path, SmallCt(shape=(2, 8, 10), edit=edit))  # type: ignore[arg-type]
    assert refusal(series) == code


def test_a_file_that_vanished_is_refused_not_raised(tmp_path: Path) -> None:
    series = read_series(tmp_path, SmallCt())
    series.instances[2].path.unlink()
    assert refusal(series) == "undecodable-pixels"


def test_the_real_chest_series() -> None:
    paths = sorted(data_folder("ct_chest_series").glob("*.dcm"))
    (study,) = group_instances([read_instance(path) for path in paths])
    volume, problems = read_volume(study.series[0])
    assert problems == ()
    assert volume.grid.shape == (98, 512, 512)
    assert volume.grid.spacing_mm == pytest.approx((1.0, 0.759765625, 0.759765625))
    assert volume.grid.directions[0] == (0.0, 0.0, 1.0)
    assert volume.voxels.min() >= -1500
    first = dcmread(paths[0])
    plane = volume.grid.sop_instance_uids.index(first.SOPInstanceUID)
    assert np.array_equal(volume.voxels[plane], first.pixel_array.astype(int) - 1024)


def test_the_real_jpeg_2000_series(tmp_path: Path) -> None:
    sources = sorted((data_folder("ct_reference") / "j2k_series").glob("CT*"))
    paths = [_with_uids(source, tmp_path) for source in sources]
    (study,) = group_instances([read_instance(path) for path in paths])
    volume, problems = read_volume(study.series[0])
    assert problems == ()
    assert volume.grid.shape[0] == 20
    assert volume.grid.spacing_mm[0] == pytest.approx(2.0)
    last = dcmread(paths[-1])
    plane = volume.grid.sop_instance_uids.index(last.SOPInstanceUID)
    expected = last.pixel_array * float(last.RescaleSlope) + float(last.RescaleIntercept)
    assert np.array_equal(volume.voxels[plane], np.where(expected < -1500, -1024, expected))


def _with_uids(source: Path, folder: Path) -> Path:
    """Copy a file whose publisher emptied its UIDs, with UIDs of its own."""
    ds = dcmread(source)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID
    ds.SeriesInstanceUID = ds.get("SeriesInstanceUID") or "1.3"
    ds.StudyInstanceUID = ds.get("StudyInstanceUID") or "1.2"
    path = folder / source.name
    ds.save_as(path)
    return path


@pytest.mark.parametrize(
    "name", ["CT1_J2KR", "CT1_JLSL", "CT1_JPLL", "CT1_RLE", "CT2_J2KR", "CT2_JLSL", "CT2_JPLL", "CT2_RLE"]
)
def test_real_compressed_slices_decode(name: str, tmp_path: Path) -> None:
    path = _with_uids(data_folder("dicom_objects") / "jpeg" / name, tmp_path)
    assert np.array_equal(read_frames(read_instance(path))[0], dcmread(path).pixel_array)
