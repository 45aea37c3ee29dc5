"""Exams as JSON has them, for tests of the guidelines."""

from __future__ import annotations

import json
from typing import Any

from wetread.measure.guidelines import Answer, ask_guideline

DAY = "2026-06-01"
PATIENT = {"age": 62, "sex": "F", "risk": "low", "family_history": False, "emphysema": False}


def nodule(kind: str = "solid", mean: float | None = None, **more: Any) -> dict[str, Any]:
    one = {"id": "n1", "type": kind, **more}
    if mean is not None:
        one["mean_diameter_mm"] = mean
    return one


def visit(day: str, mean: float | None = None, **more: Any) -> dict[str, Any]:
    return {"date": day, **({} if mean is None else {"mean_diameter_mm": mean}), **more}


def ask(name: str, *nodules: dict[str, Any], patient: dict[str, Any] | None = None, **exam: Any) -> Answer:
    for number, one in enumerate(nodules, 1):
        one["id"] = f"n{number}"
    content = {
        "exam": {"date": DAY, "kind": "baseline"} | exam,
        "patient": PATIENT if patient is None else patient,
        "nodules": list(nodules),
    }
    return ask_guideline(name, json.dumps(content))


def later(name: str, *nodules: dict[str, Any], **exam: Any) -> Answer:
    return ask(name, *nodules, kind="follow-up", **exam)
