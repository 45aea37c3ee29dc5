"""Medians and other quantiles, with intervals that ask for no distribution.

In: values.  Out: ``Interval``.  Never: an end of the interval that so few values cannot give.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

from wetread.stats.interval import LEVEL, UNDEFINED, Interval


def quantile(values: npt.ArrayLike, share: float, level: float = LEVEL) -> Interval:
    """Return a quantile with its exact interval by order statistics.

    Parameters
    ----------
    share
        Above 0, below 1: 0.5 for the median.

    Returns
    -------
    Interval
        NaN for an end that lies beyond all values: there are too few.

    References
    ----------
    W. J. Conover, Practical Nonparametric Statistics, 3rd ed. (1999), 3.2.
    """
    known = np.sort(np.asarray(values, dtype=np.float64))
    if not len(known):
        return UNDEFINED
    value = float(np.quantile(known, share))
    found = stats.quantile_test(known, q=value, p=share).confidence_interval(confidence_level=level)
    low, high = (float(one) if math.isfinite(one) else math.nan for one in (found.low, found.high))
    return Interval(value=value, low=low, high=high)
