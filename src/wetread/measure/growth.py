"""How a nodule has changed between two CTs, and whether that is more than measuring varies.

In: a nodule in two scans, the days between.  Out: changes in percent with their interval, doubling time.
Never: a doubling time where nothing is known to have grown; two algorithm versions compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from wetread.measure.outline import Texture
from wetread.measure.repeatability import Look, Repeatability

#: Growth of a nodule as BTS counts it (Callister et al. 2015, doi:10.1136/thoraxjnl-2015-207168): 25 % of
#: volume; a fifth less is the same the other way round.
GROWN, SHRUNK = 1.25, 0.8


class Trend(StrEnum):
    """Words of the guidelines (``guidelines.exam.STATUSES``)."""

    GROWING = "growing"
    STABLE = "stable"
    DECREASED = "decreased"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """A nodule in one scan."""

    volume_mm3: float
    mean_diameter_mm: float
    mean_hu: float
    texture: Texture
    #: Share of its surface on vessels or the pleura.
    attached: float
    #: Distance of the scan's planes.
    step_mm: float

    @property
    def mass_mg(self) -> float:
        """Volume times density, air weighing nothing (de Hoop et al. 2010, doi:10.1148/radiol.09090571)."""
        return self.volume_mm3 * max(self.mean_hu + 1000.0, 1.0) / 1000.0

    @property
    def look(self) -> Look:
        """What decides how well it can be measured."""
        return Look(
            volume_mm3=self.volume_mm3, step_mm=self.step_mm, texture=self.texture, attached=self.attached
        )


def join(parts: list[Sized]) -> Sized:
    """Return the pieces of one nodule as one: volumes add up, so do masses."""
    if len(parts) == 1:
        return parts[0]
    volume = sum(one.volume_mm3 for one in parts)
    largest = max(parts, key=lambda one: one.volume_mm3)
    return Sized(
        volume_mm3=volume,
        mean_diameter_mm=largest.mean_diameter_mm * (volume / largest.volume_mm3) ** (1 / 3),
        mean_hu=sum(one.volume_mm3 * one.mean_hu for one in parts) / volume,
        texture=largest.texture,
        attached=max(one.attached for one in parts),
        step_mm=largest.step_mm,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From the prior scan to the current one, percent of the prior."""

    volume_percent: float
    volume_ci95: tuple[float, float]
    mean_diameter_mm: float
    mean_diameter_percent: float
    mass_percent: float
    density_percent: float
    #: None where the two scans show another type of nodule and another volume: which one errs is not known.
    trend: Trend | None
    #: None where it has not grown, where growth lies within what measuring varies, or on the same day.
    doubling_time_days: float | None


def measure_change(prior: Sized, current: Sized, days: int | None, model: Repeatability) -> Change:
    """Measure the change.

    Parameters
    ----------
    days
        From the prior to the current scan; None: not known.
    """
    growth = math.log(current.volume_mm3 / prior.volume_mm3)
    margin = model.margin(prior.look, current.look)
    low, high = growth - margin, growth + margin
    return Change(
        volume_percent=_percent(growth),
        volume_ci95=(_percent(low), _percent(high)),
        mean_diameter_mm=current.mean_diameter_mm - prior.mean_diameter_mm,
        mean_diameter_percent=100.0 * (current.mean_diameter_mm / prior.mean_diameter_mm - 1.0),
        mass_percent=100.0 * (current.mass_mg / prior.mass_mg - 1.0),
        density_percent=100.0 * (_density(current) / _density(prior) - 1.0),
        trend=_trend(growth, low, high, is_like=prior.texture is current.texture),
        doubling_time_days=days * math.log(2.0) / growth if days and low > 0.0 else None,
    )


def _percent(logarithm: float) -> float:
    return 100.0 * math.expm1(logarithm)


def _density(one: Sized) -> float:
    return one.mass_mg / one.volume_mm3


def _trend(growth: float, low: float, high: float, *, is_like: bool) -> Trend | None:
    if growth >= math.log(GROWN) and low > 0.0:
        return Trend.GROWING
    if growth <= math.log(SHRUNK) and high < 0.0:
        return Trend.DECREASED
    is_alike = math.log(SHRUNK) < growth < math.log(GROWN)
    return Trend.STABLE if is_like or is_alike else None


def measure_doubling(
    points: Sequence[tuple[float, float]], like: Sized, model: Repeatability
) -> float | None:
    """Return the doubling time over any number of visits, days; None where growth is not sure.

    The line of ln volume over time, by least squares; growth is sure where its slope is more than what
    measuring varies could make of it.

    Parameters
    ----------
    points
        Day and volume in mm3 of each visit.
    like
        The nodule as it is now: what decides how well it can be measured.
    """
    days = np.array([day for day, _ in points], dtype=float)
    logs = np.log([volume for _, volume in points])
    away = days - days.mean()
    spread = float(np.sum(away**2))
    if spread == 0.0:
        return None
    slope = float(np.sum(away * logs)) / spread
    # Each scan with its own size would be nearer the truth by little.
    error = model.width(like.look.texture) * model.sd(like.look) / math.sqrt(spread)
    return math.log(2.0) / slope if slope > error else None
