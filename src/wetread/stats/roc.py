"""The ROC curve: its area with DeLong's interval, and two areas on the same patients.

In: labels and scores.  Out: areas with intervals.  Never: an interval beyond 0 and 1, or of no width.

References
----------
E. R. DeLong et al., Biometrics 44 (1988) 837, doi:10.2307/2531595.
X. Sun, W. Xu, IEEE Signal Process Lett 21 (2014) 1389, doi:10.1109/LSP.2014.2337313 (by midranks).
N. A. Obuchowski, Biometrics 53 (1997) 567, doi:10.2307/2533958 (several samples of a patient).
R. G. Newcombe, Stat Med 25 (2006) 559, doi:10.1002/sim.2324 (areas of 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from wetread.stats.interval import (
    LEVEL,
    UNDEFINED,
    FloatArray,
    IntArray,
    Interval,
    normal_quantile,
    patient_index,
)
from wetread.stats.resample import Statistic, ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What two models differ by on the same samples: the second minus the first."""

    difference: Interval
    #: Two-sided, of no difference.
    p_value: float


def auc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Return the area under the ROC curve; ties count one half; NaN where a class is empty."""
    above, _ = _placements(*_checked(labels, scores))
    return float(above.mean()) if above.size else math.nan


def auc_interval(
    labels: npt.ArrayLike, scores: npt.ArrayLike, patients: npt.ArrayLike, level: float = LEVEL
) -> Interval:
    """Return the area with DeLong's interval on the logit scale, samples of one patient kept together.

    Where DeLong's variance is nothing (an area of 0 or 1, a single patient in a class), Newcombe's interval
    by the number of patients.
    """
    truth, values = _checked(labels, scores)
    if truth.all() or not truth.any():
        return UNDEFINED
    index = patient_index(patients)
    area, covariance = _covariance(truth, values[np.newaxis], index)
    value, variance = float(area[0]), float(covariance[0, 0])
    if 0 < value < 1 and variance > 0:
        half = normal_quantile(level) * math.sqrt(variance) / (value * (1 - value))
        middle = math.log(value / (1 - value))
        return Interval(value=value, low=_expit(middle - half), high=_expit(middle + half))
    positive, negative = len(np.unique(index[truth])), len(np.unique(index[~truth]))
    return _newcombe(value, positive, negative, level)


def compare_auc(
    labels: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    patients: npt.ArrayLike,
    level: float = LEVEL,
) -> Difference:
    """Compare two areas on the same samples (DeLong's test, samples of one patient kept together)."""
    truth, one = _checked(labels, first)
    _, other = _checked(labels, second)
    if truth.all() or not truth.any():
        return Difference(difference=UNDEFINED, p_value=math.nan)
    areas, covariance = _covariance(truth, np.stack([one, other]), patient_index(patients))
    value = float(areas[1] - areas[0])
    error = math.sqrt(max(0.0, float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])))
    half = normal_quantile(level) * error
    p_value = 2 * float(stats.norm.sf(abs(value) / error)) if error > 0 else float(value == 0)
    return Difference(difference=Interval(value=value, low=value - half, high=value + half), p_value=p_value)


