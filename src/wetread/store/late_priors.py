"""Earlier studies that came after a later one was read.

In: names of models that compare, since when.  Out: pairs that nobody has looked at; what became of them.
Never: a pair looked at twice, unless the earlier study has grown; a study that is being read.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, exists, insert, select

from wetread.domain.fetching import Purpose
from wetread.domain.late_prior import LateOutcome, LatePrior
from wetread.domain.progress import StudyState
from wetread.domain.reading import Outcome
from wetread.domain.report import ReportState
from wetread.store import schema
from wetread.store.together import reading

_LATE, _READING, _STUDY, _REPORT = schema.late_prior, schema.reading, schema.study, schema.report
_OTHER = schema.study.alias("other")
_SETTLED = (StudyState.READ.value, StudyState.NOT_READ.value)


@dataclass(frozen=True, slots=True)
class LatePriors:
    """All of them."""

    engine: Engine

    def list_new(self, models: Collection[str], since: datetime, limit: int) -> list[LatePrior]:
        """Return pairs of a live study that was read since then and an earlier one, the newest reading first.

        Both have all their images, as far as anybody knows.
        """
        seen = exists().where(
            _LATE.c.study_instance_uid == _STUDY.c.study_instance_uid,
            _LATE.c.prior_instance_uid == _OTHER.c.study_instance_uid,
            _LATE.c.instance_count >= _OTHER.c.instance_count,
        )
        signed = exists().where(
            _REPORT.c.study_instance_uid == _STUDY.c.study_instance_uid,
            _REPORT.c.state != ReportState.DRAFT.value,
        )
        query = (
            select(
                _STUDY.c.study_instance_uid,
                _OTHER.c.study_instance_uid.label("prior_instance_uid"),
                _OTHER.c.instance_count,
                _READING.c.digest.label("reading_digest"),
                _READING.c.revision,
                (_STUDY.c.reported_at.is_not(None) | signed).label("is_reported"),
            )
            .join(_READING, _READING.c.study_instance_uid == _STUDY.c.study_instance_uid)
            .join(_OTHER, _OTHER.c.patient_id == _STUDY.c.patient_id)
            .where(
                _READING.c.model_name.in_(tuple(models)),
                ~_READING.c.superseded,
                _READING.c.outcome == Outcome.READ.value,
                _READING.c.made_at >= since.timestamp(),
                _STUDY.c.patient_id != "",
                _STUDY.c.purpose == Purpose.LIVE.value,
                _STUDY.c.state.in_(_SETTLED),
                _STUDY.c.instance_count == _STUDY.c.covered_count,
                _OTHER.c.study_instance_uid != _STUDY.c.study_instance_uid,
                _OTHER.c.state.in_(_SETTLED),
                # Both are our own times; a Reading's is that of before its prior was looked for.
                _OTHER.c.last_received_at > _READING.c.made_at,
                _OTHER.c.study_date <= _STUDY.c.study_date,
                ~seen,
            )
            .order_by(_READING.c.made_at.desc(), _OTHER.c.study_date.desc())
            .limit(limit)
        )
        with reading(self.engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [LatePrior(**{**row, "is_reported": bool(row["is_reported"])}) for row in rows]

    def keep(self, pair: LatePrior, outcome: LateOutcome, at: datetime) -> None:
        """Note that a pair was looked at."""
        with self.engine.begin() as connection:
            self.keep_in(connection, pair, outcome, at)

    def keep_in(self, connection: Connection, pair: LatePrior, outcome: LateOutcome, at: datetime) -> None:
        """Note it in a transaction of somebody else."""
        mine = (
            _LATE.c.study_instance_uid == pair.study_instance_uid,
            _LATE.c.prior_instance_uid == pair.prior_instance_uid,
        )
        connection.execute(delete(_LATE).where(*mine))
        connection.execute(
            insert(_LATE).values(
                study_instance_uid=pair.study_instance_uid,
                prior_instance_uid=pair.prior_instance_uid,
                instance_count=pair.instance_count,
                outcome=outcome.value,
                at=at.timestamp(),
            )
        )
