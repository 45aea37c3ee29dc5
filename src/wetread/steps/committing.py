"""Have destinations commit themselves to documents: ask, wait, settle.

In: deliveries that were acknowledged.  Out: an outcome for each that is settled, or whose time is up.
Never: a second question while the first may still be answered; a wait by the wall clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydicom.uid import generate_uid

from wetread.deliver import Outcome
from wetread.deliver.commitment import ask_commitment
from wetread.deliver.destination import Destination, Verify
from wetread.deliver.outcome import failed
from wetread.domain.commitment import COMMITTED
from wetread.domain.document import Document
from wetread.domain.progress import DeliveryState
from wetread.errors import NotCommitted, NotFoundAtPeer, PeerError
from wetread.store import Store
from wetread.store.deliveries import DeliveryRow
from wetread.waits import Waits

#: One delivery and what became of it.
Settled = tuple[DeliveryRow, Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittingSteps:
    """What asking for commitment works with."""

    store: Store
    destinations: Mapping[str, Destination]
    clock: Callable[[], datetime]
    waits: Waits = field(default_factory=Waits)

    def list_awaited(self) -> set[int]:
        """Return the deliveries of which a report may still come."""
        if not any(one.verify is Verify.COMMITMENT for one in self.destinations.values()):
            return set()
        opened = self.store.commitments.list_open()
        answered = set(self.store.commitments.list_answered())
        self.waits.forget_others(set(opened.values()))
        return {
            number
            for number, transaction in opened.items()
            if number not in answered and not self._is_overdue(number, transaction)
        }

    def verify(
        self, target: Destination, rows: Sequence[DeliveryRow], load: Callable[[DeliveryRow], Document]
    ) -> list[Settled]:
        """Ask for what was never asked for or not answered in time; returns what can be noted."""
        commitments = self.store.commitments
        overdue = commitments.list_open().keys() - self.list_awaited()
        answered = commitments.find_results([row.id for row in rows])
        awaited = self.list_awaited()
        to_ask = [row for row in rows if row.id not in answered and row.id not in awaited]
        outcomes = {row.id: _unanswered(row, load(row), target) for row in to_ask if row.id in overdue}
        if to_ask:
            try:
                self._ask(target, to_ask, load)
            except PeerError as error:
                outcomes |= {row.id: _not_asked(load(row), error) for row in to_ask}
        answered = commitments.find_results([row.id for row in rows])
        outcomes |= {
            row.id: _answer(target, load(row), answered[row.id]) for row in rows if row.id in answered
        }
        return [(row, outcomes[row.id]) for row in rows if row.id in outcomes]

    def _ask(
        self, target: Destination, rows: Sequence[DeliveryRow], load: Callable[[DeliveryRow], Document]
    ) -> None:
        documents = [load(row) for row in rows]
        items = {one.sop_instance_uid: row.id for one, row in zip(documents, rows, strict=True)}
        transaction, commitments = str(generate_uid()), self.store.commitments
        # Before it is asked for: a report may come before the acknowledgement.
        commitments.begin(transaction, target.name, rows[0].study_instance_uid, items, self.clock())
        ask_commitment(
            target,
            transaction,
            documents,
            keep=lambda uid, results: commitments.report(uid, [target.name], results),
            on_asked=lambda: commitments.note_asked(transaction),
            is_answered=lambda: _has_all(commitments.find_results(list(items.values())), items.values()),
        )

    def _is_overdue(self, number: int, transaction: str) -> bool:
        row = self.store.deliveries.find(number)
        target = self.destinations.get(row.destination) if row is not None else None
        return target is not None and self.waits.seen_s(transaction, 1) >= target.commitment_s


def _has_all(results: Mapping[int, int], numbers: Collection[int]) -> bool:
    return all(number in results for number in numbers)


def _answer(target: Destination, document: Document, result: int) -> Outcome:
    if result == COMMITTED:
        return Outcome(sop_instance_uid=document.sop_instance_uid, state=DeliveryState.VERIFIED)
    reason = f"0x{result:04X}"
    message = "The destination acknowledged the object but does not commit itself to it."
    error = NotFoundAtPeer(message, destination=target.name, reason=reason)
    return failed(document.sop_instance_uid, error, transient=True)


def _unanswered(row: DeliveryRow, document: Document, target: Destination) -> Outcome:
    return _not_asked(document, NotCommitted(destination=target.name, asked=row.attempts))


def _not_asked(document: Document, error: PeerError) -> Outcome:
    return Outcome(
        sop_instance_uid=document.sop_instance_uid,
        state=DeliveryState.SENT,
        transient=True,
        code=error.code,
        message=str(error),
    )
