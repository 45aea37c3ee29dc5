"""Off the reading list and back on it, with what is told of it: one transaction.

In: a study's row, a sentence, an audit event.  Out: all of it kept, or none.  Never: the rights of who asks.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from wetread.domain.audit import AuditEvent
from wetread.store.history import Event
from wetread.store.store import Store
from wetread.store.studies import StudyRow


def keep_reported(
    store: Store, row: StudyRow, *, is_reported: bool, at: datetime, told: str, event: AuditEvent
) -> None:
    """Take a study off the reading list, or put it back.

    Parameters
    ----------
    told
        What stands in the study's history.

    Raises
    ------
    StorageError
        If the index refuses.
    """

    def tell(connection: Connection) -> None:
        store.history.add_in(
            connection,
            Event(
                study_instance_uid=row.study_instance_uid,
                revision=row.revision,
                at=at,
                stage="worklist",
                message=told,
            ),
        )
        store.audit.record_in(connection, event)

    store.studies.mark_reported(row.study_instance_uid, at if is_reported else None, beside=tell)
    store.audit.note_end()
