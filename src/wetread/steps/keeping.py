"""Keep what must be kept and delete what is due, from time to time.

In: the clock.  Out: studies deleted, and a problem in the history while the disk stays too full.
Never: a long stop of whoever asks; the same problem every few seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from wetread.domain.problem import ProblemCode
from wetread.store import Store
from wetread.store.history import Event
from wetread.store.retention import Outcome, Policy, disk_percent, run_retention

#: Age is looked at so often; the disk at every sweep.
PERIOD_S = 3600.0
#: Studies in one sweep: deleting many must not hold up the reading of others.
STUDIES_PER_SWEEP = 10


@dataclass(slots=True)
class _Memory:
    next_run_at: float = 0.0
    complained_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingSteps:
    """What retention works with."""

    store: Store
    policy: Policy
    clock: Callable[[], datetime]
    _memory: _Memory = field(default_factory=_Memory)

    def sweep(self) -> None:
        """Delete some of what is due.

        Raises
        ------
        StorageError
            If index or disk refuse.
        """
        settings = self.policy.settings
        now = self.clock()
        if settings.days is None and settings.disk_percent is None:
            return
        mark = settings.disk_percent
        is_full = mark is not None and disk_percent(self.store) > mark
        # A clock that was set back must not stop it for ever.
        waits = 0.0 < self._memory.next_run_at - now.timestamp() <= PERIOD_S
        if waits and not is_full:
            return
        outcome = run_retention(self.store, self.policy, now, limit=STUDIES_PER_SWEEP)
        self._memory.next_run_at = 0.0 if outcome.is_unfinished else now.timestamp() + PERIOD_S
        if outcome.disk_percent is not None and not outcome.deleted:
            self._complain(outcome, now)

    def _complain(self, outcome: Outcome, now: datetime) -> None:
        if 0.0 <= now.timestamp() - self._memory.complained_at < PERIOD_S:
            return
        self._memory.complained_at = now.timestamp()
        reasons = "; ".join(f"{count} {reason}" for reason, count in outcome.kept.items()) or "none is left"
        message = (
            f"The disk is {outcome.disk_percent:.0f} % full, over the mark of"
            f" {self.policy.settings.disk_percent:g} %, and no study may be deleted. Kept: {reasons}."
        )
        self.store.history.add(
            Event(
                at=now,
                stage="keep",
                level="problem",
                code=ProblemCode.RETENTION_BLOCKED.value,
                message=message,
            )
        )
