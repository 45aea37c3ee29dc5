"""Make index and files agree after a crash, while the service works.

In: a store.  Out: what was put right.
Never: a file deleted that was acknowledged; silence about one that is gone; a deleted study brought back.

An instance's file is in place before its row is (``intake``). So a crash can leave a file without a
row: it was not acknowledged, but if it is whole, it is taken in. A row without a file can only
come from outside (a disk, an operator) and is a problem.

Senders need not wait for this. One who sends such an image again replaces the file (``intake``).
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import NoResultFound

from wetread.dicom.digest import digest_data_set
from wetread.dicom.header import read_instance
from wetread.dicom.json_model import JsonModel
from wetread.domain.problem import ProblemCode
from wetread.domain.study import Instance
from wetread.errors import InputError, StorageError, StudyDeleted
from wetread.sealed import SealError
from wetread.store.blobs import remove_file, storage_error
from wetread.store.erasure import is_doomed, was_deleted
from wetread.store.history import Event
from wetread.store.intake import Arrived
from wetread.store.store import Store

logger = logging.getLogger(__name__)


class _Fate(Enum):
    """What became of a file without a row."""

    INDEXED = auto()
    SET_ASIDE = auto()
    #: It has a row by now, or it is gone.
    LEFT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What was put right."""

    #: Files without a row that were whole and are indexed now.
    indexed: int = 0
    #: Files without a row that are no instance; kept aside beside the conflicts.
    set_aside: int = 0
    #: Rows whose file is gone.
    missing: int = 0


def reconcile(store: Store, is_stopped: Callable[[], bool] = lambda: False) -> Reconciliation:
    """Compare index and files both ways; images may be received and studies deleted meanwhile.

    Parameters
    ----------
    is_stopped
        Asked between two files; where it holds, the rest is left for the next time.

    Raises
    ------
    StorageError
        If disk or index refuse.
    """
    blobs = store.intake.instances
    # Files before rows: what is stored meanwhile has no file in this list, or has its row by then.
    without_row = blobs.list_names()
    without_file = []
    for uid, study in store.intake.iter_known():
        name = blobs.name(uid)
        if name in without_row:
            without_row.remove(name)
        else:
            without_file.append((uid, study))
    # So far these are suspects. Each is asked for again when nobody else can touch it.
    found = Counter(_put_right(store, name) for name in without_row if not is_stopped())
    lost = Counter(study for uid, study in without_file if not is_stopped() and _is_lost(store, uid))
    if not is_stopped():
        for study, count in lost.items():
            _note_missing(store, study, count)
    done = Reconciliation(
        indexed=found[_Fate.INDEXED], set_aside=found[_Fate.SET_ASIDE], missing=lost.total()
    )
    if done != Reconciliation():
        logger.warning("Index and files were reconciled: %s", done)
    return done


def _is_lost(store: Store, uid: str) -> bool:
    with store.intake.alone(uid):
        # In this order: a deletion removes the row first.
        return not store.intake.instances.has(uid) and store.intake.find_digest(uid) is not None


def _put_right(store: Store, name: str) -> _Fate:
    """Index a file without a row, or keep it aside."""
    path = store.intake.instances.find(name)
    if is_doomed(store, path):
        return _Fate.LEFT
    before = _identity(path)
    model = JsonModel()
    instance = _read(store, path, model)
    if before is None or _identity(path) != before:
        # Removed or replaced since: whoever did that knows what it is.
        return _Fate.LEFT
    if instance is None or store.intake.instances.name(instance.sop_instance_uid) != name:
        _set_aside(store, path)
        return _Fate.SET_ASIDE
    with store.intake.alone(instance.sop_instance_uid):
        # In this order: a deletion removes the row, with a note of the file, then file and note together.
        is_known = store.intake.find_digest(instance.sop_instance_uid) is not None
        if is_known or is_doomed(store, path) or _identity(path) != before:
            return _Fate.LEFT
        return _index(store, instance, model)


def _index(store: Store, instance: Instance, model: JsonModel) -> _Fate:
    path = instance.path
    arrived_at = path.stat().st_mtime

    def refuse_deleted(connection: Connection) -> None:
        if was_deleted(connection, instance.study_instance_uid, arrived_at):
            raise StudyDeleted

    try:
        store.intake.adopt(_arrived(store, instance, model), refuse_deleted)
    except StudyDeleted:
        # The deletion could not know of it; nobody was told that we have it.
        remove_file(path)
        return _Fate.LEFT
    except StorageError:
        raise
    except NoResultFound as error:
        raise StorageError("The study is being deleted.") from error
    except Exception as error:
        # One file that cannot be indexed must never hold up the others.
        if isinstance(error, OSError) and not isinstance(error, SealError):
            raise storage_error(error) from error
        if store.intake.find_digest(instance.sop_instance_uid) is not None:
            # Another process, cut off from the database for a moment, was not through with it.
            return _Fate.LEFT
        _set_aside(store, path)
        return _Fate.SET_ASIDE
    return _Fate.INDEXED


def _arrived(store: Store, instance: Instance, model: JsonModel) -> Arrived:
    content_digest, size = digest_data_set(instance.path, store.vault.open)
    return Arrived(
        instance=instance,
        content_digest=content_digest,
        size=size,
        received_at=datetime.now(UTC),
        source="recovered",
        metadata=model.encode(),
    )


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Tell one file under a name from the next; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(store: Store, path: Path, model: JsonModel) -> Instance | None:
    try:
        return read_instance(path, store.vault.open, model)
    except (InputError, SealError, FileNotFoundError):
        return None


def _set_aside(store: Store, path: Path) -> None:
    try:
        store.intake.conflicts.take(f"{path.name} {secrets.token_hex(8)}", path)
    except FileExistsError as error:
        raise storage_error(error) from error
    message = (
        "A file without an index row is not a readable instance; it was kept aside. It was not acknowledged."
    )
    _note(store, "", ProblemCode.UNREADABLE_INSTANCE, message)


def _note_missing(store: Store, study_instance_uid: str, count: int) -> None:
    message = f"The files of {count} instances are gone: restore them from a backup or send the study again."
    known = {event.message for event in store.history.list_for_study(study_instance_uid)}
    if message not in known:
        _note(store, study_instance_uid, ProblemCode.FILE_MISSING, message)


def _note(store: Store, study_instance_uid: str, code: ProblemCode, message: str) -> None:
    store.history.add(
        Event(
            study_instance_uid=study_instance_uid,
            at=datetime.now(UTC),
            stage="receive",
            level="problem",
            code=code.value,
            message=message,
        )
    )
