"""How many images a study will have, as somebody told it before or while it came.

In: a study's UID and a number.  Out: it stands with the study.
Never: a number lost because it came before the first image; one kept for ever of a study that never came.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from wetread.errors import StorageError
from wetread.store import schema
from wetread.store.study_lock import lock_study

#: What was told of a study that never came is forgotten after this time, in s.
KEEP_S = 90 * 86400.0

_TABLE = schema.expectation
_FIND = select(_TABLE.c.instance_count, _TABLE.c.told_by).where(
    _TABLE.c.study_instance_uid == bindparam("uid")
)
_DELETE = delete(_TABLE).where(_TABLE.c.study_instance_uid == bindparam("uid"))


def keep_expectation(engine: Engine, study_instance_uid: str, count: int, told_by: str, at: datetime) -> None:
    """Keep a number.

    Raises
    ------
    ValueError
        If it is no number of images.
    StorageError
        If the index refuses.
    """
    if not 0 < count < 1_000_000:
        raise ValueError(f"a study of {count} images")
    try:
        with engine.begin() as connection:
            lock_study(connection, study_instance_uid)
            _expect(connection, study_instance_uid, count, told_by[:64], at.timestamp())
    except SQLAlchemyError as error:
        raise StorageError("The index cannot be written.", reason=type(error).__name__) from error


def _expect(connection: Connection, study_instance_uid: str, count: int, told_by: str, at: float) -> None:
    changed = connection.execute(
        update(schema.study)
        .where(schema.study.c.study_instance_uid == study_instance_uid)
        .values(expected_instances=count, expected_by=told_by)
    )
    if changed.rowcount:
        return
    connection.execute(delete(_TABLE).where(_TABLE.c.told_at < at - KEEP_S))
    connection.execute(_DELETE, {"uid": study_instance_uid})
    row = {"study_instance_uid": study_instance_uid, "instance_count": count, "told_by": told_by}
    connection.execute(insert(_TABLE).values(row | {"told_at": at}))


def take_expectation(connection: Connection, study_instance_uid: str) -> dict[str, Any]:
    """Return what was told of a study that begins, as columns of its row; it stands there from now on."""
    row = connection.execute(_FIND, {"uid": study_instance_uid}).first()
    if row is None:
        return {}
    connection.execute(_DELETE, {"uid": study_instance_uid})
    return {"expected_instances": row.instance_count, "expected_by": row.told_by}
