"""Storage commitments that others ask of us: what they asked, what we hold of it, whether they heard.

In: transactions.  Out: rows that are due; a failure reason for each reference.
Never: a transaction forgotten that was answered with success; a promise for what is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.commitment import (
    CLASS_CONFLICT,
    COMMITTED,
    DUPLICATE_TRANSACTION,
    NO_SUCH_OBJECT,
    PROCESSING_FAILURE,
    Asked,
    Reference,
)
from wetread.errors import StorageError
from wetread.store import schema
from wetread.store.blobs import Blobs

#: Transactions of one requestor that wait to be reported.
MOST_DUE = 1000
#: What was reported is known for so long, in s: a transaction that comes again is told from another.
KEEP_S = 90 * 86400.0
_BATCH = 500
_TABLE = schema.commitment_asked
DUE, REPORTED, FAILED = "due", "reported", "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One transaction."""

    id: int
    asked: Asked
    is_duplicate: bool
    attempts: int
    #: Seconds since 1970.
    asked_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What we can promise."""

    #: COMMITTED or a failure reason, for each reference in order.
    reasons: tuple[int, ...]
    #: Studies of what is held.
    studies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Promises:
    """The transactions of all who ask."""

    engine: Engine
    instances: Blobs

    def take(
        self, asked: Asked, now: datetime, beside: Callable[[Connection], None] = lambda _: None
    ) -> int | None:
        """Keep a transaction; returns its number, None where this requestor has too many that wait.

        One that comes again (its answer may have been lost) is due again; another with the same Transaction
        UID is kept as a duplicate.

        Raises
        ------
        StorageError
            If the index refuses.
        """
        at = now.timestamp()
        mine = _TABLE.c.requestor == asked.requestor
        try:
            with self.engine.begin() as connection:
                waiting = select(func.count()).select_from(_TABLE).where(mine, _TABLE.c.state == DUE)
                if connection.execute(waiting).scalar_one() >= MOST_DUE:
                    return None
                old = (_TABLE.c.state != DUE) & (_TABLE.c.updated_at < at - KEEP_S)
                connection.execute(delete(_TABLE).where(old))
                where = mine & (_TABLE.c.transaction_uid == asked.transaction_uid)
                known = connection.execute(
                    select(_TABLE.c.id, _TABLE.c.digest).where(where).order_by(_TABLE.c.id)
                ).all()
                same = next((row.id for row in known if row.digest == asked.digest), None)
                values = _values(asked, at) | {"is_duplicate": bool(known) and same != known[0].id}
                if same is not None:
                    connection.execute(update(_TABLE).where(_TABLE.c.id == same).values(values))
                else:
                    new = insert(_TABLE).values(values).returning(_TABLE.c.id)
                    same = connection.execute(new).scalar_one()
                beside(connection)
                return int(same)
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error

    def list_due(self) -> list[Promise]:
        """Return what is not reported yet, oldest first."""
        query = select(_TABLE).where(_TABLE.c.state == DUE).order_by(_TABLE.c.id)
        with self._reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Promise(
                id=row["id"],
                asked=Asked(
                    transaction_uid=row["transaction_uid"],
                    requestor=row["requestor"],
                    references=tuple(Reference(*one) for one in row["items"]),
                ),
                is_duplicate=row["is_duplicate"],
                attempts=row["attempts"],
                asked_at=row["asked_at"],
            )
            for row in rows
        ]

    def state_of(self, requestor: str, transaction_uid: str) -> list[tuple[str, int, str]]:
        """Return state, attempts and message of all transactions of this name, oldest first."""
        query = (
            select(_TABLE.c.state, _TABLE.c.attempts, _TABLE.c.message)
            .where(_TABLE.c.requestor == requestor, _TABLE.c.transaction_uid == transaction_uid)
            .order_by(_TABLE.c.id)
        )
        with self._reading() as connection:
            return [(row.state, row.attempts, row.message) for row in connection.execute(query)]

    def judge(self, promise: Promise) -> Judged:
        """Return what we hold of it: a row, its file, and no other content kept aside for it."""
        asked = promise.asked
        if promise.is_duplicate:
            return Judged(reasons=(DUPLICATE_TRANSACTION,) * len(asked.references), studies=())
        reasons: list[int] = []
        studies: set[str] = set()
        with self._reading() as connection:
            for start in range(0, len(asked.references), _BATCH):
                some = asked.references[start : start + _BATCH]
                reasons += self._judge_some(connection, some, asked.requestor, studies)
        return Judged(reasons=tuple(reasons), studies=tuple(sorted(studies)))

    def record(
        self,
        promise: Promise,
        state: str,
        now: datetime,
        message: str = "",
        beside: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        """Note how a report went; what is over keeps no names of instances.

        A transaction that was asked for again meanwhile stays due.
        """
        values: dict[str, object] = {
            "state": state,
            "attempts": _TABLE.c.attempts + 1,
            "message": message,
            "updated_at": now.timestamp(),
        }
        if state != DUE:
            values["items"] = []
        with self.engine.begin() as connection:
            where = (_TABLE.c.id == promise.id) & (_TABLE.c.asked_at == promise.asked_at)
            connection.execute(update(_TABLE).where(where).values(values))
            beside(connection)

    def _judge_some(
        self, connection: Connection, some: Sequence[Reference], requestor: str, studies: set[str]
    ) -> list[int]:
        uids = [one.sop_instance_uid for one in some]
        instance, conflict = schema.instance, schema.conflict
        columns = (
            instance.c.sop_instance_uid,
            instance.c.sop_class_uid,
            instance.c.study_instance_uid,
            instance.c.source,
        )
        query = select(*columns).where(instance.c.sop_instance_uid.in_(uids))
        held = {row.sop_instance_uid: row for row in connection.execute(query)}
        others = select(conflict.c.sop_instance_uid, conflict.c.source)
        aside: dict[str, set[str]] = {}
        for other in connection.execute(others.where(conflict.c.sop_instance_uid.in_(uids))):
            aside.setdefault(other.sop_instance_uid, set()).add(other.source)
        reasons = []
        for one in some:
            row = held.get(one.sop_instance_uid)
            if row is None:
                reasons.append(NO_SUCH_OBJECT)
            elif row.sop_class_uid != one.sop_class_uid:
                reasons.append(CLASS_CONFLICT)
            elif _is_other(aside.get(one.sop_instance_uid), row.source, requestor) or not self.instances.has(
                one.sop_instance_uid
            ):
                reasons.append(PROCESSING_FAILURE)
            else:
                studies.add(row.study_instance_uid)
                reasons.append(COMMITTED)
        return reasons

    def _reading(self) -> Connection:
        return self.engine.connect().execution_options(read_only=True)


def _is_other(aside: set[str] | None, source: str, requestor: str) -> bool:
    """Tell whether what the requestor has may be another content than the one that is held."""
    return bool(aside) and (requestor in (aside or ()) or source != requestor)


def _values(asked: Asked, at: float) -> dict[str, object]:
    return {
        "transaction_uid": asked.transaction_uid,
        "requestor": asked.requestor,
        "digest": asked.digest,
        "items": [[one.sop_class_uid, one.sop_instance_uid] for one in asked.references],
        "instance_count": len(asked.references),
        "asked_at": at,
        "state": DUE,
        "attempts": 0,
        "message": "",
        "updated_at": at,
    }
