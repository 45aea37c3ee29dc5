"""British Thoracic Society 2015: pulmonary nodules.

In: an exam, with the patient's risk factors where a nodule is large.  Out: what is recommended.
Never: a doubling time from volumes that differ by less than 25 %.

The size is the longest diameter, mm (the mean one where that is all there is, which is said). Rows marked [M]
are from memory and not yet compared with the guideline.

References
----------
Callister et al., Thorax 2015;70 Suppl 2:ii1, doi:10.1136/thoraxjnl-2015-207168.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import log

from wetread.errors import InvalidExam
from wetread.measure.guidelines.answer import Answer, NoduleAnswer, make_next_exam, months_between
from wetread.measure.guidelines.brock import nodule_probability
from wetread.measure.guidelines.bts_rows import DISCHARGE, ROWS, SOLID, SUBSOLID, Row
from wetread.measure.guidelines.change import find_growth, round_mm, round_mm3
from wetread.measure.guidelines.exam import Exam, Nodule, Visit
from wetread.measure.guidelines.table import ANY

NAME = "BTS 2015"
#: Below this change of volume, %, nothing is called growth: two measurements differ by as much.
GROWTH_PERCENT = 25
SUBSOLID_GROWTH_MM = Decimal(2)

_PLAIN = {
    "resolved": "Discharge.",
    "benign": "Discharge: benign calcification or fat.",
    "perifissural": DISCHARGE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the rows ask of a nodule."""

    one: Nodule
    number: int
    status: str
    stage: str
    size_mm: Decimal | None
    doubling_days: Decimal | None
    elapsed: int
    has_volumes: bool


def doubling_days(before: Decimal, now: Decimal, days: int) -> Decimal | None:
    """Return the volume doubling time; None where the volume has not grown by 25 %."""
    if before <= 0 or (now - before) * 100 < GROWTH_PERCENT * before:
        return None
    return Decimal(str(round(log(2) * days / log(now / before), 1)))


def ask_bts(exam: Exam) -> Answer:
    """Return what the British Thoracic Society recommends.

    Raises
    ------
    InvalidExam
        If a rule needs a field that is not there or contradicts another.
    """
    found = [_ask_nodule(exam, number) for number in range(len(exam.nodules))]
    answers = tuple(answer for _row, answer, _months in found)
    deciding = [(row, answer, months) for row, answer, months in found if row is not None]
    if not deciding:
        return Answer(guideline=NAME, category=None, rule="none", management=DISCHARGE, per_nodule=answers)
    row, answer, months = max(deciding, key=lambda one: one[0].rank)
    return Answer(
        guideline=NAME,
        category=None,
        rule=row.id,
        management=row.management,
        nodule=answer.id,
        next_exam=make_next_exam(exam.date, months),
        per_nodule=answers,
    )


def _ask_nodule(exam: Exam, number: int) -> tuple[Row | None, NoduleAnswer, tuple[int, int] | None]:
    one = exam.nodules[number]
    if one.type not in SOLID | SUBSOLID:
        return None, _plain(one, "not-covered", "The guideline says nothing of this kind."), None
    seen = _look(exam, number)
    reason = _discharged(seen)
    if reason is not None:
        return None, _plain(one, reason, _PLAIN[reason], seen), None
    row = next((row for row in ROWS if _is_met(exam, row, seen)), None)
    if row is None:
        raise InvalidExam("No row of the table is met: check this nodule", field=f"nodules[{number}]")
    months = row.after_months
    if months is not None and row.counts_from_first:
        months = (max(months[0] - seen.elapsed, 0), max(months[1] - seen.elapsed, 0))
    return row, _plain(one, row.id, row.management, seen, row.mark), months


