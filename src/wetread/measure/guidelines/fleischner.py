"""Fleischner Society 2017: nodules found by chance.

In: an exam of an adult of 35 years or more, without known cancer and not immunosuppressed, not for screening.
Out: what is recommended, and when the next exam is due.
Never: an answer for screening or for somebody younger.

Sizes are the mean diameter to the whole millimetre. The most suspicious nodule guides. Marks as in
``lung_rads``.

References
----------
MacMahon et al., Radiology 2017;284:228, doi:10.1148/radiol.2017161659.
"""

from __future__ import annotations

from decimal import Decimal

from wetread.errors import InvalidExam
from wetread.measure.guidelines.answer import Answer, NoduleAnswer, make_next_exam, months_between
from wetread.measure.guidelines.change import find_growth, round_mm, round_mm3
from wetread.measure.guidelines.exam import Exam, Nodule
from wetread.measure.guidelines.fleischner_rows import FIRST, GROWING, NONE, SOLID, SUBSOLID, UNCHANGED, Row
from wetread.measure.guidelines.table import ANY

NAME = "Fleischner 2017"
YOUNGEST = 35
GROWTH_MM = Decimal(2)
_WHOLE_MM = Decimal(1)


def ask_fleischner(exam: Exam) -> Answer:
    """Return what the Fleischner Society recommends.

    Raises
    ------
    InvalidExam
        If the exam or the patient is outside of what it is for, or a rule needs a field that is not there.
    """
    _check(exam)
    found = tuple(_ask_nodule(exam, number) for number in range(len(exam.nodules)))
    rows = [(row, nodule, months) for row, nodule, months in found if row is not None]
    answers = tuple(answer for _row, answer, _months in found)
    if not rows:
        return Answer(guideline=NAME, category=None, rule="no-nodule", management=NONE, per_nodule=answers)
    row, nodule, months = max(rows, key=lambda one: one[0].rank)
    return Answer(
        guideline=NAME,
        category=None,
        rule=row.id,
        management=row.management,
        nodule=nodule.id,
        next_exam=make_next_exam(exam.date, months),
        per_nodule=answers,
    )


def _check(exam: Exam) -> None:
    if exam.context == "screening":
        raise InvalidExam("Fleischner is not for screening: ask lung-rads", field="exam.context")
    if exam.patient.age is not None and exam.patient.age < YOUNGEST:
        raise InvalidExam(
            "Fleischner is for patients of 35 years or more: a chest physician decides", field="patient.age"
        )


def _ask_nodule(exam: Exam, number: int) -> tuple[Row | None, NoduleAnswer, tuple[int, int] | None]:
    one = exam.nodules[number]
    if one.type not in {"solid", "part-solid", "ground-glass"}:
        return None, _plain(one, "not-covered", "Fleischner says nothing of this kind.", ""), None
    status = find_growth(exam, number, GROWTH_MM)
    if status == "resolved" or one.is_benign:
        return None, _plain(one, "benign-or-resolved", NONE, status), None
    if one.mean_diameter_mm is None and one.volume_mm3 is None:
        raise InvalidExam("The field is needed (or volume_mm3)", field=f"nodules[{number}].mean_diameter_mm")
    elapsed = _elapsed_months(exam, one)
    row = _find(exam, number, status, elapsed)
    months = row.after_months
    if months is not None and row.counts_from_first:
        months = (max(months[0] - elapsed, 0), max(months[1] - elapsed, 0))
    notes = () if row.mark == "R" else ("This row is from memory [M]: check it.",)
    answer = NoduleAnswer(
        id=one.id,
        category=None,
        rule=row.id,
        management=row.management,
        status=status,
        measured=_measured(one),
        notes=notes,
    )
    return row, answer, months


def _plain(one: Nodule, rule: str, management: str, status: str) -> NoduleAnswer:
    return NoduleAnswer(id=one.id, category=None, rule=rule, management=management, status=status)


def _find(exam: Exam, number: int, status: str, elapsed: int) -> Row:
    one = exam.nodules[number]
    table = GROWING if status == "growing" else UNCHANGED if status in {"stable", "decreased"} else FIRST
    if table is UNCHANGED and one.type == "part-solid" and one.solid_mean_diameter_mm is None:
        raise InvalidExam(
            "The field is needed for a part-solid nodule that persists",
            field=f"nodules[{number}].solid_mean_diameter_mm",
        )
    is_multiple = _is_multiple(exam, one)
    for row in table:
        if one.type in row.types and _fits(row, one, elapsed) and row.is_multiple in (None, is_multiple):
            if not row.risks:
                return row
            if exam.patient.risk is None:
                raise InvalidExam("The field is needed: low or high", field="patient.risk")
            if exam.patient.risk in row.risks:
                return row
    raise InvalidExam("No row of the table is met: check this nodule", field=f"nodules[{number}]")


def _is_multiple(exam: Exam, one: Nodule) -> bool:
    alike = SUBSOLID if one.type in SUBSOLID else SOLID
    present = [other for other in exam.nodules if other.type in alike and not other.is_benign]
    return sum(other.status != "resolved" for other in present) > 1


def _fits(row: Row, one: Nodule, elapsed: int) -> bool:
    if not row.elapsed.holds(Decimal(elapsed)):
        return False
    solid = one.solid_mean_diameter_mm
    if row.solid != ANY and (solid is None or not row.solid.holds(round_mm(solid, _WHOLE_MM))):
        return False
    if one.mean_diameter_mm is not None:
        return row.extent.diameter_mm.holds(round_mm(one.mean_diameter_mm, _WHOLE_MM))
    return one.volume_mm3 is not None and row.extent.volume_mm3.holds(round_mm3(one.volume_mm3))


def _elapsed_months(exam: Exam, one: Nodule) -> int:
    """Return the months since it was first seen, to the nearest whole one."""
    first = one.history[0].date if one.history else exam.date
    return round(months_between(first, exam.date))


def _measured(one: Nodule) -> dict[str, Decimal]:
    measured: dict[str, Decimal] = {}
    if one.mean_diameter_mm is not None:
        measured["mean_diameter_mm"] = round_mm(one.mean_diameter_mm, _WHOLE_MM)
    if one.solid_mean_diameter_mm is not None:
        measured["solid_mean_diameter_mm"] = round_mm(one.solid_mean_diameter_mm, _WHOLE_MM)
    if one.volume_mm3 is not None:
        measured["volume_mm3"] = round_mm3(one.volume_mm3)
    return measured
