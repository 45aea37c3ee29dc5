"""How good class probabilities are.

In: labels of 0 and 1, probabilities, decisions.  Out: statistics and intervals.
Never: a threshold chosen on the data that it is judged on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wetread.stats.interval import FloatArray, Interval, proportion
from wetread.stats.resample import Statistic, bootstrap, ratio

BoolArray = npt.NDArray[np.bool_]

#: Probabilities are kept this far from 0 and 1 where their logarithm is taken.
_EDGE = 1e-6
_BINS = 10
_MOST_ROUNDS = 30
_STEEPEST = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The four counts of decisions."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int


def count_decisions(labels: npt.ArrayLike, decisions: npt.ArrayLike) -> Counts:
    """Count decisions against labels, both true or false, shape (n,)."""
    truth, said = np.asarray(labels, dtype=bool), np.asarray(decisions, dtype=bool)
    return Counts(
        true_positives=int((truth & said).sum()),
        false_positives=int((~truth & said).sum()),
        true_negatives=int((~truth & ~said).sum()),
        false_negatives=int((truth & ~said).sum()),
    )


def decision_rates(
    labels: npt.ArrayLike, decisions: npt.ArrayLike, patients: npt.ArrayLike, *, seed: int = 0
) -> Mapping[str, Interval]:
    """Return ``accuracy``, ``sensitivity``, ``specificity``, ``ppv``, ``npv`` and ``f1``.

    Rates have Wilson's interval with the effective number of samples, F1 the bootstrap by patient.
    """
    truth, said = np.asarray(labels, dtype=bool), np.asarray(decisions, dtype=bool)
    who = np.asarray(patients)
    right = truth == said
    return {
        "accuracy": proportion(right, who),
        "sensitivity": proportion(said[truth], who[truth]),
        "specificity": proportion(~said[~truth], who[~truth]),
        "ppv": proportion(truth[said], who[said]),
        "npv": proportion(~truth[~said], who[~said]),
        "f1": bootstrap(f1_of(truth, said), who, seed=seed),
    }


def f1_of(labels: npt.ArrayLike, decisions: npt.ArrayLike) -> Statistic:
    """Return the statistic: F1, the harmonic mean of sensitivity and positive predictive value."""
    truth, said = np.asarray(labels, dtype=bool), np.asarray(decisions, dtype=bool)
    both, either = (truth & said).astype(float), truth.astype(float) + said.astype(float)
    return lambda weights: ratio(2 * (weights @ both), weights @ either)


def brier_of(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Statistic:
    """Return the statistic: the mean squared distance of probability and outcome (Brier score)."""
    squared = (np.asarray(probabilities, dtype=float) - np.asarray(labels, dtype=float)) ** 2
    return lambda weights: ratio(weights @ squared, weights.sum(axis=1))


def calibration_error_of(labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = _BINS) -> Statistic:
    """Return the statistic: the expected calibration error over bins of equal width.

    Few samples make it larger than it is: its bootstrap interval leans upward as well.

    References
    ----------
    M. P. Naeini et al., AAAI 2015.
    """
    values, members = np.asarray(probabilities, dtype=float), bin_members(probabilities, bins)
    gaps = members * (np.asarray(labels, dtype=float) - values)[:, np.newaxis]
    return lambda weights: ratio(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1))


def bin_members(probabilities: npt.ArrayLike, bins: int = _BINS) -> FloatArray:
    """Return which bin of equal width each probability is in, shape (n, bins) of 0 and 1."""
    at = np.clip((np.asarray(probabilities, dtype=float) * bins).astype(int), 0, bins - 1)
    return np.asarray(at[:, np.newaxis] == np.arange(bins), dtype=np.float64)


def calibration_line_of(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Statistic:
    """Return the statistic of two values: calibration in the large (0 is right) and slope (1 is right).

    Logistic regression of the outcome on the logit of the probability: the intercept with slope 1, then the
    slope. A slope below 1 says that probabilities are too extreme.

    References
    ----------
    B. Van Calster et al., BMC Med 17 (2019) 230, doi:10.1186/s12916-019-1466-7.
    """
    truth = np.asarray(labels, dtype=float)
    values = np.clip(np.asarray(probabilities, dtype=float), _EDGE, 1 - _EDGE)
    logit = np.log(values / (1 - values))

    def line(weights: FloatArray) -> FloatArray:
        return np.stack([_fit_shift(weights, truth, logit), _fit_slope(weights, truth, logit)], axis=1)

    return line


def _fit_shift(weights: FloatArray, truth: FloatArray, logit: FloatArray) -> FloatArray:
    """Return the intercept of each draw, slope 1, by Newton's method."""
    shift = np.zeros(len(weights))
    for _ in range(_MOST_ROUNDS):
        fitted = _expit(logit + shift[:, np.newaxis])
        gradient = (weights * (truth - fitted)).sum(axis=1)
        curvature = (weights * fitted * (1 - fitted)).sum(axis=1)
        step = np.clip(gradient / np.maximum(curvature, 1e-9), -2, 2)
        shift += step
        if np.abs(step).max(initial=0) < 1e-9:
            break
    return _where_classes(weights, truth, shift)


def _fit_slope(weights: FloatArray, truth: FloatArray, logit: FloatArray) -> FloatArray:
    """Return the slope of each draw, by Newton's method; NaN where the classes are apart."""
    line = np.tile([0.0, 1.0], (len(weights), 1))
    powers = np.stack([np.ones_like(logit), logit, logit**2], axis=1)
    for _ in range(_MOST_ROUNDS):
        fitted = _expit(line[:, :1] + line[:, 1:] * logit)
        gradient = (weights * (truth - fitted)) @ powers[:, :2]
        zero, one, two = (weights * fitted * (1 - fitted) @ powers).T
        determinant = np.maximum(zero * two - one * one, 1e-12)
        step = np.stack(
            [two * gradient[:, 0] - one * gradient[:, 1], zero * gradient[:, 1] - one * gradient[:, 0]],
            axis=1,
        )
        step = np.clip(step / determinant[:, np.newaxis], -1, 1)
        line += step
        if np.abs(step).max(initial=0) < 1e-9:
            break
    slope = _where_classes(weights, truth, line[:, 1])
    return np.where((np.abs(slope) < _STEEPEST) & (np.abs(step).max(axis=1) < 1e-3), slope, np.nan)


def _where_classes(weights: FloatArray, truth: FloatArray, values: FloatArray) -> FloatArray:
    positives = weights @ truth
    return np.where((positives > 0) & (positives < weights.sum(axis=1)), values, np.nan)


def _expit(x: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -500, 500))))


def net_benefit_of(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, thresholds: npt.ArrayLike
) -> Statistic:
    """Return the statistic: the net benefit of acting from each threshold on, one value a threshold.

    Acting on everybody is ``net_benefit_of(labels, ones, thresholds)``; acting on nobody has none.

    References
    ----------
    A. J. Vickers, E. B. Elkin, Med Decis Making 26 (2006) 565, doi:10.1177/0272989X06295361.
    """
    truth, edges = np.asarray(labels, dtype=bool), np.asarray(thresholds, dtype=float)
    said = np.asarray(probabilities, dtype=float)[:, np.newaxis] >= edges
    hits = (said & truth[:, np.newaxis]).astype(float)
    alarms = (said & ~truth[:, np.newaxis]).astype(float)
    odds = edges / (1 - edges)

    def benefit(weights: FloatArray) -> FloatArray:
        return np.asarray((weights @ hits - (weights @ alarms) * odds) / weights.sum(axis=1, keepdims=True))

    return benefit
