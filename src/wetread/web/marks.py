"""What a model marked, as outlines on any slice of the same patient space.

In: a Reading's segments on their own grid, a slice.  Out: polygons on the slice, turned as it is shown.
Never: the third slice taken for the third plane: both are placed in the patient, in millimetres.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import numpy.typing as npt

from wetread.compose.outline import outline_image
from wetread.domain import code
from wetread.domain.change import Change
from wetread.domain.finding import Finding
from wetread.domain.mask import BoolArray, Mask
from wetread.domain.reading import Reading
from wetread.domain.volume import FloatArray, Grid, Triple
from wetread.web.stacks import Layout, Slice, Stack

#: As on key images.
_COLOUR, _COLOURS = "#ffc43d", {code.PNEUMOTHORAX.value: "#ff5c50"}
_BOX_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mark:
    """One finding on one slice."""

    name: str
    tracking_uid: str
    colour: str
    #: False: nothing but a box is known of it.
    is_outline: bool
    #: Points (column, row) of the picture as it is shown; the last is the first again.
    polygons: tuple[FloatArray, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a picture, in pixels of the turned image."""

    left: int
    top: int
    width: int
    height: int


def marks_on(reading: Reading, stack: Stack, number: int) -> tuple[Mark, ...]:
    """Return the findings of a Reading on a slice, none where the two share no space."""
    grid, one = reading.grid, stack.slices[number - 1]
    if grid is None:
        return ()
    marks = []
    for name, finding in zip(reading.finding_names, reading.findings, strict=True):
        polygons = _polygons(reading, finding, grid, stack, one)
        if polygons:
            marks.append(
                Mark(
                    name=name,
                    tracking_uid=finding.tracking_uid,
                    colour=_COLOURS.get(finding.code.value, _COLOUR),
                    is_outline=finding.segment_number is not None,
                    polygons=tuple(polygons),
                )
            )
    return tuple(marks)


def mask_on(mask: Mask, grid: Grid, layout: Layout, position_lps_mm: Triple) -> BoolArray:
    """Return which pixels of a slice lie in a mask: those whose centre's nearest voxel is set.

    Parameters
    ----------
    grid
        Of the mask.
    position_lps_mm
        Of the slice.

    Returns
    -------
    BoolArray
        Shape (rows, columns), as the image is stored.
    """
    image = np.zeros(layout.size, dtype=bool)
    reach = _reach(_box_of(mask, grid), layout, position_lps_mm)
    if reach is None:
        return image
    rows, columns = (np.arange(first, last) for first, last in reach)
    base = grid.to_index(position_lps_mm)
    origin = grid.to_index((0.0, 0.0, 0.0))
    per_row = grid.to_index(np.multiply(layout.down, layout.spacing_mm[0])) - origin
    per_column = grid.to_index(np.multiply(layout.across, layout.spacing_mm[1])) - origin
    index = base + rows[:, None, None] * per_row + columns[None, :, None] * per_column
    # The half way between two voxels belongs to one of them, whatever rounding did to it before.
    inside = np.floor(index + 0.5 + 1e-6).astype(int) - mask.offset
    valid = np.all((inside >= 0) & (inside < mask.voxels.shape), axis=-1)
    place = np.clip(inside, 0, np.array(mask.voxels.shape) - 1)
    found = mask.voxels[place[..., 0], place[..., 1], place[..., 2]] & valid
    image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = found
    return image


def shares_space(grid: Grid, reading_series: str, stack: Stack) -> bool:
    """Tell whether a place in one is the same place in the other."""
    named = grid.frame_of_reference_uid, stack.frame_of_reference_uid
    # What says where it lies is believed; of the rest, a series is one with itself.
    return named[0] == named[1] if all(named) else reading_series == stack.series_instance_uid


def name_marks(digests: Iterable[str], changes: Iterable[Change] = ()) -> str:
    """Return what stands in the address of marks: those that were replaced are not kept.

    Parameters
    ----------
    digests
        Of the Readings whose findings are shown.
    changes
        What readers changed: some of it is outlines.
    """
    last = max((one.id for one in changes), default=0)
    return hashlib.sha256(" ".join([*digests, str(last)]).encode()).hexdigest()[:12]


