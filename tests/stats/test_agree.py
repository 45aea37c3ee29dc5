"""Errors of values and agreement of grades, against scikit-learn and closed forms."""

import numpy as np
import pytest

from wetread.stats.agree import absolute_error_of, bland_altman, kappa, kappa_of, squared_error_of
from wetread.stats.resample import evaluate

metrics = pytest.importorskip("sklearn.metrics")
RNG = np.random.default_rng(0)


def test_errors_of_values() -> None:
    true = RNG.normal(50, 10, 80)
    said = true + RNG.normal(1, 3, 80)
    assert evaluate(absolute_error_of(true, said), 80) == pytest.approx(
        metrics.mean_absolute_error(true, said)
    )
    assert evaluate(squared_error_of(true, said), 80) == pytest.approx(
        metrics.root_mean_squared_error(true, said)
    )


def test_limits_of_agreement() -> None:
    true = RNG.normal(50, 10, 300)
    apart = RNG.normal(2, 3, 300)
    found = bland_altman(true, true + apart, np.arange(300))
    assert found.bias.value == pytest.approx(apart.mean())
    assert found.low.value == pytest.approx(apart.mean() - 1.959964 * apart.std(ddof=1))
    # Bland and Altman 1999: the error of a limit is about sqrt(3 / n) standard deviations.
    width = 2 * 1.96 * np.sqrt(3 / 300) * apart.std(ddof=1)
    assert found.high.high - found.high.low == pytest.approx(width, rel=0.2)


@pytest.mark.parametrize("weighting", ["linear", "quadratic"])
def test_weighted_kappa(weighting: str) -> None:
    true = RNG.integers(0, 5, 120)
    said = np.clip(true + RNG.integers(-1, 2, 120), 0, 4)
    weights = RNG.integers(0, 4, (3, 120)).astype(float)
    for row, value in zip(weights, kappa_of(true, said, 5, weighting)(weights), strict=True):
        expected = metrics.cohen_kappa_score(true, said, weights=weighting, sample_weight=row)
        assert value == pytest.approx(expected)
    found = kappa(true, said, 5, np.arange(120), weighting)
    assert found.low < found.value < found.high


def test_grades_beyond_the_scale() -> None:
    with pytest.raises(ValueError, match="grades"):
        kappa_of([0, 5], [0, 1], 5)
