"""The image planes of a series: where each lies and how its numbers read.

In: the headers of a series, single- or multi-frame.  Out: ``Plane`` values and the problems found.
Never: pixels; a geometry guessed where an attribute is missing or wrong.

A localizer among other images (ImageType value 3 says LOCALIZER) is left out, with a note: its
header says that it is none of the slices. Nothing else is ever left out of a series.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wetread.dicom.functional_groups import PER_FRAME, SHARED
from wetread.dicom.values import Plain, to_float
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.study import Header, Instance, Series
from wetread.domain.volume import FloatArray, Triple

# Cosines rounded to three decimals still count as orthonormal; a shear of 0.1 degrees does not matter.
_ORTHONORMAL_TOLERANCE = 2e-3
_MAX_FRAMES = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """One image plane (PS3.3 C.7.6.2)."""

    instance: Instance
    #: 0-based frame of the instance.
    frame: int = 0
    #: Centre of the first pixel.
    position_lps_mm: Triple
    #: Direction in which the column index grows (first half of ImageOrientationPatient), unit length.
    row_cosine: Triple
    #: Direction in which the row index grows (second half), unit length.
    column_cosine: Triple
    #: Distance between rows, between columns.
    pixel_spacing_mm: tuple[float, float]
    #: Rows, columns.
    size: tuple[int, int]
    #: NaN where absent.
    slice_thickness_mm: float
    #: Rescale Slope and Intercept; None where one of them is absent or no number.
    rescale: tuple[float, float] | None

    @property
    def normal(self) -> FloatArray:
        """Unit vector row cosine x column cosine."""
        normal: FloatArray = np.cross(self.row_cosine, self.column_cosine)
        return normal / np.linalg.norm(normal)

    @property
    def orientation(self) -> str:
        """``axial``, ``coronal``, ``sagittal`` (to within 20 degrees), else ``oblique``."""
        along = np.abs(self.normal)
        axis = int(np.argmax(along))
        return ("sagittal", "coronal", "axial")[axis] if along[axis] >= _COS_20_DEGREES else "oblique"


_COS_20_DEGREES = math.cos(math.radians(20))


def is_localizer(instance: Instance) -> bool:
    """Tell whether Image Type says LOCALIZER (PS3.3 C.8.2.1.1.1)."""
    return "LOCALIZER" in image_type(instance.header)


def image_type(header: Header) -> tuple[str, ...]:
    """Return the values of Image Type (0008,0008), in capitals."""
    value = header.get("ImageType", "")
    several = value if isinstance(value, tuple) else (value,)
    return tuple(str(one).upper() for one in several if one != "")


def read_planes(series: Series) -> tuple[tuple[Plane, ...], tuple[Problem, ...]]:
    """Return the planes of a series in the order of its instances, and what is wrong with them.

    Returns
    -------
    tuple
        Planes of the images that could be placed; problems: ``missing-geometry``,
        ``invalid-geometry``, ``missing-pixels``, each once, naming how many images it concerns, and
        a ``localizer`` note (which does not refuse) where localizers were left out.
    """
    instances, notes = _without_localizers(series)
    planes: list[Plane] = []
    found: dict[ProblemCode, list[str]] = {}
    for instance in instances:
        try:
            planes.extend(_planes_of(instance))
        except _PlaneError as error:
            found.setdefault(error.code, []).append(error.sentence)
    problems = [
        Problem(code=code, message=f"{sentences[0]} ({len(sentences)} of {len(instances)} images)")
        for code, sentences in found.items()
    ]
    return tuple(planes), (*problems, *notes)


def _without_localizers(series: Series) -> tuple[list[Instance], list[Problem]]:
    unique = list({one.sop_instance_uid: one for one in series.instances}.values())
    images = [one for one in unique if not is_localizer(one)]
    left_out = len(unique) - len(images)
    if not left_out or not images:
        return unique, []
    note = f"{left_out} localizer image(s) inside the series were left out."
    return images, [Problem(code=ProblemCode.LOCALIZER, message=note, refuses=False)]


class _PlaneError(Exception):
    """One image cannot be placed."""

    def __init__(self, code: ProblemCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code, self.sentence = code, sentence


def _planes_of(instance: Instance) -> list[Plane]:
    header = instance.header
    size = _size(header)
    frames = header.get("NumberOfFrames", 1)
    count = frames if isinstance(frames, int) and 1 <= frames <= _MAX_FRAMES else 1
    if count > 1 and not any(name.startswith((SHARED, PER_FRAME)) for name in header):
        raise _PlaneError(
            ProblemCode.MISSING_GEOMETRY,
            "A multi-frame image says nothing on where its frames lie: send single slices or Enhanced CT.",
        )
    return [_plane(instance, frame, count, size) for frame in range(count)]


def _size(header: Header) -> tuple[int, int]:
    rows, columns = header.get("Rows"), header.get("Columns")
    if not isinstance(rows, int) or not isinstance(columns, int) or rows < 1 or columns < 1:
        raise _PlaneError(ProblemCode.MISSING_PIXELS, "Rows or Columns is missing: these are no images.")
    return rows, columns


def _plane(instance: Instance, frame: int, frames: int, size: tuple[int, int]) -> Plane:
    header = instance.header
    position = _numbers(header, "ImagePositionPatient", 3, frame, frames)
    cosines = _numbers(header, "ImageOrientationPatient", 6, frame, frames)
    spacing = _numbers(header, "PixelSpacing", 2, frame, frames)
    row, column = _orthonormal(cosines[:3], cosines[3:])
    if min(spacing) <= 0:
        raise _PlaneError(ProblemCode.INVALID_GEOMETRY, "PixelSpacing is not positive: correct it.")
    return Plane(
        instance=instance,
        frame=frame,
        position_lps_mm=(position[0], position[1], position[2]),
        row_cosine=row,
        column_cosine=column,
        pixel_spacing_mm=(spacing[0], spacing[1]),
        size=size,
        slice_thickness_mm=_optional(header, "SliceThickness", frame, frames),
        rescale=_rescale(header, frame, frames),
    )


def _numbers(header: Header, keyword: str, count: int, frame: int, frames: int) -> tuple[float, ...]:
    values = _values(header, keyword, count, frame, frames)
    if not values or all(value == "" for value in values):
        raise _PlaneError(
            ProblemCode.MISSING_GEOMETRY, f"{keyword} is missing: the slices cannot be placed; send it."
        )
    numbers = tuple(to_float(value) for value in values)
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise _PlaneError(
            ProblemCode.INVALID_GEOMETRY, f"{keyword} does not hold {count} finite numbers: correct it."
        )
    return numbers


def _values(header: Header, keyword: str, count: int, frame: int, frames: int) -> Sequence[object]:
    """Return a frame's values: per frame, else shared, else of the whole object (PS3.3 C.7.6.16)."""
    per_frame = header.get(f"{PER_FRAME}.{keyword}")
    if isinstance(per_frame, tuple) and len(per_frame) == count * frames:
        return per_frame[frame * count : (frame + 1) * count]
    value: Plain = header.get(f"{SHARED}.{keyword}", header.get(keyword, ""))
    return value if isinstance(value, tuple) else (value,)


