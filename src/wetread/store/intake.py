"""Take in instances: durable, once, and never over another.

In: an Instance whose file lies in our incoming folder.  Out: ``Acceptance``, after the disk has it.
Never: overwriting; success before file, folder and index row are durable.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from wetread.domain.progress import Acceptance, StudyState
from wetread.domain.study import Instance
from wetread.errors import IndexUnavailable, StorageError
from wetread.imaging.same import is_same_object
from wetread.store import schema
from wetread.store.arriving import expected_instances, list_modalities, new_study_row, series_row
from wetread.store.blobs import Blobs, storage_error, sync_file, sync_folder
from wetread.store.catalogued import pack_metadata, to_integer
from wetread.store.expectations import take_expectation
from wetread.store.group import Group
from wetread.store.purposes import arriving_purpose
from wetread.store.space import Space
from wetread.store.study_lock import lock_study

#: Concurrent senders of the same UID meet at the same lock. So many images are taken in at once.
_STRIPES = 16
#: How long an image waits for other processes that write: a sender is to hear "no" within a second.
PATIENCE_S = 0.8

# Built once: building a statement for every image costs more than running it.
_FIND_DIGEST = select(schema.instance.c.content_digest).where(
    schema.instance.c.sop_instance_uid == bindparam("uid")
)
#: Whether it is a result of ours that came back, and whether it is held as a document anyway.
_ORIGIN = select(
    exists().where(schema.document.c.sop_instance_uid == bindparam("uid")).label("is_document"),
    # Its study was deleted here, the result came back all the same.
    exists().where(schema.forgotten.c.digest == bindparam("digest")).label("is_forgotten"),
)
_FIND_STUDY = select(
    schema.study.c.modalities, schema.study.c.expected_instances, schema.study.c.purpose
).where(schema.study.c.study_instance_uid == bindparam("study"))
# ``study_lock`` has another seed: the locks stay apart, also where a sender gives both one UID.
_LOCK_INSTANCE = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("uid"), 1)))
_INSERT_STUDY = insert(schema.study)
_INSERT_INSTANCE = insert(schema.instance)
# SQLite and PostgreSQL say it alike, SQLAlchemy does not.
_COUNT_SERIES = text("""
INSERT INTO series (study_instance_uid, series_instance_uid, modality, series_number, performed_date,
                    performed_time, scheduled_step_id, requested_procedure_id, instance_count, head)
VALUES (:study, :series, :modality, :series_number, :performed_date,
        :performed_time, :scheduled_step_id, :requested_procedure_id, 1, :head)
