"""Try dead letters again, read a study again, because somebody asks for it.

In: refused or failed deliveries, a study, who asks.  Out: deliveries that wait, a revision that is begun;
entries in the audit trail and in the history.  Never: a job (the dispatcher finds what waits); a second try
that cannot be recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.errors import NotNow
from wetread.match import Rule, choose_urgency
from wetread.steps.journal import Journal
from wetread.steps.trail import asked_event
from wetread.store import Store
from wetread.store.deliveries import DEAD, DeliveryRow
from wetread.store.fetches import FetchRow
from wetread.store.studies import StudyRow


def retry_deliveries(store: Store, rows: Sequence[DeliveryRow], actor: Actor, at: datetime) -> int:
    """Put dead letters back to waiting; returns how many.

    Raises
    ------
    StorageError
        If it cannot be recorded: nothing more is tried again then.
    """
    parcels: dict[tuple[str, int, str], list[DeliveryRow]] = {}
    for row in rows:
        if row.state in DEAD:
            parcels.setdefault((row.study_instance_uid, row.revision, row.destination), []).append(row)
    return sum(_retry_parcel(store, members, actor, at) for members in parcels.values())


def _retry_parcel(store: Store, rows: Sequence[DeliveryRow], actor: Actor, at: datetime) -> int:
    """Put the documents of one revision for one destination back to waiting."""
    first = rows[0]
    study = store.studies.find(first.study_instance_uid)
    if study is None:
        # Erased since the list was made.
        return 0
    documents = "1 document" if len(rows) == 1 else f"{len(rows)} documents"
    told = f"Delivery of {documents} to {first.destination} started again."
    event = asked_event(study, at, actor, told, len(rows))
    ids = [row.id for row in rows]
    store.deliveries.retry(ids, at, beside=lambda connection: store.audit.record_in(connection, event))
    store.audit.note_end()
    message = f"{first.destination}: {documents} to be tried again, asked for by {actor.user_id}."
    Journal(store.history, lambda: at).note(study.study_instance_uid, first.revision, "deliver", message)
    return len(rows)


def read_again(store: Store, study: StudyRow, rules: Sequence[Rule], actor: Actor, at: datetime) -> int:
    """Begin a revision of the images that were read already, under the rules of now; returns its number.

    Raises
    ------
    NotNow
        If it is being read, or more images wait and are read by themselves.
    StorageError
        If it cannot be recorded: nothing is begun then.
    """
    uid = study.study_instance_uid
    event = asked_event(study, at, actor, "Reading started again.", study.instance_count)
    begun = store.studies.begin_again(
        uid,
        f"asked for by {actor.user_id}",
        at,
        beside=lambda connection: store.audit.record_in(connection, event),
    )
    if begun is None:
        raise NotNow("It is being read, or more images have arrived: it is read by itself.")
    store.audit.note_end()
    heads = store.studies.load_heads(uid)
    if heads is not None:
        urgency, rule = choose_urgency(heads, rules)
        store.studies.set_urgency(uid, urgency, rule)
    message = f"{begun.instance_count} images read again, asked for by {actor.user_id}."
    Journal(store.history, lambda: at).note(uid, begun.revision, "assemble", message)
    return begun.revision


def retry_fetches(store: Store, rows: Sequence[FetchRow], actor: Actor, at: datetime) -> int:
    """Let studies that were not fetched wait again; returns how many.

    Raises
    ------
    StorageError
        If it cannot be recorded: nothing more is tried again then.
    """
    count = 0
    for row in rows:
        event = AuditEvent(
            type=AuditEventType.PROCEDURE_RECORD,
            action=AuditAction.UPDATE,
            at=at,
            description=f"Fetching of the study from {row.pacs} started again.",
            actors=(actor,),
            studies=(row.study_instance_uid,),
        )
        store.audit.record(event)
        count += store.fetches.retry([row.id], at)
    return count
