"""A number with its interval, and intervals of proportions.

In: counts.  Out: ``Interval``.  Never: a number without one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

#: Confidence of every interval where nothing else is said.
LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate and the interval that holds what it estimates, ``LEVEL`` of the time; NaN: undefined."""

    value: float
    low: float
    high: float

    @property
    def is_defined(self) -> bool:
        """Whether there is a number."""
        return math.isfinite(self.value)


UNDEFINED = Interval(value=math.nan, low=math.nan, high=math.nan)


def normal_quantile(level: float = LEVEL) -> float:
    """Return the quantile that a two-sided normal interval of this level reaches to."""
    return float(stats.norm.ppf(0.5 + level / 2))


def wilson(hits: float, trials: float, level: float = LEVEL, effective: float | None = None) -> Interval:
    """Return a proportion with Wilson's score interval.

    Parameters
    ----------
    hits, trials
        How many of how many.
    effective
        Independent trials that ``trials`` are worth, where some belong together; None: all.

    References
    ----------
    E. B. Wilson, J Am Stat Assoc 22 (1927) 209, doi:10.1080/01621459.1927.10502953.
    """
    if trials <= 0:
        return UNDEFINED
    share, count, z = hits / trials, effective or trials, normal_quantile(level)
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    # All and none are their own end; rounding may miss it by a little.
    return Interval(
        value=share,
        low=max(0.0, min(share, middle - half)),
        high=min(1.0, max(share, middle + half)),
    )


def proportion(hits: npt.ArrayLike, patients: npt.ArrayLike, level: float = LEVEL) -> Interval:
    """Return the share of hits, with an interval that knows which trials are of one patient.

    Parameters
    ----------
    hits
        Shape (n,), true or false.
    patients
        Shape (n,), anything that names the patient of each.

    Notes
    -----
    Wilson's interval with the effective number of trials n / d, where d, the design effect, is the variance
    of the share as a ratio of sums by patient over the binomial one (Rao and Scott). Where all or none are
    hits, d cannot be seen, and the patients are counted instead.

    References
    ----------
    J. N. K. Rao, A. J. Scott, Biometrics 48 (1992) 577, doi:10.2307/2532311.
    K. K. Saha et al., Stat Biopharm Res 8 (2016), on Wilson's interval for clustered data.
    """
    values = np.asarray(hits, dtype=np.float64)
    index = patient_index(patients)
    clusters, trials = int(index.max(initial=-1)) + 1, len(values)
    if trials == 0:
        return UNDEFINED
    share = float(values.mean())
    if clusters == trials:
        return wilson(values.sum(), trials, level)
    if share in (0.0, 1.0) or clusters < 2:
        return wilson(values.sum(), trials, level, effective=clusters)
    residual = np.bincount(index, weights=values - share, minlength=clusters)
    variance = clusters / (clusters - 1) * float(residual @ residual) / trials**2
    design = max(1.0, variance / (share * (1 - share) / trials))
    return wilson(values.sum(), trials, level, effective=trials / design)


def patient_index(patients: npt.ArrayLike) -> IntArray:
    """Return, for each sample, the number of its patient, from 0."""
    _, index = np.unique(np.asarray(patients), return_inverse=True)
    return index.astype(np.int64)
