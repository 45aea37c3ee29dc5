"""Intervals of medians hold what they promise."""

import math

import numpy as np
import pytest

from wetread.stats.quantile import quantile


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_the_interval_holds_the_true_value_often_enough(share):
    rng = np.random.default_rng(3)
    true = -math.log(1 - share)
    found = [quantile(rng.exponential(size=80), share) for _ in range(400)]
    held = np.mean([one.low <= true <= one.high for one in found])
    # Never less than 95 % but by chance, and not much more.
    assert 0.93 <= held <= 0.99


def test_the_value_is_the_quantile_and_few_values_give_no_end():
    assert quantile([3.0, 1.0, 2.0], 0.5).value == 2.0
    few = quantile([1.0, 2.0, 3.0], 0.9)
    assert math.isnan(few.high)
    assert not quantile([], 0.5).is_defined
