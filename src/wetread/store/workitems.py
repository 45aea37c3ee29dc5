"""Workitems: kept, changed under lock, found.

In: workitems, and functions that say what becomes of one.  Out: the same; reports for subscribers.
Never: two who take one workitem; a change without what subscribers are told of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, delete, exists, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from wetread.domain import workitem as w
from wetread.domain.workitem import Change, Refusal, State, Workitem, WorkitemRefused, text_of, values_of
from wetread.store import schema
from wetread.store.subscriptions import keep_reports, subscribe_all_to

#: What belongs to the same transaction as a change.
Beside = Callable[[Connection, Change], None]

_PAGE = 200
_TABLE = schema.workitem


@dataclass(frozen=True, slots=True)
class Workitems:
    """All workitems."""

    engine: Engine

    def create(self, change: Change, beside: Beside) -> None:
        """Keep a new workitem, and subscribe to it whoever wants to know of all.

        Raises
        ------
        WorkitemRefused
            If there is one of this UID.
        """
        made = change.workitem
        try:
            with self.engine.begin() as connection:
                if _is_forgotten(connection, made.uid):
                    raise WorkitemRefused(Refusal.DUPLICATE)
                row = _row(made) | {"uid": made.uid, "created_at": made.changed_at}
                connection.execute(insert(_TABLE).values(row))
                subscribe_all_to(connection, made)
                keep_reports(connection, change)
                beside(connection, change)
        except IntegrityError as error:
            raise WorkitemRefused(Refusal.DUPLICATE) from error

    def change(self, uid: str, edit: Callable[[Workitem], Change], beside: Beside) -> Change:
        """Have a workitem changed while nobody else changes it; what ``edit`` raises changes nothing.

        Raises
        ------
        WorkitemRefused
            If there is none.
        """
        with self.engine.begin() as connection:
            query = select(_TABLE).where(_TABLE.c.uid == uid).with_for_update()
            row = connection.execute(query).mappings().first()
            if row is None:
                raise WorkitemRefused(Refusal.UNKNOWN, is_gone=_is_forgotten(connection, uid))
            held = _workitem(row)
            change = edit(held)
            if change.workitem != held:
                connection.execute(update(_TABLE).where(_TABLE.c.uid == uid).values(_row(change.workitem)))
            keep_reports(connection, change)
            beside(connection, change)
            return change

    def find(self, uid: str) -> Workitem | None:
        """Return a workitem, None where there is none."""
        with self._reading() as connection:
            row = connection.execute(select(_TABLE).where(_TABLE.c.uid == uid)).mappings().first()
        return None if row is None else _workitem(row)

    def was_removed(self, uid: str) -> bool:
        """Tell whether there was a workitem of this UID that has been removed."""
        with self._reading() as connection:
            return _is_forgotten(connection, uid)

    def iter_all(
        self,
        *,
        states: Collection[State] = (),
        patient_id: str = "",
        study_instance_uid: str = "",
        sources: Collection[str] | None = None,
    ) -> Iterator[Workitem]:
        """Yield workitems in the order of their creation, read piece by piece.

        Parameters
        ----------
        states, patient_id, study_instance_uid
            Only these; nothing: any.
        sources
            Only what these created; None: anybody.
        """
        where: list[ColumnElement[bool]] = []
        if states:
            where.append(_TABLE.c.state.in_([one.value for one in states]))
        if patient_id:
            where.append(_TABLE.c.patient_id == patient_id)
        if study_instance_uid:
            where.append(_TABLE.c.study_instance_uid == study_instance_uid)
        if sources is not None:
            where.append(_TABLE.c.source.in_(tuple(sources)))
        place = (float("-inf"), "")
        while True:
            after = tuple_(_TABLE.c.created_at, _TABLE.c.uid) > place
            query = (
                select(_TABLE).where(after, *where).order_by(_TABLE.c.created_at, _TABLE.c.uid).limit(_PAGE)
            )
            with self._reading() as connection:
                rows = connection.execute(query).mappings().all()
            yield from (_workitem(row) for row in rows)
            if len(rows) < _PAGE:
                return
            place = (rows[-1]["created_at"], rows[-1]["uid"])

    def remove_ended(self, before: float) -> int:
        """Remove workitems that ended before a moment and that nobody keeps by a deletion lock."""
        subscription = schema.workitem_subscription
        is_locked = exists().where(subscription.c.workitem_uid == _TABLE.c.uid, subscription.c.has_lock)
        ended = (State.COMPLETED.value, State.CANCELED.value)
        query = select(_TABLE.c.uid).where(
            _TABLE.c.state.in_(ended), _TABLE.c.changed_at < before, ~is_locked
        )
        with self.engine.begin() as connection:
            uids = list(connection.execute(query.limit(_PAGE)).scalars())
            if uids:
                remove_workitems(connection, uids)
                forgotten = [{"digest": _digest(uid), "forgotten_at": before} for uid in uids]
                connection.execute(insert(schema.forgotten), forgotten)
        return len(uids)

    def _reading(self) -> Connection:
        return self.engine.connect().execution_options(read_only=True)


def remove_workitems(connection: Connection, uids: Collection[str]) -> None:
    """Remove workitems with all that hangs on them."""
    for table in (schema.workitem_report, schema.workitem_subscription):
        connection.execute(delete(table).where(table.c.workitem_uid.in_(uids)))
    connection.execute(delete(_TABLE).where(_TABLE.c.uid.in_(uids)))


def remove_workitems_of(connection: Connection, study: str) -> None:
    """Remove the workitems of a study that is deleted: they name its patient."""
    table = _TABLE
    query = select(table.c.uid).where(table.c.study_instance_uid == study)
    uids = list(connection.execute(query).scalars())
    if uids:
        remove_workitems(connection, uids)


def _digest(uid: str) -> str:
    # Never that of an object's UID: the table knows those of results too.
    return hashlib.sha256(f"workitem {uid}".encode()).hexdigest()


def _is_forgotten(connection: Connection, uid: str) -> bool:
    query = select(schema.forgotten.c.digest).where(schema.forgotten.c.digest == _digest(uid))
    return connection.execute(query).first() is not None


def study_of(workitem: Workitem) -> str:
    """Return the study that a workitem is about, ``""`` where it names none."""
    for item in values_of(workitem.attributes, w.INPUTS):
        if uid := text_of(item, w.STUDY_UID):
            return uid
    return text_of(workitem.attributes, w.STUDY_UID)


def _row(one: Workitem) -> dict[str, Any]:
    return {
        "state": one.state.value,
        "study_instance_uid": study_of(one)[:64],
        "patient_id": text_of(one.attributes, w.PATIENT_ID)[:64],
        "attributes": dict(one.attributes),
        "transaction_uid": one.transaction_uid,
        "performer": one.performer[:64],
        "source": one.source[:64],
        "sources": None if one.sources is None else list(one.sources),
        "is_cancel_requested": one.is_cancel_requested,
        "changed_at": one.changed_at,
    }


def _workitem(row: Mapping[Any, Any]) -> Workitem:
    return Workitem(
        uid=row["uid"],
        state=State(row["state"]),
        attributes=row["attributes"],
        transaction_uid=row["transaction_uid"],
        performer=row["performer"],
        source=row["source"],
        sources=None if row["sources"] is None else tuple(row["sources"]),
        changed_at=row["changed_at"],
        is_cancel_requested=row["is_cancel_requested"],
    )
