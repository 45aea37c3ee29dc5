"""The estimate of malignancy: with outline, interval and reasons."""

from __future__ import annotations

import numpy as np
import pytest

from tests.infer.test_lung_nodule import lung_with_ball
from wetread.infer.predict import predict_array
from wetread.registry import read_models


@pytest.fixture(scope="module")
def model():
    return read_models()["nodule-malignancy"]


def test_never_without_the_outline_it_was_measured_from(model) -> None:
    said = predict_array(model, lung_with_ball((48, 50), 6.0))
    assert said.mask is not None
    assert 0.5 < said.mask[3].sum() / (np.pi * 36) < 1.8
    low, high = said.interval
    assert 0 <= low <= said.probabilities[1] <= high <= 1
    assert low < high
    assert sum(said.probabilities) == pytest.approx(1)


def test_the_reasons_add_up_to_the_difference_in_log_odds(model) -> None:
    first, second = (predict_array(model, lung_with_ball((48, 50), radius)) for radius in (4.0, 12.0))

    def odds(said):
        return np.log(said.probabilities[1] / said.probabilities[0])

    added = sum(second.reasons.values()) - sum(first.reasons.values())
    assert odds(second) - odds(first) == pytest.approx(added, abs=1e-6)
    sizes = [abs(one) for one in first.reasons.values()]
    assert sizes == sorted(sizes, reverse=True)


def test_a_large_nodule_is_more_suspicious_than_a_small_one(model) -> None:
    small, large = (predict_array(model, lung_with_ball((48, 50), radius)) for radius in (3.0, 14.0))
    assert small.probabilities[1] < large.probabilities[1]


def test_an_image_without_a_nodule_gets_an_answer_from_the_surest_voxels(model) -> None:
    said = predict_array(model, np.full((3, 32, 32), -850, np.int16))
    assert said.mask is not None
    assert said.mask.any()
