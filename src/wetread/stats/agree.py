"""How well values and grades agree.

In: measured and true values, grades from 0.  Out: statistics and intervals.
Never: a correlation called agreement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wetread.stats.interval import UNDEFINED, FloatArray, Interval, normal_quantile
from wetread.stats.resample import Statistic, bootstrap, evaluate, interval_of, mean_of, ratio, resample


@dataclass(frozen=True, slots=True, kw_only=True)
class BlandAltman:
    """Bias, and the limits that hold 95 % of the differences, predicted minus true."""

    bias: Interval
    low: Interval
    high: Interval


def absolute_error_of(true: npt.ArrayLike, predicted: npt.ArrayLike) -> Statistic:
    """Return the statistic: the mean absolute error."""
    return mean_of(np.abs(_differences(true, predicted)))


def squared_error_of(true: npt.ArrayLike, predicted: npt.ArrayLike) -> Statistic:
    """Return the statistic: the root of the mean squared error."""
    squared = mean_of(_differences(true, predicted) ** 2)
    return lambda weights: np.sqrt(squared(weights))


def bland_altman(
    true: npt.ArrayLike, predicted: npt.ArrayLike, patients: npt.ArrayLike, *, seed: int = 0
) -> BlandAltman:
    """Return bias and limits of agreement, with intervals by patient.

    References
    ----------
    J. M. Bland, D. G. Altman, Stat Methods Med Res 8 (1999) 135, doi:10.1177/096228029900800204.
    """
    apart = _differences(true, predicted)
    reach = normal_quantile()

    def limits(weights: FloatArray) -> FloatArray:
        mean, half = _mean(weights, apart), reach * _deviation(weights, apart)
        return np.stack([mean - half, mean, mean + half], axis=1)

    if not len(apart):
        return BlandAltman(bias=UNDEFINED, low=UNDEFINED, high=UNDEFINED)
    # All three on the same draws, so that these are made once.
    values, draws = evaluate(limits, len(apart)), resample(limits, patients, seed=seed)
    low, bias, high = (interval_of(float(values[i]), draws[:, i]) for i in range(3))
    return BlandAltman(bias=bias, low=low, high=high)


def kappa_of(
    true: npt.ArrayLike, predicted: npt.ArrayLike, grades: int, weighting: str = "quadratic"
) -> Statistic:
    """Return the statistic: weighted kappa of grades 0 to ``grades`` - 1.

    Parameters
    ----------
    weighting
        ``linear`` or ``quadratic``.

    References
    ----------
    J. Cohen, Psychol Bull 70 (1968) 213, doi:10.1037/h0026256.
    """
    power = {"linear": 1, "quadratic": 2}[weighting]
    one, other = np.asarray(true, dtype=int), np.asarray(predicted, dtype=int)
    if min(one.min(initial=0), other.min(initial=0)) < 0 or max(one.max(), other.max()) >= grades:
        raise ValueError("grades must be from 0 to grades - 1")
    rows, columns = np.eye(grades)[one], np.eye(grades)[other]
    steps = np.arange(grades)
    penalty = np.abs(steps[:, np.newaxis] - steps) ** power
    seen = penalty[one, other].astype(float)

    def kappa(weights: FloatArray) -> FloatArray:
        total = weights.sum(axis=1)
        expected = np.einsum("bi,ij,bj->b", weights @ rows, penalty, weights @ columns)
        return 1 - ratio((weights @ seen) * total, expected)

    return kappa


def kappa(
    true: npt.ArrayLike,
    predicted: npt.ArrayLike,
    grades: int,
    patients: npt.ArrayLike,
    weighting: str = "quadratic",
    *,
    seed: int = 0,
) -> Interval:
    """Return weighted kappa with its interval by patient."""
    return bootstrap(kappa_of(true, predicted, grades, weighting), patients, seed=seed)


def _differences(true: npt.ArrayLike, predicted: npt.ArrayLike) -> FloatArray:
    return np.asarray(predicted, dtype=np.float64) - np.asarray(true, dtype=np.float64)


def _mean(weights: FloatArray, values: FloatArray) -> FloatArray:
    return ratio(weights @ values, weights.sum(axis=1))


def _deviation(weights: FloatArray, values: FloatArray) -> FloatArray:
    count, mean = weights.sum(axis=1), _mean(weights, values)
    squares = (weights * (values - mean[:, np.newaxis]) ** 2).sum(axis=1)
    return np.sqrt(ratio(squares, count - 1))
