"""End the waiting for another vendor's AI that does not answer.

In: standing Readings that say that an answer is awaited.  Out: a revision in which it is not any more.
Never: a limit on the wall clock; a late answer refused: its arrival begins a revision as any does.
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
    """Looks at what is awaited; a wait begins anew where this process does."""

    store: Store
    lineup: Lineup
    clock: Callable[[], datetime]
    waits: Waits = field(default_factory=Waits)

    def sweep(self) -> None:
        """Begin a revision of each study whose peer has had its time (``runtime.timeout_s``)."""
        limits_s = {
            name: model.runtime.timeout_s
            for name, model in self.lineup.now().items()
            if model.runtime.kind == "dicom-peer" and model.may_read
        }
        rows = self.store.readings.list_awaiting(list(limits_s)) if limits_s else []
        self.waits.forget_others({row.id for row in rows})
        for row in rows:
            if self.waits.seen_s(row.id, None) >= limits_s[row.model_name]:
                self._end(row)

    def _end(self, row: ReadingRow) -> None:
        study, cause = row.study_instance_uid, overdue_cause(row.model_name)
        # None: it is being read, or more images wait: then its peer is asked again.
        begun = self.store.studies.begin_again(study, cause, self.clock(), lambda _: None)
        if begun is not None:
            Journal(self.store.history, self.clock).note(
                study, begun.revision, "assemble", f"Ended: {cause}."
            )
