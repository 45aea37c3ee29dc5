"""Readings of versions in the shadow: apart from all others, in a table and a folder of their own.

In: what is to be read beside the live version; what came of it.  Out: the same, for a comparison.
Never: a row or file that the pages, documents, deliveries or DICOMweb of a study could meet; a study held.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.jsonable import from_jsonable, to_jsonable
from wetread.domain.model import ModelIdentity
from wetread.domain.packing import pack_reading, unpack_reading
from wetread.domain.reading import Reading
from wetread.domain.shadow import Said, ShadowState
from wetread.errors import StorageError, StudyDeleted
from wetread.store import schema
from wetread.store.blobs import Blobs
from wetread.store.readings import hold_revision

_TABLE = schema.shadow_reading
_IS_WAITING = _TABLE.c.state == ShadowState.WAITING.value


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowRow:
    """One reading in the shadow, done or to be done."""

    id: int
    study_instance_uid: str
    revision: int
    model_name: str
    model_version: str
    model_digest: str
    #: The decision that brought its version into the shadow; 0: its package's own word.
    period: int
    state: ShadowState
    #: None: it waits.
    said: Said | None
    #: What the live version said of the study; None: there was none.
    beside: Said | None
    #: When it was planned, or read: seconds since 1970.
    at: float
    superseded: bool
    #: Where rows are listed for a comparison; ``""``: unknown.
    patient_id: str = ""


def shadow_key(study: str, revision: int, model_digest: str) -> str:
    """Return the key of a Reading's file: known before it is read, so that no crash leaves one unknown."""
    return f"{study} {revision} {model_digest}"


