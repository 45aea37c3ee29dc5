"""What modalities and archives told, and what it says of a study.

In: notices, as they come.  Out: whether they are taken; what all of them say of a study.
Never: success before the row is durable; a step that is over changed; names of patients.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, delete, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from wetread.domain.notice import FINAL, Notice, NoticeKind, StepState, Told
from wetread.errors import StorageError
from wetread.store import schema

#: Notices of studies that never came are forgotten after this time, in s.
KEEP_S = 90 * 86400.0
_BATCH = 200

_NOTICE, _ABOUT, _NAMED = schema.notice, schema.notice_study, schema.notice_instance


@dataclass(frozen=True, slots=True)
class Notices:
    """The notices of all studies."""

    engine: Engine

    def create(
        self,
        notice: Notice,
        told_by: str,
        now: datetime,
        beside: Callable[[Connection], None] = lambda _: None,
    ) -> bool:
        """Keep a new notice; False where its SOP Instance UID is taken.

        Parameters
        ----------
        beside
            What else belongs to the same transaction.

        Raises
        ------
        StorageError
            If the index refuses.
        """
        try:
            with self.engine.begin() as connection:
                connection.execute(insert(_NOTICE).values(_row(notice, told_by, now.timestamp())))
                _name(connection, notice)
                _forget(connection, now.timestamp() - KEEP_S)
                beside(connection)
        except IntegrityError:
            return False
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error
        return True

    def change(
        self,
        sop_instance_uid: str,
        change: Callable[[Notice], Notice],
        now: datetime,
        beside: Callable[[Connection, Notice], None] = lambda _connection, _notice: None,
    ) -> Notice | None:
        """Keep what ``change`` makes of a procedure step; None where there is no such step.

        Parameters
        ----------
        change
            Called with the step as it is, within the transaction; what it raises leaves the step so.

        Raises
        ------
        StorageError
            If the index refuses.
        """
        try:
            with self.engine.begin() as connection:
                known = _find(connection, sop_instance_uid)
                if known is None:
                    return None
                changed = change(known)
                values = {
                    "state": changed.state.value,
                    "has_end": changed.has_end,
                    "updated_at": now.timestamp(),
                }
                where = _NOTICE.c.sop_instance_uid == sop_instance_uid
                connection.execute(update(_NOTICE).where(where).values(values))
                if changed.instances != known.instances:
                    connection.execute(delete(_NAMED).where(_NAMED.c.notice == sop_instance_uid))
                    _name_instances(connection, changed)
                beside(connection, changed)
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error
        return changed

    def find(self, sop_instance_uid: str) -> Notice | None:
        """Return a procedure step, None where there is none."""
        with self.engine.connect().execution_options(read_only=True) as connection:
            return _find(connection, sop_instance_uid, locks=False)

    def tell(self, studies: Collection[str]) -> dict[str, Told]:
        """Return what is told of each of these studies; those of which nothing is told are left out."""
        with self.engine.connect().execution_options(read_only=True) as connection:
            query = select(_ABOUT.c.study_instance_uid).distinct()
            known: list[str] = []
            for some in _batches(studies):
                known += connection.execute(query.where(_ABOUT.c.study_instance_uid.in_(some))).scalars()
            return {study: _tell(connection, study) for study in known}


def _tell(connection: Connection, study: str) -> Told:
    mine = select(_ABOUT.c.notice).where(_ABOUT.c.study_instance_uid == study)
    is_step = _NOTICE.c.kind == NoticeKind.MPPS.value
    steps = connection.execute(
        select(_NOTICE.c.state).where(is_step, _NOTICE.c.sop_instance_uid.in_(mine))
    ).scalars()
    states = [StepState(state) for state in steps]
    covered = select(schema.study.c.covered_count).where(schema.study.c.study_instance_uid == study)
    instance = schema.instance
    named = (
        select(_NAMED.c.sop_instance_uid)
        .distinct()
        .where(_NAMED.c.notice.in_(mine), ~_is_ours(_NAMED.c.sop_instance_uid))
        .subquery()
    )
    is_fresh = (instance.c.study_instance_uid == study) & (instance.c.arrival > covered.scalar_subquery())
    counts = connection.execute(
        select(
            func.count(),
            func.count(instance.c.sop_instance_uid),
            func.count(instance.c.sop_instance_uid).filter(is_fresh),
        ).select_from(named.outerjoin(instance, instance.c.sop_instance_uid == named.c.sop_instance_uid))
    ).one()
    return Told(
        named_count=counts[0],
        missing_count=counts[0] - counts[1],
        fresh_count=counts[2],
        step_count=len(states),
        open_count=sum(state not in FINAL for state in states),
    )


def _is_ours(uid: ColumnElement[str]) -> ColumnElement[bool]:
    """Hold for a result of ours: composed here, or come back."""
    document, instance = schema.document, schema.instance
    is_document = exists().where(document.c.sop_instance_uid == uid)
    is_back = exists().where(instance.c.sop_instance_uid == uid, instance.c.is_result)
    return is_document | is_back


def _row(notice: Notice, told_by: str, at: float) -> dict[str, object]:
    return {
        "sop_instance_uid": notice.sop_instance_uid,
        "kind": notice.kind.value,
        "state": notice.state.value,
        "told_by": told_by[:64],
        "created_at": at,
        "updated_at": at,
        "has_end": notice.has_end,
    }


def _name(connection: Connection, notice: Notice) -> None:
    rows = [
        {"notice": notice.sop_instance_uid, "study_instance_uid": study}
        for study in dict.fromkeys(notice.studies)
    ]
    if rows:
        connection.execute(insert(_ABOUT), rows)
    _name_instances(connection, notice)


def _name_instances(connection: Connection, notice: Notice) -> None:
    rows = [
        {"notice": notice.sop_instance_uid, "sop_instance_uid": uid}
        for uid in dict.fromkeys(notice.instances)
    ]
    if rows:
        connection.execute(insert(_NAMED), rows)


def _find(connection: Connection, uid: str, *, locks: bool = True) -> Notice | None:
    query = select(_NOTICE).where(_NOTICE.c.sop_instance_uid == uid, _NOTICE.c.kind == NoticeKind.MPPS.value)
    row = connection.execute(query.with_for_update() if locks else query).mappings().first()
    if row is None:
        return None
    studies = select(_ABOUT.c.study_instance_uid).where(_ABOUT.c.notice == uid)
    named = select(_NAMED.c.sop_instance_uid).where(_NAMED.c.notice == uid)
    return Notice(
        sop_instance_uid=uid,
        kind=NoticeKind(row["kind"]),
        state=StepState(row["state"]),
        studies=tuple(connection.execute(studies).scalars()),
        instances=tuple(connection.execute(named).scalars()),
        has_end=row["has_end"],
    )


def _forget(connection: Connection, before: float) -> None:
    """Forget some old notices of which no study ever came."""
    came = (
        select(_ABOUT.c.notice)
        .join(schema.study, schema.study.c.study_instance_uid == _ABOUT.c.study_instance_uid)
        .where(_ABOUT.c.notice == _NOTICE.c.sop_instance_uid)
    )
    query = select(_NOTICE.c.sop_instance_uid).where(_NOTICE.c.updated_at < before, ~came.exists())
    gone = list(connection.execute(query.limit(_BATCH)).scalars())
    if gone:
        for table in (_NAMED, _ABOUT):
            connection.execute(delete(table).where(table.c.notice.in_(gone)))
        connection.execute(delete(_NOTICE).where(_NOTICE.c.sop_instance_uid.in_(gone)))


def _batches(items: Iterable[str]) -> list[list[str]]:
    held = list(items)
    return [held[start : start + _BATCH] for start in range(0, len(held), _BATCH)]
