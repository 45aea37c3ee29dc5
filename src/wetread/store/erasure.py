"""Delete a study: its rows at once, then its files.

In: a study's UID, the audit entry that tells of it.  Out: that entry, and digests of our results' UIDs.
Never: a study half deleted, or back after a crash; a deletion without its entry; an image that came
meanwhile.

One transaction removes the rows, writes the entry and notes the files as doomed. Files go afterwards. What a
crash leaves is finished at the next start (``finish_deletions``), before anything is received.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.audit import AuditEvent, AuditEventType
from wetread.domain.fetching import FetchState
from wetread.errors import StorageError, StudyDeleted
from wetread.store import schema
from wetread.store.blobs import Blobs, remove_file, storage_error, sync_folder
from wetread.store.intake import forgotten_digest
from wetread.store.shadows import shadow_key
from wetread.store.store import Store
from wetread.store.workitems import remove_workitems_of

#: Rows that belong to a study, in an order that foreign keys allow. ``document`` hangs on ``reading``.
_TABLES = (
    *(schema.delivery, schema.series, schema.reading, schema.shadow_reading, schema.revision),
    *(schema.conflict, schema.instance, schema.event, schema.expectation, schema.asked_reading),
    *(schema.remark, schema.claim, schema.given_priority, schema.report),
    *(schema.change, schema.returned, schema.settling),
    *(schema.alert_call, schema.alert, schema.late_prior),
)
#: Files that go in one transaction: the index is locked so long.
_BATCH = 200

T = TypeVar("T")
#: Returns why a study must be kept, ``""`` where it may go; asked inside of the deleting transaction.
Keep = Callable[[Connection, str], str]


def delete_study(store: Store, study: str, *, event: AuditEvent, keep: Keep, why: str) -> str:
    """Delete a study and everything made from it, unless something speaks against it now.

    Parameters
    ----------
    event
        The audit entry; written in the same transaction.
    why
        Half a sentence for the history, e.g. ``older than 30 days``.

    Returns
    -------
    str
        Why it was kept; ``""`` where it is gone.

    Raises
    ------
    StorageError
        If index or disk refuse. What is not removed then is removed at the next start.
    """
    try:
        reason, doomed = _delete(store, study, event, keep, why)
        if reason:
            return reason
        store.audit.note_end()
        remove_doomed(store, doomed)
    except SQLAlchemyError as error:
        raise StorageError("The index cannot be written.", reason=type(error).__name__) from error
    return ""


def _delete(store: Store, study: str, event: AuditEvent, keep: Keep, why: str) -> tuple[str, list[str]]:
    """Delete the rows; returns why not, or the files that must follow."""
    with store.engine.begin() as connection:
        table = schema.study
        # Senders, holds and revisions wait for this row.
        row = connection.execute(
            select(table.c.instance_count).where(table.c.study_instance_uid == study).with_for_update()
        ).first()
        if row is None:
            return "", []
        reason = keep(connection, study)
        if reason:
            return reason, []
        doomed = _collect(connection, store, study)
        _note_doomed(connection, doomed)
        _remember_results(connection, study, event.at)
        _delete_rows(connection, study)
        connection.execute(insert(schema.event).values(_history(event.at, row.instance_count, why)))
        store.audit.record_in(connection, event)
        return "", doomed


def delete_conflicts(store: Store, paths: Iterable[Path], keys: Iterable[tuple[str, str]]) -> None:
    """Remove files of the conflicts folder; ``keys``: SOP Instance UID and digest of those with a row."""
    table = schema.conflict
    doomed = [_name(store.intake.conflicts, path) for path in paths]
    with store.engine.begin() as connection:
        for uid, digest in keys:
            where = (table.c.sop_instance_uid == uid) & (table.c.content_digest == digest)
            connection.execute(delete(table).where(where))
        _note_doomed(connection, doomed)
    remove_doomed(store, doomed)


def finish_deletions(store: Store) -> int:
    """Remove the files that a crash left of deleted studies; returns how many.

    Call it before anything is received. An instance's file that has a row again stays.
    """
    table = schema.doomed
    with store.engine.connect().execution_options(read_only=True) as connection:
        is_needed = connection.execute(select(table.c.path).limit(1)).first() is not None
    if not is_needed:
        # As a rule: then nobody need walk the index.
        return 0
    known = {store.intake.instances.name(uid) for uid, _study in store.intake.iter_known()}
    with store.engine.begin() as connection:
        paths = list(connection.execute(select(table.c.path)).scalars())
        again = [path for path in paths if path.startswith("instances/") and Path(path).name in known]
        for some in _batches(again):
            connection.execute(delete(table).where(table.c.path.in_(some)))
    left = sorted(set(paths) - set(again))
    remove_doomed(store, left)
    return len(left)


def remove_doomed(store: Store, paths: Iterable[str]) -> None:
    """Remove doomed files that still are; one that ``intake`` spared is another's."""
    table = schema.doomed
    for some in _batches(paths):
        with store.engine.begin() as connection:
            query = select(table.c.path).where(table.c.path.in_(some)).with_for_update()
            mine = set(connection.execute(query).scalars())
            connection.execute(delete(table).where(table.c.path.in_(mine)))
            # Commits only after the disk has it: otherwise a power cut would bring files back.
            _unlink(store.data, mine - _shared(connection, store, mine))


