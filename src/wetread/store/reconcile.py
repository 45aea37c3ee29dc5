"""Make index and files agree after a crash.

In: a store that nobody uses yet.  Out: what was put right.
Never: a file deleted that might be an instance; silence about one that is gone.

An instance's file is in place before its row is (``intake``). So a crash can leave a file without a
row: it was not acknowledged, but if it is whole, it is taken in. A row without a file can only
come from outside (a disk, an operator) and is a problem.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from wetread.dicom.digest import digest_data_set
from wetread.dicom.header import read_instance
from wetread.domain.problem import ProblemCode
from wetread.domain.study import Instance
from wetread.errors import InputError, StorageError
from wetread.sealed import SealError
from wetread.store.blobs import storage_error
from wetread.store.erasure import finish_deletions
from wetread.store.history import Event
from wetread.store.intake import Arrived
from wetread.store.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What was put right at start-up."""

    #: Files without a row that were whole and are indexed now.
    indexed: int = 0
    #: Files without a row that are no instance; kept aside beside the conflicts.
    set_aside: int = 0
    #: Rows whose file is gone.
    missing: int = 0


def reconcile(store: Store) -> Reconciliation:
    """Compare index and files both ways; call it before anything is received.

    Raises
    ------
    StorageError
        If disk or index refuse.
    """
    known = {store.intake.instances.path(uid).name: study for uid, study in store.intake.iter_known()}
    # First: what is left of a deleted study must not come back as a new one.
    finish_deletions(store, known.__contains__)
    indexed = set_aside = 0
    for path in store.intake.instances.iter_paths():
        if known.pop(path.name, None) is not None:
            continue
        if _index(store, path):
            indexed += 1
        else:
            set_aside += 1
    # What is left is known and has no file.
    for study, count in Counter(known.values()).items():
        _note_missing(store, study, count)
    done = Reconciliation(indexed=indexed, set_aside=set_aside, missing=len(known))
    if done != Reconciliation():
        logger.warning("Index and files were reconciled: %s", done)
    return done


def _index(store: Store, path: Path) -> bool:
    instance = _read(store, path)
    if instance is None or store.intake.instances.path(instance.sop_instance_uid) != path:
        _set_aside(store, path)
        return False
    content_digest, size = digest_data_set(path, store.vault.open)
    incoming = store.intake.incoming / f"{secrets.token_hex(16)}.part"
    kept = incoming.with_suffix(".kept")
    try:
        # More names for it: ``accept`` drops the old one, and the last is for what cannot be indexed.
        os.link(path, incoming)
        os.link(path, kept)
    except OSError as error:
        raise storage_error(error) from error
    arrived = Arrived(
        instance=Instance(
            sop_instance_uid=instance.sop_instance_uid,
            sop_class_uid=instance.sop_class_uid,
            series_instance_uid=instance.series_instance_uid,
            study_instance_uid=instance.study_instance_uid,
            transfer_syntax_uid=instance.transfer_syntax_uid,
            header=instance.header,
            path=incoming,
        ),
        content_digest=content_digest,
        size=size,
        received_at=datetime.now(UTC),
        source="recovered",
    )
    try:
        store.intake.accept(arrived)
    except StorageError:
        raise
    except Exception:  # noqa: BLE001 - one file that cannot be indexed must never keep the service from starting
        incoming.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        _set_aside(store, kept)
        return False
    kept.unlink()
    return True


def _read(store: Store, path: Path) -> Instance | None:
    try:
        return read_instance(path, store.vault.open)
    except (InputError, SealError):
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
