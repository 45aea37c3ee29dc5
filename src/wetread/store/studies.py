"""Studies and their revisions.

In: UIDs.  Out: domain values and rows for pages.  Never: a revision begun twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, bindparam, func, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.fetching import Purpose
from wetread.domain.progress import StudyState
from wetread.domain.reading import Priority
from wetread.domain.study import Instance, Study, group_instances
from wetread.errors import StorageError
from wetread.store import schema
from wetread.store.blobs import Blobs
from wetread.store.expectations import keep_expectation
from wetread.store.list_rank import keep_rank
from wetread.store.room import end_claim
from wetread.store.together import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """What the index knows about a study without opening it."""

    study_instance_uid: str
    #: ``domain.study.study_key``.
    key: str
    patient_id: str
    patient_name: str
    patient_birth_date: str
    patient_sex: str
    accession_number: str
    study_date: str
    study_time: str
    study_description: str
    modalities: tuple[str, ...]
    expected_instances: int | None
    #: Who told it: a destination's name or an AE title; "": its images' headers.
    expected_by: str = ""
    instance_count: int
    #: Seconds since 1970.
    first_received_at: float
    last_received_at: float
    #: Highest revision begun, 0 before the first.
    revision: int
    #: Instances that this revision covers.
    covered_count: int
    state: StudyState
    #: What a rule says, beside what models find.
    urgency: Priority = Priority.ROUTINE
    urgency_rule: str = ""
    #: When a person took it off the reading list; None while it waits.
    reported_at: float | None
    #: AE title, ``folder`` or ``stow``: who handed in its first image.
    source: str = ""
    #: What it is here for.
    purpose: Purpose = Purpose.LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionRow:
    """One begun revision of a study."""

    study_instance_uid: str
    revision: int
    instance_count: int
    cause: str
    begun_at: float
    finished_at: float | None
    #: What ``match`` decided, plain JSON; None before.
    match: Mapping[str, Any] | None


#: What rows are made from, and nothing that only queries compare.
STUDY_COLUMNS = [schema.study.c[one.name] for one in fields(StudyRow)]
# Built once: it is asked for every picture of a viewer.
_FIND = select(*STUDY_COLUMNS).where(schema.study.c.study_instance_uid == bindparam("uid"))
_INSTANCE = [one for one in schema.instance.c if one.name != "metadata"]


@dataclass(frozen=True, slots=True)
class Studies:
    """Questions about studies, and their revisions."""

    engine: Engine
    instances: Blobs

    def find(self, study_instance_uid: str) -> StudyRow | None:
        """Return a study's row, None where there is none."""
        with reading(self.engine) as connection:
            row = connection.execute(_FIND, {"uid": study_instance_uid}).mappings().first()
        return None if row is None else study_row(row)

    def find_by_accession(self, accession_number: str) -> StudyRow | None:
        """Return the newest study of an accession number, None where there is none."""
        rows = self._rows(schema.study.c.accession_number == accession_number, limit=1)
        return rows[0] if rows else None

    def find_by_key(self, key: str) -> StudyRow | None:
        """Return the study of a ``study_key``, None where there is none."""
        rows = self._rows(schema.study.c.key == key)
        return rows[0] if rows else None

    def list_waiting(self, limit: int = 2000, sources: Collection[str] | None = None) -> list[StudyRow]:
        """Return the studies that nobody reported yet; where there are more, the newest.

        Parameters
        ----------
        sources
            Only what came from these; None: from anywhere.
        """
        return self._rows(schema.study.c.reported_at.is_(None), *_from(sources), limit=limit)

    def list_reported(self, limit: int = 200, sources: Collection[str] | None = None) -> list[StudyRow]:
        """Return the reported studies that arrived last, newest first; ``sources`` as above."""
        return self._rows(schema.study.c.reported_at.is_not(None), *_from(sources), limit=limit)

    def mark_reported(
        self,
        study_instance_uid: str,
        now: datetime | None,
        beside: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        """Take a study off the reading list, or with None put it back.

        Parameters
        ----------
        beside
            What else belongs to the same transaction.

        Raises
        ------
        StorageError
            If the index refuses.
        """
        try:
            with self.engine.begin() as connection:
                connection.execute(
                    update(schema.study)
                    .where(schema.study.c.study_instance_uid == study_instance_uid)
                    .values(reported_at=now.timestamp() if now else None)
                )
                end_claim(connection, study_instance_uid)
                beside(connection)
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error

    def expect(self, study_instance_uid: str, count: int, told_by: str, now: datetime | None = None) -> None:
        """Keep how many images a study will have; what was told last counts, before or after it came.

        Parameters
        ----------
        count
            Of images, without results of ours.
        told_by
            Who says so, for the study's page: a destination's name or an AE title.
        now
            When it was told; None: by this machine's clock.

        Raises
        ------
        ValueError
            If it is no number of images.
        StorageError
            If the index refuses.
        """
        keep_expectation(self.engine, study_instance_uid, count, told_by, now or datetime.now(UTC))

    def list_newest(self, limit: int = 500) -> list[StudyRow]:
        """Return the studies that arrived last, newest first."""
        return self._rows(limit=limit)

    def list_due(self) -> list[StudyRow]:
        """Return the studies to be read with instances that no revision covers yet."""
        is_due = schema.study.c.instance_count > schema.study.c.covered_count
        return self._rows(is_due, schema.study.c.purpose != Purpose.PRIOR.value)

    def load(self, study_instance_uid: str, limit: int | None = None, revision: int = 1) -> Study | None:
        """Return the study with its instances' headers, without results of ours that came back.

        Parameters
        ----------
        limit
            Only the first so many in order of arrival: what a revision covers stays the same
            when more arrive while it is read.
        """
        table = schema.instance
        query = (
            select(*_INSTANCE)
            .where(table.c.study_instance_uid == study_instance_uid, ~table.c.is_result)
            .order_by(table.c.arrival)
            .limit(limit)
        )
        with reading(self.engine) as connection:
            rows = connection.execute(query).mappings().all()
        studies = group_instances([self._instance(dict(row)) for row in rows], revision)
        return studies[0] if studies else None

    def load_heads(self, study_instance_uid: str) -> Study | None:
        """Return the study with one instance of each series: enough to know what kind of study it is."""
        return self.load_heads_of([study_instance_uid]).get(study_instance_uid)

    def load_heads_of(self, study_instance_uids: Collection[str]) -> dict[str, Study]:
        """Return studies as ``load_heads`` does, by UID; those that are not there are left out."""
        table = schema.instance
        heads = (
            select(func.min(table.c.sop_instance_uid))
            .where(table.c.study_instance_uid.in_(tuple(study_instance_uids)), ~table.c.is_result)
            .group_by(table.c.study_instance_uid, table.c.series_instance_uid)
        )
        query = select(*_INSTANCE).where(table.c.sop_instance_uid.in_(heads))
        with reading(self.engine) as connection:
            rows = connection.execute(query).mappings().all()
        studies = group_instances([self._instance(dict(row)) for row in rows])
        return {study.study_instance_uid: study for study in studies}

    def set_urgency(self, study_instance_uid: str, urgency: Priority, rule: str) -> None:
        """Keep the urgency that a rule gives to a study."""
        with self.engine.begin() as connection:
            connection.execute(
                update(schema.study)
                .where(schema.study.c.study_instance_uid == study_instance_uid)
                .values(urgency=urgency.value, urgency_rule=rule)
            )
            keep_rank(connection, study_instance_uid)

    def begin_revision(self, study_instance_uid: str, cause: str, now: datetime) -> RevisionRow | None:
        """Begin a revision that covers all instances so far; None where nothing is new.

        In one transaction with the study's row, so that a revision begins once.
        """
        with self.engine.begin() as connection:
            row = _hold(connection, study_instance_uid)
            if row is None or row["instance_count"] <= row["covered_count"]:
                return None
            return _begin(connection, row, cause, now)

    def begin_again(
        self, study_instance_uid: str, cause: str, now: datetime, beside: Callable[[Connection], None]
    ) -> RevisionRow | None:
        """Begin a revision of what the last one covers; None where it is read, or read by itself.

        Parameters
        ----------
        beside
            What else belongs to the same transaction.
        """
        settled = (StudyState.READ.value, StudyState.NOT_READ.value)
        with self.engine.begin() as connection:
            row = _hold(connection, study_instance_uid)
            if row is None or row["state"] not in settled or row["instance_count"] != row["covered_count"]:
                return None
            beside(connection)
            return _begin(connection, row, cause, now)

    def list_unfinished_revisions(self) -> list[RevisionRow]:
        """Return begun revisions that are not finished, oldest first."""
        return self._revisions(schema.revision.c.finished_at.is_(None))

    def list_revisions(self, study_instance_uid: str) -> list[RevisionRow]:
        """Return a study's revisions, oldest first."""
        return self._revisions(schema.revision.c.study_instance_uid == study_instance_uid)

    def newest_matches(self, study_instance_uids: list[str]) -> dict[str, Mapping[str, Any]]:
        """Return what ``match`` decided for the newest revision of each study that has got so far."""
        table = schema.revision
        newest = (table.c.study_instance_uid == schema.study.c.study_instance_uid) & (
            table.c.revision == schema.study.c.revision
        )
        query = (
            select(table.c.study_instance_uid, table.c.match)
            .join(schema.study, newest)
            .where(table.c.study_instance_uid.in_(study_instance_uids))
        )
        with reading(self.engine) as connection:
            return {uid: match for uid, match in connection.execute(query) if match is not None}

    def get_revision(self, study_instance_uid: str, revision: int) -> RevisionRow:
        """Return one revision, or raise KeyError."""
        for row in self.list_revisions(study_instance_uid):
            if row.revision == revision:
                return row
        raise KeyError(revision)

    def save_match(self, study_instance_uid: str, revision: int, match: Mapping[str, Any]) -> bool:
        """Keep what ``match`` decided for a revision; False where that was called off before, or is gone."""
        table = schema.revision
        is_due = or_(table.c.finished_at.is_(None), table.c.match.is_not(None))
        mine = _revision_update(study_instance_uid, revision).where(is_due)
        with self.engine.begin() as connection:
            return connection.execute(mine.values(match=dict(match))).rowcount == 1

    def finish_revision(
        self, study_instance_uid: str, revision: int, state: StudyState, now: datetime
    ) -> None:
        """Mark a revision as finished; the study takes its state if nothing newer arrived."""
        with self.engine.begin() as connection:
            connection.execute(
                _revision_update(study_instance_uid, revision).values(finished_at=now.timestamp())
            )
            connection.execute(
                update(schema.study)
                .where(schema.study.c.study_instance_uid == study_instance_uid)
                .where(schema.study.c.revision == revision)
                .where(schema.study.c.covered_count == schema.study.c.instance_count)
                .values(state=state.value)
            )

    def _rows(self, *where: ColumnElement[bool], limit: int | None = None) -> list[StudyRow]:
        query = (
            select(*STUDY_COLUMNS).where(*where).order_by(schema.study.c.last_received_at.desc()).limit(limit)
        )
        with reading(self.engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [study_row(row) for row in rows]

    def _revisions(self, where: ColumnElement[bool]) -> list[RevisionRow]:
        query = select(schema.revision).where(where).order_by(schema.revision.c.begun_at)
        with reading(self.engine) as connection:
            return [RevisionRow(**row) for row in connection.execute(query).mappings()]

    def _instance(self, row: Mapping[str, Any]) -> Instance:
        header = {
            key: tuple(value) if isinstance(value, list) else value for key, value in row["header"].items()
        }
        return Instance(
            sop_instance_uid=row["sop_instance_uid"],
            sop_class_uid=row["sop_class_uid"],
            series_instance_uid=row["series_instance_uid"],
            study_instance_uid=row["study_instance_uid"],
            transfer_syntax_uid=row["transfer_syntax_uid"],
            header=header,
            path=self.instances.path(row["sop_instance_uid"]),
            opener=self.instances.vault.open,
        )


def study_row(row: Mapping[Any, Any]) -> StudyRow:
    """Return a row of the study table as a value."""
    return StudyRow(
        **{
            **row,
            "modalities": tuple(row["modalities"]),
            "state": StudyState(row["state"]),
            "urgency": Priority(row["urgency"]),
            "purpose": Purpose(row["purpose"]),
        }
    )


def _from(sources: Collection[str] | None) -> list[ColumnElement[bool]]:
    return [] if sources is None else [schema.study.c.source.in_(tuple(sources))]


def _revision_update(study_instance_uid: str, revision: int) -> Any:
    table = schema.revision
    mine = table.c.study_instance_uid == study_instance_uid
    return update(table).where(mine, table.c.revision == revision)


def _hold(connection: Connection, study_instance_uid: str) -> Mapping[Any, Any] | None:
    """Return a study's row, which nobody else changes until the transaction ends."""
    where = schema.study.c.study_instance_uid == study_instance_uid
    return connection.execute(select(schema.study).where(where).with_for_update()).mappings().first()


def _begin(connection: Connection, row: Mapping[Any, Any], cause: str, now: datetime) -> RevisionRow:
    revision = RevisionRow(
        study_instance_uid=row["study_instance_uid"],
        revision=row["revision"] + 1,
        instance_count=row["instance_count"],
        cause=cause,
        begun_at=now.timestamp(),
        finished_at=None,
        match=None,
    )
    # Left out, and so NULL of SQL: what is not known yet.
    known = {name: value for name, value in asdict(revision).items() if value is not None}
    connection.execute(insert(schema.revision).values(known))
    connection.execute(
        update(schema.study)
        .where(schema.study.c.study_instance_uid == revision.study_instance_uid)
        .values(
            revision=revision.revision,
            covered_count=revision.instance_count,
            state=StudyState.READING.value,
        )
    )
    return revision
