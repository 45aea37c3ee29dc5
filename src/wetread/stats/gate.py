"""Whether scores reach what a model's package asks for.

In: wanted values, scores with their intervals.  Out: one ``Gate`` a metric.
Never: a gate met by an estimate without its interval; what was not scored taken for reached.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from wetread.stats.interval import Interval

#: Metrics of which less is better.
LESS_IS_BETTER = frozenset(
    {
        *("false_positives", "brier", "calibration_error", "hausdorff_mm", "hausdorff95_mm"),
        *("mean_absolute_error", "root_mean_squared_error"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One line of a package's ``[acceptance]``."""

    metric: str
    #: What the worse end of the interval must reach.
    wanted: float
    reached: float
    is_passed: bool


def hold_against(acceptance: Mapping[str, float], reached: Mapping[str, Interval]) -> tuple[Gate, ...]:
    """Hold scores against a gate: the worse end of each interval counts, what was not scored fails."""
    gates = []
    for metric, wanted in acceptance.items():
        is_less = metric in LESS_IS_BETTER
        found = reached.get(metric)
        end = math.nan if found is None else float(found.high if is_less else found.low)
        is_passed = end <= wanted if is_less else end >= wanted
        gates.append(Gate(metric=metric, wanted=wanted, reached=end, is_passed=is_passed))
    return tuple(gates)
