"""Label maps in NIfTI as masks on the grid of the images.

In: a volume of whole numbers, a grid.  Out: a mask for each number above 0.
Never: one resampled; a label map moved by part of a voxel; probabilities taken for labels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wetread.domain.mask import Mask
from wetread.domain.volume import Grid, Volume
from wetread.errors import LabelsDoNotFit
from wetread.imaging.segments import MarkedSegment

#: A label lies on a voxel of the image where the corners are nearer than this, in voxels.
_NEAREST_VOXELS = 0.1
_MOST_LABELS = 1000


def iter_labels(labels: Volume, grid: Grid) -> Iterator[MarkedSegment]:
    """Yield the labels in their order; they are called by their number.

    Parameters
    ----------
    labels
        0: nothing. It may be smaller or larger than the images where its voxels lie on theirs.

    Raises
    ------
    LabelsDoNotFit
        If a voxel does not lie on one of the grid; if a label lies beyond it; if there are values that are
        no whole numbers, negative, or more than 1000 different ones.
    """
    offset = _find_offset(labels.grid, grid)
    for number in _find_numbers(labels):
        own = Mask.from_array(labels.voxels == number)
        place = (own.offset[0] + offset[0], own.offset[1] + offset[1], own.offset[2] + offset[2])
        sizes = zip(place, own.voxels.shape, grid.shape, strict=True)
        if any(first < 0 or first + size > limit for first, size, limit in sizes):
            raise LabelsDoNotFit("A label lies beyond the image", label=number)
        mask = Mask(shape=grid.shape, offset=place, voxels=own.voxels)
        yield MarkedSegment(number=number, label=str(number), code=None, mask=mask)


def _find_numbers(labels: Volume) -> list[int]:
    found = {float(one) for plane in labels.voxels for one in np.unique(plane)}
    if any(not one.is_integer() or one < 0 for one in found):
        raise LabelsDoNotFit("A label map holds whole numbers from 0 on: set a threshold first")
    if len(found) > _MOST_LABELS:
        raise LabelsDoNotFit(f"A label map of more than {_MOST_LABELS} labels is an image", labels=len(found))
    return [int(one) for one in sorted(found) if one]


def _find_offset(own: Grid, grid: Grid) -> tuple[int, int, int]:
    """Return where in the grid the first voxel lies."""
    last = [size - 1 for size in own.shape]
    corners = np.array([[0, 0, 0], [last[0], 0, 0], [0, last[1], 0], [0, 0, last[2]]])
    there = grid.to_index(own.to_lps_mm(corners))
    plane, row, column = (round(float(one)) for one in there[0])
    if not np.allclose(there, corners + np.array([plane, row, column]), atol=_NEAREST_VOXELS):
        raise LabelsDoNotFit("The label map does not lie on the voxels of the image: resample it")
    return plane, row, column
