"""How studies flow through: arrived, read, reported, and how many wait, by stretch of time.

In: since when, how long a stretch is.  Out: a row for each stretch.  Never: who the patient is.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.fetching import Purpose
from wetread.domain.progress import StudyState
from wetread.errors import StorageError
from wetread.store import schema

_study, _revision = schema.study.c, schema.revision.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One stretch of time, and what happened in it."""

    #: Seconds since 1970.
    begins_at: float
    arrived: int
    #: Got their first result.
    read: int
    reported: int
    #: For a reader, at its end.
    waiting: int


@dataclass(frozen=True, slots=True)
class Flows:
    """Of all live studies."""

    engine: Engine

    def list_stretches(
        self, since: float, width_s: float, count: int, sources: Collection[str] | None = None
    ) -> list[Stretch]:
        """Return so many stretches of a width from a moment on, oldest first.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        end = since + width_s * count
        mine = [_study.purpose == Purpose.LIVE.value]
        mine += [] if sources is None else [_study.source.in_(tuple(sources))]
        finished = (
            select(func.min(_revision.finished_at).label("at"))
            .join(schema.study, _study.study_instance_uid == _revision.study_instance_uid)
            .where(_study.state == StudyState.READ.value, *mine)
            .group_by(_revision.study_instance_uid)
            .subquery()
        )

        def count_by(connection: Connection, moment: ColumnElement[Any], *where: Any) -> dict[int, int]:
            number = func.floor((moment - since) / width_s).label("number")
            query = (
                select(number, func.count()).where(moment >= since, moment <= end, *where).group_by(number)
            )
            counts: dict[int, int] = {}
            for stretch, total in connection.execute(query):
                # What happened just now belongs to the last.
                place = min(int(stretch), count - 1)
                counts[place] = counts.get(place, 0) + total
            return counts

        try:
            with self.engine.connect().execution_options(read_only=True) as connection:
                arrived = count_by(connection, _study.first_received_at, *mine)
                reported = count_by(connection, _study.reported_at, *mine)
                read = count_by(connection, finished.c.at)
                before = [_study.first_received_at < since, *mine]
                open_then = _study.reported_at.is_(None) | (_study.reported_at >= since)
                query = select(func.count()).select_from(schema.study).where(*before, open_then)
                waiting = int(connection.execute(query).scalar_one())
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error
        stretches = []
        for number in range(count):
            waiting += arrived.get(number, 0) - reported.get(number, 0)
            stretches.append(
                Stretch(
                    begins_at=since + number * width_s,
                    arrived=arrived.get(number, 0),
                    read=read.get(number, 0),
                    reported=reported.get(number, 0),
                    waiting=waiting,
                )
            )
        return stretches
