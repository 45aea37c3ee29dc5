"""NIfTI in and out: every voxel keeps its place, RAS becomes LPS once."""

from itertools import permutations
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.dicom.small_ct import data_folder
from wetread.domain.mask import Mask
from wetread.errors import GeometryError, UnreadableInstance
from wetread.imaging.nifti import is_nifti, nifti_affine, read_nifti_volume, write_nifti_masks

TILT = np.array([[1, 0, 0], [0, 0.9848, -0.1736], [0, 0.1736, 0.9848]])


def write(path: Path, voxels: np.ndarray, affine: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def some_affines() -> list[np.ndarray]:
    affines = []
    for order in permutations(range(3)):
        for signs in ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1), (-1, -1, -1)):
            axes = TILT @ np.eye(3)[:, list(order)] @ np.diag(signs) @ np.diag([0.7, 0.8, 1.5])
            affine = np.eye(4)
            affine[:3, :3] = axes
            affine[:3, 3] = (11, -22, 33)
            affines.append(affine)
    return affines


@pytest.mark.parametrize("affine", some_affines())
def test_a_marked_voxel_keeps_its_place_and_its_mask(tmp_path: Path, affine: np.ndarray) -> None:
    voxels = np.zeros((6, 7, 8), dtype=np.int16)
    voxels[1, 4, 6] = 900
    path = write(tmp_path / "ct.nii.gz", voxels, affine)
    volume = read_nifti_volume(path)
    found = np.unravel_index(int(volume.voxels.argmax()), volume.voxels.shape)
    ras = affine @ (1, 4, 6, 1)
    assert np.allclose(volume.grid.to_lps_mm(found), (-ras[0], -ras[1], ras[2]), atol=1e-3)
    row, column = volume.grid.directions[2], volume.grid.directions[1]
    assert np.allclose(np.cross(row, column), volume.grid.directions[0], atol=1e-3)
    assert volume.grid.directions[0][2] > 0.9
    mask = Mask.from_array(volume.voxels > 500)
    (like,) = write_nifti_masks({"nodule": mask}, volume.grid, tmp_path / "out", like=path)
    written = nib.load(like)
    assert np.allclose(written.affine, affine, atol=1e-4)
    assert np.array_equal(np.asarray(written.dataobj), voxels > 500)


def test_what_was_not_scanned_becomes_air(tmp_path: Path) -> None:
    voxels = np.full((3, 3, 3), 40, np.int16)
    voxels[0] = -3024
    assert read_nifti_volume(write(tmp_path / "ct.nii", voxels, np.eye(4))).voxels.min() == -1024


def test_without_a_reference_the_grid_gives_the_affine(tmp_path: Path) -> None:
    volume = read_nifti_volume(write(tmp_path / "ct.nii", np.ones((4, 5, 6), np.int16), some_affines()[0]))
    (path,) = write_nifti_masks({"all": Mask.from_array(volume.voxels > 0)}, volume.grid, tmp_path)
    assert np.allclose(nib.load(path).affine, nifti_affine(volume.grid), atol=1e-4)


def test_whole_floats_become_int16_and_others_stay(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.nii", np.full((2, 2, 2), 7.0, np.float32), np.eye(4))
    half = write(tmp_path / "half.nii", np.full((2, 2, 2), 7.5, np.float32), np.eye(4))
    assert read_nifti_volume(whole).voxels.dtype == np.int16
    assert read_nifti_volume(half).voxels.dtype == np.float32


def test_integers_beyond_int16_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "ct.nii", np.full((2, 2, 2), 70_000, np.int32), np.eye(4))
    assert read_nifti_volume(path).voxels.max() == 70_000


@pytest.mark.parametrize(
    "affine", [np.zeros((4, 4)), np.diag([1.0, np.nan, 1, 1]), np.eye(4) + np.eye(4, k=1) * 0.5]
)
def test_singular_and_sheared_affines_are_refused(tmp_path: Path, affine: np.ndarray) -> None:
    image = nib.Nifti1Image(np.ones((3, 3, 3), np.int16), None)
    image.header["sform_code"] = 1
    for row, name in enumerate(("srow_x", "srow_y", "srow_z")):
        image.header[name] = affine[row]
    path = tmp_path / "ct.nii"
    image.to_filename(path)
    if not np.allclose(nib.load(path).affine, affine, equal_nan=True):
        return  # nibabel has put another affine in its place, the one it will use
    with pytest.raises(GeometryError):
        read_nifti_volume(path)


@pytest.mark.parametrize("content", [b"", b"text", b"\x1f\x8b broken"])
def test_what_is_no_nifti_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ct.nii.gz"
    path.write_bytes(content)
    with pytest.raises(UnreadableInstance):
        read_nifti_volume(path)


@pytest.mark.parametrize("shape", [(4, 4), (3, 3, 3, 2)])
def test_other_dimensions_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(UnreadableInstance):
        read_nifti_volume(write(tmp_path / "ct.nii", np.ones(shape, np.int16), np.eye(4)))


def test_the_real_reference(tmp_path: Path) -> None:
    folder = data_folder("ct_reference")
    volume = read_nifti_volume(folder / "example_ct.nii.gz")
    lobe = read_nifti_volume(folder / "organs_by_name" / "lung_upper_lobe_left.nii.gz")
    # The masks were cut to the planes that hold the organ and lie on the same grid.
    places = lobe.grid.to_lps_mm(np.argwhere(lobe.voxels > 0))
    index = volume.grid.to_index(places)
    assert np.allclose(index, np.round(index), atol=1e-3)
    inside = tuple(np.round(index).astype(int).T)
    assert volume.grid.spacing_mm == pytest.approx((3, 3, 3))
    # A left upper lobe lies on the left (L is +x) and is lung.
    middle = volume.grid.to_lps_mm(np.argwhere(volume.voxels > -300)).mean(axis=0)
    assert places.mean(axis=0)[0] > middle[0]
    assert np.median(volume.voxels[inside]) < -600


def test_names() -> None:
    assert is_nifti(Path("a/CT.NII.GZ"))
    assert is_nifti(Path("ct.nii"))
    assert not is_nifti(Path("ct.dcm"))