def is_doomed(store: Store, path: Path) -> bool:
    """Tell whether a deletion is about to remove an instance's file."""
    table = schema.doomed
    query = select(table.c.path).where(table.c.path == _name(store.intake.instances, path))
    with store.engine.connect().execution_options(read_only=True) as connection:
        return connection.execute(query).first() is not None


def was_deleted(connection: Connection, study: str, since: float) -> bool:
    """Tell whether a study was deleted since a moment (seconds since 1970): the audit trail knows."""
    table = schema.audit
    query = select(table.c.sequence).where(
        table.c.study_instance_uid == study,
        table.c.event == AuditEventType.STUDY_DELETED.value,
        table.c.at >= since,
    )
    return connection.execute(query.limit(1)).first() is not None


def _collect(connection: Connection, store: Store, study: str) -> list[str]:
    """Return the names of all files of a study, below the data folder."""
    instances = _of(connection, schema.instance, study, "sop_instance_uid")
    conflicts = _of(connection, schema.conflict, study, "sop_instance_uid", "content_digest")
    readings = _of(connection, schema.reading, study, "digest", "revision", "model_name", "id")
    shadows = _of(connection, schema.shadow_reading, study, "revision", "model_digest")
    revisions = _of(connection, schema.revision, study, "revision", "match")
    table = schema.document
    ids = [row.id for row in readings]
    documents = connection.execute(select(table.c.content_digest).where(table.c.reading_id.in_(ids)))
    models = {(row.revision, row.model_name) for row in readings} | {
        (row.revision, str(one["name"])) for row in revisions for one in (row.match or {}).get("models", [])
    }
    keys: list[tuple[Blobs, str]] = [
        *((store.intake.instances, row.sop_instance_uid) for row in instances),
        *((store.intake.conflicts, f"{row.sop_instance_uid} {row.content_digest}") for row in conflicts),
        *((store.readings.blobs, row.digest) for row in readings),
        *((store.readings.documents, digest) for digest in documents.scalars()),
        *((store.shadows.blobs, shadow_key(study, row.revision, row.model_digest)) for row in shadows),
        *((store.scratch, f"{study} {revision} {model}") for revision, model in models),
    ]
    return sorted({_name(blobs, blobs.path(key)) for blobs, key in keys})


def _of(connection: Connection, table: Table, study: str, *columns: str) -> list[Any]:
    query = select(*(table.c[name] for name in columns)).where(table.c.study_instance_uid == study)
    return list(connection.execute(query))


def _name(blobs: Blobs, path: Path) -> str:
    return f"{blobs.root.name}/{path.parent.name}/{path.name}"


def _note_doomed(connection: Connection, paths: list[str]) -> None:
    table = schema.doomed
    for some in _batches(paths):
        connection.execute(delete(table).where(table.c.path.in_(some)))
        connection.execute(insert(table), [{"path": path} for path in some])


def _remember_results(connection: Connection, study: str, now: datetime) -> None:
    """Keep the digests of our results' UIDs: should one come back, it is still known as ours."""
    document, reading, table = schema.document, schema.reading, schema.forgotten
    query = (
        select(document.c.sop_instance_uid)
        .join(reading, reading.c.id == document.c.reading_id)
        .where(reading.c.study_instance_uid == study)
    )
    digests = sorted({forgotten_digest(uid) for uid in connection.execute(query).scalars() if uid})
    for some in _batches(digests):
        connection.execute(delete(table).where(table.c.digest.in_(some)))
        rows = [{"digest": digest, "forgotten_at": now.timestamp()} for digest in some]
        connection.execute(insert(table), rows)


