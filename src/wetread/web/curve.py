"""How a finding has grown, as a curve: volume over the days, one step up the scale for each doubling.

In: volumes of all visits, what measuring varies.  Out: places on a drawing.
Never: a line that was not measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from wetread.compose.wording import measurement_text
from wetread.domain.comparison import PriorComparison

WIDTH, HEIGHT = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 40.0, 16.0, 30.0
#: What is shown reaches over so many doublings at least: what has not changed looks it.
_LEAST_DOUBLINGS = 3.0
#: More are thinned out, so that their numbers do not touch.
_MOST_STEPS = 6
_NEAR = 56.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Visited:
    """A finding at one visit."""

    day: date
    volume_mm3: float
    #: 95 %: what measuring alone varies.
    low_mm3: float
    high_mm3: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PointView:
    """One visit on the drawing."""

    x: float
    y: float
    low_y: float
    high_y: float
    #: ``2026-01-12``; of roles without names only the year.
    day: str
    volume: str
    #: Whether there is room for its day below.
    is_labelled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One line of the scale."""

    y: float
    volume: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveView:
    """A drawing of ``WIDTH`` x ``HEIGHT``."""

    points: tuple[PointView, ...]
    steps: tuple[StepView, ...]
    #: Points of the line from visit to visit, as SVG counts them.
    line: str
    #: The line of the doubling time, from left to right; ``""`` where none is known.
    doubling: str
    doubling_words: str

    def without_days(self) -> CurveView:
        """Return it with years in place of days."""
        return replace(self, points=tuple(replace(one, day=one.day[:4]) for one in self.points))


def list_visits(prior: PriorComparison, volume_mm3: float) -> tuple[Visited, ...]:
    """Return all visits whose day is known, oldest first; none where the interval is not known.

    The interval of a change is that of two measurements that vary alike: each has its share of it.
    """
    if prior.interval_days is None or not prior.studied_on:
        return ()
    change, (low, high) = prior.volume_change_percent, prior.volume_change_ci95
    spread = math.log((100.0 + high) / max(100.0 + low, 1e-6)) / 2 if change > -100.0 else 0.0
    share = math.exp(spread / math.sqrt(2.0))
    last = date.fromisoformat(prior.studied_on) + timedelta(days=prior.interval_days)
    known = [(date.fromisoformat(one.studied_on), one.volume_mm3) for one in prior.history if one.studied_on]
    return tuple(
        Visited(day=day, volume_mm3=volume, low_mm3=volume / share, high_mm3=volume * share)
        for day, volume in (*known, (last, volume_mm3))
        if volume > 0.0
    )


def draw_curve(visits: Sequence[Visited], doubling_days: float | None) -> CurveView | None:
    """Return the drawing; None where there is nothing to be joined."""
    if len(visits) < 2 or visits[0].day == visits[-1].day:
        return None
    scale = _Scale.around(visits)
    points = [scale.point(one) for one in visits]
    last = max(index for index, _ in enumerate(points))
    shown = [
        replace(one, is_labelled=index in (0, last) or _has_room(points, index))
        for index, one in enumerate(points)
    ]
    return CurveView(
        points=tuple(shown),
        steps=scale.steps(visits[0].volume_mm3),
        line=" ".join(f"{one.x},{one.y}" for one in points),
        doubling=scale.slope(visits, doubling_days) if doubling_days else "",
        doubling_words=f"doubles in {doubling_days:.0f} days" if doubling_days else "",
    )


def _has_room(points: Sequence[PointView], index: int) -> bool:
    return all(abs(points[end].x - points[index].x) >= _NEAR for end in (0, -1, index - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """Days to the right, doublings upwards."""

    first: date
    days: int
    #: log2 of mm3 at the lower edge, and how many doublings the drawing is high.
    low: float
    doublings: float

    @classmethod
    def around(cls, visits: Sequence[Visited]) -> _Scale:
        low = math.log2(min(one.low_mm3 for one in visits))
        high = math.log2(max(one.high_mm3 for one in visits))
        extra = max(0.0, _LEAST_DOUBLINGS - (high - low)) / 2 + 0.1
        return cls(
            first=visits[0].day,
            days=(visits[-1].day - visits[0].day).days,
            low=low - extra,
            doublings=high - low + 2 * extra,
        )

    def x(self, day: date) -> float:
        share = (day - self.first).days / self.days
        return round(_LEFT + 12 + share * (WIDTH - _LEFT - _RIGHT - 24), 1)

    def y(self, volume_mm3: float) -> float:
        share = (math.log2(volume_mm3) - self.low) / self.doublings
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)

    def point(self, one: Visited) -> PointView:
        return PointView(
            x=self.x(one.day),
            y=self.y(one.volume_mm3),
            low_y=self.y(one.low_mm3),
            high_y=self.y(one.high_mm3),
            day=one.day.isoformat(),
            volume=measurement_text("volume_mm3", one.volume_mm3),
            is_labelled=False,
        )

    def steps(self, from_mm3: float) -> tuple[StepView, ...]:
        """Return the lines: the first visit's volume, its doubles and its halves."""
        base = math.log2(from_mm3)
        first, last = math.ceil(self.low - base), math.floor(self.low + self.doublings - base)
        apart = max(1, math.ceil((last - first + 1) / _MOST_STEPS))
        powers = [one for one in range(first, last + 1) if one % apart == 0]
        volumes = [from_mm3 * 2.0**one for one in powers]
        return tuple(StepView(y=self.y(one), volume=measurement_text("volume_mm3", one)) for one in volumes)

    def slope(self, visits: Sequence[Visited], doubling_days: float) -> str:
        """Return the line of a doubling time through the middle of all visits."""
        ages = [(one.day - self.first).days for one in visits]
        middle = sum(math.log2(one.volume_mm3) for one in visits) / len(visits)
        start = middle - sum(ages) / len(ages) / doubling_days
        ends = (self.first, start), (visits[-1].day, start + self.days / doubling_days)
        return " ".join(f"{self.x(day)},{self.y(2.0**log)}" for day, log in ends)
