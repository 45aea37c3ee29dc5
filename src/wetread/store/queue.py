"""What is read and what could not be: revisions, and how long models take.

In: which senders' studies count.  Out: rows of revisions with their studies; problems; durations.
Never: a decision what is stuck (``steps.queueing``); more rows than somebody looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Text, and_, cast, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.progress import StudyState
from wetread.domain.reading import Outcome
from wetread.errors import StorageError
from wetread.store import schema
from wetread.store.studies import STUDY_COLUMNS, RevisionRow, StudyRow, study_row

_study, _revision, _reading, _event = schema.study.c, schema.revision.c, schema.reading.c, schema.event.c
#: Readings of each model version that say how long it takes: the last ones.
_LATELY = 2000
#: Newest readings and events that are looked through for failures: the tables only grow.
_READINGS, _EVENTS = 20_000, 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What went wrong with a study's newest revision."""

    study: StudyRow
    revision: int
    #: Name and version; ``""``: no model's fault.
    model: str
    code: str
    message: str
    #: Seconds since 1970.
    at: float


@dataclass(frozen=True, slots=True)
class Queue:
    """The line of studies that wait for their models."""

    engine: Engine

    def list_unfinished(self, sources: Collection[str] | None = None) -> list[tuple[RevisionRow, StudyRow]]:
        """Return begun revisions that are not finished, oldest first.

        Parameters
        ----------
        sources
            Only of studies that came from these; None: from anywhere.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        joined = _revision.study_instance_uid == _study.study_instance_uid
        query = (
            select(*STUDY_COLUMNS, *[one.label(f"of_{one.name}") for one in schema.revision.c])
            .join(schema.revision, joined)
            .where(_revision.finished_at.is_(None), *_from(sources))
            .order_by(_revision.begun_at)
        )
        with self._reading() as connection:
            return [_pair(row) for row in connection.execute(query).mappings()]

    def list_failed(
        self, codes: Collection[str], limit: int, sources: Collection[str] | None = None
    ) -> list[Fault]:
        """Return studies whose newest revision stopped, or a model of it failed, of late; newest first.

        Parameters
        ----------
        codes
            Of problems that count.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        failed = and_(
            _reading.study_instance_uid == _study.study_instance_uid,
            _reading.revision == _study.revision,
            ~_reading.superseded,
            _reading.outcome == Outcome.NOT_READ.value,
            _reading.id > _newest(_reading.id) - _READINGS,
            # Else refused images, of which there are many, would fill the answer.
            or_(*[cast(_reading.problems, Text).contains(f'"{code}"') for code in codes]),
        )
        readings = (
            select(*STUDY_COLUMNS, _reading.model_name, _reading.model_version, _reading.problems)
            .add_columns(_reading.made_at)
            .join(schema.reading, failed)
            .where(*_from(sources))
            .order_by(_reading.id.desc())
            .limit(limit)
        )
        stopped = and_(
            _event.study_instance_uid == _study.study_instance_uid,
            _event.revision == _study.revision,
            _event.level == "problem",
            _event.stage.in_(("match", "infer", "compose")),
            _event.code.in_(tuple(codes)),
            _event.id > _newest(_event.id) - _EVENTS,
        )
        events = (
            select(*STUDY_COLUMNS, _event.code, _event.message, _event.at)
            .join(schema.event, stopped)
            .join(schema.revision, _is_newest())
            .where(_revision.finished_at.is_not(None), *_from(sources))
            .order_by(_event.id.desc())
            .limit(limit)
        )
        with self._reading() as connection:
            found = [*_iter_faults(connection.execute(readings).mappings(), codes)]
            known = {(one.study.study_instance_uid, one.code) for one in found}
            for row in connection.execute(events).mappings():
                if (row["study_instance_uid"], row["code"]) not in known:
                    found.append(_fault(row, "", row["code"], row["message"], row["at"]))
                    known.add((row["study_instance_uid"], row["code"]))
        return sorted(found, key=lambda one: one.at, reverse=True)[:limit]

    def list_held_up(self, studies: Collection[str], code: str) -> dict[str, Fault]:
        """Return what stands in the way of unfinished revisions, by study: their last word."""
        last = (
            select(func.max(_event.id))
            .join(schema.study, _event.study_instance_uid == _study.study_instance_uid)
            .where(_event.study_instance_uid.in_(tuple(studies)), _event.revision == _study.revision)
            .group_by(_event.study_instance_uid)
        )
        query = (
            select(*STUDY_COLUMNS, _event.code, _event.message, _event.at)
            .join(schema.event, _event.study_instance_uid == _study.study_instance_uid)
            .where(_event.id.in_(last), _event.code == code)
        )
        with self._reading() as connection:
            rows = connection.execute(query).mappings()
            faults = [_fault(row, "", row["code"], row["message"], row["at"]) for row in rows]
        return {one.study.study_instance_uid: one for one in faults}

    def list_seconds(self) -> dict[tuple[str, str], list[float]]:
        """Return how long the last readings took, in s, by name and version of their models."""
        query = (
            select(_reading.model_name, _reading.model_version, _reading.seconds)
            .where(_reading.seconds.is_not(None), _reading.outcome == Outcome.READ.value)
            .order_by(_reading.id.desc())
            .limit(_LATELY)
        )
        taken: dict[tuple[str, str], list[float]] = {}
        with self._reading() as connection:
            for name, version, seconds in connection.execute(query):
                taken.setdefault((name, version), []).append(seconds)
        return taken

    def call_off(self, study: StudyRow, now: datetime, beside: Callable[[Connection], None]) -> bool:
        """End a revision that no model was chosen for yet, of a study that none has read; False: too late.

        Parameters
        ----------
        beside
            What else belongs to the same transaction.

        Raises
        ------
        StorageError
            If the index refuses.
        """
        uid = study.study_instance_uid
        mine = and_(_revision.study_instance_uid == uid, _revision.revision == study.revision)
        waits = and_(mine, _revision.finished_at.is_(None), _revision.match.is_(None))
        is_read = and_(~_reading.superseded, _reading.outcome == Outcome.READ.value)
        stands = select(_reading.id).where(_reading.study_instance_uid == uid, is_read)
        is_settled = and_(_study.revision == study.revision, _study.covered_count == _study.instance_count)
        try:
            with self.engine.begin() as connection:
                ended = update(schema.revision).where(waits, ~stands.exists())
                if connection.execute(ended.values(finished_at=now.timestamp())).rowcount != 1:
                    return False
                closed = update(schema.study).where(_study.study_instance_uid == uid, is_settled)
                connection.execute(closed.values(state=StudyState.NOT_READ.value))
                beside(connection)
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error
        return True

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self.engine.connect().execution_options(read_only=True) as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error


