"""Scores that were counted by hand."""

import numpy as np
import pytest

from tests.measure.texture.phantom import volume_of
from wetread.domain.mask import Mask
from wetread.errors import LabelsDoNotFit
from wetread.measure.calcium import InvalidCalibration, score_calcium

SPACING_MM = (3.0, 0.5, 0.5)


def heart(shape=(4, 20, 20)) -> np.ndarray:
    return np.full(shape, 40, np.int16)


def score(image, spacing_mm=SPACING_MM, where=None, **options):
    mask = np.ones(image.shape, bool) if where is None else where
    return score_calcium(volume_of(image, spacing_mm), Mask.from_array(mask), **options)


def test_no_calcium_is_0() -> None:
    found = score(heart(), calibration_mg_per_ml_hu=0.8)
    assert (found.agatston, found.volume_mm3, found.mass_mg, found.lesions) == (0, 0, 0, ())


@pytest.mark.parametrize(
    ("peak", "weight"),
    [(129, 0), (130, 1), (199, 1), (200, 2), (299, 2), (300, 3), (399, 3), (400, 4), (1500, 4)],
)
def test_area_times_weight_by_the_peak(peak: int, weight: int) -> None:
    image = heart()
    image[1, 5:9, 5:7] = min(peak, 150)
    image[1, 5, 5] = peak
    found = score(image)
    # 8 pixels of 0.25 mm2; without the peak, where that does not reach 130, nothing but 7 of 129.
    assert found.agatston == pytest.approx(2.0 * weight)
    assert found.volume_mm3 == pytest.approx(6.0 if weight else 0)


def test_each_lesion_of_each_slice_has_its_own_weight() -> None:
    image = heart()
    image[0, 2:4, 2:4] = 450  # 1 mm2 x 4
    image[1, 2:4, 2:4] = 250  # the same lesion in the next slice: 1 mm2 x 2
    image[1, 10:14, 10:12] = 140  # 2 mm2 x 1
    found = score(image, calibration_mg_per_ml_hu=0.8)
    assert found.agatston == pytest.approx(4 + 2 + 2)
    assert found.volume_mm3 == pytest.approx((1 + 1 + 2) * 3)
    assert [(one.plane, one.weight) for one in found.lesions] == [(0, 4), (1, 2), (1, 1)]
    # 3 mm3 at 450, 3 at 250, 6 at 140 HU; 0.8 mg per ml and HU.
    assert found.mass_mg == pytest.approx(0.8 * (3 * 450 + 3 * 250 + 6 * 140) / 1000)


def test_less_than_a_square_millimetre_is_noise() -> None:
    image = heart()
    image[0, 2:5, 2] = 500  # 0.75 mm2
    assert score(image).agatston == 0
    image[0, 5, 3] = 131  # touches at a corner: 1 mm2
    assert score(image).agatston == pytest.approx(4)


def test_slices_of_another_distance_count_by_their_share_of_3_mm() -> None:
    thick, thin = heart(), heart((8, 20, 20))
    thick[1, 5:9, 5:9] = 310
    thin[2:4, 5:9, 5:9] = 310
    of_thin = score(thin, (1.5, 0.5, 0.5))
    assert of_thin.agatston == pytest.approx(score(thick).agatston) == pytest.approx(12)
    assert of_thin.volume_mm3 == pytest.approx(score(thick).volume_mm3) == pytest.approx(12)


def test_what_lies_outside_of_the_mask_is_not_counted() -> None:
    image = heart()
    image[1, 5:9, 5:9] = 600
    where = np.zeros(image.shape, bool)
    where[1:3, 5:9, 5:7] = True
    found = score(image, where=where)
    assert found.agatston == pytest.approx(2.0 * 4)
    assert found.lesions[0].plane == 1


def test_without_calibration_there_is_no_mass() -> None:
    assert score(heart()).mass_mg is None
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(InvalidCalibration):
            score(heart(), calibration_mg_per_ml_hu=wrong)


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(LabelsDoNotFit):
        score(heart(), where=np.ones((1, 2, 3), bool))
