"""The threshold that gives what somebody wants, on the curve of a validation.

In: points of the curve, a wish.  Out: the point that fulfils it best.
Never: a threshold between the points; a wish that is nearly fulfilled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Aim(StrEnum):
    """What an operating point is chosen by."""

    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"
    #: Positive predictive value, at a prevalence.
    PPV = "ppv"
    #: Studies called positive, at a prevalence and a number of studies a day; of parts, marks; at most.
    ALERTS = "alerts a day"
    #: Of parts: marks that are wrong, an image; at most.
    FALSE_POSITIVES = "false positives an image"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """What a threshold gives."""

    threshold: float
    sensitivity: float
    specificity: float

    def alert_rate(self, prevalence: float) -> float:
        """Return the share of studies that are called positive."""
        return prevalence * self.sensitivity + (1 - prevalence) * (1 - self.specificity)

    def ppv(self, prevalence: float) -> float:
        """Return the share of alerts that are right, 0 where there are none."""
        rate = self.alert_rate(prevalence)
        return prevalence * self.sensitivity / rate if rate > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FrocPoint:
    """What a threshold on parts gives."""

    threshold: float
    #: Share of the true things that are found.
    sensitivity: float
    #: Of an image of the validation.
    false_positives: float

    def mark_rate(self, things: float) -> float:
        """Return the marks of a study that has so many true things on average."""
        return self.false_positives + things * self.sensitivity


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an operating point is to give."""

    aim: Aim
    value: float
    #: Of what is looked for, among the studies that are read; for PPV and alerts. Of parts: how many true
    #: things a study has on average.
    prevalence: float = 0.0
    #: For alerts.
    studies_a_day: float = 0.0

    @property
    def title(self) -> str:
        """The wish, for people."""
        if self.aim is Aim.PPV:
            return f"ppv {self.value:g} at prevalence {self.prevalence:g}"
        if self.aim is Aim.ALERTS:
            return f"{self.value:g} alerts a day at prevalence {self.prevalence:g}"
        if self.aim is Aim.FALSE_POSITIVES:
            return f"{self.value:g} {self.aim.value}"
        return f"{self.aim.value} {self.value:g}"

    def is_fulfilled(self, point: CurvePoint) -> bool:
        """Tell whether a threshold gives it."""
        if self.aim is Aim.SENSITIVITY:
            return point.sensitivity >= self.value
        if self.aim is Aim.SPECIFICITY:
            return point.specificity >= self.value
        if self.aim is Aim.PPV:
            return point.ppv(self.prevalence) >= self.value
        if self.aim is Aim.ALERTS:
            return point.alert_rate(self.prevalence) * self.studies_a_day <= self.value
        return False

    def is_fulfilled_by_parts(self, point: FrocPoint) -> bool:
        """Tell whether a threshold on parts gives it; what is said of whole studies it never does."""
        if self.aim is Aim.SENSITIVITY:
            return point.sensitivity >= self.value
        if self.aim is Aim.FALSE_POSITIVES:
            return point.false_positives <= self.value
        if self.aim is Aim.ALERTS:
            return point.mark_rate(self.prevalence) * self.studies_a_day <= self.value
        return False


def choose_parts_point(curve: Iterable[FrocPoint], wish: Wish) -> FrocPoint | None:
    """Return the threshold on parts that fulfils a wish and costs least of the rest; None: none does."""
    fulfilling = [one for one in curve if wish.is_fulfilled_by_parts(one)]
    if wish.aim is Aim.SENSITIVITY:
        return min(fulfilling, key=lambda one: (one.false_positives, -one.threshold), default=None)
    return max(fulfilling, key=lambda one: (one.sensitivity, one.threshold), default=None)


def choose_point(curve: Iterable[CurvePoint], wish: Wish) -> CurvePoint | None:
    """Return the threshold that fulfils a wish and costs least of the rest; None: none does."""
    fulfilling = [one for one in curve if wish.is_fulfilled(one)]
    if wish.aim is Aim.SENSITIVITY:
        return max(fulfilling, key=lambda one: (one.specificity, one.threshold), default=None)
    return max(fulfilling, key=lambda one: (one.sensitivity, one.threshold), default=None)