def _newest(number: Any) -> Any:
    return select(func.coalesce(func.max(number), 0)).scalar_subquery()


def _is_newest() -> Any:
    same = _revision.study_instance_uid == _study.study_instance_uid
    return and_(same, _revision.revision == _study.revision)


def _from(sources: Collection[str] | None) -> list[Any]:
    return [] if sources is None else [_study.source.in_(tuple(sources))]


def _pair(row: Mapping[Any, Any]) -> tuple[RevisionRow, StudyRow]:
    of_revision = {name.removeprefix("of_"): row[name] for name in row if name.startswith("of_")}
    return RevisionRow(**of_revision), _study_of(row)


def _study_of(row: Mapping[Any, Any]) -> StudyRow:
    return study_row({one.name: row[one.name] for one in STUDY_COLUMNS})


def _iter_faults(rows: Any, codes: Collection[str]) -> Iterator[Fault]:
    for row in rows:
        for problem in row["problems"]:
            if problem["code"] in codes:
                model = f"{row['model_name']} {row['model_version']}"
                yield _fault(row, model, problem["code"], problem["message"], row["made_at"])
                break


def _fault(row: Mapping[Any, Any], model: str, code: str, message: str, at: float) -> Fault:
    study = _study_of(row)
    return Fault(study=study, revision=study.revision, model=model, code=code, message=message, at=at)
