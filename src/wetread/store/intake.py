"""Take in instances: durable, once, and never over another.

In: an Instance whose file lies in our incoming folder.  Out: ``Acceptance``, after the disk has it.
Never: overwriting; success before file, folder and index row are durable.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from wetread.domain.progress import Acceptance, StudyState
from wetread.domain.study import Header, Instance, header_text, study_key
from wetread.store import schema
from wetread.store.blobs import Blobs

#: Concurrent senders of the same UID meet at the same lock.
_STRIPES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """An instance with what the index keeps about its file."""

    instance: Instance
    #: sha256 over the encoded data set, without preamble and file meta.
    content_digest: str
    size: int
    received_at: datetime
    #: AE title, ``folder`` or ``stow``.
    source: str


@dataclass(frozen=True, slots=True)
class Intake:
    """The door of the store."""

    engine: Engine
    instances: Blobs
    conflicts: Blobs
    incoming: Path
    _locks: tuple[threading.Lock, ...] = field(
        default_factory=lambda: tuple(threading.Lock() for _ in range(_STRIPES)), repr=False
    )

    def accept(self, arrived: Arrived) -> Acceptance:
        """Store an instance; its file is moved out of the incoming folder.

        Raises
        ------
        StorageError
            If disk or index refuse; nothing is stored then, the sender must be told.
        """
        uid = arrived.instance.sop_instance_uid
        with self._locks[hash(uid) % _STRIPES]:
            known = self.find_digest(uid)
            if known is None:
                self._store(arrived)
                return Acceptance.ACCEPTED
            if known == arrived.content_digest:
                arrived.instance.path.unlink(missing_ok=True)
                return Acceptance.REPEATED
            self._keep_aside(arrived)
            return Acceptance.CONFLICT

    def find_digest(self, sop_instance_uid: str) -> str | None:
        """Return the content digest of a stored instance, None where there is none."""
        query = select(schema.instance.c.content_digest).where(
            schema.instance.c.sop_instance_uid == sop_instance_uid
        )
        with self.engine.connect().execution_options(read_only=True) as connection:
            return connection.execute(query).scalar_one_or_none()

    def iter_known(self) -> Iterator[tuple[str, str]]:
        """Yield SOP Instance UID and Study Instance UID of every indexed instance."""
        query = select(schema.instance.c.sop_instance_uid, schema.instance.c.study_instance_uid)
        with self.engine.connect().execution_options(read_only=True) as connection:
            for row in connection.execute(query):
                yield row[0], row[1]

    def _store(self, arrived: Arrived) -> None:
        uid = arrived.instance.sop_instance_uid
        try:
            self.instances.take(uid, arrived.instance.path)
        except FileExistsError:
            # A crash came between file and row: that file was never acknowledged, ours replaces it.
            self.instances.path(uid).unlink()
            self.instances.take(uid, arrived.instance.path)
        with self.engine.begin() as connection:
            is_result = _is_own_result(connection, uid)
            _upsert_study(connection, arrived, is_result)
            connection.execute(insert(schema.instance).values(**_instance_row(arrived), is_result=is_result))

    def _keep_aside(self, arrived: Arrived) -> None:
        key = f"{arrived.instance.sop_instance_uid} {arrived.content_digest}"
        try:
            self.conflicts.take(key, arrived.instance.path)
        except FileExistsError:
            arrived.instance.path.unlink()
            return
        with self.engine.begin() as connection:
            connection.execute(
                insert(schema.conflict).values(
                    sop_instance_uid=arrived.instance.sop_instance_uid,
                    study_instance_uid=arrived.instance.study_instance_uid,
                    content_digest=arrived.content_digest,
                    received_at=arrived.received_at.timestamp(),
                    source=arrived.source,
                )
            )


def _instance_row(arrived: Arrived) -> dict[str, Any]:
    one = arrived.instance
    return {
        "sop_instance_uid": one.sop_instance_uid,
        "study_instance_uid": one.study_instance_uid,
        "series_instance_uid": one.series_instance_uid,
        "sop_class_uid": one.sop_class_uid,
        "transfer_syntax_uid": one.transfer_syntax_uid,
        "content_digest": arrived.content_digest,
        "size": arrived.size,
        "header": dict(one.header),
        "received_at": arrived.received_at.timestamp(),
        "source": arrived.source,
    }


def _is_own_result(connection: Connection, sop_instance_uid: str) -> bool:
    query = select(schema.document.c.id).where(schema.document.c.sop_instance_uid == sop_instance_uid)
    return connection.execute(query).first() is not None


def _upsert_study(connection: Connection, arrived: Arrived, is_result: bool) -> None:
    """Count an image for its study; a result of ours that came back counts for nothing."""
    uid = arrived.instance.study_instance_uid
    table = schema.study
    row = connection.execute(select(table).where(table.c.study_instance_uid == uid)).mappings().first()
    now = arrived.received_at.timestamp()
    header = arrived.instance.header
    if row is None:
        new = _new_study(uid, header, now) | {"instance_count": 0 if is_result else 1}
        connection.execute(insert(table).values(new))
        return
    if is_result:
        return
    connection.execute(
        update(table)
        .where(table.c.study_instance_uid == uid)
        .values(
            instance_count=row["instance_count"] + 1,
            last_received_at=max(now, row["last_received_at"]),
            modalities=sorted({*row["modalities"], *_modalities(header)}),
            expected_instances=row["expected_instances"] or _expected_instances(header),
            state=StudyState.ARRIVING.value,
            # More images: whoever reported it must see it again.
            reported_at=None,
        )
    )


def _new_study(uid: str, header: Header, now: float) -> dict[str, Any]:
    return {
        "study_instance_uid": uid,
        "key": study_key(uid),
        "patient_id": header_text(header, "PatientID"),
        "patient_name": header_text(header, "PatientName"),
        "patient_birth_date": header_text(header, "PatientBirthDate"),
        "patient_sex": header_text(header, "PatientSex"),
        "accession_number": header_text(header, "AccessionNumber"),
        "study_date": header_text(header, "StudyDate"),
        "study_time": header_text(header, "StudyTime"),
        "study_description": header_text(header, "StudyDescription"),
        "modalities": _modalities(header),
        "expected_instances": _expected_instances(header),
        "instance_count": 1,
        "first_received_at": now,
        "last_received_at": now,
        "revision": 0,
        "covered_count": 0,
        "state": StudyState.ARRIVING.value,
    }


def _modalities(header: Header) -> list[str]:
    modality = header_text(header, "Modality")
    return [modality] if modality else []


def _expected_instances(header: Header) -> int | None:
    # Number of Study Related Instances (0020,1208), where a sender fills it in.
    text = header_text(header, "NumberOfStudyRelatedInstances")
    return int(text) if text.isdigit() and int(text) > 0 else None