def draw_svg(marks: tuple[Mark, ...], stack: Stack, part: Part | None, only: str = "") -> str:
    """Return the marks as a picture that lies upon that of the slice, as large as it.

    Parameters
    ----------
    part
        What the picture shows; None: all of it.
    only
        Tracking UID of the one finding that is drawn; ``""``: all.
    """
    left, top, width, height = (part.left, part.top, part.width, part.height) if part else _whole(stack)
    across, along = picture_scale(stack)
    paths = []
    for mark in marks:
        if only and mark.tracking_uid != only:
            continue
        scaled = [(points - (left, top)) * (across, along) for points in mark.polygons]
        lines = " ".join(_path(points) for points in scaled)
        dashes = "" if mark.is_outline else ' stroke-dasharray="6 4"'
        paths.append(
            f'<path d={quoteattr(lines)} fill="none" stroke="{mark.colour}" stroke-width="1.6"'
            f' vector-effect="non-scaling-stroke"{dashes}><title>{escape(mark.name)}</title></path>'
        )
    size = round(width * across), round(height * along)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}"'
        f' viewBox="0 0 {width * across:.3f} {height * along:.3f}" preserveAspectRatio="none">'
        f"{''.join(paths)}</svg>"
    )


def picture_scale(stack: Stack) -> tuple[float, float]:
    """Return by how much a turned image is stretched, across and along, so that its pixels are square."""
    row_mm, column_mm = turned_spacing_mm(stack)
    least = min(row_mm, column_mm)
    return column_mm / least, row_mm / least


def turned_spacing_mm(stack: Stack) -> tuple[float, float]:
    """Return the distance between rows and between columns as the image is turned; 1: not known."""
    if stack.layout is None:
        return 1.0, 1.0
    row_mm, column_mm = stack.layout.spacing_mm
    return (column_mm, row_mm) if stack.layout.view.is_transposed else (row_mm, column_mm)


def _whole(stack: Stack) -> tuple[int, int, int, int]:
    if stack.layout is None:
        return 0, 0, 1, 1
    rows, columns = turned_size(stack.layout)
    return 0, 0, columns, rows


def turned_size(layout: Layout) -> tuple[int, int]:
    """Return rows and columns of the image as it is turned."""
    rows, columns = layout.size
    return (columns, rows) if layout.view.is_transposed else (rows, columns)


def _path(points: FloatArray) -> str:
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in points[:-1].tolist()) + "Z"


def _polygons(
    reading: Reading, finding: Finding, grid: Grid, stack: Stack, one: Slice
) -> list[npt.NDArray[np.float64]]:
    layout = stack.layout
    if (
        layout is None
        or one.position_lps_mm is None
        or not shares_space(grid, reading.series_instance_uid, stack)
    ):
        return []
    if finding.segment_number is not None:
        mask = reading.get_segment(finding.segment_number).mask
        outlines = outline_image(mask_on(mask, grid, layout, one.position_lps_mm))
    else:
        outlines = _rectangle(finding, layout, one.position_lps_mm)
    return [layout.view.turn_points(points, layout.size) for points in outlines]


def _rectangle(finding: Finding, layout: Layout, position_lps_mm: Triple) -> tuple[FloatArray, ...]:
    low, high = (np.array(corner) for corner in finding.box_lps_mm)
    reach = _reach(low + _BOX_CORNERS * (high - low), layout, position_lps_mm)
    if reach is None:
        return ()
    (top, bottom), (left, right) = reach
    return (np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], dtype=float),)


def _box_of(mask: Mask, grid: Grid) -> FloatArray:
    """Return the corners of a mask's box in LPS mm, shape (8, 3): the outer sides of its voxels."""
    first = np.array(mask.offset, dtype=float) - 0.5
    return grid.to_lps_mm(first + _BOX_CORNERS * np.array(mask.voxels.shape))


def _reach(
    corners_lps_mm: FloatArray, layout: Layout, position_lps_mm: Triple
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return the rows and the columns between which a slice can meet a box; None where it does not."""
    away = corners_lps_mm - np.array(position_lps_mm)
    along = away @ layout.normal
    if along.min() > 1e-6 or along.max() < -1e-6:
        return None
    reach = []
    for direction, spacing, size in (
        (layout.down, layout.spacing_mm[0], layout.size[0]),
        (layout.across, layout.spacing_mm[1], layout.size[1]),
    ):
        place = away @ np.array(direction) / spacing
        first, last = max(0, int(np.floor(place.min()))), min(size, int(np.ceil(place.max())) + 1)
        if first >= last:
            return None
        reach.append((first, last))
    return reach[0], reach[1]
