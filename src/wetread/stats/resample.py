"""The bootstrap by patient.

In: a statistic of weights, who the patient of each sample is.  Out: ``Interval``.
Never: one sample drawn without the others of its patient; a draw that cannot be repeated.

A ``Statistic`` takes weights of shape (draws, n), how often each sample counts in each draw, and returns one
value a draw. With weights of one it is the plain statistic; a subgroup is weights of zero for the others; the
difference of two is the paired comparison. So each is written once, for all draws together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from wetread.stats.interval import LEVEL, UNDEFINED, FloatArray, Interval, patient_index

Statistic = Callable[[FloatArray], FloatArray]

DRAWS = 2000
#: Weights held at once; some 32 MB.
_BLOCK = 4_000_000
#: Of the draws; with more that are undefined the interval would be one of the lucky draws.
_MOST_UNDEFINED = 0.05


def draw_weights(patients: npt.ArrayLike, draws: int = DRAWS, seed: int = 0) -> Iterator[FloatArray]:
    """Yield weights, shape (draws of the block, n), until there are as many draws as asked for."""
    index = patient_index(patients)
    count = int(index.max()) + 1
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK // max(len(index), count))
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        drawn = rng.integers(0, count, (rows, count)) + np.arange(rows)[:, np.newaxis] * count
        counts = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        yield counts[:, index].astype(np.float64)


def evaluate(statistic: Statistic, count: int) -> FloatArray:
    """Return the statistic of ``count`` samples as they are, without the axis of draws."""
    value: FloatArray = np.asarray(statistic(np.ones((1, count))))[0]
    return value


def resample(statistic: Statistic, patients: npt.ArrayLike, draws: int = DRAWS, seed: int = 0) -> FloatArray:
    """Return the statistic of each draw, shape (draws,) or (draws, k)."""
    return np.concatenate([statistic(weights) for weights in draw_weights(patients, draws, seed)])


def bootstrap(
    statistic: Statistic,
    patients: npt.ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """Return a statistic with its percentile interval by patient.

    References
    ----------
    C. A. Field, A. H. Welsh, J R Stat Soc B 69 (2007) 369, doi:10.1111/j.1467-9868.2007.00593.x.
    """
    count = len(np.asarray(patients))
    if count == 0:
        return UNDEFINED
    value = float(evaluate(statistic, count))
    return interval_of(value, resample(statistic, patients, draws, seed), level)


def interval_of(value: float, draws: FloatArray, level: float = LEVEL) -> Interval:
    """Return the percentile interval of draws, shape (draws,)."""
    defined = draws[np.isfinite(draws)]
    if not np.isfinite(value) or len(defined) < (1 - _MOST_UNDEFINED) * len(draws):
        return Interval(value=value, low=np.nan, high=np.nan)
    low, high = np.quantile(defined, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(value=value, low=float(low), high=float(high))


def mean_of(values: npt.ArrayLike) -> Statistic:
    """Return the statistic: the mean of one value a sample; samples of NaN do not count."""
    numbers = np.asarray(values, dtype=np.float64)
    known = np.isfinite(numbers)
    filled = np.where(known, numbers, 0.0)
    return lambda weights: ratio(weights @ filled, weights @ known.astype(np.float64))


def within(statistic: Statistic, members: npt.ArrayLike) -> Statistic:
    """Return the statistic of a subgroup; ``members`` of shape (n,), true or false."""
    chosen = np.asarray(members, dtype=np.float64)
    return lambda weights: statistic(weights * chosen)


def difference(one: Statistic, other: Statistic) -> Statistic:
    """Return the statistic: one minus the other on the same draws."""
    return lambda weights: one(weights) - other(weights)


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return a quotient, NaN where the denominator is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)
