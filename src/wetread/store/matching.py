"""Attributes that can be asked for, and how each is compared.

In: a ``Query``.  Out: conditions on the tables of the index.  Never: a value pasted into SQL; a match on what
the index does not keep (``MATCHABLE`` says what it does).

References
----------
PS3.4 C.2.2.2 and C.6.2.1; PS3.18 table 10.6.1-5 (the least that must be matched).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, false, or_, select

from wetread.domain.query import Level, Match, MatchKind, Query
from wetread.store import schema
from wetread.store.names import key_ranges, name_pattern, word_patterns
from wetread.store.standing import series_stands

_study, _series, _instance = schema.study.c, schema.series.c, schema.instance.c


class _Kind(Enum):
    TEXT = auto()
    UID = auto()
    NAME = auto()
    DATE = auto()
    TIME = auto()
    NUMBER = auto()
    #: Of any series of the study.
    MODALITY = auto()


@dataclass(frozen=True, slots=True)
class Matchable:
    """A column that can be asked for."""

    column: ColumnElement[Any]
    kind: _Kind = _Kind.TEXT


#: Keyword -> column, by the level that it belongs to.
MATCHABLE: dict[Level, dict[str, Matchable]] = {
    Level.STUDY: {
        "StudyInstanceUID": Matchable(_study.study_instance_uid, _Kind.UID),
        "StudyDate": Matchable(_study.study_date, _Kind.DATE),
        "StudyTime": Matchable(_study.study_time, _Kind.TIME),
        "AccessionNumber": Matchable(_study.accession_number),
        "ModalitiesInStudy": Matchable(_series.modality, _Kind.MODALITY),
        "ReferringPhysicianName": Matchable(_study.referring_physician_key, _Kind.NAME),
        "PatientName": Matchable(_study.patient_key, _Kind.NAME),
        "PatientID": Matchable(_study.patient_id),
        "PatientBirthDate": Matchable(_study.patient_birth_date, _Kind.DATE),
        "PatientSex": Matchable(_study.patient_sex),
        "StudyID": Matchable(_study.study_id),
        "StudyDescription": Matchable(_study.study_description),
    },
    Level.SERIES: {
        "SeriesInstanceUID": Matchable(_series.series_instance_uid, _Kind.UID),
        "Modality": Matchable(_series.modality),
        "SeriesNumber": Matchable(_series.series_number, _Kind.NUMBER),
        "PerformedProcedureStepStartDate": Matchable(_series.performed_date, _Kind.DATE),
        "PerformedProcedureStepStartTime": Matchable(_series.performed_time, _Kind.TIME),
        "RequestAttributesSequence.ScheduledProcedureStepID": Matchable(_series.scheduled_step_id),
        "RequestAttributesSequence.RequestedProcedureID": Matchable(_series.requested_procedure_id),
    },
    Level.IMAGE: {
        "SOPInstanceUID": Matchable(_instance.sop_instance_uid, _Kind.UID),
        "SOPClassUID": Matchable(_instance.sop_class_uid, _Kind.UID),
        "InstanceNumber": Matchable(_instance.instance_number, _Kind.NUMBER),
    },
}


def where_study(query: Query) -> list[ColumnElement[bool]]:
    """Return the conditions on the study."""
    conditions = _conditions(query, Level.STUDY)
    if query.sources is not None:
        conditions.append(_study.source.in_(tuple(query.sources)))
    return conditions


def candidates(query: Query) -> list[Select[tuple[str]]]:
    """Return queries for the UIDs of the studies that fit one condition for which nothing is sorted.

    Studies are looked at by date. Where many fit, the first that are wanted are found soon; where few do, all
    would be looked at: whoever asks these first, up to some number, knows which it is.
    """
    known = MATCHABLE[Level.STUDY]
    asked = [(match, known[match.keyword]) for match in query.matches if match.keyword in known]
    modality = [
        select(_series.study_instance_uid)
        .where(_compare(match, Matchable(one.column), query), series_stands())
        .distinct()
        for match, one in asked
        if one.kind is _Kind.MODALITY
    ]
    text = [
        select(_study.study_instance_uid).where(_compare(match, one, query))
        for match, one in asked
        if one.kind is _Kind.NAME or match.kind is MatchKind.WILDCARD
    ]
    return modality + text


def where_series(query: Query) -> list[ColumnElement[bool]]:
    """Return the conditions on the series."""
    return _conditions(query, Level.SERIES)


def where_instance(query: Query, columns: Any) -> list[ColumnElement[bool]]:
    """Return the conditions on the instance, for columns named like those of ``schema.instance``."""
    named = {
        keyword: Matchable(getattr(columns, str(one.column.key)), one.kind)
        for keyword, one in MATCHABLE[Level.IMAGE].items()
    }
    return [_compare(match, named[match.keyword], query) for match in query.matches if match.keyword in named]


def _conditions(query: Query, level: Level) -> list[ColumnElement[bool]]:
    known = MATCHABLE[level]
    return [
        _condition(match, known[match.keyword], query) for match in query.matches if match.keyword in known
    ]


def _condition(match: Match, one: Matchable, query: Query) -> ColumnElement[bool]:
    if one.kind is _Kind.MODALITY:
        # Any series, whichever is asked for besides.
        other = schema.series.alias().c
        inside = _compare(match, Matchable(other.modality), query)
        return exists().where(
            other.study_instance_uid == _study.study_instance_uid, inside, series_stands(other)
        )
    return _compare(match, one, query)


def _compare(match: Match, one: Matchable, query: Query) -> ColumnElement[bool]:
    if match.kind is MatchKind.RANGE:
        return _between(match, one)
    if match.kind is MatchKind.EMPTY:
        return one.column.is_(None) if one.kind is _Kind.NUMBER else one.column == ""
    if one.kind is _Kind.NAME:
        return or_(*(_is_named(one.column, value, is_fuzzy=query.is_fuzzy) for value in match.values))
    if one.kind is _Kind.NUMBER:
        return one.column.in_(
            [int(value) for value in match.values if value.strip("+-").isdecimal() and len(value) < 10]
        )
    if one.kind is _Kind.TIME:
        # 1015 means each moment of that minute.
        return or_(*(one.column.startswith(value, autoescape=True) for value in match.values))
    if match.kind is MatchKind.WILDCARD:
        return or_(*(one.column.like(_pattern(value), escape="\\") for value in match.values))
    return one.column == match.values[0] if len(match.values) == 1 else one.column.in_(match.values)


def _between(match: Match, one: Matchable) -> ColumnElement[bool]:
    low, high = match.values
    if one.kind not in (_Kind.DATE, _Kind.TIME):
        return false()
    conditions = [one.column != ""]
    if low:
        conditions.append(one.column >= low)
    if high:
        # A time without seconds includes them.
        conditions.append(one.column <= (high if one.kind is _Kind.DATE else f"{high}~"))
    return and_(*conditions)


def _is_named(column: ColumnElement[Any], value: str, *, is_fuzzy: bool) -> ColumnElement[bool]:
    if is_fuzzy:
        return and_(*(column.like(pattern, escape="\\") for pattern in word_patterns(value)))
    is_alike = column.like(name_pattern(value), escape="\\")
    ranges = [and_(column >= low, column < high, is_alike) for low, high in key_ranges(value)]
    return or_(*ranges) if ranges else is_alike


_LIKE = {"*": "%", "?": "_", "%": "\\%", "_": "\\_", "\\": "\\\\"}


def _pattern(value: str) -> str:
    return "".join(_LIKE.get(letter, letter) for letter in value)
