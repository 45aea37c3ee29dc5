"""Take in instances: durable, once, and never over another.

In: an Instance whose file lies in our incoming folder.  Out: ``Acceptance``, after the disk has it.
Never: overwriting; success before file, folder and index row are durable.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Row,
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
        :performed_time, :scheduled_step_id, :requested_procedure_id, :count, :head)
ON CONFLICT (study_instance_uid, series_instance_uid)
DO UPDATE SET instance_count = series.instance_count + excluded.instance_count
""")
_GROW_STUDY = (
    update(schema.study)
    .where(schema.study.c.study_instance_uid == bindparam("study"))
    .values(
        instance_count=schema.study.c.instance_count + bindparam("count"),
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
            for _, of_study in groupby(sorted(several, key=_study_of), key=_study_of):
                _add_rows(connection, list(of_study))

    def _spare(self, path: Path) -> None:
        with self.engine.begin() as connection:
            name = f"{self.instances.root.name}/{path.parent.name}/{path.name}"
            connection.execute(delete(schema.doomed).where(schema.doomed.c.path == name))

    def _index(self, arrived: Arrived, check: Callable[[Connection], None]) -> None:
        row = _instance_row(arrived)
        with self.engine.begin() as connection:
            _add_rows(connection, [(arrived, row)])
            check(connection)

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


def _study_of(work: _Work) -> str:
    return work[0].instance.study_instance_uid


def _add_rows(connection: Connection, several: Sequence[_Work]) -> None:
    """Index images of one study; what is said of it and its series is said once for all of them."""
    lock_study(connection, _study_of(several[0]))
    arrivals = _count(connection, [arrived for arrived, _ in several])
    rows = [
        row | {"arrival": arrival, "is_result": arrival == 0}
        for (_, row), arrival in zip(several, arrivals, strict=True)
    ]
    connection.execute(_INSERT_INSTANCE, rows)


def _count(connection: Connection, several: Sequence[Arrived]) -> list[int]:
    """Count images of one study; returns the number of each in it, 0 for a result of ours that came back."""
    origins = [_find_origin(connection, one.instance.sop_instance_uid) for one in several]
    are_results = [bool(origin.is_document or origin.is_forgotten) for origin in origins]
    new = [one for one, is_result in zip(several, are_results, strict=True) if not is_result]
    count = _count_for_study(connection, several[0], new)
    # A document's series is there already.
    listed = [one for one, origin in zip(several, origins, strict=True) if not origin.is_document]
    _count_for_series(connection, [one.instance for one in listed])
    numbers = iter(range(count - len(new) + 1, count + 1))
    return [0 if is_result else next(numbers) for is_result in are_results]


def _find_origin(connection: Connection, uid: str) -> Row[*tuple[Any, ...]]:
    return connection.execute(_ORIGIN, {"uid": uid, "digest": forgotten_digest(uid)}).one()


def _count_for_study(connection: Connection, first: Arrived, new: Sequence[Arrived]) -> int:
    """Return how many images the study has then."""
    study = first.instance.study_instance_uid
    now = max(one.received_at.timestamp() for one in (first, *new))
    row = connection.execute(_FIND_STUDY, {"study": study}).first()
    purpose = arriving_purpose(connection, study, row.purpose if row else None, now)
    kinds = {kind for one in new for kind in list_modalities(one.instance.header)}
    expected = next(filter(None, (expected_instances(one.instance.header) for one in new)), None)
    if row is None:
        made = new_study_row(study, first.instance.header, first.received_at.timestamp()) | purpose
        made |= {"source": first.source, "instance_count": len(new), "last_received_at": now}
        made["modalities"] = sorted({*made["modalities"], *kinds})
        made["expected_instances"] = made["expected_instances"] or expected
        connection.execute(_INSERT_STUDY, made | take_expectation(connection, study))
        return len(new)
    if not new:
        return 0
    values = {
        "study": study,
        "now": now,
        "count": len(new),
        "kinds": sorted({*row.modalities, *kinds}),
        "expected": row.expected_instances or expected,
    }
    return int(connection.execute(_GROW_STUDY, values | purpose).scalar_one())


def _count_for_series(connection: Connection, several: Sequence[Instance]) -> None:
    counts = Counter(one.series_instance_uid for one in several)
    # Of the first image of each: what is noted of a series is what that one says.
    firsts = {one.series_instance_uid: one for one in reversed(several)}
    for uid, count in sorted(counts.items()):
        connection.execute(_COUNT_SERIES, series_row(firsts[uid]) | {"count": count})
