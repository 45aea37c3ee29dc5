"""An exam as the guidelines ask for it.

In: JSON's objects.  Out: frozen values, lengths as decimals.
Never: an unknown word passed over, a number that is none, a length made a binary fraction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

from wetread.errors import InvalidExam

TYPES = ("solid", "part-solid", "ground-glass", "cyst", "airway")
STATUSES = ("baseline", "new", "stable", "growing", "slow-growing", "decreased", "resolved")
AIRWAY_LEVELS = ("subsegmental", "segmental", "proximal")
FEATURES = (
    *("juxtapleural", "smooth", "oval", "lentiform", "triangular"),
    *("spiculation", "lymphadenopathy", "metastasis", "benign-calcification", "fat"),
)
#: Nothing in a chest is larger or heavier than this.
_LARGEST = Decimal(10) ** 8
_MOST_NODULES, _MOST_VISITS, _LONGEST_ID = 1000, 200, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """An earlier measurement of a nodule."""

    date: date
    mean_diameter_mm: Decimal | None = None
    #: None: not measured; 0: there was no solid part.
    solid_mean_diameter_mm: Decimal | None = None
    volume_mm3: Decimal | None = None
    #: As reported then.
    category: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cyst:
    """What an atypical pulmonary cyst looks like."""

    #: ``thin`` (below 2 mm) or ``thick``.
    wall: str
    #: ``single`` or ``multiple``.
    locules: str
    #: ``none | growing | more-loculated | more-opacity``.
    change: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodule:
    """A nodule at this exam."""

    id: str
    type: str
    mean_diameter_mm: Decimal | None = None
    solid_mean_diameter_mm: Decimal | None = None
    longest_diameter_mm: Decimal | None = None
    volume_mm3: Decimal | None = None
    status: str | None = None
    #: None: not said.
    upper_lobe: bool | None = None
    airway_level: str | None = None
    cyst: Cyst | None = None
    features: frozenset[str] = frozenset()
    #: Oldest first.
    history: tuple[Visit, ...] = ()

    @property
    def is_benign(self) -> bool:
        """Whether it is calcified as benign ones are, or holds fat."""
        return bool(self.features & {"benign-calcification", "fat"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is known of the patient; None: not said."""

    age: Decimal | None = None
    sex: str | None = None
    #: Of lung cancer, as Fleischner has it: ``low`` or ``high``.
    risk: str | None = None
    family_history: bool | None = None
    emphysema: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """An exam with what was measured in it."""

    date: date
    #: ``baseline`` or ``follow-up``.
    kind: str = "baseline"
    #: ``screening`` or ``incidental``; None: not said.
    context: str | None = None
    evaluable: bool = True
    prior_pending: bool = False
    infection: bool = False
    significant_other_finding: bool = False
    patient: Patient = Patient()
    nodules: tuple[Nodule, ...] = ()


def read_exam(content: object) -> Exam:
    """Read parsed JSON.

    Parameters
    ----------
    content
        ``{"exam": {...}, "patient": {...}, "nodules": [...]}``; numbers as ``Decimal``
        (``json.loads(text, parse_float=Decimal)``).

    Raises
    ------
    InvalidExam
        Naming the field, and the nearest valid word for a misspelled one.
    """
    top = Given(content, "")
    exam = top.inner("exam")
    read = Exam(
        date=exam.date("date"),
        kind=exam.word("kind", ("baseline", "follow-up")) or "baseline",
        context=exam.word("context", ("screening", "incidental")),
        evaluable=exam.truth("evaluable") is not False,
        prior_pending=exam.truth("prior_pending") is True,
        infection=exam.truth("infection") is True,
        significant_other_finding=exam.truth("significant_other_finding") is True,
        patient=_patient(top.inner("patient", is_optional=True)),
        nodules=tuple(_nodule(one) for one in top.objects("nodules", _MOST_NODULES)),
    )
    exam.end()
    top.end()
    _check(read)
    return read


def _patient(given: Given) -> Patient:
    read = Patient(
        age=given.number("age"),
        sex=given.word("sex", ("M", "F", "O", "male", "female")),
        risk=given.word("risk", ("low", "high")),
        family_history=given.truth("family_history"),
        emphysema=given.truth("emphysema"),
    )
    given.end()
    return read


def _nodule(given: Given) -> Nodule:
    visits = [_visit(one) for one in given.objects("history", _MOST_VISITS)]
    read = Nodule(
        id=given.id("id"),
        type=given.word("type", TYPES, is_required=True) or "",
        mean_diameter_mm=given.number("mean_diameter_mm"),
        solid_mean_diameter_mm=given.number("solid_mean_diameter_mm"),
        longest_diameter_mm=given.number("longest_diameter_mm"),
        volume_mm3=given.number("volume_mm3"),
        status=given.word("status", STATUSES),
        upper_lobe=given.truth("upper_lobe"),
        airway_level=given.word("airway_level", AIRWAY_LEVELS),
        cyst=_cyst(given.inner("cyst", is_optional=True)),
        features=frozenset(given.words("features", FEATURES)),
        history=tuple(sorted(visits, key=lambda one: one.date)),
    )
    given.end()
    return read