def _look(exam: Exam, number: int) -> _Seen:
    one = exam.nodules[number]
    size_mm = one.longest_diameter_mm if one.longest_diameter_mm is not None else one.mean_diameter_mm
    last = one.history[-1] if one.history else None
    first = one.history[0].date if one.history else exam.date
    status = find_growth(exam, number, SUBSOLID_GROWTH_MM)
    days = _doubling(exam, one, last) if one.type == "solid" and last is not None else None
    has_volumes = one.volume_mm3 is not None and last is not None and last.volume_mm3 is not None
    if status in {"baseline", "new"} or last is None:
        stage = "first"
    elif one.type == "solid":
        stage = "growing" if days is not None else "unchanged"
    else:
        stage = "growing" if status == "growing" or _has_new_solid_part(one, last) else "unchanged"
    return _Seen(
        one=one,
        number=number,
        status=status,
        stage=stage,
        size_mm=size_mm,
        doubling_days=days,
        elapsed=round(months_between(first, exam.date)),
        has_volumes=has_volumes,
    )


def _doubling(exam: Exam, one: Nodule, last: Visit) -> Decimal | None:
    days = (exam.date - last.date).days
    if one.volume_mm3 is not None and last.volume_mm3 is not None:
        return doubling_days(last.volume_mm3, one.volume_mm3, days)
    if one.mean_diameter_mm is not None and last.mean_diameter_mm is not None:
        return doubling_days(last.mean_diameter_mm**3, one.mean_diameter_mm**3, days)
    return None


def _has_new_solid_part(one: Nodule, last: Visit) -> bool:
    return one.type == "part-solid" and last.solid_mean_diameter_mm == 0


def _discharged(seen: _Seen) -> str | None:
    one = seen.one
    if seen.status == "resolved":
        return "resolved"
    if one.is_benign:
        return "benign"
    is_typical = one.features >= {"juxtapleural", "smooth"} and one.features & {"lentiform", "triangular"}
    is_small = seen.size_mm is not None and seen.size_mm < 10
    return "perifissural" if one.type == "solid" and is_typical and is_small else None


def _is_met(exam: Exam, row: Row, seen: _Seen) -> bool:
    if seen.one.type not in row.types or row.stage != seen.stage:
        return False
    if row.has_volumes not in (None, seen.has_volumes) or not row.elapsed.holds(Decimal(seen.elapsed)):
        return False
    if not _fits(row, seen):
        return False
    if row.doubling_days != ANY and not (
        seen.doubling_days is not None and row.doubling_days.holds(seen.doubling_days)
    ):
        return False
    return row.risk == ANY or row.risk.holds(nodule_probability(exam, seen.number))


def _fits(row: Row, seen: _Seen) -> bool:
    if row.size == ANY:
        return True
    volume = seen.one.volume_mm3
    if seen.one.type == "solid" and volume is not None:
        return row.volume.holds(round_mm3(volume))
    if seen.size_mm is None:
        raise InvalidExam(
            "The field is needed (or volume_mm3 of a solid nodule)",
            field=f"nodules[{seen.number}].longest_diameter_mm",
        )
    return row.size.holds(round_mm(seen.size_mm))


def _plain(
    one: Nodule, rule: str, management: str, seen: _Seen | None = None, mark: str = "R"
) -> NoduleAnswer:
    measured: dict[str, Decimal] = {}
    notes = [] if mark == "R" else ["This row is from memory [M]: check it."]
    if seen is not None:
        if seen.size_mm is not None:
            measured["diameter_mm"] = round_mm(seen.size_mm)
        if one.volume_mm3 is not None:
            measured["volume_mm3"] = round_mm3(one.volume_mm3)
        if seen.doubling_days is not None:
            measured["doubling_time_days"] = seen.doubling_days
        if one.longest_diameter_mm is None and seen.size_mm is not None:
            notes.append("The mean diameter stands in for the longest one.")
    return NoduleAnswer(
        id=one.id,
        category=None,
        rule=rule,
        management=management,
        status=seen.status if seen else "",
        measured=measured,
        notes=tuple(notes),
    )