def _optional(header: Header, keyword: str, frame: int, frames: int) -> float:
    values = _values(header, keyword, 1, frame, frames)
    return to_float(values[0]) if len(values) == 1 else math.nan


def _rescale(header: Header, frame: int, frames: int) -> tuple[float, float] | None:
    slope = _optional(header, "RescaleSlope", frame, frames)
    intercept = _optional(header, "RescaleIntercept", frame, frames)
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0:
        return None
    return slope, intercept


def _orthonormal(row: tuple[float, ...], column: tuple[float, ...]) -> tuple[Triple, Triple]:
    """Return both cosines at unit length and exactly orthogonal, if they are so but for rounding."""
    first, second = np.array(row), np.array(column)
    off = max(abs(first @ first - 1), abs(second @ second - 1), abs(first @ second))
    if not off <= _ORTHONORMAL_TOLERANCE:
        raise _PlaneError(
            ProblemCode.INVALID_GEOMETRY,
            "ImageOrientationPatient is not a pair of orthogonal unit vectors: correct it.",
        )
    first = first / np.linalg.norm(first)
    second = second - (first @ second) * first
    second = second / np.linalg.norm(second)
    return _triple(first), _triple(second)


def _triple(vector: FloatArray) -> Triple:
    x, y, z = (float(value) for value in vector)
    return x, y, z
