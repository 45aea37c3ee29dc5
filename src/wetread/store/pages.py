"""Long lists, a page at a time: studies, Readings, deliveries, newest first.

In: a filter, where the page before ended.  Out: rows.  Never: a row twice or left out because others arrive
while somebody pages; a position that says whose study it is (studies are named by their key).

A page begins after a row, by values that never change: of a study its date, time and UID, of everything else
its number.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, exists, or_, select, tuple_

from wetread.domain.document import DocumentKind
from wetread.domain.progress import DeliveryState, StudyState
from wetread.domain.reading import Outcome, Priority
from wetread.errors import NotHeld
from wetread.store import schema
from wetread.store.deliveries import DeliveryRow, stands
from wetread.store.readings import ReadingRow, is_of_model, reading_row
from wetread.store.studies import STUDY_COLUMNS, StudyRow, study_row

_study, _series, _reading, _delivery = schema.study.c, schema.series.c, schema.reading.c, schema.delivery.c
_ORDER = (_study.study_date, _study.study_time, _study.study_instance_uid)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFilter:
    """Which studies; None and ``""``: all."""

    state: StudyState | None = None
    #: Of any series that arrived.
    modality: str = ""
    date_from: date | None = None
    date_to: date | None = None
    #: The most urgent of what rules and standing Readings say.
    priority: Priority | None = None
    reported: bool | None = None
    patient_id: str = ""
    accession_number: str = ""
    study_instance_uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingFilter:
    """Which Readings; None and ``""``: all."""

    model: str = ""
    outcome: Outcome | None = None
    #: Made then or later.
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries; None and ``""``: all."""

    destination: str = ""
    states: tuple[DeliveryState, ...] = ()
    study_instance_uid: str = ""


@dataclass(frozen=True, slots=True)
class Pages:
    """Questions whose answers are too long for one."""

    engine: Engine

    def studies(
        self, wanted: StudyFilter, limit: int, after: str = "", sources: Collection[str] | None = None
    ) -> list[StudyRow]:
        """Return studies, newest study date first.

        Parameters
        ----------
        after
            Key of the study before the first; ``""``: begin.
        sources
            Only what came from these; None: from anywhere.

        Raises
        ------
        NotHeld
            If there is no such study any more, or it is not theirs.
        """
        where = [*_of_study(wanted), *_from(sources)]
        if after:
            where.append(tuple_(*_ORDER) < tuple_(*self._place(after, sources)))
        order = [column.desc() for column in _ORDER]
        query = select(*STUDY_COLUMNS).where(*where).order_by(*order).limit(limit)
        return [study_row(row) for row in self._all(query)]

    def readings(
        self,
        wanted: ReadingFilter,
        limit: int,
        after: int | None = None,
        sources: Collection[str] | None = None,
    ) -> list[ReadingRow]:
        """Return Readings, the last made first; ``after``: number of the one before the first."""
        where = [is_of_model(), *_among(_reading.study_instance_uid, sources)]
        where += [_reading.id < after] if after is not None else []
        where += [_reading.model_name == wanted.model] if wanted.model else []
        where += [_reading.outcome == wanted.outcome.value] if wanted.outcome else []
        where += [_reading.made_at >= wanted.since.timestamp()] if wanted.since else []
        query = select(schema.reading).where(*where).order_by(_reading.id.desc()).limit(limit)
        return [reading_row(row) for row in self._all(query)]

    def deliveries(
        self,
        wanted: DeliveryFilter,
        limit: int,
        after: int | None = None,
        sources: Collection[str] | None = None,
    ) -> list[DeliveryRow]:
        """Return deliveries, the last planned first; ``after``: number of the one before the first."""
        where = _among(_delivery.study_instance_uid, sources)
        where += [_delivery.id < after] if after is not None else []
        where += [_delivery.destination == wanted.destination] if wanted.destination else []
        if wanted.states:
            where.append(_delivery.state.in_([one.value for one in wanted.states]))
            # What is superseded belongs to no Reading that stands.
            where += [] if DeliveryState.SUPERSEDED in wanted.states else [stands()]
        if wanted.study_instance_uid:
            where.append(_delivery.study_instance_uid == wanted.study_instance_uid)
        query = select(schema.delivery).where(*where).order_by(_delivery.id.desc()).limit(limit)
        return [DeliveryRow(**{**row, "state": DeliveryState(row["state"])}) for row in self._all(query)]

    def rows_of(self, study_instance_uids: Collection[str]) -> dict[str, StudyRow]:
        """Return the rows of several studies by UID; what is gone is left out."""
        query = select(*STUDY_COLUMNS).where(_study.study_instance_uid.in_(set(study_instance_uids)))
        return {row["study_instance_uid"]: study_row(row) for row in self._all(query)}

    def kinds_of(self, document_ids: Collection[int]) -> dict[int, DocumentKind]:
        """Return what several documents are; what is gone is left out."""
        table = schema.document.c
        rows = self._all(select(table.id, table.kind).where(table.id.in_(set(document_ids))))
        return {row["id"]: DocumentKind(row["kind"]) for row in rows}

    def _place(self, key: str, sources: Collection[str] | None) -> tuple[Any, ...]:
        with self.engine.connect().execution_options(read_only=True) as connection:
            row = connection.execute(select(*_ORDER).where(_study.key == key, *_from(sources))).first()
        if row is None:
            raise NotHeld("The page before ended at a study that is gone: begin again without `after`.")
        return tuple(row)

    def _all(self, query: Any) -> list[Any]:
        with self.engine.connect().execution_options(read_only=True) as connection:
            return list(connection.execute(query).mappings())


