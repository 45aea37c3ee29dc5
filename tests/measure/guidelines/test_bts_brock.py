"""BTS 2015 and the Brock risk: every row, every threshold, the published formula."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.measure.guidelines.exams import PATIENT, ask, later, nodule, visit
from wetread.errors import InvalidExam
from wetread.measure.guidelines.brock import Predictors, brock_probability
from wetread.measure.guidelines.bts import doubling_days
from wetread.measure.guidelines.bts_rows import ROWS

HIGH = PATIENT | {"age": 80, "emphysema": True, "family_history": True}


def large(mean: float = 9, kind: str = "solid", **more: Any) -> dict[str, Any]:
    return nodule(kind, mean, upper_lobe=True, **more)


def risky(mean: float = 20, kind: str = "solid", **more: Any) -> dict[str, Any]:
    return large(mean, kind, features=["spiculation"], **more)


def small_risk(mean: float, kind: str = "solid", **more: Any) -> dict[str, Any]:
    return nodule(kind, mean, upper_lobe=False, **more)


CASES: list[tuple[dict[str, Any], dict[str, Any], str, tuple[int, int] | None]] = [
    (nodule("solid", 4.9), PATIENT, "solid-small", None),
    (nodule("solid", 5.0), PATIENT, "solid-5-to-6", (12, 12)),
    (nodule("solid", 5.9), PATIENT, "solid-5-to-6", (12, 12)),
    (nodule("solid", 6.0), PATIENT, "solid-6-to-8", (3, 3)),
    (nodule("solid", 7.9), PATIENT, "solid-6-to-8", (3, 3)),
    (nodule("solid", volume_mm3=79), PATIENT, "solid-small", None),
    (nodule("solid", volume_mm3=80), PATIENT, "solid-6-to-8", (3, 3)),
    (nodule("solid", volume_mm3=299), PATIENT, "solid-6-to-8", (3, 3)),
    (small_risk(8.0), PATIENT, "solid-large-low-risk", (3, 3)),
    (risky(20), HIGH, "solid-large-high-risk", None),
    (nodule("ground-glass", 4.9), PATIENT, "subsolid-small", None),
    (nodule("ground-glass", 5.0), PATIENT, "subsolid", (3, 3)),
]

#: 25 % in 124 days is a doubling in 385; in 130 days in 404; in 190 days in 590; in 200 days in 621.
GROWN = [
    (visit("2026-01-28", volume_mm3=100), 125, "solid-growing-fast"),
    (visit("2026-01-22", volume_mm3=100), 125, "solid-growing"),
    (visit("2025-11-23", volume_mm3=100), 125, "solid-growing"),
    (visit("2025-11-13", volume_mm3=100), 125, "solid-growing-slowly"),
    (visit("2026-01-28", volume_mm3=100), 124.9, "solid-unchanged-volume"),
]

AFTERWARDS: list[tuple[dict[str, Any], dict[str, Any], str, tuple[int, int] | None]] = [
    *(
        (
            nodule(
                "solid", volume_mm3=volume, status="growing" if "growing" in rule else "stable", history=[one]
            ),
            PATIENT,
            rule,
            (8, 8) if "unchanged" in rule else None,
        )
        for one, volume, rule in GROWN
    ),
    (
        nodule("solid", volume_mm3=100, status="stable", history=[visit("2025-06-01", volume_mm3=100)]),
        PATIENT,
        "solid-unchanged-volume-1-year",
        None,
    ),
    (
        nodule("solid", 7, history=[visit("2026-03-01", 7)]),
        PATIENT,
        "solid-unchanged-diameter-first-year",
        (9, 9),
    ),
    (nodule("solid", 7, history=[visit("2025-06-01", 7)]), PATIENT, "solid-unchanged-diameter", (12, 12)),
    (nodule("solid", 7, history=[visit("2024-06-01", 7)]), PATIENT, "solid-unchanged-diameter-2-years", None),
    (nodule("ground-glass", 8, history=[visit("2026-03-01", 6)]), PATIENT, "subsolid-growing", None),
    (
        nodule("part-solid", 8, history=[visit("2026-03-01", 8, solid_mean_diameter_mm=0)]),
        PATIENT,
        "subsolid-growing",
        None,
    ),
    (
        risky(20, "part-solid", history=[visit("2026-03-01", 20)]),
        HIGH,
        "subsolid-persistent-high-risk",
        None,
    ),
    (
        small_risk(6, "ground-glass", history=[visit("2026-03-01", 6)]),
        PATIENT,
        "subsolid-persistent-1-year",
        (9, 9),
    ),
    (
        small_risk(6, "ground-glass", history=[visit("2025-06-01", 6)]),
        PATIENT,
        "subsolid-persistent-2-years",
        (12, 12),
    ),
    (
        small_risk(6, "ground-glass", history=[visit("2024-06-01", 6)]),
        PATIENT,
        "subsolid-persistent-4-years",
        (24, 24),
    ),
    (small_risk(6, "ground-glass", history=[visit("2022-06-01", 6)]), PATIENT, "subsolid-persistent", None),
]


@pytest.mark.parametrize(("one", "patient", "rule", "months"), CASES)
def test_first(
    one: dict[str, Any], patient: dict[str, Any], rule: str, months: tuple[int, int] | None
) -> None:
    answer = ask("bts", one, patient=patient)
    assert answer.rule == rule
    assert (answer.next_exam.after_months if answer.next_exam else None) == months


@pytest.mark.parametrize(("one", "patient", "rule", "months"), AFTERWARDS)
def test_afterwards(
    one: dict[str, Any], patient: dict[str, Any], rule: str, months: tuple[int, int] | None
) -> None:
    answer = later("bts", one, patient=patient)
    assert answer.rule == rule
    assert (answer.next_exam.after_months if answer.next_exam else None) == months


def test_every_row_is_reached() -> None:
    assert {row.id for row in ROWS} == {rule for *_, rule, _ in (*CASES, *AFTERWARDS)}


@pytest.mark.parametrize("features", [["benign-calcification"], ["juxtapleural", "smooth", "lentiform"]])
def test_typical_benign_ones_are_discharged(features: list[str]) -> None:
    answer = ask("bts", nodule("solid", 9, features=features))
    assert answer.management == "Discharge."
    assert answer.next_exam is None


def test_doubling() -> None:
    assert doubling_days(Decimal("113.1"), Decimal("268.1"), 90) == Decimal("72.3")
    assert doubling_days(Decimal(100), Decimal(125), 365) == Decimal("1133.8")
    assert doubling_days(Decimal(100), Decimal("124.9"), 365) is None
    assert doubling_days(Decimal(100), Decimal(50), 365) is None


def test_brock_by_its_published_coefficients() -> None:
    average = Predictors(
        age=62,
        is_female=False,
        has_family_history=False,
        has_emphysema=False,
        size_mm=4.0,
        type="solid",
        is_in_upper_lobe=False,
        nodule_count=4,
        is_spiculated=False,
    )
    # At the means all terms but the intercept vanish: 1 / (1 + e^6.78917).
    assert brock_probability(average) == pytest.approx(0.0011245, abs=1e-6)


def test_brock_of_an_exam_and_the_highest_decides() -> None:
    answer = ask("brock", small_risk(4), risky(20), patient=HIGH)
    assert answer.nodule == "n2"
    assert answer.values["probability"] == answer.per_nodule[1].measured["probability"] > Decimal("0.3")


@pytest.mark.parametrize("lacks", ["age", "sex", "family_history", "emphysema"])
def test_a_missing_predictor_is_named(lacks: str) -> None:
    patient = {key: value for key, value in PATIENT.items() if key != lacks}
    with pytest.raises(InvalidExam) as caught:
        ask("brock", small_risk(9), patient=patient)
    assert caught.value.facts["field"] == f"patient.{lacks}"