@dataclass(frozen=True, slots=True)
class Shadows:
    """All readings in the shadow."""

    engine: Engine
    blobs: Blobs

    def plan(
        self, study: str, revision: int, versions: Collection[tuple[ModelIdentity, int]], now: datetime
    ) -> None:
        """Note which versions are to read a revision; what is noted already stays.

        Parameters
        ----------
        versions
            Each with the decision that brought it into the shadow.

        Raises
        ------
        StudyDeleted
            If the revision is gone.
        StorageError
            If the index refuses.
        """
        rows = [
            {
                "study_instance_uid": study,
                "revision": revision,
                "model_name": one.name,
                "model_version": one.version,
                "model_digest": one.digest,
                "period": period,
                "state": ShadowState.WAITING.value,
                "said": {},
                "beside": {},
                "at": now.timestamp(),
                "superseded": False,
            }
            for one, period in versions
        ]
        query = select(_TABLE.c.model_digest).where(*_of(study, revision))
        try:
            with self.engine.begin() as connection:
                hold_revision(connection, study, revision)
                known = set(connection.execute(query).scalars())
                fresh = [row for row in rows if row["model_digest"] not in known]
                if fresh:
                    connection.execute(insert(_TABLE), fresh)
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error

    def list_waiting(self, digests: Collection[str], limit: int) -> list[ShadowRow]:
        """Return what these versions are to read, the longest waiting first."""
        query = select(_TABLE).where(_IS_WAITING, _TABLE.c.model_digest.in_(digests))
        return self._rows(query.order_by(_TABLE.c.id).limit(limit)) if digests else []

    def find(self, study: str, revision: int, model_digest: str) -> ShadowRow | None:
        """Return one row, None where there is none."""
        query = select(_TABLE).where(*_of(study, revision), _TABLE.c.model_digest == model_digest)
        return next(iter(self._rows(query)), None)

    def find_earlier(self, row: ShadowRow) -> ShadowRow | None:
        """Return what the same version read last of the same study in the same period."""
        query = select(_TABLE).where(
            _TABLE.c.study_instance_uid == row.study_instance_uid,
            _TABLE.c.model_digest == row.model_digest,
            _TABLE.c.period == row.period,
            _TABLE.c.revision < row.revision,
            _TABLE.c.state == ShadowState.READ.value,
        )
        return next(iter(self._rows(query.order_by(_TABLE.c.revision.desc()).limit(1))), None)

    def list_done(self, model_digest: str, period: int, limit: int) -> list[ShadowRow]:
        """Return what a version made of studies in a period, the newest first, with whose they are."""
        study = schema.study
        query = (
            select(_TABLE, study.c.patient_id)
            .join(study, study.c.study_instance_uid == _TABLE.c.study_instance_uid)
            .where(*_in(model_digest, period), ~_IS_WAITING, ~_TABLE.c.superseded)
            .order_by(_TABLE.c.id.desc())
            .limit(limit)
        )
        return self._rows(query)

    def count(self, model_digest: str, period: int) -> tuple[int, int]:
        """Return how many studies a version made something of in a period, and how many wait."""
        where = _in(model_digest, period)
        with self.engine.connect().execution_options(read_only=True) as connection:
            done, waiting = (
                connection.execute(select(func.count()).select_from(_TABLE).where(*where, which)).scalar_one()
                for which in (~_IS_WAITING & ~_TABLE.c.superseded, _IS_WAITING)
            )
        return done, waiting

    def load(self, row: ShadowRow) -> Reading:
        """Return the Reading of a row with its masks."""
        key = shadow_key(row.study_instance_uid, row.revision, row.model_digest)
        return unpack_reading(self.blobs.read(key))

    def save(
        self,
        row: ShadowRow,
        reading: Reading,
        said: Said,
        beside: Said | None,
        now: datetime,
        tell: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        """Keep what came of a row that waits; done or gone meanwhile, it is left so.

        Parameters
        ----------
        tell
            What else belongs to the same transaction; not called where nothing is kept.

        Raises
        ------
        StudyDeleted
            If the study was deleted while it was read.
        StorageError
            If index or disk refuse.
        """
        key = shadow_key(row.study_instance_uid, row.revision, row.model_digest)
        self.blobs.write(key, pack_reading(reading))
        values = {
            "state": ShadowState(said.outcome.value).value,
            "said": to_jsonable(said),
            "beside": to_jsonable(beside) if beside else {},
            "at": now.timestamp(),
        }
        try:
            with self.engine.begin() as connection:
                hold_revision(connection, row.study_instance_uid, row.revision)
                where = (_TABLE.c.id == row.id, _IS_WAITING)
                if connection.execute(update(_TABLE).where(*where).values(values)).rowcount:
                    _supersede(connection, row)
                    tell(connection)
        except StudyDeleted:
            # The deletion could not know of it.
            self.blobs.remove(key)
            raise
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error

    def drop(self, row: ShadowRow) -> None:
        """Forget a row that waits: there is nothing to be read."""
        self._drop(_TABLE.c.id == row.id)

    def drop_all_but(self, digests: Collection[str]) -> None:
        """Forget what waits for versions that are not in the shadow any more."""
        self._drop(_TABLE.c.model_digest.not_in(digests))

    def _drop(self, which: ColumnElement[bool]) -> None:
        if not self._rows(select(_TABLE).where(_IS_WAITING, which).limit(1)):
            # As a rule: then nothing need be written.
            return
        try:
            with self.engine.begin() as connection:
                connection.execute(delete(_TABLE).where(_IS_WAITING, which))
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error

    def _rows(self, query: Any) -> list[ShadowRow]:
        with self.engine.connect().execution_options(read_only=True) as connection:
            return [_row(one) for one in connection.execute(query).mappings()]


def _of(study: str, revision: int) -> tuple[ColumnElement[bool], ...]:
    return _TABLE.c.study_instance_uid == study, _TABLE.c.revision == revision


def _in(model_digest: str, period: int) -> tuple[ColumnElement[bool], ...]:
    return _TABLE.c.model_digest == model_digest, _TABLE.c.period == period


def _supersede(connection: Connection, row: ShadowRow) -> None:
    connection.execute(
        update(_TABLE)
        .where(_TABLE.c.study_instance_uid == row.study_instance_uid)
        .where(_TABLE.c.model_digest == row.model_digest, _TABLE.c.revision < row.revision)
        .values(superseded=True)
    )


def _row(row: Mapping[Any, Any]) -> ShadowRow:
    return ShadowRow(
        **{
            **row,
            "state": ShadowState(row["state"]),
            "said": from_jsonable(Said, row["said"]) if row["said"] else None,
            "beside": from_jsonable(Said, row["beside"]) if row["beside"] else None,
        }
    )
