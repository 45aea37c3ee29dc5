"""Tell subscribers by N-EVENT-REPORT what has become of workitems, until they take it.

In: reports that wait in the index; whom to call.
Out: reports in their order; in the history, who takes none.
Never: a report to an address that the configuration does not name; one lost with a process.

References
----------
PS3.4 CC.2.4.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pynetdicom import build_context, build_role
from pynetdicom.sop_class import UnifiedProcedureStepEvent, UnifiedProcedureStepPush  # type: ignore[attr-defined]

from wetread.dicom.scu import Callee, open_association
from wetread.domain import workitem as w
from wetread.domain.problem import ProblemCode
from wetread.domain.workitem import EventType, Report, element
from wetread.errors import PeerError, StorageError
from wetread.share.workitem_model import write_dataset
from wetread.store.history import Event, History
from wetread.store.subscriptions import Channel, DueReport, Subscriptions

#: Between tries at a system that does not take its reports, in s.
_WAITS_S = (2.0, 5.0, 15.0, 60.0, 300.0)
#: While one process tells a report, no other does, in s.
_LEASE_S = 60.0
#: Looked at least so often: another process may have left something.
_LOOK_S = 5.0


@dataclass(slots=True)
class _Pause:
    """How long a system is left alone; on a clock that nobody sets."""

    failures: int = 0
    until: float = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSender:
    """A thread that tells what waits."""

    subscriptions: Subscriptions
    history: History
    #: By AE title.
    callees: Mapping[str, Callee]
    clock: Callable[[], datetime]
    _pauses: dict[str, _Pause] = field(default_factory=dict)
    _wake: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin, and say that we are back to who subscribed before."""
        status = {
            w.SCP_STATUS: element("CS", "RESTARTED"),
            w.SUBSCRIPTION_STATUS: element("CS", "WARM START"),
            w.LIST_STATUS: element("CS", "WARM START"),
        }
        with contextlib.suppress(StorageError):
            report = Report(type=EventType.SCP_STATUS, attributes=status)
            self.subscriptions.announce(report, self.clock().timestamp())
        thread = threading.Thread(target=self._loop, name="workitem events", daemon=True)
        self._threads.append(thread)
        thread.start()

    def wake(self) -> None:
        """Look now: something has changed."""
        self._wake.set()

    def stop(self) -> None:
        """Stop; what was not taken waits for the next start."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join()

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            with contextlib.suppress(StorageError):
                # Where the index is out, the next look will do.
                for aet in self.subscriptions.list_waiting(Channel.DIMSE):
                    self._tell_safely(aet)
            self._wake.wait(self._rest_s())

    def _rest_s(self) -> float:
        now = time.monotonic()
        waits = [one.until - now for one in self._pauses.values() if one.until > now]
        return max(0.05, min([_LOOK_S, *waits]))

    def _tell_safely(self, aet: str) -> None:
        try:
            self._tell(aet)
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - one subscriber must not hold up the others
            self._put_off(aet, f"our own {type(error).__name__}: send this line to whoever maintains Wetread")

    def _tell(self, aet: str) -> None:
        pause = self._pauses.setdefault(aet, _Pause())
        if aet not in self.callees:
            self.subscriptions.end(one.id for one in self.subscriptions.list_due(Channel.DIMSE, aet))
            self._note(f"{aet} has no events_to in dicom.peers any more: its event reports were dropped.")
        elif time.monotonic() >= pause.until and not self._stop.is_set():
            problem = self._deliver(aet, self.subscriptions.list_due(Channel.DIMSE, aet))
            if problem:
                self._put_off(aet, problem)
            else:
                self._pauses[aet] = _Pause()

    def _put_off(self, aet: str, problem: str) -> None:
        pause = self._pauses[aet]
        if not pause.failures:
            self._note(f"{aet} does not take event reports of workitems, they wait: {problem}")
        pause.until = time.monotonic() + _WAITS_S[min(pause.failures, len(_WAITS_S) - 1)]
        pause.failures += 1

    def _deliver(self, aet: str, reports: list[DueReport]) -> str:
        """Tell reports in their order; returns what went wrong."""
        # We speak as the provider, on an association of our own.
        role = build_role(UnifiedProcedureStepEvent, scu_role=True, scp_role=True)
        contexts = [build_context(UnifiedProcedureStepEvent)]
        try:
            with open_association(self.callees[aet], contexts, roles=[role]) as association:
                return self._report_all(association, reports)
        except PeerError as error:
            return str(error)

    def _report_all(self, association: Any, reports: list[DueReport]) -> str:
        for report in reports:
            now = self.clock().timestamp()
            if not self.subscriptions.take(report.id, now, now + _LEASE_S):
                # Another process tells it, and what comes after.
                return ""
            problem = self._report(association, report)
            if problem:
                self.subscriptions.put_off(report.id, 0.0)
                return problem
            self.subscriptions.end([report.id])
        return ""

    def _report(self, association: Any, report: DueReport) -> str:
        try:
            status, _ = association.send_n_event_report(
                write_dataset(report.attributes),
                int(report.type),
                UnifiedProcedureStepPush,
                report.workitem_uid,
                meta_uid=UnifiedProcedureStepEvent,
            )
        except (ValueError, RuntimeError):
            return "it has ended the association."
        if "Status" not in status:
            return "it does not answer in time."
        # What it refuses it would refuse again: the report is over, the next is told.
        return ""

    def _note(self, message: str) -> None:
        event = Event(
            at=self.clock(),
            stage="share",
            level="problem",
            code=ProblemCode.DELIVERY_FAILED.value,
            message=message,
        )
        with contextlib.suppress(StorageError):
            self.history.add(event)
