"""The outline of a mask on one plane, as closed polygons.

In: a mask and a plane.  Out: points (column, row) as SCOORD and GSPS count them.
Never: smoothing that changes the area.

The top left corner of the top left pixel is (0, 0), its centre (0.5, 0.5)
(PS3.3 C.18.6.1.2 for SCOORD, C.10.5.1.2 for graphic annotations).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wetread.domain.mask import BoolArray, Mask
from wetread.domain.volume import FloatArray, Grid, Triple

Points = npt.NDArray[np.float64]

# One step along the grid lines between pixels, (column, row), clockwise on the screen.
_RIGHT, _DOWN, _LEFT, _UP = (1, 0), (0, 1), (-1, 0), (0, -1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """A closed polygon on one plane."""

    #: Index of the plane.
    plane: int
    #: Shape (n, 2): (column, row); the last point is the first again.
    points: Points
    #: Enclosed, in mm2.
    area_mm2: float


def outline_plane(mask: Mask, plane: int, grid: Grid) -> tuple[Outline, ...]:
    """Return the outer outlines of a mask on a plane, largest first; holes are not drawn.

    Each encloses exactly the area of the pixels it runs around: the polygon through the midpoints
    of the pixel edges misses half a pixel, and is enlarged about its centre by that much.
    """
    inside = plane - mask.offset[0]
    if not 0 <= inside < mask.voxels.shape[0]:
        return ()
    pixel_mm2 = grid.spacing_mm[1] * grid.spacing_mm[2]
    offset = np.array([mask.offset[2], mask.offset[1]], dtype=float)
    outlines = []
    for corners in _trace(mask.voxels[inside]):
        pixels = _signed_area(corners)
        if pixels <= 0:  # counterclockwise: around a hole
            continue
        points = _smooth(corners, pixels) + offset
        outlines.append(Outline(plane=plane, points=points, area_mm2=pixels * pixel_mm2))
    return tuple(sorted(outlines, key=lambda one: -one.area_mm2))


def outline_image(image: BoolArray) -> tuple[Points, ...]:
    """Return the outer outlines of an image of booleans, as (column, row), without an order."""
    loops = [(corners, _signed_area(corners)) for corners in _trace(image)]
    return tuple(_smooth(corners, pixels) for corners, pixels in loops if pixels > 0)


def outline_box(box_lps_mm: tuple[Triple, Triple], plane: int, grid: Grid) -> Outline:
    """Return the rectangle that a box covers on a plane, for a finding without a mask."""
    low, high = box_lps_mm
    corners = [
        [(low, high)[x][0], (low, high)[y][1], (low, high)[z][2]]
        for x in (0, 1)
        for y in (0, 1)
        for z in (0, 1)
    ]
    index = grid.to_index(corners)[:, [2, 1]] + 0.5
    limit = np.array([grid.shape[2], grid.shape[1]], dtype=float)
    (left, top), (right, bottom) = np.clip([index.min(axis=0), index.max(axis=0)], 0.0, limit)
    points = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])
    area = (right - left) * (bottom - top) * grid.spacing_mm[1] * grid.spacing_mm[2]
    return Outline(plane=plane, points=points, area_mm2=float(area))


def to_image_points(points_lps_mm: npt.ArrayLike, grid: Grid) -> Points:
    """Map LPS mm, shape (n, 3), to (column, row) of the image, shape (n, 2)."""
    index: FloatArray = grid.to_index(points_lps_mm)
    return index[:, [2, 1]] + 0.5


def _trace(image: BoolArray) -> list[Points]:
    """Return every loop around the pixels that are set, inside on the right hand."""
    padded = np.pad(image, 1)
    nexts: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (d_row, d_column), start, step in (
        ((-1, 0), (0, 0), _RIGHT),
        ((0, 1), (1, 0), _DOWN),
        ((1, 0), (1, 1), _LEFT),
        ((0, -1), (0, 1), _UP),
    ):
        edge = padded & ~np.roll(padded, (-d_row, -d_column), axis=(0, 1))
        rows, columns = np.nonzero(edge)
        for row, column in zip(
            (rows - 1 + start[1]).tolist(), (columns - 1 + start[0]).tolist(), strict=True
        ):
            nexts.setdefault((column, row), []).append(step)
    loops = []
    while nexts:
        loops.append(_follow(nexts))
    return loops


def _follow(nexts: dict[tuple[int, int], list[tuple[int, int]]]) -> Points:
    """Take one loop out of the edges that are left."""
    first = next(iter(nexts))
    corner, corners = first, []
    step = nexts[first][0]
    while True:
        steps = nexts[corner]
        if len(steps) > 1:
            # Two pixels touch at this corner only: turning right keeps them apart.
            right = (-step[1], step[0])
            step = right if right in steps else steps[0]
        else:
            step = steps[0]
        steps.remove(step)
        if not steps:
            del nexts[corner]
        corners.append(corner)
        corner = (corner[0] + step[0], corner[1] + step[1])
        if corner == first:
            return np.array(corners, dtype=float)


def _signed_area(corners: Points) -> float:
    """Return the enclosed area, positive for clockwise on the screen."""
    x, y = corners[:, 0], corners[:, 1]
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def _smooth(corners: Points, pixels: float) -> Points:
    """Cut the corners, keep the area, drop points on straight lines, close."""
    middles = (corners + np.roll(corners, -1, axis=0)) / 2
    centre = middles.mean(axis=0)
    points = centre + (middles - centre) * np.sqrt(pixels / _signed_area(middles))
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) > 1e-9
    kept = points[turns]
    closed: Points = np.vstack([kept, kept[:1]])
    return closed
