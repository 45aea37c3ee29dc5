"""NIfTI at the border: RAS there, LPS here.

In: a NIfTI CT, in Hounsfield units.  Out: ``Volume``; masks as NIfTI on the same affine.
Never: a sheared affine taken as if it were not, RAS beyond this module.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, ImageDataError
from nibabel.wrapstruct import WrapStructError

from wetread.domain.mask import Mask
from wetread.domain.volume import FloatArray, Grid, Triple, Volume
from wetread.errors import GeometryError, UnreadableInstance
from wetread.imaging.volume import AIR_HU, MAX_VOXELS, NOT_SCANNED_BELOW_HU

Array = npt.NDArray[Any]

# These carry no types.
_nifti_image: Any = nib.Nifti1Image
_orientations: Any = nib.orientations

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_READ_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    HeaderDataError,
    ImageDataError,
    ImageFileError,
    LookupError,
    MemoryError,
    OSError,
    TypeError,
    ValueError,
    WrapStructError,
    zlib.error,
)
#: Unpacked size by the file's: deflate reaches 1032 on zeros, a real CT 10.
_MOST_RATIO = 200
_HARMLESS_BYTES = 128 << 20
#: Affines are stored in single precision; mm.
_SAME_AFFINE = 1e-2


def is_nifti(path: Path) -> bool:
    """Tell by the name whether a file is NIfTI."""
    return not path.is_dir() and path.name.lower().endswith((".nii", ".nii.gz"))


def read_nifti_volume(path: Path) -> Volume:
    """Read a CT.

    Returns
    -------
    Volume
        Shape (planes, rows, columns): NIfTI's (k, j, i), flipped where needed so that columns grow
        to the patient's left or as near as the axes allow, rows to the back, planes to the head.
        int16 where exact, else float32.

    Raises
    ------
    UnreadableInstance
        If it is no NIfTI file, or not three-dimensional.
    GeometryError
        If its affine is singular, sheared or not finite.

    References
    ----------
    NIfTI-1, "3D image orientation", https://nifti.nimh.nih.gov/nifti-1.
    """
    try:
        image: Any = nib.load(path)
        _check_kind(image.shape, image.get_data_dtype())
        _check_size(image.shape, image.get_data_dtype(), path.stat().st_size)
        voxels: Array = np.asanyarray(image.dataobj)
    except _READ_ERRORS as error:
        raise UnreadableInstance(
            "Not a readable NIfTI image: check the file", reason=type(error).__name__
        ) from error
    voxels = voxels.reshape(voxels.shape[:3])
    if (voxels < NOT_SCANNED_BELOW_HU).any():
        voxels = np.where(voxels < NOT_SCANNED_BELOW_HU, np.array(AIR_HU, voxels.dtype), voxels)
    voxels, affine = _to_dicom_axes(voxels, _RAS_TO_LPS @ np.array(image.affine, dtype=np.float64))
    return Volume(
        voxels=np.ascontiguousarray(voxels, dtype=np.int16 if _is_whole(voxels) else np.float32),
        grid=grid_from_affine(affine, (voxels.shape[0], voxels.shape[1], voxels.shape[2])),
    )


def write_nifti_masks(
    masks: Mapping[str, Mask], grid: Grid, directory: Path, *, like: Path | None = None
) -> list[Path]:
    """Write one ``<name>.nii.gz`` a mask, uint8 of 0 and 1.

    Parameters
    ----------
    masks
        File name without suffix -> mask on ``grid``.
    like
        The NIfTI file that ``grid`` was read from: the masks then get its axes and affine exactly.

    Returns
    -------
    list of Path
        The files written, in order.
    """
    directory.mkdir(parents=True, exist_ok=True)
    reference: Any = nib.load(like) if like else None
    written = []
    for name, mask in masks.items():
        path = directory / f"{name}.nii.gz"
        voxels = mask.to_array().astype(np.uint8).transpose(2, 1, 0)
        nib.save(_image(voxels, nifti_affine(grid), reference), path)
        written.append(path)
    return written


def write_nifti_volume(volume: Volume, path: Path) -> None:
    """Write a volume as float32, on its own axes."""
    voxels = np.ascontiguousarray(volume.voxels, dtype=np.float32).transpose(2, 1, 0)
    nib.save(_nifti_image(voxels, nifti_affine(volume.grid)), path)


def read_nifti_map(path: Path, grid: Grid) -> npt.NDArray[np.float32]:
    """Read a map that was made on a grid: (planes, rows, columns).

    Raises
    ------
    UnreadableInstance
        If it is no NIfTI file.
    GeometryError
        If it lies on another grid.
    """
    wanted, shape = nifti_affine(grid), (grid.shape[2], grid.shape[1], grid.shape[0])
    try:
        image: Any = nib.load(path)
        _check_kind(image.shape, image.get_data_dtype())
        if image.shape[:3] != shape or not np.allclose(image.affine, wanted, atol=_SAME_AFFINE):
            raise GeometryError("The map lies on another grid than the image")
        # In pieces of single precision, whatever it is stored as.
        voxels = np.asarray(image.get_fdata(dtype=np.float32, caching="unchanged"))
    except _READ_ERRORS as error:
        raise UnreadableInstance("Not a readable NIfTI image", reason=type(error).__name__) from error
    return np.ascontiguousarray(voxels.reshape(shape).transpose(2, 1, 0))


def _image(voxels: Array, affine: FloatArray, reference: Any) -> Any:
    image: Any = _nifti_image(voxels, affine)
    if reference is None:
        return image
    here, there = (_orientations.io_orientation(one) for one in (affine, reference.affine))
    turned = image.as_reoriented(_orientations.ornt_transform(here, there))
    return _nifti_image(np.asarray(turned.dataobj), reference.affine)


def nifti_affine(grid: Grid) -> FloatArray:
    """Return the affine, shape (4, 4), from (column, row, plane, 1) to RAS mm."""
    affine: FloatArray = _RAS_TO_LPS @ grid.index_to_lps[:, [2, 1, 0, 3]]
    return affine


def grid_from_affine(affine: FloatArray, shape: tuple[int, int, int]) -> Grid:
    """Return the grid of an affine from (plane, row, column, 1) to LPS mm.

    Raises
    ------
    GeometryError
        If the affine is singular, sheared or not finite.
    """
    axes = affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    if not np.isfinite(affine).all() or spacing.min() <= 0:
        raise GeometryError("The affine is singular or not finite: correct the file's sform or qform")
    directions = (axes / spacing).T
    if not np.allclose(directions @ directions.T, np.eye(3), atol=1e-3):
        raise GeometryError("The affine is sheared: resample the image to orthogonal axes")
    return Grid(
        shape=shape,
        spacing_mm=_triple(spacing),
        origin_lps_mm=_triple(affine[:3, 3]),
        directions=(_triple(directions[0]), _triple(directions[1]), _triple(directions[2])),
    )


def _check_kind(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if len(shape) < 3 or any(size != 1 for size in shape[3:]) or not 0 < np.prod(shape[:3]) <= MAX_VOXELS:
        raise UnreadableInstance("Not one three-dimensional image: send one CT volume", shape=shape)
    if dtype.kind not in "iuf":
        raise UnreadableInstance("Not a grey image: send CT numbers", dtype=str(dtype))


def _check_size(shape: tuple[int, ...], dtype: np.dtype[Any], packed: int) -> None:
    """Refuse a file that claims more than it can hold before memory is taken for it."""
    claimed = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if claimed > max(_HARMLESS_BYTES, _MOST_RATIO * packed):
        raise UnreadableInstance("The file claims more voxels than it holds: check the file", shape=shape)


def _to_dicom_axes(voxels: Array, affine: FloatArray) -> tuple[Array, FloatArray]:
    """Order and flip the axes: planes to the head, rows to the back, columns to the left."""
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise GeometryError("The affine is singular or not finite: correct the file's sform or qform")
    order = _nearest_axes(affine[:3, :3])
    voxels = voxels.transpose(order)
    affine = affine[:, [*order, 3]]
    for axis, lps in enumerate((2, 1, 0)):
        if affine[lps, axis] < 0:
            voxels, affine = _flip(voxels, affine, axis)
    if (
        np.linalg.det(affine[:3, :3]) > 0
    ):  # (planes, rows, columns) is left-handed where planes grow along row x column
        voxels, affine = _flip(voxels, affine, 0)
    return voxels, affine


def _flip(voxels: Array, affine: FloatArray, axis: int) -> tuple[Array, FloatArray]:
    flipped = affine.copy()
    flipped[:3, 3] += affine[:3, axis] * (voxels.shape[axis] - 1)
    flipped[:3, axis] *= -1
    return np.flip(voxels, axis), flipped


def _nearest_axes(axes: FloatArray) -> list[int]:
    """Return which array axis runs most nearly head-foot, front-back, left-right."""
    alignment = np.abs(axes / np.linalg.norm(axes, axis=0))
    order: list[int] = []
    for lps in (2, 1, 0):
        free = [axis for axis in range(3) if axis not in order]
        order.append(max(free, key=lambda axis: float(alignment[lps, axis])))
    return order


def _is_whole(voxels: Array) -> bool:
    limits = np.iinfo(np.int16)
    return bool(
        np.isfinite(voxels).all()
        and voxels.min() >= limits.min
        and voxels.max() <= limits.max
        and (voxels.dtype.kind in "iu" or (voxels == np.round(voxels)).all())
    )


def _triple(vector: FloatArray) -> Triple:
    x, y, z = (float(value) for value in vector)
    return x, y, z
