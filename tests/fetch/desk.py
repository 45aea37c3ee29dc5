"""A store, and what asks and fetches into it, step by step: no thread of its own, no engine.

In: a store, a ``Pacs``.  Out: a ``Fetcher`` whose ``look`` a test calls.  Never: another clock than its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.domain.fetching import FetchReason, FetchState
from wetread.fetch.pacs import Pacs
from wetread.fetcher import LANES, Fetcher, Lane
from wetread.match import Rule, parse_rules
from wetread.receive.fetched import FetchedIntake, make_fetched_intake
from wetread.steps.backfilling import BackfillSteps
from wetread.steps.fetching import FetchSteps
from wetread.steps.priors import PriorSteps
from wetread.steps.watching import WatchSteps
from wetread.store import Store
from wetread.store.erasure import delete_study
from wetread.store.fetches import FetchRow, Want
from wetread.waits import Waits

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
CHEST = parse_rules(
    [{"name": "chest", "models": ["chest-ct"], "modality": "CT", "body_part": ["CHEST", "THORAX"]}]
)


@dataclass
class Clock:
    """The time of day and the time that passes, both set by a test."""

    now: datetime = NOW
    passed_s: float = 0.0

    def read(self) -> datetime:
        return self.now


@dataclass
class Desk:
    """What a test works with."""

    store: Store
    pacs: Pacs
    rules: tuple[Rule, ...] = CHEST
    clock: Clock = field(default_factory=Clock)
    settled: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.intake: FetchedIntake = make_fetched_intake(self.store, "WETREAD", 1 << 30)
        self.restart()

    def restart(self, lanes: frozenset[Lane] = LANES) -> None:
        """Forget everything that is only in memory, as a new process does."""
        fetching = FetchSteps(
            store=self.store,
            pacs={self.pacs.name: self.pacs},
            begin_taking=self.intake.begin,
            own_aet="WETREAD",
            clock=self.clock.read,
            settled=self.settled,
        )

        def passed() -> float:
            return self.clock.passed_s

        self.priors = PriorSteps(
            store=self.store, pacs=(self.pacs,), clock=self.clock.read, waits=Waits(passed)
        )
        self.fetcher = Fetcher(
            pacs=self.pacs,
            store=self.store,
            fetching=fetching,
            watching=WatchSteps(store=self.store, rules=self.rules, clock=self.clock.read, monotonic=passed),
            priors=self.priors,
            backfilling=BackfillSteps(store=self.store, rules=self.rules, clock=self.clock.read),
            monotonic=passed,
            lanes=lanes,
        )
        self.fetcher._memory.backoff.waits = Waits(passed)
        self.fetcher.take_over()

    def run(self, rounds: int = 50) -> None:
        """Look until there is nothing to do."""
        for _ in range(rounds):
            if self.fetcher.look() > 0:
                return
        raise AssertionError(f"still at work after {rounds} looks")

    def ask(self, study: str) -> FetchRow:
        want = Want(study_instance_uid=study, pacs=self.pacs.name, reason=FetchReason.ASKED)
        return self.store.fetches.want(want, self.clock.now)

    def row(self, study: str) -> FetchRow:
        found = self.store.fetches.find(study, self.pacs.name)
        assert found is not None
        return found

    def rows(self, *states: FetchState) -> dict[str, FetchState]:
        rows = self.store.fetches.list_by_state(*(states or tuple(FetchState)))
        return {row.study_instance_uid: row.state for row in rows}

    def images(self, study: str) -> int:
        row = self.store.studies.find(study)
        return row.instance_count if row else 0

    def events(self, study: str) -> list[str]:
        return [event.message for event in self.store.history.list_for_study(study)]

    def close(self) -> None:
        self.intake.close()
        self.store.close()

    def erase(self, study: str) -> None:
        """Delete a study, as somebody who asks for it does."""
        event = AuditEvent(
            type=AuditEventType.STUDY_DELETED,
            action=AuditAction.DELETE,
            at=self.clock.now,
            actors=(Actor(user_id="dpo", is_requestor=True),),
            studies=(study,),
        )
        assert not delete_study(self.store, study, event=event, keep=lambda *_: "", why="asked")