def auc_of(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Statistic:
    """Return the statistic: the area under the ROC curve."""
    truth, values = _checked(labels, scores)
    order = np.argsort(values, kind="stable")
    _, starts = np.unique(values[order], return_index=True)
    positive, negative = truth[order].astype(float), (~truth[order]).astype(float)

    def area(weights: FloatArray) -> FloatArray:
        ordered = weights[:, order]
        hits = np.add.reduceat(ordered * positive, starts, axis=1)
        misses = np.add.reduceat(ordered * negative, starts, axis=1)
        below = np.cumsum(misses, axis=1) - misses / 2
        return ratio((hits * below).sum(axis=1), hits.sum(axis=1) * misses.sum(axis=1))

    return area


def average_precision_of(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Statistic:
    """Return the statistic: the area under the precision-recall curve, as steps (average precision)."""
    truth, values = _checked(labels, scores)
    order = np.argsort(-values, kind="stable")
    _, starts = np.unique(-values[order], return_index=True)
    positive = truth[order].astype(float)

    def area(weights: FloatArray) -> FloatArray:
        ordered = weights[:, order]
        hits = np.add.reduceat(ordered * positive, starts, axis=1)
        found, said = np.cumsum(hits, axis=1), np.cumsum(np.add.reduceat(ordered, starts, axis=1), axis=1)
        precision = found / np.maximum(said, 1e-12)
        return ratio((hits * precision).sum(axis=1), hits.sum(axis=1))

    return area


def roc_curve(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return false positive rates, sensitivities and the thresholds from which on a score is positive."""
    truth, values = _checked(labels, scores)
    thresholds = np.unique(values)[::-1]
    ordered_positive, ordered_negative = np.sort(values[truth]), np.sort(values[~truth])
    hits = len(ordered_positive) - np.searchsorted(ordered_positive, thresholds)
    alarms = len(ordered_negative) - np.searchsorted(ordered_negative, thresholds)
    false_rate = np.concatenate([[0.0], alarms / max(1, len(ordered_negative))])
    sensitivity = np.concatenate([[0.0], hits / max(1, len(ordered_positive))])
    return false_rate, sensitivity, np.concatenate([[np.inf], thresholds])


def _checked(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    truth, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if truth.shape != values.shape or truth.ndim != 1:
        raise ValueError("labels and scores must be of one length")
    if not np.isfinite(values).all():
        raise ValueError("scores must be finite")
    return truth.astype(bool), values


def _placements(truth: npt.NDArray[np.bool_], values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return, for each positive, the share of negatives below it; for each negative, of positives above."""
    positive, negative = values[truth], values[~truth]
    if not positive.size or not negative.size:
        return np.zeros(0), np.zeros(0)
    ranks = stats.rankdata(values)
    above = (ranks[truth] - stats.rankdata(positive)) / len(negative)
    below = 1 - (ranks[~truth] - stats.rankdata(negative)) / len(positive)
    return above, below


def _covariance(
    truth: npt.NDArray[np.bool_], scores: FloatArray, index: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return areas, shape (k,), and their covariance, shape (k, k), of k score sets of shape (k, n)."""
    placed = [_placements(truth, one) for one in scores]
    above, below = (np.stack([one[side] for one in placed]) for side in (0, 1))
    areas = above.mean(axis=1)
    count = int(index.max()) + 1
    by_positive = _sums(above - areas[:, np.newaxis], index[truth], count)
    by_negative = _sums(below - areas[:, np.newaxis], index[~truth], count)
    positives, negatives = above.shape[1], below.shape[1]
    mixed = _bessel(count) * by_positive @ by_negative.T
    total = _bessel(len(np.unique(index[truth]))) * by_positive @ by_positive.T / positives**2
    total += _bessel(len(np.unique(index[~truth]))) * by_negative @ by_negative.T / negatives**2
    total += (mixed + mixed.T) / (positives * negatives)
    return areas, total


def _sums(values: FloatArray, index: IntArray, count: int) -> FloatArray:
    return np.stack([np.bincount(index, weights=one, minlength=count) for one in values])


def _bessel(count: int) -> float:
    return count / (count - 1) if count > 1 else 0.0


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _newcombe(value: float, positives: int, negatives: int, level: float) -> Interval:
    """Return Newcombe's interval (his method 5): areas whose own variance reaches the one seen."""
    z, more = normal_quantile(level), (positives + negatives) / 2 - 1

    def variance(area: float) -> float:
        spread = 1 + more * (1 - area) / (2 - area) + more * area / (1 + area)
        return area * (1 - area) * spread / (positives * negatives)

    def reach(area: float) -> float:
        return abs(area - value) - z * math.sqrt(variance(area))

    edge = 1e-12
    low = optimize.brentq(reach, edge, value - edge) if value > 2 * edge and reach(edge) > 0 else 0.0
    high = (
        optimize.brentq(reach, value + edge, 1 - edge)
        if value < 1 - 2 * edge and reach(1 - edge) > 0
        else 1.0
    )
    return Interval(value=value, low=float(low), high=float(high))
