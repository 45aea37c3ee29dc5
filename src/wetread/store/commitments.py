"""Storage commitments that we ask of destinations, and what they answered.

In: transactions and reports.  Out: what is open, a result for each delivery.
Never: an answer without a transaction of ours; a report acknowledged that is not durable.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from wetread.errors import StorageError
from wetread.store import schema

_WANTED, _ITEM = schema.commitment_wanted, schema.commitment_item
_BEGUN, _ASKED = "begun", "asked"


@dataclass(frozen=True, slots=True)
class Commitments:
    """The transactions with all destinations."""

    engine: Engine

    def begin(
        self, transaction_uid: str, destination: str, study: str, items: Mapping[str, int], now: datetime
    ) -> None:
        """Keep a transaction before it is asked for; ``items``: SOP Instance UID -> its delivery."""
        row = {"transaction_uid": transaction_uid, "destination": destination, "study_instance_uid": study}
        rows = [
            {"transaction_uid": transaction_uid, "sop_instance_uid": uid, "delivery_id": number}
            for uid, number in items.items()
        ]
        with self.engine.begin() as connection:
            connection.execute(insert(_WANTED).values(row | {"state": _BEGUN, "asked_at": now.timestamp()}))
            connection.execute(insert(_ITEM), rows)

    def note_asked(self, transaction_uid: str) -> None:
        """Note that the destination has taken the request: its report is waited for."""
        with self.engine.begin() as connection:
            where = _WANTED.c.transaction_uid == transaction_uid
            connection.execute(update(_WANTED).where(where).values(state=_ASKED))

    def report(self, transaction_uid: str, destinations: Collection[str], results: Mapping[str, int]) -> bool:
        """Keep what a destination answers; False where these destinations have no such transaction.

        Raises
        ------
        StorageError
            If the index refuses.
        """
        try:
            known = select(_WANTED.c.transaction_uid).where(
                _WANTED.c.transaction_uid == transaction_uid, _WANTED.c.destination.in_(destinations)
            )
            with self._reading() as connection:
                if connection.execute(known).first() is None:
                    return False
            with self.engine.begin() as connection:
                mine = _ITEM.c.transaction_uid == transaction_uid
                asked = set(connection.execute(select(_ITEM.c.sop_instance_uid).where(mine)).scalars())
                for uid in asked & results.keys():
                    where = mine & (_ITEM.c.sop_instance_uid == uid)
                    connection.execute(update(_ITEM).where(where).values(result=results[uid]))
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error
        return True

    def find_results(self, delivery_ids: Collection[int]) -> dict[int, int]:
        """Return what was answered for deliveries; committed by any transaction is committed."""
        query = select(_ITEM.c.delivery_id, _ITEM.c.result).where(
            _ITEM.c.delivery_id.in_(delivery_ids), _ITEM.c.result.is_not(None)
        )
        results: dict[int, int] = {}
        with self._reading() as connection:
            for row in connection.execute(query):
                results[row.delivery_id] = min(row.result, results.get(row.delivery_id, row.result))
        return results

    def list_answered(self) -> list[int]:
        """Return the deliveries for which there is an answer that nobody has looked at."""
        with self._reading() as connection:
            query = select(_ITEM.c.delivery_id).where(_ITEM.c.result.is_not(None)).distinct()
            return list(connection.execute(query.order_by(_ITEM.c.delivery_id)).scalars())

    def list_open(self) -> dict[int, str]:
        """Return delivery -> the newest transaction that was asked for it and is not answered."""
        query = (
            select(_ITEM.c.delivery_id, _ITEM.c.transaction_uid)
            .join(_WANTED, _WANTED.c.transaction_uid == _ITEM.c.transaction_uid)
            .where(_WANTED.c.state == _ASKED, _ITEM.c.result.is_(None))
            .order_by(_WANTED.c.asked_at)
        )
        with self._reading() as connection:
            return {row.delivery_id: row.transaction_uid for row in connection.execute(query)}

    def settle(self, connection: Connection, delivery_ids: Collection[int]) -> None:
        """Forget the transactions of deliveries that are settled, in the transaction that settles them."""
        connection.execute(delete(_ITEM).where(_ITEM.c.delivery_id.in_(delivery_ids)))
        left = select(_ITEM.c.transaction_uid)
        connection.execute(delete(_WANTED).where(_WANTED.c.transaction_uid.not_in(left)))

    def _reading(self) -> Connection:
        return self.engine.connect().execution_options(read_only=True)
