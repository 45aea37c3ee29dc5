"""Try dead letters again, because somebody asks for it.

In: refused or failed deliveries, who asks.  Out: deliveries that wait; entries in the audit trail and in the
history.  Never: a job (the dispatcher finds what waits); a second try that cannot be recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.steps.journal import Journal
from wetread.store import Store
from wetread.store.deliveries import DEAD, DeliveryRow


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
    event = AuditEvent(
        type=AuditEventType.INSTANCES_ACCESSED,
        action=AuditAction.UPDATE,
        at=at,
        description=f"Delivery of {documents} to {first.destination} started again.",
        actors=(actor,),
        studies=(study.study_instance_uid,),
        patient_id=study.patient_id,
        instance_count=len(rows),
    )
    ids = [row.id for row in rows]
    store.deliveries.retry(ids, at, beside=lambda connection: store.audit.record_in(connection, event))
    store.audit.note_end()
    message = f"{first.destination}: {documents} to be tried again, asked for by {actor.user_id}."
    Journal(store.history, lambda: at).note(study.study_instance_uid, first.revision, "deliver", message)
    return len(rows)
