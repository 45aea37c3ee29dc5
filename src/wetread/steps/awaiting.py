"""End the waiting for another vendor's AI that does not answer.

In: standing Readings that say that an answer is awaited.  Out: a revision in which it is not any more.
Never: a limit on the wall clock; a late answer refused: its arrival begins a revision as any does.

What counts is the time in which an answer could have come: while a process of ours ran. It is kept with the
Reading, so a restart goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from wetread.registry.lineup import Lineup
from wetread.steps.journal import Journal
from wetread.store import Store
from wetread.store.readings import ReadingRow
from wetread.waits import Waits


def overdue_cause(model_name: str) -> str:
    """Return why a revision begins in which a peer's answer is not awaited any more."""
    return f"no answer of {model_name} within its limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitingSteps:
    """Looks at what is awaited."""

    store: Store
    lineup: Lineup
    clock: Callable[[], datetime]
    waits: Waits = field(default_factory=Waits)
    #: What had been waited when this process first saw a Reading, in s, by its row.
    _before: dict[int, float] = field(default_factory=dict)

    def sweep(self) -> None:
        """Begin a revision of each study whose peer has had its time (``runtime.timeout_s``)."""
        limits_s = {
            name: model.runtime.timeout_s
            for name, model in self.lineup.now().items()
            if model.runtime.kind == "dicom-peer" and model.may_read
        }
        rows = self.store.readings.list_awaiting(list(limits_s)) if limits_s else []
        self.waits.forget_others({row.id for row in rows})
        for number in self._before.keys() - {row.id for row in rows}:
            del self._before[number]
        for row in rows:
            if self._waited_s(row) >= limits_s[row.model_name]:
                self._end(row)

    def _waited_s(self, row: ReadingRow) -> float:
        """Return how long an answer has been waited for, by any process, and keep it."""
        known_s = row.waited_s or 0.0
        waited_s = max(known_s, self._before.setdefault(row.id, known_s) + self.waits.seen_s(row.id, None))
        if waited_s > known_s:
            self.store.readings.note_waited(row.id, waited_s)
        return waited_s

    def _end(self, row: ReadingRow) -> None:
        study, cause = row.study_instance_uid, overdue_cause(row.model_name)
        # None: it is being read, or more images wait: then its peer is asked again.
        begun = self.store.studies.begin_again(study, cause, self.clock(), lambda _: None)
        if begun is not None:
            Journal(self.store.history, self.clock).note(
                study, begun.revision, "assemble", f"Ended: {cause}."
            )
