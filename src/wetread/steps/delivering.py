"""The steps that deliver: send, verify, when to try again.

In: a study's UID, a revision, a destination's name.  Out: the state of each document, in the store.
Never: "sent" without an acknowledgement; another try at what was refused for good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wetread.deliver import Outcome, send_documents, verify_documents
from wetread.deliver.destination import Destination, Verify
from wetread.deliver.retry import RetryPlan
from wetread.domain.document import Document
from wetread.domain.fetching import Purpose
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import DeliveryState
from wetread.errors import ConfigError, NotCommitted, PeerNotTrusted, PeerUnreachable
from wetread.steps.committing import CommittingSteps, Settled
from wetread.steps.journal import Journal
from wetread.steps.trail import send_event
from wetread.store import Store
from wetread.store.deliveries import DeliveryRow, Tried
from wetread.store.history import Event
from wetread.waits import Waits

#: A destination that acknowledged but does not answer questions is asked this often; then it stays "sent".
MAXIMUM_ASKS = 4

#: What a backfill brings stands behind everything live; the engine's numbers go up to twice as much.
_BEHIND_ALL = 1 << 30
_FAILED = ProblemCode.DELIVERY_FAILED.value


@dataclass(frozen=True, slots=True)
class _Try:
    """Documents that a destination was asked to take, and what became of each."""

    rows: list[DeliveryRow]
    outcomes: list[Outcome]

    def noted(self) -> list[Tried]:
        return [
            Tried(id=row.id, state=one.state, problem_code=one.code, message=one.message)
            for row, one in zip(self.rows, self.outcomes, strict=True)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySteps:
    """What delivering works with."""

    store: Store
    destinations: Mapping[str, Destination]
    clock: Callable[[], datetime]
    retry: RetryPlan = field(default_factory=RetryPlan)
    #: What was tried and could not be noted, e.g. for want of space; lost with this process.
    _untold: dict[tuple[str, int, str], _Try] = field(default_factory=dict)

    #: For how long reports of storage commitment have been waited for.
    _waits: Waits = field(default_factory=Waits)

    @property
    def journal(self) -> Journal:
        """Where the steps note what they did."""
        return Journal(self.store.history, self.clock)

    @property
    def committing(self) -> CommittingSteps:
        """Who asks for commitment."""
        return CommittingSteps(
            store=self.store, destinations=self.destinations, clock=self.clock, waits=self._waits
        )

    def needs_delivery(self, study: str, revision: int, destination: str) -> bool:
        """Tell whether a configured destination still lacks something of a revision."""
        target = self.destinations.get(destination)
        return target is not None and bool(self._lacking(study, revision, target))

    def turn(self, study: str, revision: int, destination: str) -> int:
        """Return the place of a revision among all that ever had to go to a destination; 0: nothing has."""
        rows = self.store.deliveries.list_for(study, revision, destination)
        held = self.store.studies.find(study)
        is_backfill = held is not None and held.purpose is Purpose.BACKFILL
        return turn_of(rows, is_backfill=is_backfill)

    def list_unsettled(self) -> list[DeliveryRow]:
        """Return what destinations lack or are still to be asked for, oldest first."""
        asked = [name for name, one in self.destinations.items() if one.verify is not Verify.NONE]
        rows = self.store.deliveries.list_unsettled(asked, MAXIMUM_ASKS)
        awaited, listed = self.committing.list_awaited(), {row.id for row in rows}
        # An answer that came after the last question counts all the same.
        late = [self.store.deliveries.find(number) for number in self._list_answered()]
        more = [row for row in late if row is not None and row.id not in listed]
        rows += [row for row in more if row.state is DeliveryState.SENT and row.destination in asked]
        return [row for row in rows if row.id not in awaited or row.state is not DeliveryState.SENT]

    def _list_answered(self) -> list[int]:
        has_any = any(one.verify is Verify.COMMITMENT for one in self.destinations.values())
        return self.store.commitments.list_answered() if has_any else []

    def _is_arriving(self, study: str) -> bool:
        """Tell whether newer images wait: nothing goes out until they are read."""
        row = self.store.studies.find(study)
        return row is not None and row.instance_count > row.covered_count

    def stop(self, study: str, revision: int, destination: str, code: str) -> None:
        """Mark what waits as failed, after a bug of ours or when the destination is configured no more."""
        rows = self.store.deliveries.list_for(study, revision, destination)
        if not rows:
            # The study was deleted meanwhile.
            return
        for row in rows:
            if row.state is DeliveryState.WAITING:
                self.store.deliveries.record(row.id, DeliveryState.FAILED, self.clock(), _FAILED, code)
        message = f"{destination}: the delivery stopped ({code}). Mend the cause, then retry."
        self.journal.problem(study, revision, "deliver", message, _FAILED)

    def note_waiting(self, study: str, revision: int, destination: str, code: str) -> None:
        """Note that disk or index hold a delivery up: it goes on when they take it."""
        message = f"{destination}: waits ({code}): free space or mend the disk; then it goes on."
        self.journal.waiting(study, revision, "deliver", message, ProblemCode.STORAGE_ERROR.value)

    def send(self, study: str, revision: int, destination: str) -> None:
        """Send what waits; each document's outcome is kept."""
        target = self._target(destination)
        # What an earlier try achieved is not tried again.
        self._settle(study, revision, target)
        if self._is_arriving(study):
            return
        rows = self._rows(study, revision, target, DeliveryState.WAITING)
        held = self.store.studies.find(study)
        if not rows or held is None:
            return
        # Before anything leaves: what cannot be recorded waits.
        self.store.audit.record(send_event(held, self.clock(), target, len(rows)))
        outcomes = send_documents(target, [self._document(row) for row in rows])
        self._untold[study, revision, destination] = _Try(rows, outcomes)
        self._settle(study, revision, target)

    def verify(self, study: str, revision: int, destination: str) -> None:
        """Ask the destination for what it acknowledged; what it lacks waits to be sent again."""
        target = self._target(destination)
        rows = self._rows(study, revision, target, DeliveryState.SENT)
        if target.verify is Verify.COMMITMENT and rows:
            settled = self.committing.verify(target, rows, self._document)
            if settled:
                self._keep_settled(settled)
        elif target.verify is not Verify.NONE and rows:
            outcomes = verify_documents(target, [self._document(row) for row in rows])
            self._keep(_Try(rows, outcomes))

    def _keep_settled(self, settled: list[Settled]) -> None:
        tried = _Try([row for row, _ in settled], [outcome for _, outcome in settled])
        over = [row.id for row, outcome in settled if outcome.state is not DeliveryState.SENT]
        self._keep(tried, lambda connection: self.store.commitments.settle(connection, over))

    def give_up(self, study: str, revision: int, destination: str) -> None:
        """Stop trying where the tries are used up."""
        lacking = self._lacking(study, revision, self._target(destination))
        if lacking and self.wait_s(study, destination, max(row.attempts for row in lacking)) is None:
            self._give_up(lacking)

    def wait_s(self, study: str, destination: str, attempts: int) -> float | None:
        """Return how long to wait after so many tries, in s; None when they are used up."""
        return self.retry.delay_s(max(1, attempts), key=f"{study}/{destination}")

    def _target(self, destination: str) -> Destination:
        if destination not in self.destinations:
            raise ConfigError("This destination is configured no more.", destination=destination)
        return self.destinations[destination]

    def _settle(self, study: str, revision: int, target: Destination) -> None:
        """Note the outcome of the last try, with its entry in the audit trail; nothing where it is noted."""
        key = (study, revision, target.name)
        tried, held = self._untold.get(key), self.store.studies.find(study)
        if tried is not None and held is not None:
            failed = sum(outcome.state is not DeliveryState.SENT for outcome in tried.outcomes)
            entry = send_event(held, self.clock(), target, len(tried.rows), failed=failed)
            self._keep(tried, lambda connection: self.store.audit.record_in(connection, entry))
        # Where the study was deleted meanwhile there is nothing left to be said.
        self._untold.pop(key, None)
        if tried is not None:
            self.store.audit.note_end()

    def _keep(self, tried: _Try, beside: Callable[[Any], None] = lambda _: None) -> None:
        """Note outcomes and what the history tells of them: all or nothing."""
        event = self._told(tried)

        def tell(connection: Any) -> None:
            self.store.history.add_in(connection, event)
            beside(connection)

        self.store.deliveries.record_all(tried.noted(), self.clock(), beside=tell)

    def _told(self, tried: _Try) -> Event:
        row, outcomes = tried.rows[0], tried.outcomes
        counts = Counter(outcome.state.value for outcome in outcomes)
        words = f"{row.destination}: " + ", ".join(f"{count} {state}" for state, count in counts.items())
        bad = [outcome for outcome in outcomes if outcome.code]
        place = (row.study_instance_uid, row.revision, "deliver")
        if not bad:
            return self.journal.event(*place, f"{words}.")
        return self.journal.event(*place, f"{words}. {bad[0].message}", level="problem", code=bad[0].code)

    def _give_up(self, rows: list[DeliveryRow]) -> None:
        for row in rows:
            # What was acknowledged stays so, also where nobody answers whether it is there.
            if row.state is DeliveryState.WAITING:
                self.store.deliveries.record(
                    row.id, DeliveryState.FAILED, self.clock(), row.problem_code, row.message
                )
        first = rows[0]
        message = f"{first.destination}: given up after {first.attempts} tries. Mend the cause, then retry."
        self.journal.problem(
            first.study_instance_uid,
            first.revision,
            "deliver",
            message,
            _FAILED,
        )

    def _lacking(self, study: str, revision: int, target: Destination) -> list[DeliveryRow]:
        waiting = self._rows(study, revision, target, DeliveryState.WAITING)
        if target.verify is Verify.NONE:
            return waiting
        sent = self._rows(study, revision, target, DeliveryState.SENT)
        if target.verify is Verify.COMMITMENT:
            awaited, answered = self.committing.list_awaited(), set(self._list_answered())
            return waiting + [
                row
                for row in sent
                if row.id in answered or (row.id not in awaited and _can_still_be_asked(row))
            ]
        return waiting + [row for row in sent if _can_still_be_asked(row)]

    def _rows(
        self, study: str, revision: int, target: Destination, *states: DeliveryState
    ) -> list[DeliveryRow]:
        rows = self.store.deliveries.list_standing(study, revision, target.name)
        return [row for row in rows if row.state in states]

    def _document(self, row: DeliveryRow) -> Document:
        return self.store.readings.load_document(self.store.readings.get_document(row.document_id))


def turn_of(rows: Sequence[DeliveryRow], *, is_backfill: bool) -> int:
    """Return the place in line of what goes together, 0 of nothing: by arrival, the live first."""
    turn = min((row.id for row in rows), default=0)
    return turn + _BEHIND_ALL if rows and is_backfill else turn


def _can_still_be_asked(row: DeliveryRow) -> bool:
    """Tell whether asking again may help: not where the destination said that it cannot be asked."""
    may_pass = ("", PeerUnreachable.code, PeerNotTrusted.code, NotCommitted.code)
    return row.problem_code in may_pass and row.attempts < MAXIMUM_ASKS