def _visit(given: Given) -> Visit:
    read = Visit(
        date=given.date("date"),
        mean_diameter_mm=given.number("mean_diameter_mm"),
        solid_mean_diameter_mm=given.number("solid_mean_diameter_mm"),
        volume_mm3=given.number("volume_mm3"),
        category=given.word("category", ("0", "1", "2", "3", "4A", "4B", "4X")),
    )
    given.end()
    return read


def _cyst(given: Given) -> Cyst | None:
    if not given.is_there:
        return None
    read = Cyst(
        wall=given.word("wall", ("thin", "thick"), is_required=True) or "",
        locules=given.word("locules", ("single", "multiple"), is_required=True) or "",
        change=given.word("change", ("none", "growing", "more-loculated", "more-opacity")) or "none",
    )
    given.end()
    return read


def _check(exam: Exam) -> None:
    seen: set[str] = set()
    for number, one in enumerate(exam.nodules):
        place = f"nodules[{number}]"
        if one.id in seen:
            raise InvalidExam("Two nodules have one id: give each its own", field=f"{place}.id")
        seen.add(one.id)
        mean, longest, solid = one.mean_diameter_mm, one.longest_diameter_mm, one.solid_mean_diameter_mm
        if mean is not None and longest is not None and longest < mean:
            raise InvalidExam(
                "The longest diameter is less than the mean one: correct one of them",
                field=f"{place}.longest_diameter_mm",
            )
        if mean is not None and solid is not None and solid > mean:
            raise InvalidExam(
                "The solid part is larger than the nodule: correct one of them",
                field=f"{place}.solid_mean_diameter_mm",
            )
        for index, visit in enumerate(one.history):
            if visit.date >= exam.date:
                raise InvalidExam(
                    "An earlier measurement is not before this exam", field=f"{place}.history[{index}].date"
                )


class Given:
    """A JSON object of which each key must be asked for."""

    def __init__(self, content: object, place: str) -> None:
        if content is not None and not isinstance(content, Mapping):
            raise InvalidExam("Must be an object", field=place or "the input")
        self.is_there = content is not None
        self._content: Mapping[str, Any] = content or {}
        self._place = place
        self._asked: list[str] = []

    def end(self) -> None:
        """Refuse what nobody asked for."""
        for key in self._content:
            if key not in self._asked:
                near = get_close_matches(str(key), self._asked, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(self._asked)}"
                raise InvalidExam(f"The field is not known: {hint}", field=self.name(str(key)[:_LONGEST_ID]))

    def inner(self, key: str, *, is_optional: bool = False) -> Given:
        """Return an object."""
        value = self._take(key)
        if value is None and not is_optional:
            raise InvalidExam("The field is missing", field=self.name(key))
        return Given(value, self.name(key))

    def objects(self, key: str, most: int) -> list[Given]:
        """Return a list of objects."""
        return [Given(one, f"{self.name(key)}[{n}]") for n, one in enumerate(self._list(key, most))]

    def words(self, key: str, known: Sequence[str]) -> list[str]:
        """Return a list of known words."""
        return [self._known(key, one, known) for one in self._list(key, len(known))]

    def word(self, key: str, known: Sequence[str], *, is_required: bool = False) -> str | None:
        """Return a known word, None where there is none."""
        value = self._take(key)
        if value is None:
            if is_required:
                raise InvalidExam(f"The field is missing: {', '.join(known)}", field=self.name(key))
            return None
        return self._known(key, value, known)

    def id(self, key: str) -> str:
        """Return a short text."""
        value = self._take(key)
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if not 0 < len(text) <= _LONGEST_ID or not text.isprintable():
            raise InvalidExam(f"Must be a text of up to {_LONGEST_ID} letters", field=self.name(key))
        return text

    def truth(self, key: str) -> bool | None:
        """Return true or false, None where neither is said."""
        value = self._take(key)
        if value is not None and not isinstance(value, bool):
            raise InvalidExam("Must be true or false", field=self.name(key))
        return value

    def number(self, key: str) -> Decimal | None:
        """Return a number, None where there is none."""
        value = self._take(key)
        if value is None:
            return None
        try:
            is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
            # By its text: 5.95 is meant and not the binary fraction next to it.
            number = Decimal(str(value)) if is_number else Decimal("NaN")
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite() or not 0 <= number <= _LARGEST:
            raise InvalidExam("Must be a number, not negative", field=self.name(key))
        return number

    def date(self, key: str) -> date:
        """Return a day."""
        value = self._take(key)
        try:
            if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
                return date.fromisoformat(value)
        except ValueError:
            pass
        raise InvalidExam("Must be a date like 2026-01-31", field=self.name(key))

    def _known(self, key: str, value: object, known: Sequence[str]) -> str:
        if isinstance(value, str) and value in known:
            return value
        near = get_close_matches(str(value), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        raise InvalidExam(f"The word is not known: {hint}", field=self.name(key))

    def _list(self, key: str, most: int) -> Sequence[Any]:
        value = self._take(key)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > most:
            raise InvalidExam(f"Must be a list of at most {most}", field=self.name(key))
        return value

    def _take(self, key: str) -> Any:
        self._asked.append(key)
        return self._content.get(key)

    def name(self, key: str) -> str:
        """Return the full name of a key."""
        return f"{self._place}.{key}" if self._place else key
