"""Segmentations by others, as masks on the grid of the images they are about.

In: a Segmentation object, a grid.  Out: a mask.  Never: one resampled; a frame put on the nearest plane.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from wetread.dicom.planes import Plane, read_planes
from wetread.domain.mask import BoolArray
from wetread.domain.study import Instance, Series, header_text
from wetread.domain.volume import Grid
from wetread.errors import LabelsDoNotFit
from wetread.imaging.frames import iter_frames
from wetread.imaging.layout import PixelLayout, read_layout

SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
#: A frame lies on a plane of the image where its corners are nearer than this, in voxels.
_NEAREST_VOXELS = 0.1


def find_referenced_series(segmentation: Instance) -> str:
    """Return the UID of the series that a Segmentation is about (PS3.3 C.12.2); ``""``: it names none."""
    named = segmentation.header.get("ReferencedSeriesSequence.SeriesInstanceUID", "")
    return str(named[0] if isinstance(named, tuple) else named)


def read_maker(instance: Instance) -> str:
    """Return who and what made it, as it says itself."""
    said: Iterable[str] = (
        " ".join(header_text(instance.header, name).replace("^", " ").split())
        for name in ("ContentCreatorName", "Manufacturer", "ManufacturerModelName", "SoftwareVersions")
    )
    return ", ".join(dict.fromkeys(one for one in said if one))


def read_mask(segmentation: Instance, grid: Grid) -> BoolArray:
    """Return where any segment of a Segmentation is set, of the grid's shape.

    Fractional Segmentations count from half of their largest value on.

    Raises
    ------
    LabelsDoNotFit
        If a frame does not lie on a plane of the grid, pixel by pixel.

    References
    ----------
    PS3.3 A.51 and C.8.20.
    """
    alone = Series(series_instance_uid=segmentation.series_instance_uid, instances=(segmentation,))
    planes, _ = read_planes(alone)
    mask = np.zeros(grid.shape, dtype=bool)
    with segmentation.open() as file:
        layout = read_layout(file)
        if len(planes) != layout.frames:
            raise LabelsDoNotFit("A Segmentation does not say where its frames lie: write it again")
        frames = iter_frames(file, None, is_decoded=True, layout=layout)
        for plane, frame in zip(planes, frames, strict=True):
            mask[find_place(plane, grid)] |= read_frame(frame.data, layout)
    return mask


def find_place(plane: Plane, grid: Grid) -> tuple[int, slice, slice]:
    """Return where in an array of the grid's shape a frame lies, pixel by pixel; it may be smaller.

    Raises
    ------
    LabelsDoNotFit
        If it lies between pixels, turned, or beyond the images.
    """
    rows, columns = plane.size
    down = np.multiply(plane.column_cosine, plane.pixel_spacing_mm[0] * (rows - 1))
    across = np.multiply(plane.row_cosine, plane.pixel_spacing_mm[1] * (columns - 1))
    first = np.asarray(plane.position_lps_mm)
    corners = grid.to_index([first, first + down, first + across])
    index, row, column = (round(float(one)) for one in corners[0])
    expected = [(index, row, column), (index, row + rows - 1, column), (index, row, column + columns - 1)]
    inside = all(
        first >= 0 and first + size <= limit
        for first, size, limit in zip((index, row, column), (1, rows, columns), grid.shape, strict=True)
    )
    if not inside or not np.allclose(corners, expected, atol=_NEAREST_VOXELS):
        raise LabelsDoNotFit("A Segmentation does not lie on the pixels of its series: resample it")
    return index, slice(row, row + rows), slice(column, column + columns)


def read_frame(data: bytes, layout: PixelLayout) -> BoolArray:
    """Return where a frame is set, shape (rows, columns)."""
    raw = np.frombuffer(data, np.uint8)
    count = layout.rows * layout.columns
    if layout.bits_allocated == 1:
        pixels = np.unpackbits(raw, bitorder="little")[:count]
        return np.asarray(pixels.reshape(layout.rows, layout.columns) > 0)
    if layout.bits_allocated != 8 or raw.size < count:
        raise LabelsDoNotFit("A Segmentation must have 1 or 8 bits a pixel", bits=layout.bits_allocated)
    values = raw[:count].reshape(layout.rows, layout.columns)
    # MaximumFractionalValue is 255 wherever we have seen it; binary ones of 8 bits hold 0 and 1.
    return np.asarray(values >= (128 if values.max(initial=0) > 1 else 1))
