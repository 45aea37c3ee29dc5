"""Outlines enclose exactly the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from wetread.compose.outline import outline_box, outline_image, outline_plane, to_image_points
from wetread.domain.mask import Mask
from wetread.domain.volume import Grid

GRID = Grid(
    shape=(3, 12, 10),
    spacing_mm=(2.0, 0.5, 0.8),
    origin_lps_mm=(0.0, 0.0, 0.0),
    directions=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
)


def _area(points: np.ndarray) -> float:
    x, y = points[:, 0], points[:, 1]
    return abs(float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))) / 2


@given(hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
@settings(max_examples=200, deadline=None)
def test_each_component_gets_one_closed_outline_of_its_filled_area(image: np.ndarray) -> None:
    outlines = outline_image(image)
    labels, count = ndimage.label(image)
    assert len(outlines) == count
    wanted = sorted(_enclosed(labels == one) for one in range(1, count + 1))
    assert np.allclose(sorted(_area(points) for points in outlines), wanted)
    for points in outlines:
        assert np.array_equal(points[0], points[-1])


def _enclosed(component: np.ndarray) -> float:
    """Return the area within the outer boundary; a hole that opens at a corner stays a hole."""
    outside, _ = ndimage.label(np.pad(~component, 1, constant_values=True), structure=np.ones((3, 3)))
    return float((outside != outside[0, 0]).sum())


def test_a_hole_is_not_drawn_and_the_largest_comes_first() -> None:
    array = np.zeros(GRID.shape, dtype=bool)
    array[1, 2:9, 1:7] = True
    array[1, 4, 3] = False
    array[1, 10:, 8:] = True
    outlines = outline_plane(Mask.from_array(array), 1, GRID)
    assert [round(one.area_mm2, 6) for one in outlines] == [42 * 0.4, 4 * 0.4]
    assert outline_plane(Mask.from_array(array), 0, GRID) == ()
    low, high = outlines[0].points.min(axis=0), outlines[0].points.max(axis=0)
    assert low == pytest.approx([1, 2], abs=0.1)
    assert high == pytest.approx([7, 9], abs=0.1)


def test_a_point_lies_in_the_middle_of_its_pixel() -> None:
    assert to_image_points([GRID.to_lps_mm((1, 4, 7))], GRID)[0] == pytest.approx([7.5, 4.5])


def test_a_box_becomes_a_rectangle_within_the_image() -> None:
    box = ((1.6, 1.0, 0.0), (100.0, 3.0, 4.0))
    outline = outline_box(box, 1, GRID)
    assert outline.points.min(axis=0).tolist() == [2.5, 2.5]
    assert outline.points.max(axis=0).tolist() == [10.0, 6.5]
