"""Models that were asked for on a study, beside those that rules name.

In: a study, a model, series, how urgent.  Out: what was asked for.
Never: a revision opened twice for one wish.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, delete, insert, select, update

from wetread.domain.progress import StudyState
from wetread.domain.reading import Priority
from wetread.store import schema

_TABLE = schema.asked_reading
_Where = ColumnElement[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedReading:
    """A wish."""

    study_instance_uid: str
    model_name: str
    #: Series Instance UIDs; none: any.
    series: tuple[str, ...] = ()
    urgency: Priority = Priority.ROUTINE


@dataclass(frozen=True, slots=True)
class AskedReadings:
    """All wishes."""

    engine: Engine

    def put(self, wish: AskedReading) -> None:
        """Keep a wish; a second one for the same model is added to the first."""
        where = self._where(wish.study_instance_uid, wish.model_name)
        with self.engine.begin() as connection:
            held = connection.execute(select(_TABLE).where(*where).with_for_update()).mappings().first()
            if held is None:
                connection.execute(
                    insert(_TABLE).values(
                        study_instance_uid=wish.study_instance_uid,
                        model_name=wish.model_name,
                        series=list(wish.series),
                        urgency=wish.urgency.value,
                        reopened=0,
                    )
                )
                return
            order = list(Priority)
            urgency = min(wish.urgency, Priority(held["urgency"]), key=order.index)
            # One who wants any series is content with those that another wants.
            series = sorted({*held["series"], *wish.series})
            if (series, urgency.value) != (held["series"], held["urgency"]):
                connection.execute(update(_TABLE).where(*where).values(series=series, urgency=urgency.value))

    def list_for(self, study_instance_uid: str) -> list[AskedReading]:
        """Return what was asked for on a study."""
        query = select(_TABLE).where(_TABLE.c.study_instance_uid == study_instance_uid)
        with self.engine.connect().execution_options(read_only=True) as connection:
            return [
                AskedReading(
                    study_instance_uid=row["study_instance_uid"],
                    model_name=row["model_name"],
                    series=tuple(row["series"]),
                    urgency=Priority(row["urgency"]),
                )
                for row in connection.execute(query.order_by(_TABLE.c.model_name)).mappings()
            ]

    def reopen(self, study_instance_uid: str, model_name: str, revision: int) -> bool:
        """Open a finished revision again so that the model is considered; False where it was before.

        Readings that it has stand: each model reads a revision once.
        """
        where = (*self._where(study_instance_uid, model_name), _TABLE.c.reopened < revision)
        done = schema.revision.c.finished_at.is_not(None)
        begun = (
            schema.revision.c.study_instance_uid == study_instance_uid,
            schema.revision.c.revision == revision,
        )
        with self.engine.begin() as connection:
            if connection.execute(update(_TABLE).where(*where).values(reopened=revision)).rowcount == 0:
                return False
            connection.execute(update(schema.revision).where(*begun, done).values(finished_at=None))
            connection.execute(
                update(schema.study)
                .where(schema.study.c.study_instance_uid == study_instance_uid)
                .where(schema.study.c.revision == revision)
                .values(state=StudyState.READING.value)
            )
        return True

    def remove(self, study_instance_uid: str, model_name: str) -> None:
        """Forget a wish."""
        with self.engine.begin() as connection:
            connection.execute(delete(_TABLE).where(*self._where(study_instance_uid, model_name)))

    def _where(
        self, study_instance_uid: str, model_name: str
    ) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return _TABLE.c.study_instance_uid == study_instance_uid, _TABLE.c.model_name == model_name
