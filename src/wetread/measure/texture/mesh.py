"""The surface of a region by marching cubes, without the triangles.

In: a mask, the spacing.  Out: area, volume, the surface's outermost points.
Never: a list of triangles: a cell's share hangs on which of its eight corners are inside, no more.

The surface passes half way between voxels (Lorensen and Cline 1987, doi:10.1145/37401.37422). In a cell it
consists of loops through the middles of the edges that it cuts; where a face has inside corners that lie
across from each other, they stay apart. A loop of five and more points does not lie in a plane, and each way
to make triangles of it bounds another volume. IBSI leaves open which; taken is the one that leaves most to
the side on which fewer corners of the cell lie (of four and four: inside), so that the way the image lies
does not matter. It gives what IBSI published of its phantom.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from wetread.domain.mask import BoolArray
from wetread.domain.volume import FloatArray, Triple

Point = tuple[float, float, float]
Loop = list[Point]
Triangle = tuple[int, int, int]

#: Corners of a cell as (plane, row, column); bit k of a cell's number says that corner k is inside.
_CORNERS = tuple(product((0, 1), repeat=3))


def measure_surface(mask: BoolArray, spacing_mm: Triple) -> tuple[float, float]:
    """Return area (mm2) and volume (mm3) of the mesh around a mask."""
    counts = count_cells(mask)
    area, upwards, moment = _measure_cells(spacing_mm)
    place = np.arange(len(counts)) * spacing_mm[0]
    # Gauss: the volume is the surface's sum of height times what it looks upwards.
    volume = float(place @ (counts @ upwards)) + float(counts.sum(axis=0) @ moment)
    return float(counts.sum(axis=0) @ area), abs(volume)


def count_cells(mask: BoolArray) -> npt.NDArray[np.int64]:
    """Count how often each of the 256 kinds of cells occurs between planes, shape (planes + 1, 256)."""
    counts = np.zeros((len(mask) + 1, 256), dtype=np.int64)
    empty = np.zeros((mask.shape[1] + 2, mask.shape[2] + 2), dtype=np.uint8)
    planes = iter([empty, *(np.pad(plane, 1).astype(np.uint8) for plane in mask), empty])
    for index, pair in enumerate(pairwise(planes)):
        kind = np.zeros((mask.shape[1] + 1, mask.shape[2] + 1), dtype=np.uint8)
        for bit, (plane, row, column) in enumerate(_CORNERS):
            corner = pair[plane][row : row + kind.shape[0], column : column + kind.shape[1]]
            kind |= corner << np.uint8(bit)
        counts[index] = np.bincount(kind.ravel(), minlength=256)
    return counts


def find_outermost(mask: BoolArray, spacing_mm: Triple) -> FloatArray:
    """Return the points of the surface that can be corners of its convex hull, shape (points, 3), mm.

    On each line of voxels these are the first and the last: what lies between is no corner.
    """
    points = []
    for axis in range(3):
        lines = np.moveaxis(mask, axis, -1)
        used = np.argwhere(lines.any(axis=-1))
        ahead = lines.argmax(axis=-1)[tuple(used.T)]
        behind = mask.shape[axis] - 1 - lines[..., ::-1].argmax(axis=-1)[tuple(used.T)]
        centres = used.astype(np.float64)
        points += [np.insert(centres, axis, along, axis=1) for along in (ahead - 0.5, behind + 0.5)]
    outermost: FloatArray = np.concatenate(points) * spacing_mm
    return outermost


@lru_cache(maxsize=8)
def _measure_cells(spacing_mm: Triple) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return of each kind of cell: area, area seen from above, and that times its height."""
    found = np.zeros((256, 3))
    for kind in range(256):
        for loop in _find_loops(kind):
            found[kind] += _measure_loop(np.array(loop) * spacing_mm, fewer_inside=kind.bit_count() <= 4)
    return found[:, 0], found[:, 1], found[:, 2]


def _measure_loop(points: FloatArray, *, fewer_inside: bool) -> FloatArray:
    ways = [points[list(one)] for one in _cut_loop(tuple(range(len(points))))]
    bounded = np.array([float(np.linalg.det(one - points.mean(axis=0)).sum()) for one in ways])
    if not fewer_inside:
        bounded = -bounded
    # Several may leave most, mirror images of each other.
    chosen = np.flatnonzero(bounded >= bounded.max() - 1e-9 * float(np.ptp(points, axis=0).max()) ** 3)
    return np.asarray(np.mean([_measure_triangles(ways[one]) for one in chosen], axis=0))


def _measure_triangles(corners: FloatArray) -> FloatArray:
    first, second, third = corners.transpose(1, 0, 2)
    normal = np.cross(second - first, third - first) / 2
    height = corners.mean(axis=1)[:, 0]
    return np.array([np.linalg.norm(normal, axis=1).sum(), normal[:, 0].sum(), normal[:, 0] @ height])


def _cut_loop(loop: tuple[int, ...]) -> Iterator[tuple[Triangle, ...]]:
    """Yield every way to cut a loop into triangles."""
    if len(loop) < 3:
        yield ()
        return
    first, last = loop[0], loop[-1]
    for place in range(1, len(loop) - 1):
        for left in _cut_loop(loop[: place + 1]):
            for right in _cut_loop(loop[place:]):
                yield (*left, (first, loop[place], last), *right)


def _find_loops(kind: int) -> list[Loop]:
    following = {start: end for face in _faces() for start, end in _cut_face(face, kind)}
    loops: list[Loop] = []
    while following:
        point, after = following.popitem()
        loop = [point]
        while after != loop[0]:
            loop.append(after)
            after = following.pop(after)
        loops.append(loop)
    return loops


def _faces() -> Iterator[list[int]]:
    """Yield the corners of each face in the order around it, the same way round seen from outside."""
    for axis, side in product(range(3), (0, 1)):
        around = [(0, 0), (0, 1), (1, 1), (1, 0)]
        corners = [_CORNERS.index((*pair[:axis], side, *pair[axis:])) for pair in around]
        # Along the middle axis the other two follow each other the other way round.
        yield corners if (axis == 1) == (side == 1) else corners[::-1]


def _cut_face(corners: list[int], kind: int) -> Iterator[tuple[Point, Point]]:
    """Yield the lines in which the surface cuts a face, inside to the same side of all."""
    inside = [bool(kind >> corner & 1) for corner in corners]
    entered = [place for place in range(4) if inside[place] and not inside[place - 1]]
    for place in entered:
        end = next(place + step for step in range(4) if not inside[(place + step) % 4])
        yield (
            _middle(corners[place - 1], corners[place]),
            _middle(corners[(end - 1) % 4], corners[end % 4]),
        )


def _middle(first: int, second: int) -> Point:
    plane, row, column = ((a + b) / 2 for a, b in zip(_CORNERS[first], _CORNERS[second], strict=True))
    return plane, row, column
