"""Two models on the same samples, and one model in parts and places.

In: statistics of both, decisions of both.  Out: differences with intervals, verdicts.
Never: two intervals compared by whether they overlap; a figure of a handful of patients.

References
----------
Q. McNemar, Psychometrika 12 (1947) 153, doi:10.1007/BF02295996.
V. L. Durkalski et al., Stat Med 22 (2003) 2417, doi:10.1002/sim.1438 (several samples of a patient).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from wetread.stats.interval import LEVEL, Interval, patient_index
from wetread.stats.resample import (
    DRAWS,
    Statistic,
    bootstrap,
    difference,
    evaluate,
    interval_of,
    resample,
    within,
)
from wetread.stats.roc import Difference

#: A subgroup with fewer patients is named and not scored.
FEWEST_PATIENTS = 10


def compare_statistics(
    first: Statistic, second: Statistic, patients: npt.ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> Difference:
    """Compare two models by any statistic: paired bootstrap by patient, the second minus the first.

    The p-value is the share of draws on the other side of no difference, doubled; its smallest is
    2 / (draws + 1).
    """
    count = len(np.asarray(patients))
    paired = difference(second, first)
    value = float(evaluate(paired, count))
    drawn = resample(paired, patients, draws, seed)
    defined = drawn[np.isfinite(drawn)]
    beyond = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    p_value = min(1.0, 2 * (int(beyond) + 1) / (len(defined) + 1))
    return Difference(difference=interval_of(value, drawn), p_value=p_value)


def mcnemar(first_right: npt.ArrayLike, second_right: npt.ArrayLike, patients: npt.ArrayLike) -> float:
    """Return the two-sided p-value that two models are right equally often.

    Exact where each patient has one sample, Durkalski's test else.
    """
    one, other = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    index = patient_index(patients)
    apart = one.astype(float) - other.astype(float)
    sizes = np.bincount(index)
    if sizes.max(initial=0) <= 1:
        gained, lost = int((apart > 0).sum()), int((apart < 0).sum())
        return float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    shares = np.bincount(index, weights=apart) / sizes
    spread = float(shares @ shares)
    return float(stats.chi2.sf(float(shares.sum()) ** 2 / spread, 1)) if spread else 1.0


def is_non_inferior(found: Interval, margin: float) -> bool:
    """Tell whether a difference (new minus old, more is better) surely is above minus the margin."""
    if margin <= 0:
        raise ValueError("the margin must be above 0 and set before the data are seen")
    return bool(found.low > -margin)


def drop(inside: Interval, outside: Interval) -> Interval:
    """Return how much worse it is elsewhere: inside minus outside, of independent patients.

    Newcombe's interval from the two (hybrid score, his method 10): never narrower than each asks for.

    References
    ----------
    R. G. Newcombe, Stat Med 17 (1998) 873.
    doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I
    G. Y. Zou, A. Donner, Stat Med 27 (2008) 1693, doi:10.1002/sim.3095.
    """
    value = inside.value - outside.value
    below = math.hypot(inside.value - inside.low, outside.high - outside.value)
    above = math.hypot(inside.high - inside.value, outside.value - outside.low)
    return Interval(value=value, low=value - below, high=value + above)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgroup:
    """One subgroup's score."""

    name: str
    samples: int
    patients: int
    #: None where there are too few patients to say anything.
    score: Interval | None


def score_subgroups(
    statistic: Statistic,
    values: Sequence[str],
    patients: npt.ArrayLike,
    *,
    classes: npt.ArrayLike | None = None,
    fewest: int = FEWEST_PATIENTS,
    seed: int = 0,
) -> tuple[Subgroup, ...]:
    """Score each subgroup, intervals widened so that together they hold 95 % of the time (Bonferroni).

    Parameters
    ----------
    values
        Which subgroup each sample is in, shape (n,).
    classes
        Where given, shape (n,): a subgroup needs ``fewest`` patients in each class of the whole set.
    """
    named, who = np.asarray(values), np.asarray(patients)
    names = sorted(set(named.tolist()))
    level = 1 - (1 - LEVEL) / len(names) if names else LEVEL
    found = []
    for name in names:
        members = named == name
        is_enough = _fewest_patients(who, members, classes) >= fewest
        score = bootstrap(within(statistic, members), who, seed=seed, level=level) if is_enough else None
        counts: Mapping[str, int] = {
            "samples": int(members.sum()),
            "patients": len(np.unique(who[members])),
        }
        found.append(Subgroup(name=name, score=score, **counts))
    return tuple(found)


def _fewest_patients(
    patients: npt.NDArray[np.generic], members: npt.NDArray[np.bool_], classes: npt.ArrayLike | None
) -> int:
    if classes is None:
        return len(np.unique(patients[members]))
    labels = np.asarray(classes)
    return min(len(np.unique(patients[members & (labels == one)])) for one in np.unique(labels))
