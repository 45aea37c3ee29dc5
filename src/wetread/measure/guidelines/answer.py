"""What a guideline says.

In: what the tables found.  Out: frozen values, and JSON.  Never: a category without the rule that gave it.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class NextExam:
    """When the next examination is due."""

    #: Earliest and latest, months after this one.
    after_months: tuple[int, int]
    #: The first day of that time.
    date: date


@dataclass(frozen=True, slots=True, kw_only=True)
class NoduleAnswer:
    """What a guideline says of one nodule alone."""

    id: str
    #: None where the guideline has no categories, or does not score this kind.
    category: str | None
    #: Which row of the table it was.
    rule: str
    management: str
    #: What was compared with the thresholds, by name.
    measured: Mapping[str, Decimal] = field(default_factory=dict)
    #: As given, or as derived from the history.
    status: str = ""
    #: By the thresholds for volumes, where diameters decided and a volume is known too.
    category_by_volume: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a guideline says of an exam."""

    guideline: str
    category: str | None
    rule: str
    management: str
    #: The nodule that decided.
    nodule: str | None = None
    modifiers: tuple[str, ...] = ()
    next_exam: NextExam | None = None
    per_nodule: tuple[NoduleAnswer, ...] = ()
    notes: tuple[str, ...] = ()
    #: Numbers of the guideline's own, by name.
    values: Mapping[str, Decimal] = field(default_factory=dict)


def add_months(day: date, months: int) -> date:
    """Return the day so many months later, the last of the month where it is shorter."""
    year, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + year, month + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def months_between(first: date, second: date) -> Decimal:
    """Return the months from one day to a later one: whole ones, and the share of the last."""
    whole = (second.year - first.year) * 12 + second.month - first.month
    if add_months(first, whole) > second:
        whole -= 1
    begun = add_months(first, whole)
    return whole + Decimal((second - begun).days) / (add_months(first, whole + 1) - begun).days


def make_next_exam(day: date, after_months: tuple[int, int] | None) -> NextExam | None:
    """Return when the next examination is due, counted from ``day``; None where none is."""
    if after_months is None:
        return None
    return NextExam(after_months=after_months, date=add_months(day, after_months[0]))


def to_json(answer: Answer) -> dict[str, Any]:
    """Return an answer as plain values; numbers of the table's own stay what they are."""
    following = answer.next_exam
    return {
        "guideline": answer.guideline,
        "category": answer.category,
        "modifiers": list(answer.modifiers),
        "nodule": answer.nodule,
        "rule": answer.rule,
        "management": answer.management,
        "next_exam": None
        if following is None
        else {"after_months": list(following.after_months), "date": following.date.isoformat()},
        **{name: float(value) for name, value in answer.values.items()},
        "per_nodule": [_nodule(one) for one in answer.per_nodule],
        "notes": list(answer.notes),
    }


def _nodule(one: NoduleAnswer) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": one.id,
        "category": one.category,
        "rule": one.rule,
        "management": one.management,
        "status": one.status,
        "measured": {name: float(value) for name, value in one.measured.items()},
        "notes": list(one.notes),
    }
    if one.category_by_volume is not None:
        told["category_by_volume"] = one.category_by_volume
    return told
