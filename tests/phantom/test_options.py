from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from wetread.errors import ConfigError
from wetread.phantom import (
    NoduleKind,
    NoduleOptions,
    PatientOptions,
    PhantomOptions,
    PhantomPlan,
    Place,
    PleuralOptions,
    ScannerOptions,
    Shape,
    Side,
    VisitOptions,
    parse_nodule,
    parse_pleural,
    plan_options,
)


@pytest.mark.parametrize(
    "make",
    [
        lambda: NoduleOptions(diameter_mm=0.2),
        lambda: NoduleOptions(diameter_mm=8, core_fraction=0.95),
        lambda: PleuralOptions(side=Side.LEFT, volume_ml=0),
        lambda: VisitOptions(breath_mm=100),
        lambda: VisitOptions(growth={"n1": 0.0}),
        lambda: PatientOptions(emphysema_percent=90),
        lambda: PatientOptions(sex="X"),
        lambda: ScannerOptions(matrix=8),
        lambda: ScannerOptions(tilt_deg=(50.0, 0.0)),
        lambda: ScannerOptions(length_mm=1.0),
        lambda: PhantomOptions(seed=-1),
        lambda: PhantomOptions(visits=()),
        lambda: PhantomOptions(visits=(VisitOptions(growth={"n1": 2.0}),)),
        lambda: PhantomOptions(
            visits=(VisitOptions(date=date(2026, 2, 1)), VisitOptions(date=date(2026, 1, 1)))
        ),
        lambda: parse_nodule("big"),
        lambda: parse_nodule("8:liquid"),
        lambda: parse_nodule("8:solid:intrapulmonary:round:left:more"),
        lambda: parse_pleural("200:middle"),
        lambda: plan_options(PhantomPlan(visits=0)),
    ],
)
def test_impossible_wishes_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        make()


def test_nodule_text_names_each_part() -> None:
    assert parse_nodule("8.5:part-solid:juxtapleural:spiculated:left") == NoduleOptions(
        diameter_mm=8.5,
        kind=NoduleKind.PART_SOLID,
        place=Place.JUXTAPLEURAL,
        shape=Shape.SPICULATED,
        side=Side.LEFT,
    )
    assert parse_nodule("6") == NoduleOptions(diameter_mm=6.0)
    assert parse_nodule("6::perivascular").place is Place.PERIVASCULAR


def test_pleural_text_names_volume_and_side() -> None:
    assert parse_pleural("") is None
    assert parse_pleural("250") == PleuralOptions(side=Side.RIGHT, volume_ml=250.0)
    assert parse_pleural("250:left") == PleuralOptions(side=Side.LEFT, volume_ml=250.0)


def test_plan_without_wishes_is_a_handful_of_solid_nodules() -> None:
    for seed in range(20):
        options = plan_options(PhantomPlan(seed=seed))
        assert options.nodules is not None
        assert 4 <= len(options.nodules) <= 8
        assert all(nodule.kind is NoduleKind.SOLID for nodule in options.nodules)
        assert all(5.0 <= nodule.diameter_mm <= 20.0 for nodule in options.nodules)
        assert options.scanner.step_mm == options.scanner.thickness_mm == 1.25
        assert len(options.visits) == 1


def test_plan_of_three_visits_compounds_growth_and_ends_with_the_pneumothorax() -> None:
    plan = PhantomPlan(visits=3, nodules=("6", "8", "10"), growth=2.0, resolved=1, pneumothorax="90:left")
    first, second, third = plan_options(plan).visits
    assert (second.date - first.date).days == (third.date - second.date).days == 90
    assert second.growth == {"n1": 2.0}
    assert third.growth == {"n1": 4.0}
    assert second.resolved == ("n3",)
    assert len(second.new_nodules) == 1
    assert third.new_nodules == ()
    assert first.pneumothorax is None
    assert second.pneumothorax is None
    assert third.pneumothorax == PleuralOptions(side=Side.LEFT, volume_ml=90.0)
