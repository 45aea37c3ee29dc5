"""The digital phantom of the IBSI: every feature has the value that the reference manual publishes."""

from decimal import Decimal

import numpy as np
import pytest

from tests.measure.texture import phantom as published
from tests.measure.texture.phantom import LEVELS, PAIRS_OF_SLICES, phantom, volume_of
from wetread.domain.mask import Mask
from wetread.measure.texture import FEATURES, Aggregation, TextureSettings, measure_texture
from wetread.measure.texture.glcm import count_pairs
from wetread.measure.texture.neighbours import DIRECTIONS
from wetread.measure.texture.region import cut_region

AS_IT_IS = TextureSettings(bin_width=1.0)
OF_BOTH = {"glcm": published.GLCM, "glrlm": published.GLRLM}
OF_ONE = {
    "first_order": published.FIRST_ORDER,
    "glszm": published.GLSZM,
    "ngldm": published.NGLDM,
    "ngtdm": published.NGTDM,
}


def measured(aggregation: Aggregation = Aggregation.MERGED) -> dict[str, float]:
    settings = TextureSettings(bin_width=1.0, aggregation=aggregation)
    return measure_texture(*phantom(), settings).values


def half_a_digit(value: float) -> float:
    """Return half of the last of three digits: what rounding to what is published takes away."""
    return 0.5 * 10.0 ** (Decimal(str(value)).adjusted() - 2) * 1.01


@pytest.mark.parametrize("plane", range(4))
def test_each_slice_has_the_pairs_that_are_published(plane: int) -> None:
    slice_ = LEVELS[plane : plane + 1]
    region = cut_region(volume_of(slice_), Mask.from_array(slice_ > 0), AS_IT_IS)
    total = sum(count_pairs(region, one) for one in DIRECTIONS if one[0] == 0)
    found = {(int(i) + 1, int(j) + 1): int(total[i, j]) for i, j in np.argwhere(total) if i <= j}
    assert found == PAIRS_OF_SLICES[plane]


def test_pairs_across_slices_are_those_that_are_published() -> None:
    # Chapter 6, "Grey level co-occurrence matrix (3D)", the first: straight up.
    region = cut_region(*phantom(), AS_IT_IS)
    up = count_pairs(region, (1, 0, 0))
    found = {(int(i) + 1, int(j) + 1): int(up[i, j]) for i, j in np.argwhere(up) if i <= j}
    assert found == {(1, 1): 66, (1, 4): 5, (1, 6): 1, (3, 6): 1, (4, 4): 16, (6, 6): 8}


@pytest.mark.parametrize("aggregation", Aggregation)
@pytest.mark.parametrize("family", OF_BOTH)
def test_directions_averaged_and_merged(family: str, aggregation: Aggregation) -> None:
    values = measured(aggregation)
    for name, pair in OF_BOTH[family].items():
        expected = pair[0] if aggregation is Aggregation.AVERAGED else pair[1]
        assert values[f"{family}_{name}"] == pytest.approx(expected, abs=half_a_digit(expected)), name


@pytest.mark.parametrize("family", OF_ONE)
def test_families_without_directions(family: str) -> None:
    values = measured()
    for name, expected in OF_ONE[family].items():
        assert values[f"{family}_{name}"] == pytest.approx(expected, abs=half_a_digit(expected)), name


def test_shape_lies_within_the_tolerance_that_is_published() -> None:
    values = measured()
    for name, (expected, tolerance) in published.SHAPE.items():
        assert values[f"shape_{name}"] == pytest.approx(expected, abs=tolerance), name


def test_no_feature_is_left_unchecked() -> None:
    checked = {f"shape_{name}" for name in published.SHAPE}
    for family, table in {**OF_BOTH, **OF_ONE}.items():
        checked |= {f"{family}_{name}" for name in table}
    assert checked == set(FEATURES)


def test_six_bins_are_the_phantom_as_it_is() -> None:
    by_number = measure_texture(*phantom(), TextureSettings(bin_width=None, bin_count=6))
    assert dict(by_number.values) == pytest.approx(measured())
