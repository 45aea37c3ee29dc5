"""A series to one volume.

In: the instances of a series.  Out: ``Volume`` in Hounsfield units (other modalities: modality
values), or RefusedImages that says why not.  Never: a volume from slices that do not make one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.dicom.planes import Plane, read_planes
from wetread.dicom.stack import Stack, build_stack, stack_grid
from wetread.domain.problem import Problem, ProblemCode, RefusedImages
from wetread.domain.study import Header, Series, header_text
from wetread.domain.volume import Volume
from wetread.imaging.pixels import IntArray, PixelError, read_frames

Array = npt.NDArray[Any]

# scipy.ndimage fills its namespace at run time, which the type checker cannot follow.
_ndimage: Any = ndimage

#: 1 GiB of int16: some 2000 slices of 512 x 512.
MAX_VOXELS = 2**29
#: What stands outside the scanned circle: air.
AIR_HU = -1024
_MOST_THREADS = 4
#: CT numbers below air by more than noise are marks of the scanner (e.g. -3024) for "not scanned".
NOT_SCANNED_BELOW_HU = -1500
# A padding value that reads as tissue is believed only where it reaches the border of the image.
_PADDING_BELIEVED_BELOW_HU = -900


def read_volume(series: Series) -> tuple[Volume, tuple[Problem, ...]]:
    """Decode a series and place it in the patient.

    Parameters
    ----------
    series
        Single slices in any order, or Enhanced CT; files must still lie at ``Instance.path``.

    Returns
    -------
    tuple
        The volume: ``voxels`` of shape (planes, rows, columns), planes growing along the normal,
        int16 where that is exact, else float32. Notes: problems that do not refuse.

    Raises
    ------
    RefusedImages
        If the series makes no volume; ``problems`` say why.

    Notes
    -----
    Padding (Pixel Padding Value) becomes -1024 HU. Memory: the volume and four decoded objects.

    References
    ----------
    PS3.3 C.7.6.2.1.1 (position), C.11.1 (rescale), C.7.5.1.1.2 (padding).
    """
    planes, problems = read_planes(series)
    _require_none_refuses(problems)
    stack = build_stack(planes)
    problems = (*problems, *stack.problems, *_check_readable(stack.planes))
    _require_none_refuses(problems)
    try:
        voxels = _read_voxels(stack)
    except PixelError as error:
        problem = Problem(code=error.code, message=error.sentence)
        raise RefusedImages((problem, *problems)) from error
    return Volume(voxels=voxels, grid=stack_grid(stack)), problems


def _require_none_refuses(problems: tuple[Problem, ...]) -> None:
    if any(problem.refuses for problem in problems):
        raise RefusedImages(problems)


def _check_readable(planes: Sequence[Plane]) -> list[Problem]:
    """Check size, rescale and its type before a pixel is touched."""
    count = len(planes) * planes[0].size[0] * planes[0].size[1]
    if count > MAX_VOXELS:
        message = f"The series has {count} voxels, more than {MAX_VOXELS}: send it in parts."
        return [Problem(code=ProblemCode.UNDECODABLE_PIXELS, message=message)]
    header = planes[0].instance.header
    if header_text(header, "Modality") != "CT":
        return []
    if any(plane.rescale is None for plane in planes):
        message = (
            "Rescale Slope or Intercept is missing or no number, so that the pixels cannot be read as"
            " Hounsfield units: send the original CT images."
        )
        return [Problem(code=ProblemCode.MISSING_RESCALE, message=message)]
    kind = header_text(header, "RescaleType").upper()
    if kind in {"", "HU", "US"}:  # US: unspecified, which real scanners write for HU
        return []
    message = f"Rescale Type is {kind}, not HU: send the CT images in Hounsfield units."
    return [Problem(code=ProblemCode.MISSING_RESCALE, message=message)]


def _read_voxels(stack: Stack) -> Array:
    planes = stack.planes
    if all(_is_whole(plane.rescale) for plane in planes):
        voxels: Array = np.empty((len(planes), *planes[0].size), dtype=np.int16)
        if _fill(voxels, planes):
            return voxels
    voxels = np.empty((len(planes), *planes[0].size), dtype=np.float32)
    _fill(voxels, planes)
    return voxels


def _fill(voxels: Array, planes: tuple[Plane, ...]) -> bool:
    """Decode every object once, several at a time; False where a value does not fit int16."""
    indexed = sorted(enumerate(planes), key=lambda pair: pair[1].instance.sop_instance_uid)
    groups = [
        tuple(group) for _uid, group in groupby(indexed, key=lambda pair: pair[1].instance.sop_instance_uid)
    ]
    # Decoders let go of the interpreter: two cores decode JPEG 2000 nearly twice as fast.
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        return all(pool.map(partial(_fill_from_object, voxels), groups))


def _fill_from_object(voxels: Array, group: tuple[tuple[int, Plane], ...]) -> bool:
    frames = read_frames(group[0][1].instance)
    for index, plane in group:
        image = _rescaled(frames[plane.frame], plane)
        if voxels.dtype == np.int16 and not _fits_int16(image):
            return False
        voxels[index] = image
    return True


def _is_whole(rescale: tuple[float, float] | None) -> bool:
    return rescale is None or all(float(value).is_integer() for value in rescale)


def _fits_int16(image: Array) -> bool:
    limits = np.iinfo(np.int16)
    return bool(image.min() >= limits.min and image.max() <= limits.max)


def _rescaled(stored: IntArray, plane: Plane) -> Array:
    """Return modality values, int32 where exact, else float32."""
    if plane.rescale is None:
        return stored
    slope, intercept = plane.rescale
    if _is_whole(plane.rescale):
        image: Array = stored.astype(np.int32)
        image *= int(slope)
        image += int(intercept)
    else:
        image = (stored * slope + intercept).astype(np.float32)
    is_ct = header_text(plane.instance.header, "Modality") == "CT"
    return _without_padding(image, stored, plane) if is_ct else image


def _without_padding(image: Array, stored: IntArray, plane: Plane) -> Array:
    image[image < NOT_SCANNED_BELOW_HU] = AIR_HU
    limits = _padding_limits(plane.instance.header)
    if limits is None:
        return image
    padded = (stored >= limits[0]) & (stored <= limits[1])
    if not padded.any():
        return image
    if image[padded].max() > _PADDING_BELIEVED_BELOW_HU:
        padded = _reaching_border(padded)
    image[padded] = AIR_HU
    return image


def _padding_limits(header: Header) -> tuple[int, int] | None:
    value = header.get("PixelPaddingValue", "")
    if not isinstance(value, int):
        return None
    limit = header.get("PixelPaddingRangeLimit", value)
    other = limit if isinstance(limit, int) else value
    return min(value, other), max(value, other)


def _reaching_border(padded: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    border = np.ones_like(padded)
    border[1:-1, 1:-1] = False
    reached: npt.NDArray[np.bool_] = _ndimage.binary_propagation(padded & border, mask=padded)
    return reached
