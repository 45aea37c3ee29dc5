"""The objects of a C-MOVE on their way: who does not answer one is not sent the next.

In: what goes over the association of a move.  Out: whether it still answers, and what was not taken.
Never: a wait for somebody who has hung up.

pynetdicom sends the next object to a destination that has just broken off, and waits for its answer until the
DIMSE timeout: whether it notices first is a race between two of its threads. Who asked would wait with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt

#: Statuses of C-STORE by which an object was taken (PS3.4 table B.2-1): success, and warnings.
_TAKEN = (0x0000, 0xB000, 0xB006, 0xB007)


@dataclass(slots=True)
class SubOperations:
    """What was sent, and what was said to it; one object at a time."""

    sent: int = 0
    answered: int = 0
    #: SOP Instance UIDs that were not taken.
    failed: list[str] = field(default_factory=list)
    _under_way: str = ""

    @property
    def handlers(self) -> list[tuple[Any, Any]]:
        """What the association of the move must call."""
        return [(evt.EVT_DIMSE_SENT, self._on_sent), (evt.EVT_DIMSE_RECV, self._on_received)]

    @property
    def is_broken_off(self) -> bool:
        """Whether the last object had no answer: aborted, hung up, or timed out."""
        return self.answered < self.sent

    def fail(self, sop_instance_uid: str) -> None:
        """Note that an object was not taken."""
        if sop_instance_uid not in self.failed:
            self.failed.append(sop_instance_uid)

    def failed_list(self) -> Dataset:
        """Return the identifier of a final response (PS3.4 C.4.2.1.4.2)."""
        ds = Dataset()
        ds.FailedSOPInstanceUIDList = self.failed
        return ds

    def _on_sent(self, event: Any) -> None:
        self.sent += 1
        self._under_way = str(event.message.command_set.get("AffectedSOPInstanceUID", ""))

    def _on_received(self, event: Any) -> None:
        self.answered += 1
        if event.message.command_set.get("Status") not in _TAKEN:
            self.fail(self._under_way)
