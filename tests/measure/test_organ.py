"""The density of an organ is that of its inside."""

import numpy as np
import pytest
from scipy import ndimage

from tests.measure.texture.phantom import volume_of
from wetread.domain.mask import Mask
from wetread.errors import LabelsDoNotFit, NotFinite
from wetread.measure.organ import find_inside, measure_organ

SPACING_MM = (2.5, 0.8, 0.8)


def liver() -> tuple[np.ndarray, np.ndarray]:
    """A block of 60 HU in fat, blurred."""
    inside = np.zeros((20, 50, 60), bool)
    inside[4:16, 10:40, 12:48] = True
    image = np.where(inside, 60.0, -100.0)
    return ndimage.gaussian_filter(image, [0.6 / step for step in SPACING_MM]), inside


def test_the_edge_does_not_count() -> None:
    image, inside = liver()
    found = measure_organ(volume_of(image, SPACING_MM), Mask.from_array(inside))
    assert found is not None
    assert image[inside].mean() < 58
    assert found.mean_hu == pytest.approx(60, abs=0.2)
    assert found.median_hu == pytest.approx(60, abs=0.1)
    assert found.spread_hu < 0.5
    assert found.volume_ml == pytest.approx(12 * 30 * 36 * 1.6 / 1000)


def test_inside_is_counted_by_hand() -> None:
    # What lies beyond is 2.5 mm from the first plane, 0.8, 1.6 and 2.4 mm from the first rows and columns.
    inside = find_inside(np.ones((12, 30, 36), bool), SPACING_MM, 2.0)
    assert np.count_nonzero(inside) == 12 * (30 - 4) * (36 - 4)
    assert np.count_nonzero(find_inside(np.ones((12, 30, 36), bool), SPACING_MM, 2.6)) == 10 * 24 * 30


@pytest.mark.parametrize("edge_mm", [0.0, 1.0, 2.0, 5.5])
def test_pieces_give_what_the_whole_gives(edge_mm: float) -> None:
    rng = np.random.default_rng(0)
    mask = ndimage.gaussian_filter(rng.random((80, 30, 30)), 3) > 0.498
    whole = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=SPACING_MM)[1:-1, 1:-1, 1:-1]
    expected = (whole >= edge_mm) & mask
    assert np.array_equal(find_inside(mask, SPACING_MM, edge_mm), expected)
    assert expected.any()


def test_too_small_an_organ_has_no_density() -> None:
    mask = np.zeros((5, 9, 9), bool)
    mask[1:4, 2:5, 2:5] = True
    assert measure_organ(volume_of(np.zeros((5, 9, 9)), SPACING_MM), Mask.from_array(mask)) is None
    assert measure_organ(volume_of(np.zeros((5, 9, 9))), Mask.from_array(mask & False)) is None


def test_a_mask_of_another_shape_and_what_is_no_number_are_refused() -> None:
    image, inside = liver()
    with pytest.raises(LabelsDoNotFit):
        measure_organ(volume_of(image[1:], SPACING_MM), Mask.from_array(inside))
    image[10, 25, 30] = np.nan
    with pytest.raises(NotFinite):
        measure_organ(volume_of(image, SPACING_MM), Mask.from_array(inside))
