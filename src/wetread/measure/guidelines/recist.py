"""RECIST 1.1: response of solid tumours by the sum of diameters.

In: lesions with their diameters at each visit.  Out: sums, and the response.
Never: a response from lesions that were not all measured.

References
----------
Eisenhauer et al., Eur J Cancer 2009;45:228, doi:10.1016/j.ejca.2008.10.026: sections 3 and 4, table 1.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from wetread.errors import InvalidExam
from wetread.measure.guidelines.answer import Answer
from wetread.measure.guidelines.exam import Given

NAME = "RECIST 1.1"
MOST_TARGETS, MOST_IN_ORGAN = 5, 2
#: Longest diameter of a lesion, short axis of a lymph node, mm, to be measurable.
MEASURABLE_MM, MEASURABLE_NODE_MM, NORMAL_NODE_MM = Decimal(10), Decimal(15), Decimal(10)
_MOST_LESIONS, _MOST_VISITS = 100, 200

#: Target, non-target, new lesions -> overall response (table 1 of the guideline).
OVERALL = {
    ("CR", "CR", False): "CR",
    ("CR", "non-CR/non-PD", False): "PR",
    ("CR", "NE", False): "PR",
    ("PR", "CR", False): "PR",
    ("PR", "non-CR/non-PD", False): "PR",
    ("PR", "NE", False): "PR",
    ("SD", "CR", False): "SD",
    ("SD", "non-CR/non-PD", False): "SD",
    ("SD", "NE", False): "SD",
}
_MANAGEMENT = {
    "CR": "Complete response: all target lesions have gone, nodes are below 10 mm.",
    "PR": "Partial response: the sum is at least 30 % below that of the first exam.",
    "SD": "Stable disease.",
    "PD": "Progressive disease: the sum is at least 20 % and 5 mm above the smallest, or new or growing "
    "lesions were seen.",
    "NE": "Not evaluable: not all target lesions were measured.",
    "baseline": "The first exam: the sum is what later ones are compared with.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target lesion; the last diameter is this exam's, None where it was not measured."""

    id: str
    organ: str
    is_node: bool
    diameters_mm: tuple[tuple[date, Decimal | None], ...]


def ask_recist(content: object) -> Answer:
    """Return sums and response.

    Parameters
    ----------
    content
        ``{"exam": {"date"}, "targets": [{"id", "organ", "nodal", "diameter_mm", "history": [{"date",
        "diameter_mm"}]}], "non_targets": "CR|non-CR/non-PD|PD|NE", "new_lesions": false}``; the short axis
        for lymph nodes, the longest diameter for others.

    Raises
    ------
    InvalidExam
        If a field is missing, or the lesions are no target lesions as the guideline has them.
    """
    top = Given(content, "")
    day = top.inner("exam").date("date")
    targets = [_target(one, day) for one in top.objects("targets", _MOST_LESIONS)]
    non_targets = top.word("non_targets", ("CR", "non-CR/non-PD", "PD", "NE")) or "CR"
    has_new = top.truth("new_lesions") is True
    top.end()
    _check(targets)
    sums = _sums(targets)
    response, rule = _target_response(targets, sums)
    overall = _overall(response, non_targets, has_new=has_new)
    return Answer(
        guideline=NAME,
        category=overall,
        rule=rule if overall == response else f"{rule}+{'new-lesion' if has_new else non_targets}",
        management=_MANAGEMENT[overall],
        values=_values(sums),
    )


def _target(given: Given, day: date) -> Target:
    visits = [(one.date("date"), one.number("diameter_mm")) for one in given.objects("history", _MOST_VISITS)]
    target = Target(
        id=given.id("id"),
        organ=given.id("organ"),
        is_node=given.truth("nodal") is True,
        diameters_mm=(*sorted(visits, key=lambda one: one[0]), (day, given.number("diameter_mm"))),
    )
    given.end()
    if any(when >= day for when, _ in visits):
        raise InvalidExam("An earlier measurement is not before this exam", field=given.name("history"))
    return target


def _check(targets: list[Target]) -> None:
    if not targets:
        raise InvalidExam("There is no target lesion", field="targets")
    if len(targets) > MOST_TARGETS:
        raise InvalidExam("At most 5 target lesions", field="targets")
    organ, count = Counter(one.organ for one in targets).most_common(1)[0]
    if count > MOST_IN_ORGAN:
        raise InvalidExam(f"At most 2 target lesions in one organ ({organ})", field="targets")
    days = tuple(when for when, _ in targets[0].diameters_mm)
    for number, one in enumerate(targets):
        if tuple(when for when, _ in one.diameters_mm) != days:
            raise InvalidExam(
                "Each target lesion needs an entry for each visit (null where it was not measured)",
                field=f"targets[{number}].history",
            )
        first, least = one.diameters_mm[0][1], MEASURABLE_NODE_MM if one.is_node else MEASURABLE_MM
        if first is None or first < least:
            raise InvalidExam(
                f"Not measurable at the first exam: at least {least} mm", field=f"targets[{number}]"
            )


def _sums(targets: list[Target]) -> list[Decimal | None]:
    visits = len(targets[0].diameters_mm)
    sums: list[Decimal | None] = []
    for visit in range(visits):
        lengths = [one.diameters_mm[visit][1] for one in targets]
        known = [length for length in lengths if length is not None]
        sums.append(sum(known, Decimal(0)) if len(known) == len(lengths) else None)
    return sums


def _target_response(targets: list[Target], sums: list[Decimal | None]) -> tuple[str, str]:
    now, earlier = sums[-1], [one for one in sums[:-1] if one is not None]
    if not earlier:
        return "baseline", "baseline"
    if now is None:
        return "NE", "not-all-measured"
    last = [(one, one.diameters_mm[-1][1] or Decimal(0)) for one in targets]
    if all(length < NORMAL_NODE_MM if one.is_node else length == 0 for one, length in last):
        return "CR", "all-gone"
    first, nadir = earlier[0], min(earlier)
    grown = now - nadir
    if grown >= 5 and grown * 100 >= 20 * nadir:
        return "PD", "20-percent-and-5-mm-above-nadir"
    if (first - now) * 100 >= 30 * first:
        return "PR", "30-percent-below-baseline"
    return "SD", "neither"


def _overall(target: str, non_targets: str, *, has_new: bool) -> str:
    if has_new or non_targets == "PD" or target == "PD":
        return "PD"
    return OVERALL.get((target, non_targets, has_new), target)


def _values(sums: list[Decimal | None]) -> dict[str, Decimal]:
    values: dict[str, Decimal] = {}
    now, earlier = sums[-1], [one for one in sums[:-1] if one is not None]
    if now is not None:
        values["sum_mm"] = now
    if earlier:
        values |= {"baseline_sum_mm": earlier[0], "nadir_sum_mm": min(earlier)}
        if now is not None and earlier[0] and min(earlier):
            step = Decimal("0.1")
            values["change_from_baseline_percent"] = ((now - earlier[0]) * 100 / earlier[0]).quantize(step)
            values["change_from_nadir_percent"] = ((now - min(earlier)) * 100 / min(earlier)).quantize(step)
    return values
