"""What became of a nodule since earlier exams.

In: a nodule and its history.  Out: its status, and that of its solid part, in Lung-RADS's words.
Never: a status that the history contradicts.

Growth is an increase of the mean diameter, in steps of 0.1 mm, by more than 1.5 mm within 12 months. Where
the last exam is longer ago, the increase is scaled to 12 months. What has grown by more than 1.5 mm over all
exams, and never so fast, grows slowly (Lung-RADS v2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

from wetread.errors import InvalidExam
from wetread.measure.guidelines.answer import add_months, months_between
from wetread.measure.guidelines.exam import Exam, Nodule

GROWTH_MM = Decimal("1.5")
_STEP = Decimal("0.1")

#: A day and a length, mm.
_Point = tuple[date, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of it."""

    status: str
    #: Of the solid part of a part-solid nodule; otherwise as ``status``.
    solid_status: str


def round_mm(length_mm: Decimal, step: Decimal = _STEP) -> Decimal:
    """Round a length half up, to 0.1 mm unless told otherwise."""
    return length_mm.quantize(step, ROUND_HALF_UP)


def round_mm3(volume_mm3: Decimal) -> Decimal:
    """Round a volume half up to whole mm3."""
    return volume_mm3.quantize(Decimal(1), ROUND_HALF_UP)


def find_change(exam: Exam, number: int) -> Change:
    """Return what became of a nodule.

    Parameters
    ----------
    number
        The nodule's place in ``exam.nodules``.

    Raises
    ------
    InvalidExam
        If the given status contradicts the exam or the history, or none can be derived.
    """
    one = exam.nodules[number]
    whole = _derive(exam, one)
    solid = _derive_solid(exam, one)
    if one.status is None:
        if whole is None:
            raise InvalidExam(
                "No diameter to compare with: give the status, or mean_diameter_mm in the history",
                field=f"nodules[{number}].status",
            )
        return Change(status=whole, solid_status=solid or whole)
    allowed = _compatible(exam, one, whole) | ({solid} if solid else set())
    if one.status not in allowed:
        raise InvalidExam(
            f"The status {one.status!r} contradicts {_evidence(exam, one)}: correct one of them",
            field=f"nodules[{number}].status",
        )
    return Change(status=one.status, solid_status=solid or one.status)


def find_growth(exam: Exam, number: int, growth_mm: Decimal) -> str:
    """Return what became of a nodule where growth is a plain increase of the mean diameter, whenever it came.

    Returns
    -------
    str
        ``baseline | new | stable | growing | decreased | resolved``.

    Raises
    ------
    InvalidExam
        If the given status contradicts the exam or the history.
    """
    one = exam.nodules[number]
    lengths = [
        round_mm(visit.mean_diameter_mm) for visit in one.history if visit.mean_diameter_mm is not None
    ]
    now = None if one.mean_diameter_mm is None else round_mm(one.mean_diameter_mm)
    derived = _first_or_gone(exam, one)
    if derived is None and now is not None and lengths:
        derived = "growing" if now - min(lengths) >= growth_mm else "stable"
        if lengths[-1] - now >= growth_mm:
            derived = "decreased"
    given = "growing" if one.status == "slow-growing" else one.status
    if given is None and derived is None:
        raise InvalidExam(
            "No diameter to compare with: give the status, or mean_diameter_mm in the history",
            field=f"nodules[{number}].status",
        )
    if given is None or given == derived:
        return derived or ""
    told_before = derived in {"stable", "growing", "decreased"}
    is_near = {given, derived} == {"stable", "decreased"} and now is not None and now <= lengths[-1]
    is_untold = derived is None or (derived == "new" and not one.history and given != "baseline")
    if is_untold or (told_before and is_near):
        return given
    raise InvalidExam(
        f"The status {one.status!r} contradicts {_evidence(exam, one)}: correct one of them",
        field=f"nodules[{number}].status",
    )


def _first_or_gone(exam: Exam, one: Nodule) -> str | None:
    if one.mean_diameter_mm == 0 or (one.status == "resolved" and not one.mean_diameter_mm):
        return "resolved"
    if not one.history:
        return "baseline" if exam.kind == "baseline" else "new"
    return None


def _derive(exam: Exam, one: Nodule) -> str | None:
    first_or_gone = _first_or_gone(exam, one)
    if first_or_gone is not None:
        return first_or_gone
    points = [
        (visit.date, round_mm(visit.mean_diameter_mm))
        for visit in one.history
        if visit.mean_diameter_mm is not None
    ]
    if one.mean_diameter_mm is None or not points:
        return None
    return _compare([*points, (exam.date, round_mm(one.mean_diameter_mm))])


def _derive_solid(exam: Exam, one: Nodule) -> str | None:
    """Return the status of a solid part of which earlier sizes are known, None where they are not."""
    if one.type != "part-solid" or not one.solid_mean_diameter_mm:
        return None
    points = [
        (visit.date, round_mm(visit.solid_mean_diameter_mm))
        for visit in one.history
        if visit.solid_mean_diameter_mm is not None
    ]
    if not points:
        return None
    if points[-1][1] == 0:
        return "new"
    return _compare([*points, (exam.date, round_mm(one.solid_mean_diameter_mm))])


def _compare(points: Sequence[_Point]) -> str:
    now, earlier = points[-1], points[:-1]
    if earlier[-1][1] - now[1] > GROWTH_MM:
        return "decreased"
    within_a_year = [one for one in earlier if add_months(one[0], 12) >= now[0]]
    if any(_has_grown(one, now) for one in within_a_year or earlier[-1:]):
        return "growing"
    grew_fast = any(_has_grown(first, second) for first, second in pairwise(points))
    if now[1] - min(length for _day, length in earlier) > GROWTH_MM and not grew_fast:
        return "slow-growing"
    return "stable"


def _has_grown(first: _Point, second: _Point) -> bool:
    growth = second[1] - first[1]
    if add_months(first[0], 12) < second[0]:
        growth = growth * 12 / months_between(first[0], second[0])
    return growth > GROWTH_MM


def _compatible(exam: Exam, one: Nodule, derived: str | None) -> set[str]:
    if derived == "resolved":
        return {"resolved"}
    if not one.history:
        # What was before is not told: the reader knows.
        later = {"new", "stable", "growing", "slow-growing", "decreased"}
        return {"baseline"} if exam.kind == "baseline" else later
    if derived is None:
        return {"stable", "growing", "slow-growing", "decreased"}
    allowed = {derived}
    last = next(
        visit.mean_diameter_mm for visit in reversed(one.history) if visit.mean_diameter_mm is not None
    )
    if derived == "stable" and one.mean_diameter_mm is not None:
        if one.mean_diameter_mm < last:
            allowed.add("decreased")
        if one.mean_diameter_mm > last and len(one.history) > 1:
            allowed.add("slow-growing")
    return allowed


def _evidence(exam: Exam, one: Nodule) -> str:
    if one.status == "resolved":
        return "the diameter that is given"
    return "the history" if one.history else f"an exam of kind {exam.kind!r} without history"
