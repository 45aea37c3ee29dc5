"""How much there is: for whoever keeps the service going.

In: the index, the disk.  Out: numbers.  Never: whose they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.progress import StudyState
from wetread.errors import StorageError
from wetread.store import schema
from wetread.store.space import measure_disk
from wetread.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """What the data folder holds."""

    studies: Mapping[StudyState, int]
    #: Of all of them.
    waiting: int
    holds: int
    #: Of the disk that holds the data folder, in bytes.
    disk_size: int
    disk_free: int
    #: Processes that share the database; empty: one does all.
    workers: tuple[str, ...]


def take_census(store: Store) -> Census:
    """Count.

    Raises
    ------
    StorageError
        If the index does not answer.
    """
    study = schema.study.c
    by_state = select(study.state, func.count()).group_by(study.state)
    waiting = select(func.count()).select_from(schema.study).where(study.reported_at.is_(None))
    holds = select(func.count()).select_from(schema.hold)
    try:
        with store.engine.connect().execution_options(read_only=True) as connection:
            counts = {StudyState(state): count for state, count in connection.execute(by_state)}
            waits, held = connection.execute(waiting).scalar_one(), connection.execute(holds).scalar_one()
    except SQLAlchemyError as error:
        raise StorageError("The index cannot be read.", reason=type(error).__name__) from error
    size, free = measure_disk(store.data)
    is_shared = store.engine.dialect.name == "postgresql"
    workers = tuple(sorted(store.workers.list_live())) if is_shared else ()
    return Census(studies=counts, waiting=waits, holds=held, disk_size=size, disk_free=free, workers=workers)
