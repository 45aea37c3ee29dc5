"""Brock (PanCan) risk that a nodule is cancer, model 2b with spiculation.

In: patient and nodules at a first CT.  Out: a probability for each nodule.
Never: a missing predictor taken for absent.

References
----------
McWilliams et al., N Engl J Med 2013;369:910, doi:10.1056/NEJMoa1214726 (table 2, full model with
spiculation).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import exp

from wetread.errors import InvalidExam
from wetread.measure.guidelines.answer import Answer, NoduleAnswer
from wetread.measure.guidelines.exam import Exam, Nodule

NAME = "Brock (PanCan) 2b"
_INTERCEPT = -6.78917
_AGE, _MEAN_AGE = 0.0286687, 62
_FEMALE, _FAMILY_HISTORY, _EMPHYSEMA = 0.6011, 0.296109, 0.2953112
_SIZE, _MEAN_SIZE = -5.385484, 1.58113883
_TYPE = {"solid": 0.0, "ground-glass": -0.1276, "part-solid": 0.3770}
_UPPER_LOBE, _SPICULATION = 0.6581383, 0.7729335
_COUNT, _MEAN_COUNT = -0.0824156, 4
_STEP = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictors:
    """What the formula takes."""

    age: float
    is_female: bool
    has_family_history: bool
    has_emphysema: bool
    size_mm: float
    type: str
    is_in_upper_lobe: bool
    nodule_count: int
    is_spiculated: bool


def brock_probability(one: Predictors) -> float:
    """Return the probability of cancer, 0 to 1."""
    score = (
        _INTERCEPT
        + _AGE * (one.age - _MEAN_AGE)
        + _FEMALE * one.is_female
        + _FAMILY_HISTORY * one.has_family_history
        + _EMPHYSEMA * one.has_emphysema
        + _SIZE * ((one.size_mm / 10) ** -0.5 - _MEAN_SIZE)
        + _TYPE[one.type]
        + _UPPER_LOBE * one.is_in_upper_lobe
        + _COUNT * (one.nodule_count - _MEAN_COUNT)
        + _SPICULATION * one.is_spiculated
    )
    return 1 / (1 + exp(-score))


def nodule_probability(exam: Exam, number: int) -> Decimal:
    """Return the probability of one nodule of an exam, to four digits.

    Raises
    ------
    InvalidExam
        Naming the predictor that is missing.
    """
    one = exam.nodules[number]
    size_mm = one.longest_diameter_mm or one.mean_diameter_mm
    place = f"nodules[{number}]"
    patient = exam.patient
    needed = {
        "patient.age": patient.age,
        "patient.sex": patient.sex,
        "patient.family_history": patient.family_history,
        "patient.emphysema": patient.emphysema,
        f"{place}.longest_diameter_mm": size_mm,
        f"{place}.upper_lobe": one.upper_lobe,
    }
    missing = next((name for name, value in needed.items() if value is None), None)
    if missing is not None:
        raise InvalidExam("The Brock risk needs this field", field=missing)
    probability = brock_probability(
        Predictors(
            age=float(patient.age or 0),
            is_female=patient.sex in {"F", "female"},
            has_family_history=bool(patient.family_history),
            has_emphysema=bool(patient.emphysema),
            size_mm=float(size_mm or 0),
            type=one.type,
            is_in_upper_lobe=bool(one.upper_lobe),
            nodule_count=len(_scored(exam)),
            is_spiculated="spiculation" in one.features,
        )
    )
    return Decimal(str(probability)).quantize(_STEP)


def ask_brock(exam: Exam) -> Answer:
    """Return the risk of each nodule; the one with the highest decides.

    Raises
    ------
    InvalidExam
        If a predictor is missing.
    """
    numbers = [number for number, one in enumerate(exam.nodules) if one in _scored(exam)]
    risks = {exam.nodules[number].id: nodule_probability(exam, number) for number in numbers}
    answers = tuple(
        NoduleAnswer(
            id=name,
            category=None,
            rule="brock-2b",
            management=f"Probability of cancer {float(risk):.1%}.",
            measured={"probability": risk},
        )
        for name, risk in risks.items()
    )
    if not risks:
        return Answer(guideline=NAME, category=None, rule="no-nodule", management="No nodule to estimate.")
    highest = max(risks, key=lambda name: risks[name])
    return Answer(
        guideline=NAME,
        category=None,
        rule="brock-2b",
        management=f"Highest probability of cancer {float(risks[highest]):.1%}. "
        "Made on screened smokers with baseline CT: it does not hold for known cancer or for growth.",
        nodule=highest,
        per_nodule=answers,
        values={"probability": risks[highest]},
    )


def _scored(exam: Exam) -> list[Nodule]:
    return [
        one for one in exam.nodules if one.type in _TYPE and one.status != "resolved" and not one.is_benign
    ]
