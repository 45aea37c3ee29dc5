"""One place of the body on two visits, cut alike: the same window, the same scale, the usual way up.

In: an image as grey levels and where it lies, a point, a size.  Out: a square picture with its letters.
Never: words on it (a date would stay where it must not be seen); anything stretched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from wetread.compose.picture import font_of
from wetread.compose.view import View, choose_view
from wetread.dicom.planes import Plane
from wetread.domain.volume import Triple

#: Pixels a side, and mm: what is small is shown with what lies around it.
SIDE_PIXELS = 320
_LEAST_MM, _OF_DIAMETER, _MOST_MM = 60.0, 4.0, 240.0
#: Ticks at the edges point to the place without covering it.
_TICK, _EDGE = 16, 12
_TEXT, _MARK = 235, 200


def side_mm(diameters_mm: Sequence[float]) -> float:
    """Return how much is shown around a finding of these sizes: the same on both visits."""
    return min(_MOST_MM, max(_LEAST_MM, *(_OF_DIAMETER * one for one in diameters_mm)))


def find_plane(planes: Sequence[Plane], lps_mm: Triple) -> Plane | None:
    """Return the plane nearest to a point; None where the point lies outside of them all."""
    apart = [abs(float(np.dot(np.subtract(lps_mm, one.position_lps_mm), one.normal))) for one in planes]
    if not apart:
        return None
    nearest = planes[int(np.argmin(apart))]
    column, row = _place(nearest, lps_mm)
    is_inside = -0.5 <= column <= nearest.size[1] - 0.5 and -0.5 <= row <= nearest.size[0] - 0.5
    return nearest if is_inside and min(apart) <= _reach_mm(planes) else None


def _reach_mm(planes: Sequence[Plane]) -> float:
    """Return how far from a plane is still its slice: the distance of planes, or their thickness."""
    along = np.sort([float(np.dot(one.position_lps_mm, planes[0].normal)) for one in planes])
    steps = np.diff(along)
    thickness = planes[0].slice_thickness_mm
    widest = float(steps.max()) if steps.size else 0.0
    return max(widest, thickness if math.isfinite(thickness) else 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """A square of an image that was turned to be seen as usual."""

    view: View
    #: Left, top, right and bottom in pixels of the turned image.
    box: tuple[float, float, float, float]


def cut_picture(
    grey: npt.NDArray[np.uint8], plane: Plane, center_lps_mm: Triple, wide_mm: float
) -> Image.Image:
    """Return the square around a point, ``SIDE_PIXELS`` a side; black where the image ends.

    Parameters
    ----------
    grey
        The whole image, shape (rows, columns), windowed.
    wide_mm
        Of the square; two pictures of the same are of the same scale, whatever their pixels.
    """
    cut = _cut(plane, center_lps_mm, wide_mm)
    turned = Image.fromarray(np.ascontiguousarray(cut.view.turn(grey)))
    size = (SIDE_PIXELS, SIDE_PIXELS)
    image = turned.transform(size, Image.Transform.EXTENT, cut.box, Image.Resampling.BICUBIC)
    _mark(image, cut.view)
    return image


def _cut(plane: Plane, center_lps_mm: Triple, wide_mm: float) -> _Cut:
    view = choose_view(plane.column_cosine, plane.row_cosine)
    column, row = _place(plane, center_lps_mm)
    # Pixel 0 reaches from 0 to 1: its middle is at 0.5.
    ((x, y),) = view.turn_points(np.array([[column + 0.5, row + 0.5]]), plane.size)
    row_mm, column_mm = plane.pixel_spacing_mm
    if view.is_transposed:
        row_mm, column_mm = column_mm, row_mm
    half_x, half_y = wide_mm / column_mm / 2, wide_mm / row_mm / 2
    return _Cut(view=view, box=(x - half_x, y - half_y, x + half_x, y + half_y))


def _place(plane: Plane, lps_mm: Triple) -> tuple[float, float]:
    """Return (column, row) of a point, projected onto a plane; the first pixel's middle is (0, 0)."""
    away = np.subtract(lps_mm, plane.position_lps_mm)
    row_mm, column_mm = plane.pixel_spacing_mm
    return float(away @ plane.row_cosine) / column_mm, float(away @ plane.column_cosine) / row_mm


def _mark(image: Image.Image, view: View) -> None:
    draw = ImageDraw.Draw(image)
    middle, end = SIDE_PIXELS // 2, SIDE_PIXELS - 1
    for line in (
        (middle, 0, middle, _TICK),
        (middle, end - _TICK, middle, end),
        (0, middle, _TICK, middle),
        (end - _TICK, middle, end, middle),
    ):
        draw.line(line, fill=_MARK)
    left, right, top, bottom = view.letters
    for place, letter in (
        ((_EDGE, middle + 22), left),
        ((SIDE_PIXELS - _EDGE, middle + 22), right),
        ((middle + 22, _EDGE), top),
        ((middle + 22, SIDE_PIXELS - _EDGE), bottom),
    ):
        draw.text(place, letter, font=font_of(15), fill=_TEXT, anchor="mm", stroke_width=2, stroke_fill=0)
