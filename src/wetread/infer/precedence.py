"""Let live readings go before those in the shadow, within one process.

In: jobs of both kinds.  Out: Readings; a reading in the shadow that gives way is interrupted.
Never: a live reading that waits for one in the shadow, or shares the machine with it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from wetread.domain.reading import Reading
from wetread.errors import ModelInterrupted
from wetread.infer.job import ReadJob
from wetread.infer.process import Leash, run_job


@dataclass(slots=True)
class Precedence:
    """Runs the jobs of a process."""

    #: Where model processes have their working folders; None: the system's.
    work: Path | None = None
    #: Live readings that run.
    _live: int = 0
    _is_closed: bool = False
    _leashes: list[Leash] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read_live(self, job: ReadJob) -> Reading:
        """Read at once; what runs in the shadow ends."""
        with self._lock:
            self._live += 1
            self._pull()
        try:
            return run_job(job, self.work)
        finally:
            with self._lock:
                self._live -= 1

    def read_beside(self, job: ReadJob) -> Reading:
        """Read while nothing live is read.

        Raises
        ------
        ModelInterrupted
            If something live is read, or begins to be.
        """
        leash = Leash()
        with self._lock:
            if self._live or self._is_closed:
                raise ModelInterrupted(model=job.model.identity.name)
            self._leashes.append(leash)
        try:
            return run_job(job, self.work, leash)
        finally:
            with self._lock:
                self._leashes.remove(leash)

    def close(self) -> None:
        """End what runs in the shadow, and begin nothing more there: this process ends."""
        with self._lock:
            self._is_closed = True
            self._pull()

    def _pull(self) -> None:
        for leash in self._leashes:
            leash.pull()
