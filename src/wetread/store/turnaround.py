"""How long studies took: arrived, read, reported.

In: since when, whose studies.  Out: a row for each live study.  Never: who the patient is.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.fetching import Purpose
from wetread.domain.progress import StudyState
from wetread.domain.reading import Priority
from wetread.errors import StorageError
from wetread.store import schema

#: Studies that are looked at, the newest: a page of numbers, not an archive.
MOST = 5000
_BY_URGENCY = tuple(Priority)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turnaround:
    """One study; seconds since 1970."""

    #: The most urgent of what rules, models and readers said.
    priority: Priority
    state: StudyState
    received_at: float
    #: When the first result stood; None: none does.
    read_at: float | None
    #: When a reader ended it; None: it waits.
    reported_at: float | None
    #: A model's result alerted.
    alerted: bool = False


@dataclass(frozen=True, slots=True)
class Turnarounds:
    """Of all studies."""

    engine: Engine

    def list_since(self, since: float, sources: Collection[str] | None = None) -> list[Turnaround]:
        """Return the live studies that arrived since then, the newest ``MOST`` of them.

        Parameters
        ----------
        sources
            Only what came from these; None: from anywhere.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        study, revision = schema.study.c, schema.revision.c
        finished = (
            select(func.min(revision.finished_at))
            .where(revision.study_instance_uid == study.study_instance_uid)
            .scalar_subquery()
        )
        query = (
            select(
                study.study_instance_uid, study.urgency, study.state, study.first_received_at, finished,
                study.reported_at,
            )
            .where(study.first_received_at >= since, study.purpose == Purpose.LIVE.value)
            .order_by(study.first_received_at.desc())
            .limit(MOST)
        )  # fmt: skip
        if sources is not None:
            query = query.where(study.source.in_(list(sources)))
        reading, given = schema.reading.c, schema.given_priority.c
        said = (
            select(reading.study_instance_uid, reading.priority)
            .join(schema.study, study.study_instance_uid == reading.study_instance_uid)
            .where(~reading.superseded, study.first_received_at >= since)
        )
        newest = select(func.max(given.id)).group_by(given.study_instance_uid)
        changed = select(given.study_instance_uid, given.priority).where(
            given.id.in_(newest), given.priority.is_not(None)
        )
        try:
            with self.engine.connect().execution_options(read_only=True) as connection:
                rows = connection.execute(query).all()
                by_model = list(connection.execute(said))
                alerted = set(connection.execute(select(schema.alert.c.study_instance_uid)).scalars())
                by_reader = {uid: Priority(priority) for uid, priority in connection.execute(changed)}
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error
        found: dict[str, list[Priority]] = {}
        for uid, priority in by_model:
            found.setdefault(uid, []).append(Priority(priority))
        return [
            Turnaround(
                priority=by_reader.get(uid)
                or min([Priority(urgency), *found.get(uid, ())], key=_BY_URGENCY.index),
                state=StudyState(state),
                received_at=received_at,
                read_at=finished_at if state == StudyState.READ.value else None,
                reported_at=reported_at,
                alerted=uid in alerted,
            )
            for uid, urgency, state, received_at, finished_at, reported_at in rows
        ]
