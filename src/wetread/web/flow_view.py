"""The flow of studies and the answers to alerts, as the department's page draws them.

In: rows of the store.  Out: small pictures' numbers, sentences.
Never: a share without its number and interval; who a patient is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from wetread.domain.alert import Alert, AlertState
from wetread.stats.interval import proportion
from wetread.stats.quantile import quantile
from wetread.store.flow import Stretch
from wetread.web.words import format_time
from wetread.worklist import describe_duration

DAY_S = 86400.0
#: More bars than this are weeks.
_MOST_BARS = 31
#: Of a picture, in its own units.
WIDTH, HEIGHT = 310.0, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of a picture, and what it stands for."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One kind of number over time."""

    what: str
    #: In words, for who sees no picture.
    told: str
    bars: tuple[Bar, ...]
    highest: int
    first_day: str
    last_day: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What became of alerts."""

    raised: int
    acknowledged: int
    #: Read or replaced before anybody acknowledged them.
    expired: int
    open: int
    #: Share acknowledged, with its 95 % interval.
    share: str
    #: Median time until somebody acknowledged, with its interval.
    median: str


def stretch_of(days: int) -> tuple[float, int]:
    """Return how long a bar is, in s, and how many there are."""
    width_days = 1 if days <= _MOST_BARS else 7
    return width_days * DAY_S, -(-days // width_days)


_SERIES: tuple[tuple[str, Callable[[Stretch], int]], ...] = (
    ("waiting for a reader", lambda one: one.waiting),
    ("arrived", lambda one: one.arrived),
    ("read by a model", lambda one: one.read),
    ("reported", lambda one: one.reported),
)


def draw(stretches: Sequence[Stretch]) -> tuple[Picture, ...]:
    """Return a picture for each kind of number."""
    return tuple(_picture(what, stretches, [part(one) for one in stretches]) for what, part in _SERIES)


def _picture(what: str, stretches: Sequence[Stretch], numbers: Sequence[int]) -> Picture:
    highest = max([1, *numbers])
    step = WIDTH / max(1, len(numbers))
    bars = tuple(
        Bar(
            x=round(place * step, 2),
            y=round(HEIGHT - HEIGHT * max(0, number) / highest, 2),
            width=round(step * 0.8, 2),
            height=round(HEIGHT * max(0, number) / highest, 2),
            title=f"{_day(one)}: {number}",
        )
        for place, (one, number) in enumerate(zip(stretches, numbers, strict=True))
    )
    is_stock = what.startswith("waiting")
    told = f"now {numbers[-1]}, at most {max(numbers)}" if is_stock else f"{sum(numbers)} in all"
    return Picture(
        what=what,
        told=told,
        bars=bars,
        highest=max(numbers),
        first_day=_day(stretches[0]),
        last_day=_day(stretches[-1]),
    )


def _day(stretch: Stretch) -> str:
    return format_time(stretch.begins_at)[:10]


def sum_up(alerts: Sequence[Alert]) -> Answers:
    """Return what became of these alerts."""
    states = [one.state for one in alerts]
    answered = [one for one in alerts if one.state is AlertState.ACKNOWLEDGED and one.ended_at is not None]
    # A clock that was set back makes nobody quicker than at once.
    waits = [max(0.0, (one.ended_at or 0.0) - one.raised_at) for one in answered]
    found = proportion([one in answered for one in alerts], [one.study_instance_uid for one in alerts])
    median = quantile(waits, 0.5)
    return Answers(
        raised=len(alerts),
        acknowledged=len(answered),
        expired=states.count(AlertState.EXPIRED),
        open=states.count(AlertState.OPEN),
        share=f"{found.value:.0%} ({found.low:.0%} to {found.high:.0%})" if alerts else "none yet",
        median=_span(median.value, median.low, median.high) if waits else "none yet",
    )


def _span(value: float, low: float, high: float) -> str:
    ends = [
        describe_duration(timedelta(seconds=one)) if math.isfinite(one) else "" for one in (value, low, high)
    ]
    interval = f"{ends[1]} to {ends[2]}" if ends[1] and ends[2] else "too few to say"
    return f"{ends[0]} ({interval})"
