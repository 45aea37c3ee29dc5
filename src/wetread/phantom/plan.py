"""Short wishes, as a command line gives them, to full options; and the patient of the demo.

In: ``PhantomPlan``, all of it optional.  Out: ``PhantomOptions``.  Never: images.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

import numpy as np

from wetread.errors import ConfigError
from wetread.phantom.options import (
    NoduleKind,
    NoduleOptions,
    PatientOptions,
    PhantomOptions,
    Place,
    PleuralOptions,
    ScannerOptions,
    Shape,
    Side,
    VisitOptions,
)

_Word = TypeVar("_Word", bound=StrEnum)

#: Coarse images for tests and first looks: a few seconds a visit.
SMALL_SCANNER = ScannerOptions(matrix=256, spacing_mm=1.4, thickness_mm=2.5, step_mm=2.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomPlan:
    """Flat wishes; what is left out is drawn from the seed."""

    seed: int = 0
    visits: int = 1
    #: Days from one visit to the next.
    interval_days: int = 90
    #: Each ``DIAMETER[:KIND[:PLACE[:SHAPE[:SIDE]]]]``, e.g. ``8:part-solid:juxtapleural:spiculated:left``;
    #: empty: four to eight solid ones of 5 to 20 mm.
    nodules: tuple[str, ...] = ()
    #: No nodules at all.
    healthy: bool = False
    #: Volume factor from each visit to the next, for every other nodule of the first visit, from the first.
    growth: float = 1.5
    #: How many nodules appear at the second visit, and how many of the first visit are gone by then.
    new: int = 1
    resolved: int = 0
    #: At the last visit: ``ML[:SIDE]``; empty: none.
    pneumothorax: str = ""
    effusion: str = ""
    emphysema_percent: float = 0.0
    scanner: ScannerOptions = field(default_factory=ScannerOptions)


def parse_nodule(text: str) -> NoduleOptions:
    """Read ``DIAMETER[:KIND[:PLACE[:SHAPE[:SIDE]]]]``; empty parts stand for the usual.

    Raises
    ------
    ConfigError
        If a part is not known.
    """
    parts = [*text.split(":"), "", "", "", ""]
    if len(parts) > 9:
        raise ConfigError("A nodule is DIAMETER[:KIND[:PLACE[:SHAPE[:SIDE]]]]", given=text)
    return NoduleOptions(
        diameter_mm=_number(parts[0], text),
        kind=_word(parts[1] or "solid", NoduleKind),
        place=_word(parts[2] or "intrapulmonary", Place),
        shape=_word(parts[3] or "round", Shape),
        side=_word(parts[4], Side) if parts[4] else None,
    )


def parse_pleural(text: str) -> PleuralOptions | None:
    """Read ``ML[:SIDE]``, right where no side is given; None where empty.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    if not text:
        return None
    volume, _, side = text.partition(":")
    return PleuralOptions(side=_word(side or "right", Side), volume_ml=_number(volume, text))


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError("Not a number", given=whole) from error


def _word(text: str, expected: type[_Word]) -> _Word:
    try:
        return expected(text)
    except ValueError as error:
        known = ", ".join(word.value for word in expected)
        raise ConfigError(f"Not one of {known}", given=text) from error


def plan_options(plan: PhantomPlan) -> PhantomOptions:
    """Return the full options of a plan.

    Raises
    ------
    ConfigError
        If the wishes cannot be understood or contradict each other.
    """
    if plan.visits < 1:
        raise ConfigError("At least one visit", visits=plan.visits)
    nodules = _first_nodules(plan)
    return PhantomOptions(
        seed=plan.seed,
        patient=PatientOptions(emphysema_percent=plan.emphysema_percent),
        scanner=plan.scanner,
        nodules=nodules,
        visits=tuple(_visit(plan, index, len(nodules)) for index in range(plan.visits)),
    )


def _first_nodules(plan: PhantomPlan) -> tuple[NoduleOptions, ...]:
    if plan.healthy:
        return ()
    if plan.nodules:
        return tuple(parse_nodule(text) for text in plan.nodules)
    return draw_nodules(np.random.default_rng([plan.seed, 4]))


def draw_nodules(rng: np.random.Generator) -> tuple[NoduleOptions, ...]:
    """Draw a handful: four to eight solid nodules of 5 to 20 mm."""
    places = (Place.INTRAPULMONARY, Place.JUXTAPLEURAL, Place.PERIVASCULAR)
    return tuple(
        NoduleOptions(
            diameter_mm=round(float(rng.uniform(5.0, 20.0)), 1),
            kind=NoduleKind.SOLID,
            place=places[int(rng.choice(3, p=[0.55, 0.25, 0.20]))],
        )
        for _ in range(int(rng.integers(4, 9)))
    )


def _visit(plan: PhantomPlan, index: int, nodules: int) -> VisitOptions:
    rng = np.random.default_rng([plan.seed, 11, index])
    last = index == plan.visits - 1
    day = VisitOptions().date + timedelta(days=index * plan.interval_days)
    air = parse_pleural(plan.pneumothorax) if last else None
    fluid = parse_pleural(plan.effusion) if last else None
    if index == 0:
        return VisitOptions(date=day, pneumothorax=air, effusion=fluid)
    gone = tuple(f"n{nodules - number}" for number in range(min(plan.resolved, nodules)))
    fresh = plan.new if index == 1 and not plan.healthy else 0
    growing = range(1, nodules + 1 - len(gone), 2)
    turn, shift = rng.normal(size=3) * (1.0, 1.0, 2.0), rng.normal(size=3) * (4.0, 3.0, 6.0)
    return VisitOptions(
        date=day,
        rotation_deg=(float(turn[0]), float(turn[1]), float(turn[2])),
        shift_mm=(float(shift[0]), float(shift[1]), float(shift[2])),
        breath_mm=float(rng.uniform(-4.0, 12.0)),
        deformation_mm=2.0,
        growth={f"n{number}": plan.growth**index for number in growing} if plan.growth != 1.0 else {},
        new_nodules=tuple(
            NoduleOptions(diameter_mm=round(float(rng.uniform(6.0, 10.0)), 1)) for _ in range(fresh)
        ),
        resolved=gone if index == 1 else (),
        pneumothorax=air,
        effusion=fluid,
    )


def demo_options(*, small: bool = False, seed: int = 7) -> PhantomOptions:
    """Return the patient of the demo: one nodule grows, one is new, then a pneumothorax."""
    plan = PhantomPlan(
        seed=seed,
        visits=2,
        nodules=("9", "12:solid:juxtapleural:lobulated:left", "7:solid:perivascular"),
        growth=1.9,
        pneumothorax="350:right",
        scanner=SMALL_SCANNER if small else ScannerOptions(),
    )
    options = plan_options(plan)
    first, second = options.visits
    return replace(options, visits=(first, replace(second, growth={"n1": 1.9})))
