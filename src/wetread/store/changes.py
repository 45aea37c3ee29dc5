"""What readers changed in findings: by hand, or by a segmentation that came back.

In: a change, what its reader saw.  Out: all that was ever changed, oldest first.
Never: a change over a newer one that the reader has not seen; one without its audit entry; a changed Reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.audit import AuditEvent
from wetread.domain.change import Change, ChangeKind, Said, standing
from wetread.domain.document import Document
from wetread.domain.jsonable import from_jsonable, to_jsonable
from wetread.domain.left import leave
from wetread.domain.packed_mask import pack_mask, unpack_mask
from wetread.domain.problem import ProblemCode
from wetread.domain.returned import Return, Returned
from wetread.errors import NotNow, StorageError
from wetread.store import schema
from wetread.store.audit import Audit
from wetread.store.history import Event, History
from wetread.store.readings import Readings
from wetread.store.room import list_remarks
from wetread.store.settling import note_change, note_reported
from wetread.store.study_lock import lock_study
from wetread.store.text import clean_text

_STAGE = "review"
_CHANGE, _RETURNED, _READING = schema.change, schema.returned, schema.reading
#: Of a reader's own words, and of a label.
LONGEST_WORDS, LONGEST_LABEL = 2000, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """One finding that a version of a model does not have, as a reader says."""

    version: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """How an object came."""

    #: In the order of arrival within the study, from 1.
    number: int
    #: AE title, ``stow`` or who handed it in.
    source: str


@dataclass(frozen=True, slots=True)
class Changes:
    """All of them."""

    engine: Engine
    audit: Audit
    readings: Readings

    def list_for_study(self, study_instance_uid: str) -> list[Change]:
        """Return everything that was changed in the findings of a study, oldest first."""
        with self._reading() as connection:
            return _list(connection, study_instance_uid)

    def add(self, change: Change, *, seen: int, event: AuditEvent) -> Change:
        """Keep a change.

        Parameters
        ----------
        seen
            Number of the newest change of this finding that the reader saw; 0: none.

        Raises
        ------
        NotNow
            If somebody has changed the finding since, the Reading was replaced, or there is nothing to be
            taken back.
        StorageError
            If the index refuses.
        """
        study = change.study_instance_uid
        with self._changing(study, event) as connection:
            _require_standing(connection, study, change.reading_digest)
            mine = [
                one
                for one in _list(connection, study)
                if (one.reading_digest, one.tracking_uid) == (change.reading_digest, change.tracking_uid)
            ]
            if max((one.id for one in mine), default=0) != seen:
                raise NotNow("Somebody changed this finding meanwhile: look at what they did, then decide.")
            if change.kind is ChangeKind.UNDONE and not standing(mine, change.reading_digest):
                raise NotNow("There is nothing to take back: the finding is as the model has it.")
            kept = _insert(connection, change)
            note_change(connection, study, change.reading_digest, change.at)
            line = f"A finding: {change.kind.value} by {change.who}."
            History(self.engine).add_in(connection, _line(study, change.at, line))
        return kept

    def missed(self, model_name: str) -> list[Missed]:
        """Return what readers added to the Readings of a model, and did not take back."""
        added = select(_CHANGE.c.tracking_uid).where(_CHANGE.c.kind == ChangeKind.ADDED.value)
        query = (
            select(
                _CHANGE.c.reading_digest,
                _CHANGE.c.tracking_uid,
                _CHANGE.c.kind,
                _READING.c.model_version,
                _CHANGE.c.study_instance_uid,
            )
            .join(_READING, _READING.c.digest == _CHANGE.c.reading_digest)
            .where(_READING.c.model_name == model_name, _CHANGE.c.tracking_uid.in_(added))
            .order_by(_CHANGE.c.id)
        )
        with self._reading() as connection:
            rows = connection.execute(query).all()
        # It is added, taken back, added again: the last counts.
        last = {(digest, uid): (kind, version, study) for digest, uid, kind, version, study in rows}
        return [
            Missed(version=version, study_instance_uid=study)
            for kind, version, study in last.values()
            if kind == ChangeKind.ADDED.value
        ]

    # ---- segmentations that came back

    def list_returned(self, study_instance_uid: str) -> list[Returned]:
        """Return the segmentations of a study that were looked at, oldest first."""
        query = select(_RETURNED).where(_RETURNED.c.study_instance_uid == study_instance_uid)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(_RETURNED.c.at)).mappings()
            return [
                Returned(
                    **{
                        **row,
                        "outcome": Return(row["outcome"]),
                        "code": ProblemCode(row["code"]) if row["code"] else None,
                    }
                )
                for row in rows
            ]

    def find_arrivals(self, study_instance_uid: str) -> dict[str, Arrival]:
        """Return how each object of a study arrived, by SOP Instance UID, in the order of arrival."""
        instance = schema.instance.c
        query = select(instance.sop_instance_uid, instance.arrival, instance.source).where(
            instance.study_instance_uid == study_instance_uid, ~instance.is_result
        )
        with self._reading() as connection:
            rows = connection.execute(query.order_by(instance.arrival)).all()
        return {uid: Arrival(number=number, source=source) for uid, number, source in rows}

    def keep_returned(
        self,
        returned: Returned,
        changes: Sequence[Change],
        *,
        revision: int,
        documents: Mapping[int, Sequence[Document]],
        states: Mapping[str, str],
        event: AuditEvent,
    ) -> None:
        """Keep what a segmentation says, and what was composed of it: all or nothing, and once.

        Parameters
        ----------
        revision
            Of the study, for its history.
        documents
            What was composed anew, by the row number of its Reading.
        states
            ``Left.state`` of what it was composed of besides ``changes``, by the digest of its Reading.

        Raises
        ------
        StorageError
            If the index refuses.
        """
        study = returned.study_instance_uid
        with self._changing(study, event) as connection:
            known = select(_RETURNED.c.at).where(_RETURNED.c.sop_instance_uid == returned.sop_instance_uid)
            if connection.execute(known).first() is not None:
                # Another process was first.
                return
            values = to_jsonable(returned) | {"code": returned.code.value if returned.code else ""}
            connection.execute(insert(_RETURNED).values(values))
            whole = [
                digest for digest, state in states.items() if self._state(connection, study, digest) == state
            ]
            for one in changes:
                _require_standing(connection, study, one.reading_digest)
                _insert(connection, one)
                note_change(connection, study, one.reading_digest, one.at)
            for digest in whole:
                # The report has all of it; else another one follows.
                note_reported(connection, digest, self._state(connection, study, digest))
            for reading_id, composed in documents.items():
                self.readings.add_signed(connection, study, reading_id, composed)
            line = _line(study, returned.at, returned.message)
            if returned.code is not None:
                line = replace(line, level="problem", code=returned.code.value)
            History(self.engine).add_in(connection, replace(line, revision=revision))

    def _state(self, connection: Connection, study: str, reading_digest: str) -> str:
        remarks = list_remarks(connection, study)
        return leave(_list(connection, study), remarks, reading_digest).state

    # ---- transactions

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self.engine.connect().execution_options(read_only=True) as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error

    @contextmanager
    def _changing(self, study: str, event: AuditEvent) -> Iterator[Connection]:
        """A change with its audit entry: all or nothing."""
        try:
            with self.engine.begin() as connection:
                lock_study(connection, study)
                yield connection
                self.audit.record_in(connection, event)
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error
        self.audit.note_end()


def _list(connection: Connection, study: str) -> list[Change]:
    query = select(_CHANGE).where(_CHANGE.c.study_instance_uid == study).order_by(_CHANGE.c.id)
    return [_change(dict(row)) for row in connection.execute(query).mappings()]


def _insert(connection: Connection, change: Change) -> Change:
    outline, said = change.said.outline, change.said
    if said.label is not None:
        said = replace(said, label=clean_text(said.label)[:LONGEST_LABEL])
    change = replace(change, said=said, text=clean_text(change.text)[:LONGEST_WORDS])
    values: dict[str, Any] = to_jsonable(change)
    values["mask"] = pack_mask(outline.mask) if outline else None
    del values["id"]
    number = connection.execute(insert(_CHANGE).values(values).returning(_CHANGE.c.id)).scalar_one()
    return replace(change, id=number)


def _change(row: dict[str, Any]) -> Change:
    packed = row.pop("mask")
    masks = {}
    if packed is not None:
        mask = unpack_mask(packed)
        masks = {mask.digest: mask}
    return Change(**{**row, "kind": ChangeKind(row["kind"]), "said": from_jsonable(Said, row["said"], masks)})


def _require_standing(connection: Connection, study: str, reading_digest: str) -> None:
    query = select(_READING.c.superseded).where(
        _READING.c.digest == reading_digest, _READING.c.study_instance_uid == study
    )
    rows = connection.execute(query).scalars().all()
    if not rows or all(rows):
        raise NotNow("More images came and the study was read anew: look at the new reading.")


def _line(study: str, at: float, message: str) -> Event:
    moment = datetime.fromtimestamp(at).astimezone()
    return Event(study_instance_uid=study, at=moment, stage=_STAGE, message=message)