def _delete_rows(connection: Connection, study: str) -> None:
    readings = select(schema.reading.c.id).where(schema.reading.c.study_instance_uid == study)
    remove_workitems_of(connection, study)
    deliveries = schema.delivery.c.study_instance_uid == study
    connection.execute(delete(schema.delivery).where(deliveries))
    connection.execute(delete(schema.document).where(schema.document.c.reading_id.in_(readings)))
    _delete_told(connection, study)
    late = schema.late_prior.c.prior_instance_uid == study
    connection.execute(delete(schema.late_prior).where(late))
    search, fetch = schema.prior_search, schema.fetch
    connection.execute(delete(search).where(search.c.study_instance_uid == study))
    # Kept, so that no watch and no backfill fetches it again; somebody may ask for it.
    forgotten = {
        "state": FetchState.SKIPPED.value,
        "problem_code": StudyDeleted.code,
        "message": StudyDeleted().message,
        "study_date": "",
        "for_study": "",
    }
    connection.execute(update(fetch).where(fetch.c.study_instance_uid == study).values(**forgotten))
    connection.execute(update(fetch).where(fetch.c.for_study == study).values(for_study=""))
    for table in (*_TABLES, schema.study):
        connection.execute(delete(table).where(table.c.study_instance_uid == study))


def _delete_told(connection: Connection, study: str) -> None:
    """Delete what was told and asked of a study; a notice that is about others too stays theirs."""
    wanted, item = schema.commitment_wanted, schema.commitment_item
    about, notice, named = schema.notice_study, schema.notice, schema.notice_instance
    transactions = select(wanted.c.transaction_uid).where(wanted.c.study_instance_uid == study)
    connection.execute(delete(item).where(item.c.transaction_uid.in_(transactions)))
    connection.execute(delete(wanted).where(wanted.c.study_instance_uid == study))
    notices = set(
        connection.execute(select(about.c.notice).where(about.c.study_instance_uid == study)).scalars()
    )
    connection.execute(delete(about).where(about.c.study_instance_uid == study))
    for some in _batches(sorted(notices)):
        shared = select(about.c.notice).where(about.c.notice.in_(some))
        connection.execute(delete(named).where(named.c.notice.in_(some), named.c.notice.not_in(shared)))
        connection.execute(
            delete(notice).where(
                notice.c.sop_instance_uid.in_(some), notice.c.sop_instance_uid.not_in(shared)
            )
        )


def _history(now: datetime, images: int, why: str) -> dict[str, object]:
    # Of no study: it is gone, and its number is in the audit trail.
    message = f"A study of {images} images was deleted: {why}."
    return {"at": now.timestamp(), "stage": "keep", "message": message}


def _shared(connection: Connection, store: Store, paths: set[str]) -> set[str]:
    """Return the documents among the files that other studies hold too: they lie under their content."""
    table = schema.document
    digests = {path.rsplit("/", 1)[1]: path for path in paths if path.startswith("documents/")}
    if not digests:
        return set()
    held = connection.execute(select(table.c.content_digest).distinct()).scalars()
    names = {store.readings.documents.path(digest).name for digest in held}
    return {path for name, path in digests.items() if name in names}


def _unlink(data: Path, paths: set[str]) -> None:
    folders = set()
    try:
        for path in (path for name in paths for path in _places(data, name)):
            remove_file(path)
            folders.add(path.parent)
        for folder in folders:
            if folder.exists():
                sync_folder(folder)
    except OSError as error:
        raise storage_error(error) from error


def _places(data: Path, name: str) -> list[Path]:
    """Return the files that a name stands for."""
    if not name.startswith("scratch/"):
        return [data / name]
    # On PostgreSQL each process has its own; who writes one was perhaps killed in the middle.
    return [
        path
        for root in (data, *data.glob("processes/*"))
        for path in (root / name).parent.glob(f"{Path(name).name}*")
    ]


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    held = list(items)
    for start in range(0, len(held), _BATCH):
        yield held[start : start + _BATCH]
