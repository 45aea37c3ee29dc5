"""Take reports of storage commitments that we asked for (N-EVENT-REPORT to our port, PS3.4 J.3.3).

In: reports of peers that the port let in.  Out: results in the store, and whoever waits is woken.
Never: a report believed of another system than the one that was asked; success before the row is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from wetread.dicom.commitment import read_report
from wetread.domain.problem import ProblemCode
from wetread.errors import StorageError, UnreadableInstance
from wetread.store import Store
from wetread.store.history import Event

PROCESSING_FAILURE, INVALID_ARGUMENT = 0x0110, 0x0115


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportScp:
    """Takes reports."""

    store: Store
    #: AE title -> names of the destinations that call themselves so.
    destinations: Mapping[str, Collection[str]]
    clock: Callable[[], datetime]
    #: A delivery may be settled by now.
    wake: Callable[[], None]

    def take(self, event: Any) -> tuple[int, Dataset | None]:
        """Answer N-EVENT-REPORT."""
        title = str(event.assoc.requestor.ae_title or "").strip()
        shown = "".join(letter if letter.isprintable() else "?" for letter in title)
        data = event.request.EventInformation
        is_implicit = str(event.context.transfer_syntax) == ImplicitVRLittleEndian
        try:
            transaction, results = read_report(data.getvalue() if data else b"", is_implicit=is_implicit)
            names = self.destinations.get(title, ())
            if not self.store.commitments.report(transaction, names, results):
                return self._refuse(f"A storage commitment that nobody asked of {shown} was reported."), None
        except UnreadableInstance as error:
            return self._refuse(f"A report of storage commitment from {shown}: {error.message}"), None
        except StorageError:
            # It is reported again.
            return PROCESSING_FAILURE, None
        self.wake()
        return 0x0000, None

    def _refuse(self, message: str) -> int:
        code = ProblemCode.UNREADABLE_MESSAGE.value
        event = Event(at=self.clock(), stage="receive", level="problem", code=code, message=message)
        self.store.history.add(event)
        return INVALID_ARGUMENT
