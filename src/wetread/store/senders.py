"""Who handed in the instances of a study.

In: a Study Instance UID.  Out: an AE title, or a word, for each instance.  Never: results of ours.
"""

from __future__ import annotations

from sqlalchemy import Engine, select

from wetread.store import schema
from wetread.store.together import reading


def list_senders(engine: Engine, study_instance_uid: str) -> dict[str, str]:
    """Return who handed in each instance of a study, by SOP Instance UID."""
    table = schema.instance
    query = select(table.c.sop_instance_uid, table.c.source).where(
        table.c.study_instance_uid == study_instance_uid, ~table.c.is_result
    )
    with reading(engine) as connection:
        return {str(uid): str(source) for uid, source in connection.execute(query)}
