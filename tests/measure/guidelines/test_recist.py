"""RECIST 1.1: sums, thresholds and the table of overall responses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wetread.errors import InvalidExam
from wetread.measure.guidelines import Answer, ask_guideline
from wetread.measure.guidelines.answer import to_json
from wetread.measure.guidelines.recist import OVERALL


def target(number: int, *lengths: float | None, nodal: bool = False) -> dict[str, Any]:
    days = [f"2026-0{month + 1}-01" for month in range(len(lengths))]
    history = [{"date": day, "diameter_mm": one} for day, one in zip(days, lengths[:-1], strict=False)]
    return {
        "id": f"t{number}",
        "organ": f"organ {number}",
        "nodal": nodal,
        "diameter_mm": lengths[-1],
        "history": history,
    }


def ask(*targets: dict[str, Any], **more: Any) -> Answer:
    content = {"exam": {"date": "2026-09-01"}, "targets": list(targets)} | more
    return ask_guideline("recist", json.dumps(content))


@pytest.mark.parametrize(
    ("targets", "response"),
    [
        ([target(1, 30)], "baseline"),
        ([target(1, 100, 70)], "PR"),
        ([target(1, 100, 70.1)], "SD"),
        ([target(1, 100, 119.9)], "SD"),
        ([target(1, 100, 120)], "PD"),
        # Both of nadir: 20 %, and 5 mm.
        ([target(1, 100, 20, 24.9)], "PR"),
        ([target(1, 100, 20, 25)], "PD"),
        ([target(1, 100, 50, 60)], "PD"),
        ([target(1, 100, 0)], "CR"),
        ([target(1, 100, 0), target(2, 20, 9.9, nodal=True)], "CR"),
        ([target(1, 100, 0), target(2, 20, 10, nodal=True)], "PR"),
        ([target(1, 100, None)], "NE"),
    ],
)
def test_targets(targets: list[dict[str, Any]], response: str) -> None:
    assert ask(*targets).category == response


LENGTHS = {"CR": 0, "PR": 70, "SD": 90, "PD": 130}


@pytest.mark.parametrize(("case", "overall"), OVERALL.items())
def test_overall(case: tuple[str, str, bool], overall: str) -> None:
    answer = ask(target(1, 100, LENGTHS[case[0]]), non_targets=case[1], new_lesions=case[2])
    assert answer.category == overall


@pytest.mark.parametrize("more", [{"new_lesions": True}, {"non_targets": "PD"}])
@pytest.mark.parametrize("length", LENGTHS.values())
def test_new_lesions_and_unequivocal_progression(length: float, more: dict[str, Any]) -> None:
    assert ask(target(1, 100, length), **more).category == "PD"


def test_sums_are_told() -> None:
    told = to_json(ask(target(1, 60, 30, 40), target(2, 40, 20, 20)))
    assert told["sum_mm"] == 60
    assert told["baseline_sum_mm"] == 100
    assert told["nadir_sum_mm"] == 50
    assert told["change_from_baseline_percent"] == -40
    assert told["change_from_nadir_percent"] == 20


@pytest.mark.parametrize(
    ("targets", "field"),
    [
        ([], "targets"),
        ([target(number, 20) for number in range(6)], "targets"),
        ([target(1, 20) | {"id": str(number)} for number in range(3)], "targets"),
        ([target(1, 9.9)], "targets[0]"),
        ([target(1, 14.9, nodal=True)], "targets[0]"),
        ([target(1, 20, 20), target(2, 20)], "targets[1].history"),
    ],
)
def test_what_is_no_target_is_named(targets: list[dict[str, Any]], field: str) -> None:
    with pytest.raises(InvalidExam) as caught:
        ask(*targets)
    assert caught.value.facts["field"] == field
