"""Report storage commitments until who asked has heard (N-EVENT-REPORT, PS3.4 J.3.3).

In: transactions that are due in the store.  Out: reports, and rows that say how it went.
Never: a promise for what is not held; a transaction that a restart forgets; an endless queue.

Reports go to the address that the configuration has for who asked, on an association of our own; where it has
none, on the association that asked, as long as that is open.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role

from wetread.dicom.scu import Callee, open_association
from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.domain.commitment import COMMITTED, PUSH_MODEL, PUSH_MODEL_INSTANCE
from wetread.domain.problem import ProblemCode
from wetread.errors import NotAcknowledged, PeerError, PeerUnreachable, StorageError
from wetread.store import Store
from wetread.store.history import Event
from wetread.store.promises import DUE, FAILED, REPORTED, Judged, Promise
from wetread.waits import Backoff

#: Between the tries, in s.
WAITS_S = (5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
#: In all: four days.
MOST_TRIES = 101
#: Look at the index at least this often, in s.
_SWEEP_S = 10.0
_ALL_COMMITTED, _FAILURES_EXIST = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """A thread that reports what is due."""

    store: Store
    #: Our AE title.
    aet: str
    #: By AE title.
    callees: Mapping[str, Callee]
    clock: Callable[[], datetime]
    backoff: Backoff = field(default_factory=lambda: Backoff(WAITS_S))
    #: Longest look without anything due, in s.
    sweep_s: float = _SWEEP_S
    _associations: dict[int, Any] = field(default_factory=dict)
    _wake: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin to report."""
        thread = threading.Thread(target=self._loop, name="commitment-reports", daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """End; what is not reported is reported after the next start."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join()

    def take(self, number: int, association: Any) -> None:
        """Remember on which association a transaction came, and report it."""
        self._associations[number] = association
        self._wake.set()

    def look(self) -> None:
        """Report what is due now."""
        due = self.store.promises.list_due()
        for gone in self._associations.keys() - {one.id for one in due}:
            self._associations.pop(gone, None)
        away: set[str] = set()
        for promise in due:
            if self._stop.is_set():
                return
            is_due = self.backoff.is_due(promise.id, promise.attempts)
            if is_due and promise.asked.requestor not in away and not self._report(promise):
                # Whoever does not answer keeps the others waiting once.
                away.add(promise.asked.requestor)
        self.backoff.end_round({one.id for one in due})

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self.look()
            except StorageError:
                # The index is out: what is due stays so.
                pass
            except Exception as error:  # noqa: BLE001 - a bug must not end the thread
                self._tell_bug(error)
            self._wake.wait(min(self.sweep_s, self.backoff.waits_s[0]))

    def _tell_bug(self, error: Exception) -> None:
        event = Event(
            at=self.clock(),
            stage="share",
            level="problem",
            code=ProblemCode.INTERNAL_ERROR.value,
            message=f"Storage commitments could not be reported ({type(error).__name__}), it is tried again."
            " Send this line to whoever maintains Wetread.",
        )
        with contextlib.suppress(StorageError):
            self.store.history.add(event)

    def _report(self, promise: Promise) -> bool:
        judged = self.store.promises.judge(promise)
        failed = sum(reason != COMMITTED for reason in judged.reasons)
        words = f"{len(judged.reasons) - failed} of {len(judged.reasons)} instances are committed"
        # Before it is handed out: what cannot be recorded waits.
        self.store.audit.record(self._entry(promise, words, judged))
        try:
            self._send(promise, _information(promise, judged, self.aet), has_failures=failed > 0)
        except PeerError as error:
            self._note_failure(promise, error)
            return False
        message = f"Storage commitment reported to {promise.asked.requestor}: {words}."
        self._note(promise, REPORTED, message, judged)
        return True

    def _send(self, promise: Promise, information: Dataset, *, has_failures: bool) -> None:
        callee = self.callees.get(promise.asked.requestor)
        if callee is None:
            association = self._associations.get(promise.id)
            if association is None or not association.is_established:
                raise PeerUnreachable(
                    "Who asked has ended the association and has no address: set report_to in dicom.peers."
                )
            _send_on(association, information, has_failures=has_failures)
            return
        role = build_role(PUSH_MODEL, scp_role=True)
        with open_association(callee, [build_context(PUSH_MODEL)], roles=[role]) as association:
            _send_on(association, information, has_failures=has_failures)

    def _note_failure(self, promise: Promise, error: PeerError) -> None:
        has_address = promise.asked.requestor in self.callees
        is_last = not has_address or promise.attempts + 1 >= MOST_TRIES
        ending = "Given up: ask again." if is_last else "It is tried again."
        message = f"Storage commitment not reported to {promise.asked.requestor}: {error.message} {ending}"
        self._note(promise, FAILED if is_last else DUE, message, None)

    def _note(self, promise: Promise, state: str, message: str, judged: Judged | None) -> None:
        studies = judged.studies if judged is not None else ()
        event = Event(
            study_instance_uid=studies[0] if len(studies) == 1 else "",
            at=self.clock(),
            stage="share",
            level="info" if state == REPORTED else "problem",
            code="" if state == REPORTED else ProblemCode.COMMITMENT_NOT_REPORTED.value,
            message=message,
        )

        def tell(connection: Any) -> None:
            # The first failure and the last are told of, not each of a hundred.
            if state != DUE or promise.attempts == 0:
                self.store.history.add_in(connection, event)

        self.store.promises.record(promise, state, self.clock(), message, tell)

    def _entry(self, promise: Promise, words: str, judged: Judged) -> AuditEvent:
        requestor = promise.asked.requestor
        return AuditEvent(
            type=AuditEventType.QUERY,
            action=AuditAction.EXECUTE,
            at=self.clock(),
            description=f"Storage commitment to be reported: {words}.",
            actors=(
                Actor(user_id="wetread", ae_title=self.aet, is_requestor=True),
                Actor(user_id=requestor or "unknown", ae_title=requestor),
            ),
            studies=judged.studies[:100],
            instance_count=len(judged.reasons),
        )


def _send_on(association: Any, information: Dataset, *, has_failures: bool) -> None:
    kind = _FAILURES_EXIST if has_failures else _ALL_COMMITTED
    try:
        status, _ = association.send_n_event_report(information, kind, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    except (RuntimeError, ValueError) as error:
        raise PeerUnreachable("The association has ended.") from error
    if "Status" not in status:
        raise PeerUnreachable("There was no answer in time.")
    if int(status.Status) != 0:
        raise NotAcknowledged("The report was not acknowledged.", status=f"0x{int(status.Status):04X}")


def _information(promise: Promise, judged: Judged, aet: str) -> Dataset:
    """Return the event information (PS3.4 table J.3-2)."""
    ds = Dataset()
    ds.TransactionUID = promise.asked.transaction_uid
    ds.RetrieveAETitle = aet
    committed, failed = [], []
    for reference, reason in zip(promise.asked.references, judged.reasons, strict=True):
        item = Dataset()
        item.ReferencedSOPClassUID = reference.sop_class_uid
        item.ReferencedSOPInstanceUID = reference.sop_instance_uid
        if reason == COMMITTED:
            committed.append(item)
        else:
            item.FailureReason = reason
            failed.append(item)
    if committed:
        ds.ReferencedSOPSequence = committed
    if failed:
        ds.FailedSOPSequence = failed
    return ds