def _of_study(wanted: StudyFilter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    for column, value in (
        (_study.state, wanted.state.value if wanted.state else ""),
        (_study.patient_id, wanted.patient_id),
        (_study.accession_number, wanted.accession_number),
        (_study.study_instance_uid, wanted.study_instance_uid),
    ):
        where += [column == value] if value else []
    if wanted.date_from or wanted.date_to:
        # What has no date is in no range.
        where.append(_study.study_date >= (_da(wanted.date_from) if wanted.date_from else "0"))
        where += [_study.study_date <= _da(wanted.date_to)] if wanted.date_to else []
    if wanted.reported is not None:
        is_waiting = _study.reported_at.is_(None)
        where.append(~is_waiting if wanted.reported else is_waiting)
    if wanted.modality:
        where.append(
            exists().where(
                _series.study_instance_uid == _study.study_instance_uid,
                _series.modality == wanted.modality,
                _series.reading_id.is_(None),
            )
        )
    return [*where, *_as_urgent(wanted.priority)]


def _as_urgent(priority: Priority | None) -> list[ColumnElement[bool]]:
    """Hold where this is the most urgent of what the study's rule and its standing Readings say."""
    if priority is None:
        return []
    above = list(Priority)[: list(Priority).index(priority)]
    return [~_says(one) for one in above] + ([_says(priority)] if priority is not Priority.ROUTINE else [])


def _says(priority: Priority) -> ColumnElement[bool]:
    standing = exists().where(
        _reading.study_instance_uid == _study.study_instance_uid,
        ~_reading.superseded,
        _reading.priority == priority.value,
    )
    return or_(_study.urgency == priority.value, standing)


def _da(day: date) -> str:
    return f"{day.year:04}{day.month:02}{day.day:02}"


def _from(sources: Collection[str] | None) -> list[ColumnElement[bool]]:
    return [] if sources is None else [_study.source.in_(tuple(sources))]


def _among(column: ColumnElement[Any], sources: Collection[str] | None) -> list[ColumnElement[bool]]:
    """Hold where a row's study came from these sources."""
    if sources is None:
        return []
    return [column.in_(select(_study.study_instance_uid).where(*_from(sources)))]
