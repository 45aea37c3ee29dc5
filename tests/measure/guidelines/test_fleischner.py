"""Fleischner 2017: every row, every threshold."""

from __future__ import annotations

from typing import Any

import pytest

from tests.measure.guidelines.exams import PATIENT, ask, later, nodule, visit
from wetread.errors import InvalidExam
from wetread.measure.guidelines.fleischner_rows import FIRST, GROWING, UNCHANGED

HIGH = PATIENT | {"risk": "high"}
HERE = [
    # Types and mean diameters (5.4 is 5, 5.5 is 6, 8.4 is 8, 8.5 is 9), patient, rule, months.
    ([("solid", 5.4)], PATIENT, "solid-single-below-6-low", None),
    ([("solid", 5.4)], HIGH, "solid-single-below-6-high", (12, 12)),
    ([("solid", 5.5)], PATIENT, "solid-single-6-to-8-low", (6, 12)),
    ([("solid", 8.4)], HIGH, "solid-single-6-to-8-high", (6, 12)),
    ([("solid", 8.5)], PATIENT, "solid-single-above-8", (3, 3)),
    ([("solid", 5), ("solid", 4)], PATIENT, "solid-multiple-below-6-low", None),
    ([("solid", 5), ("solid", 4)], HIGH, "solid-multiple-below-6-high", (12, 12)),
    ([("solid", 6), ("solid", 4)], PATIENT, "solid-multiple-from-6-low", (3, 6)),
    ([("solid", 20), ("solid", 4)], HIGH, "solid-multiple-from-6-high", (3, 6)),
    ([("ground-glass", 5.4)], PATIENT, "ground-glass-single-below-6", None),
    ([("ground-glass", 5.5)], PATIENT, "ground-glass-single-from-6", (6, 12)),
    ([("part-solid", 5.4)], PATIENT, "part-solid-single-below-6", None),
    ([("part-solid", 5.5)], PATIENT, "part-solid-single-from-6", (3, 6)),
    ([("part-solid", 5), ("ground-glass", 5)], PATIENT, "subsolid-multiple-below-6", (3, 6)),
    ([("part-solid", 7), ("ground-glass", 5)], PATIENT, "subsolid-multiple-from-6", (3, 6)),
    # One of each: neither is multiple of its kind.
    ([("solid", 5), ("ground-glass", 7)], PATIENT, "ground-glass-single-from-6", (6, 12)),
]


@pytest.mark.parametrize(("seen", "patient", "rule", "months"), HERE)
def test_at_the_first_exam(
    seen: list[tuple[str, float]], patient: dict[str, Any], rule: str, months: tuple[int, int] | None
) -> None:
    answer = ask("fleischner", *(nodule(kind, mean) for kind, mean in seen), patient=patient)
    assert answer.rule == rule
    assert (answer.next_exam.after_months if answer.next_exam else None) == months


@pytest.mark.parametrize(
    ("volume", "rule"),
    [
        (99, "solid-single-below-6-low"),
        (100, "solid-single-6-to-8-low"),
        (250, "solid-single-6-to-8-low"),
        (251, "solid-single-above-8"),
    ],
)
def test_volumes(volume: float, rule: str) -> None:
    assert ask("fleischner", nodule("solid", volume_mm3=volume)).rule == rule


def since(day: str, mean: float, **more: Any) -> list[dict[str, Any]]:
    return [visit(day, mean, **more)]


FIRST_DAY, TWO_YEARS, FIVE_YEARS = "2025-12-01", "2024-06-01", "2021-06-01"
AFTERWARDS = [
    ([nodule("solid", 5, history=since(FIRST_DAY, 5))], PATIENT, "below-6-unchanged", None),
    ([nodule("solid", 7, history=since(FIRST_DAY, 7))], PATIENT, "solid-unchanged-low", (12, 18)),
    ([nodule("solid", 7, history=since(FIRST_DAY, 7))], HIGH, "solid-unchanged-high", (12, 18)),
    ([nodule("solid", 7, history=since(TWO_YEARS, 7))], HIGH, "solid-unchanged-18-months", None),
    ([nodule("ground-glass", 7, history=since(FIRST_DAY, 7))], PATIENT, "ground-glass-unchanged", (24, 24)),
    ([nodule("ground-glass", 7, history=since(FIVE_YEARS, 7))], PATIENT, "subsolid-unchanged-5-years", None),
    (
        [nodule("part-solid", 9, solid_mean_diameter_mm=6, history=since(FIRST_DAY, 9))],
        PATIENT,
        "part-solid-persistent-solid-part-from-6",
        None,
    ),
    (
        [nodule("part-solid", 9, solid_mean_diameter_mm=5.4, history=since(FIRST_DAY, 9))],
        PATIENT,
        "part-solid-persistent-solid-part-below-6",
        (12, 12),
    ),
    ([nodule("ground-glass", 5, history=since(FIRST_DAY, 5))], PATIENT, "subsolid-below-6-unchanged", None),
    (
        [nodule("ground-glass", 5, history=since(FIRST_DAY, 5)) for _ in range(2)],
        PATIENT,
        "subsolid-multiple-below-6-unchanged-2-years",
        (18, 18),
    ),
    (
        [nodule("ground-glass", 5, history=since(TWO_YEARS, 5)) for _ in range(2)],
        PATIENT,
        "subsolid-multiple-below-6-unchanged-4-years",
        (24, 24),
    ),
    ([nodule("solid", 8, history=since(FIRST_DAY, 6))], PATIENT, "solid-growing", None),
    ([nodule("ground-glass", 8, history=since(FIRST_DAY, 6))], PATIENT, "ground-glass-growing", None),
    ([nodule("part-solid", 8, history=since(FIRST_DAY, 6))], PATIENT, "part-solid-growing", None),
    # Growth is 2 mm or more.
    ([nodule("solid", 7.9, history=since(FIRST_DAY, 6))], PATIENT, "solid-unchanged-low", (12, 18)),
]


@pytest.mark.parametrize(("seen", "patient", "rule", "months"), AFTERWARDS)
def test_afterwards(
    seen: list[dict[str, Any]], patient: dict[str, Any], rule: str, months: tuple[int, int] | None
) -> None:
    answer = later("fleischner", *seen, patient=patient)
    assert answer.rule == rule
    assert (answer.next_exam.after_months if answer.next_exam else None) == months


def test_every_row_is_reached() -> None:
    reached = {rule for *_, rule, _ in HERE} | {rule for *_, rule, _ in AFTERWARDS}
    assert {row.id for row in (*FIRST, *UNCHANGED, *GROWING)} <= reached


@pytest.mark.parametrize(
    ("exam", "patient", "field"),
    [
        ({"context": "screening"}, PATIENT, "exam.context"),
        ({}, PATIENT | {"age": 34}, "patient.age"),
        ({}, {"age": 60}, "patient.risk"),
    ],
)
def test_whom_it_is_not_for(exam: dict[str, Any], patient: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidExam) as caught:
        ask("fleischner", nodule("solid", 7), patient=patient, **exam)
    assert caught.value.facts["field"] == field


def test_risk_is_not_asked_for_what_does_not_hang_on_it() -> None:
    assert ask("fleischner", nodule("solid", 9), patient={}).rule == "solid-single-above-8"
