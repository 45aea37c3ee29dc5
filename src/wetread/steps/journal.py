"""Note what the steps did, on the study.

In: a sentence.  Out: an event.  Never: patient names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from wetread.store.history import Event, History


@dataclass(frozen=True, slots=True)
class Journal:
    """Writes the history of one study's revisions."""

    history: History
    clock: Callable[[], datetime]

    def note(self, study: str, revision: int, stage: str, message: str) -> None:
        """Note something that went as it should."""
        self._add(study, revision, stage, message)

    def problem(self, study: str, revision: int, stage: str, message: str, code: str = "") -> None:
        """Note something that somebody must look at."""
        self._add(study, revision, stage, message, level="problem", code=code)

    def _add(
        self, study: str, revision: int, stage: str, message: str, *, level: str = "info", code: str = ""
    ) -> None:
        self.history.add(
            Event(
                study_instance_uid=study,
                revision=revision,
                at=self.clock(),
                stage=stage,
                level=level,
                code=code,
                message=message,
            )
        )
