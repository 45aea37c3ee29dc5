"""Areas that were counted by hand."""

import numpy as np
import pytest

from tests.measure.texture.phantom import volume_of
from wetread.domain.mask import Mask
from wetread.errors import LabelsDoNotFit
from wetread.measure.body import find_middle_plane, measure_slice

SPACING_MM = (5.0, 2.0, 1.0)


def test_muscle_and_fat_of_one_slice() -> None:
    image = np.full((3, 10, 10), -1000.0)
    image[1, 0] = [-191, -190, -110, -30, -29.5, -29, 50, 150, 151, 900]
    where = Mask.from_array(np.concatenate([np.zeros((1, 10, 10), bool), np.ones((2, 10, 10), bool)]))
    found = measure_slice(volume_of(image, SPACING_MM), where, 1)
    # A pixel is 0.02 cm2. -30 is fat, -29 muscle; what lies between is neither.
    assert found.area_cm2 == pytest.approx(2.0)
    assert found.fat_cm2 == pytest.approx(3 * 0.02)
    assert found.muscle_cm2 == pytest.approx(3 * 0.02)
    assert found.muscle_hu == pytest.approx((-29 + 50 + 150) / 3)


def test_where_there_is_nothing() -> None:
    where = Mask.from_array(np.zeros((3, 10, 10), bool))
    found = measure_slice(volume_of(np.zeros((3, 10, 10)), SPACING_MM), where, 2)
    assert (found.area_cm2, found.muscle_cm2, found.fat_cm2, found.muscle_hu) == (0, 0, 0, None)
    assert find_middle_plane(where) is None


def test_only_a_slice_of_the_image_is_measured() -> None:
    volume = volume_of(np.zeros((3, 4, 4)), SPACING_MM)
    with pytest.raises(LabelsDoNotFit):
        measure_slice(volume, Mask.from_array(np.ones((3, 4, 4), bool)), 3)
    with pytest.raises(LabelsDoNotFit):
        measure_slice(volume, Mask.from_array(np.ones((2, 4, 4), bool)), 1)


@pytest.mark.parametrize(
    ("counts", "middle"), [([0, 4, 4, 4, 0], 2), ([0, 0, 1, 1, 9], 4), ([3, 0, 0, 0, 0], 0)]
)
def test_the_middle_of_a_vertebra(counts: list[int], middle: int) -> None:
    mask = np.zeros((5, 3, 3), bool)
    for plane, count in enumerate(counts):
        mask[plane].reshape(-1)[:count] = True
    assert find_middle_plane(Mask.from_array(mask)) == middle
