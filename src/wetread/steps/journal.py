"""Note what the steps did, on the study.

In: a sentence.  Out: an event.  Never: patient names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from wetread.errors import StorageError
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

    def waiting(self, study: str, revision: int, stage: str, message: str, code: str) -> None:
        """Note what holds a study up, once and where that is possible."""
        # Where the index is what refuses, this cannot be noted either.
        with contextlib.suppress(StorageError):
            told = [event.message for event in self.history.list_for_study(study)]
            if told and told[-1] != message:
                self.problem(study, revision, stage, message, code)

    def _add(
        self, study: str, revision: int, stage: str, message: str, *, level: str = "info", code: str = ""
    ) -> None:
        self.history.add(self.event(study, revision, stage, message, level=level, code=code))

    def event(
        self, study: str, revision: int, stage: str, message: str, *, level: str = "info", code: str = ""
    ) -> Event:
        """Return the event that is noted, for who notes it together with something else."""
        return Event(
            study_instance_uid=study,
            revision=revision,
            at=self.clock(),
            stage=stage,
            level=level,
            code=code,
            message=message,
        )