ON CONFLICT (study_instance_uid, series_instance_uid)
DO UPDATE SET instance_count = series.instance_count + 1
""")
_GROW_STUDY = (
    update(schema.study)
    .where(schema.study.c.study_instance_uid == bindparam("study"))
    .values(
        instance_count=schema.study.c.instance_count + 1,
        last_received_at=case(
            (schema.study.c.last_received_at > bindparam("now"), schema.study.c.last_received_at),
            else_=bindparam("now"),
        ),
        modalities=bindparam("kinds", type_=schema.study.c.modalities.type),
        expected_instances=bindparam("expected"),
        state=StudyState.ARRIVING.value,
        # More images: whoever reported it must see it again.
        reported_at=bindparam("reported_at"),
        purpose=bindparam("purpose"),
    )
    .returning(schema.study.c.instance_count)
)


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
    #: Its header in the DICOM JSON Model; None where it is too large for the index.
    metadata: bytes | None = None


#: An instance, and its row.
_Work = tuple[Arrived, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Intake:
    """The door of the store."""

    engine: Engine
    instances: Blobs
    conflicts: Blobs
    incoming: Path
    space: Space
    _locks: tuple[threading.Lock, ...] = field(
        default_factory=lambda: tuple(threading.Lock() for _ in range(_STRIPES)), repr=False
    )

    #: Comparing decodes both in a process of its own: no more than these at a time.
    _comparing: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(2), repr=False)

    _group: Group[_Work] = field(default_factory=Group, repr=False)

    def prepare(self) -> None:
        """Make the folders for files ahead, so that no sender waits for them."""
        self.instances.make_folders()

    def accept(self, arrived: Arrived) -> Acceptance:
        """Store an instance; its file is moved out of the incoming folder.

        Raises
        ------
        StorageError
            If disk or index refuse; nothing is stored then, the sender must be told.
        """
        uid = arrived.instance.sop_instance_uid
        self.space.check()
        try:
            with self.alone(uid):
                # A file is in place before its row is: where there is none, the index need not be asked.
                known = self.find_digest(uid) if self.instances.has(uid) else None
                if known is None:
                    return self._store(arrived)
                return self._compare(arrived, known)
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error

    @property
    def _is_shared(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    def adopt(self, arrived: Arrived, check: Callable[[Connection], None]) -> None:
        """Index an instance whose file lies in its place already; the caller is ``alone`` with its UID.

        Parameters
        ----------
        check
            Asked within the transaction, when nobody can delete the study before it ends; what it raises
            leaves the index as it was.

        Raises
        ------
        OSError, SQLAlchemyError
            If disk or index refuse.
        """
        path = self.instances.path(arrived.instance.sop_instance_uid)
        sync_file(path)
        sync_folder(path.parent)
        self._index(arrived, check)

    @contextmanager
    def alone(self, uid: str) -> Iterator[None]:
        """Let nobody else, in this process or another, take in an instance of this UID meanwhile."""
        with self._locks[hash(uid) % _STRIPES]:
            if not self._is_shared:
                # One process has the index to itself.
                yield
                return
            with self.engine.begin() as connection:
                connection.execute(_LOCK_INSTANCE, {"uid": uid})
                yield

    def find_digest(self, sop_instance_uid: str) -> str | None:
        """Return the content digest of a stored instance, None where there is none."""
        with self.engine.connect().execution_options(read_only=True) as connection:
            return connection.execute(_FIND_DIGEST, {"uid": sop_instance_uid}).scalar_one_or_none()

    def iter_known(self) -> Iterator[tuple[str, str]]:
        """Yield SOP Instance UID and Study Instance UID of every indexed instance."""
        query = select(schema.instance.c.sop_instance_uid, schema.instance.c.study_instance_uid)
        with self.engine.connect().execution_options(read_only=True) as connection:
            for row in connection.execute(query):
                yield row[0], row[1]

    def _store(self, arrived: Arrived) -> Acceptance:
        uid = arrived.instance.sop_instance_uid
        try:
            path = self.instances.place(uid, arrived.instance.path)
        except FileExistsError:
            # A crash came between file and row: that file was never acknowledged, ours replaces it.
            # Or its study was just deleted: from now on whoever deletes leaves this file alone.
            self._spare(self.instances.path(uid))
            self.instances.remove(uid)
            path = self.instances.place(uid, arrived.instance.path)
        try:
            # Its row is made before others have to wait for us.
            self._group.commit((arrived, _instance_row(arrived)), self._commit)
        except IntegrityError:
            return self._restore(dataclasses.replace(arrived, instance=_moved(arrived.instance, path)))
        except Exception as error:
            # Whatever it was: no file stays that the index does not know. Where the connection broke, the
            # row may be there, though: then the file stays for the sender's next try, or for ``reconcile``.
            if not (isinstance(error, IndexUnavailable) and self._is_shared):
                path.unlink()
            raise
        return Acceptance.ACCEPTED

    def _commit(self, several: Sequence[_Work]) -> None:
        """Make files in their places and their rows durable, all at once."""
        try:
            for folder in {self.instances.path(row["sop_instance_uid"]).parent for _, row in several}:
                sync_folder(folder)
        except OSError as error:
            # Not tried again: whether the next try would tell the truth is not known (fsync(2)).
            raise storage_error(error) from error
        with self.engine.begin() as connection:
            # Studies in one order: two processes that lock the same ones must not wait for each other.
            for arrived, row in sorted(several, key=lambda work: str(work[1]["study_instance_uid"])):
                self._add_row(connection, arrived, row)

    def _spare(self, path: Path) -> None:
        with self.engine.begin() as connection:
            name = f"{self.instances.root.name}/{path.parent.name}/{path.name}"
            connection.execute(delete(schema.doomed).where(schema.doomed.c.path == name))

    def _index(self, arrived: Arrived, check: Callable[[Connection], None]) -> None:
        row = _instance_row(arrived)
        with self.engine.begin() as connection:
            self._add_row(connection, arrived, row)
            check(connection)

    def _add_row(self, connection: Connection, arrived: Arrived, row: dict[str, Any]) -> None:
        lock_study(connection, arrived.instance.study_instance_uid)
        arrival = _count(connection, arrived)
        place = {"arrival": arrival, "is_result": arrival == 0}
        connection.execute(_INSERT_INSTANCE, row | place)

    def _restore(self, arrived: Arrived) -> Acceptance:
        """The index knows an instance whose file was gone; it lies in its place again."""
        known = self.find_digest(arrived.instance.sop_instance_uid)
        if known is None:
            # Another constraint: no file stays that the index does not know.
            arrived.instance.path.unlink()
            raise StorageError("The index refuses this instance.")
        if known == arrived.content_digest:
            return Acceptance.REPEATED
        self._keep_aside(arrived)
        return Acceptance.CONFLICT

    def _compare(self, arrived: Arrived, known: str) -> Acceptance:
        if known == arrived.content_digest or self._is_other_encoding(arrived):
            arrived.instance.path.unlink(missing_ok=True)
            return Acceptance.REPEATED
        self._keep_aside(arrived)
        return Acceptance.CONFLICT

    def _is_other_encoding(self, arrived: Arrived) -> bool:
        """Tell whether it is the stored instance in another transfer syntax, as an archive may send it."""
        uid = arrived.instance.sop_instance_uid
        with self._comparing:
            mine, opener = self.instances.path(uid), self.instances.vault.open
            return is_same_object(mine, arrived.instance.path, opener)

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


def forgotten_digest(sop_instance_uid: str) -> str:
    """Return what is kept of a result whose study was deleted."""
    return hashlib.sha256(sop_instance_uid.encode()).hexdigest()


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
        "instance_number": to_integer(one.header, "InstanceNumber"),
        "metadata": pack_metadata(arrived.metadata),
    }


def _moved(instance: Instance, path: Path) -> Instance:
    return dataclasses.replace(instance, path=path)


def _count(connection: Connection, arrived: Arrived) -> int:
    """Count an image; returns its number in the study, 0 for a result of ours that came back."""
    one = arrived.instance
    keys = {"uid": one.sop_instance_uid, "digest": forgotten_digest(one.sop_instance_uid)}
    origin = connection.execute(_ORIGIN, keys).one()
    is_result = bool(origin.is_document or origin.is_forgotten)
    arrival = _count_for_study(connection, arrived, is_result=is_result)
    if not origin.is_document:
        # A document's series is there already.
        connection.execute(_COUNT_SERIES, series_row(one))
    return arrival


def _count_for_study(connection: Connection, arrived: Arrived, *, is_result: bool) -> int:
    one = arrived.instance
    now = arrived.received_at.timestamp()
    row = connection.execute(_FIND_STUDY, {"study": one.study_instance_uid}).first()
    known = row.purpose if row else None
    purpose = arriving_purpose(connection, one.study_instance_uid, known, now)
    if row is None:
        new = new_study_row(one.study_instance_uid, one.header, now) | {"source": arrived.source} | purpose
        arrival = 0 if is_result else 1
        told = take_expectation(connection, one.study_instance_uid)
        connection.execute(_INSERT_STUDY, new | told | {"instance_count": arrival})
        return arrival
    if is_result:
        return 0
    values = {
        "study": one.study_instance_uid,
        "now": now,
        "kinds": sorted({*row.modalities, *list_modalities(one.header)}),
        "expected": row.expected_instances or expected_instances(one.header),
    }
    return int(connection.execute(_GROW_STUDY, values | purpose).scalar_one())
