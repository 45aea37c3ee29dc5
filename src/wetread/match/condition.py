"""One condition on a header, and groups of them.

In: a header.  Out: met or not, and which condition failed with what was expected and found.
Never: the value of an attribute that names the patient, in any sentence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from pydicom.datadict import dictionary_VR, tag_for_keyword

from wetread.domain.study import Header, Scalar, header_text

#: Longer text is cut before a pattern is tried on it, so that no pattern takes long.
_MAX_SEARCHED = 256
_MAX_SHOWN = 80
# Of the patient's group, these say nothing on who it is.
_HARMLESS_PATIENT_KEYWORDS = frozenset({"PatientSex", "PatientAge", "PatientSize", "PatientWeight"})
_IDENTIFYING_KEYWORDS = frozenset({"AccessionNumber", "StudyID", "AdmissionID", "CurrentPatientLocation"})
_TEXTS = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
_WRITTEN_BY_DEVICES = frozenset(
    {"ConvolutionKernel", "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "StationName"}
)
_AGE = re.compile(r"(\d{3})([DWMY])")
_DAYS = {"D": 1.0, "W": 7.0, "M": 30.436875, "Y": 365.2425}


class Operator(StrEnum):
    """How a value is compared; text without regard to case, except by ``matches``."""

    EQUALS = "equals"
    ONE_OF = "one_of"
    CONTAINS = "contains"
    MATCHES = "matches"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    PRESENT = "present"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A comparison with one header value; of several values, any may meet it."""

    #: DICOM keyword, or ``"Sequence.Keyword"``.
    keyword: str
    operator: Operator
    #: One value; several for ``one_of``.
    values: tuple[Scalar | bool, ...]


class Join(StrEnum):
    """How the members of a group count."""

    ANY = "any"
    ALL = "all"
    NOT = "not"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Conditions of which any, all, or none must be met."""

    join: Join
    terms: tuple[Condition | Group, ...]


Term = Condition | Group


def is_met(term: Term, header: Header) -> bool:
    """Tell whether a header meets a condition or group."""
    if isinstance(term, Condition):
        return _is_condition_met(term, header)
    met = [is_met(one, header) for one in term.terms]
    if term.join is Join.ANY:
        return any(met)
    return all(met) if term.join is Join.ALL else not any(met)


def describe_failure(term: Term, header: Header) -> str:
    """Say what was expected and what was found; for a term that the header does not meet."""
    if isinstance(term, Group):
        return _describe_group(term, header)
    if is_identifying(term.keyword):
        return f"{term.keyword} is not as the rule wants it"
    found = header_text(header, term.keyword)[:_MAX_SHOWN]
    shown = f"found {found!r}" if found else "it is empty or missing"
    if found and is_typed(term.keyword):
        shown = "found another text"
    return f"{describe(term)}, {shown}"


def describe(term: Term) -> str:
    """Say what a condition or group wants, in words."""
    if isinstance(term, Group):
        words = {Join.ANY: " or ", Join.ALL: " and ", Join.NOT: " or "}[term.join]
        inner = words.join(describe(one) for one in term.terms)
        return f"not ({inner})" if term.join is Join.NOT else f"({inner})"
    if is_identifying(term.keyword):
        return f"{term.keyword} as the rule says"
    if term.operator is Operator.PRESENT:
        return f"{term.keyword} must be {'present' if term.values[0] else 'absent'}"
    shown = " or ".join(str(value) for value in term.values)
    words = {
        Operator.EQUALS: "must be",
        Operator.ONE_OF: "must be",
        Operator.CONTAINS: "must contain",
        Operator.MATCHES: "must match",
        Operator.AT_LEAST: "must be at least",
        Operator.AT_MOST: "must be at most",
    }[term.operator]
    return f"{term.keyword} {words} {shown}"


def is_identifying(keyword: str) -> bool:
    """Tell whether an attribute may name the patient or anybody else, or when they were born."""
    name = keyword.rpartition(".")[2]
    tag = tag_for_keyword(name)
    if name in _IDENTIFYING_KEYWORDS or tag is None:
        return True
    is_patient = tag >> 16 == 0x0010 and name not in _HARMLESS_PATIENT_KEYWORDS
    return is_patient or dictionary_VR(tag) == "PN"


def is_typed(keyword: str) -> bool:
    """Tell whether people type an attribute's text, and so may have typed a name."""
    name = keyword.rpartition(".")[2]
    tag = tag_for_keyword(name)
    return name not in _WRITTEN_BY_DEVICES and (tag is None or dictionary_VR(tag) in _TEXTS)


def age_years(text: str) -> float | None:
    """Return an age string (PS3.5 AS, e.g. ``063Y``) in years; None if it is none."""
    match = _AGE.fullmatch(text)
    return int(match[1]) * _DAYS[match[2]] / _DAYS["Y"] if match else None


def _describe_group(group: Group, header: Header) -> str:
    if group.join is Join.ANY:
        return "none of these: " + "; ".join(describe_failure(one, header) for one in group.terms)
    if group.join is Join.ALL:
        return next(describe_failure(one, header) for one in group.terms if not is_met(one, header))
    met = next(one for one in group.terms if is_met(one, header))
    return f"excluded: {describe(met)}"


def _is_condition_met(condition: Condition, header: Header) -> bool:
    values = _values(header, condition.keyword)
    if condition.operator is Operator.PRESENT:
        return bool(values) == condition.values[0]
    whole = header_text(header, condition.keyword)
    candidates = [*values, whole] if len(values) > 1 else values
    return any(_compare(condition, value) for value in candidates)


def _values(header: Header, keyword: str) -> list[Scalar]:
    value = header.get(keyword, "")
    several = value if isinstance(value, tuple) else (value,)
    return [one for one in several if one != ""]


def _compare(condition: Condition, value: Scalar) -> bool:
    wanted = condition.values
    match condition.operator:
        case Operator.EQUALS | Operator.ONE_OF:
            return any(_is_same(value, one) for one in wanted)
        case Operator.CONTAINS:
            return any(str(one).casefold() in str(value).casefold() for one in wanted)
        case Operator.MATCHES:
            return re.search(str(wanted[0]), str(value)[:_MAX_SEARCHED]) is not None
        case _:
            return _is_in_range(condition, value)


def _is_same(value: Scalar, wanted: Scalar | bool) -> bool:
    number = _number(value)
    if number is not None and isinstance(wanted, int | float):
        return number == wanted
    return str(value).strip().casefold() == str(wanted).strip().casefold()


def _is_in_range(condition: Condition, value: Scalar) -> bool:
    limit = condition.values[0]
    below: bool
    if isinstance(limit, str):  # dates and times, which sort as text
        found: float | str | None = str(value)
        below, above = str(value) < limit, str(value) > limit
    else:
        found = _number(value)
        below, above = (found < limit, found > limit) if found is not None else (True, True)
    return not (below if condition.operator is Operator.AT_LEAST else above)


def _number(value: Scalar) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    age = age_years(value)
    if age is not None:
        return age
    try:
        return float(value)
    except ValueError:
        return None


def count_met(terms: tuple[Term, ...], header: Header) -> int:
    """Return how many terms a header meets."""
    return sum(is_met(term, header) for term in terms)
