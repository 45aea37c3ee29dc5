"""What receiving puts into the audit trail.

In: associations and what became of their images.  Out: audit events: one at a study's first image in an
association, one at its end with how many came.
Never: an event for every image; an image that is stored while the trail cannot be written; a flood by one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType, AuditOutcome
from wetread.errors import StorageError

logger = logging.getLogger(__name__)

#: The same refusal is recorded once in this time; what repeats is counted.
REPEAT_S = 60.0
_REMEMBERED = 4096
_NODE_AUTHENTICATION = "110126"
_SOURCE, _DESTINATION = "110153", "110152"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who sends: what it calls itself, made printable, and where it is."""

    aet: str
    address: str = ""
    #: Account or token, where that is known and not the title.
    user: str = ""


@dataclass(slots=True, kw_only=True)
class _Tally:
    """One study in one association."""

    patient_id: str
    stored: int = 0


@dataclass(slots=True, kw_only=True)
class _Transfer:
    """One association."""

    sender: Sender
    studies: dict[str, _Tally] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Repeated:
    event: AuditEvent
    since: float
    count: int = 0


class ReceiveTrail:
    """Collects what happens in associations and records it."""

    def __init__(
        self,
        record: Callable[[AuditEvent], None],
        own_aet: str,
        repeat_s: float = REPEAT_S,
        put_off: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        # Called with what could not be recorded now: it writes it as soon as the index takes it.
        self._put_off = put_off
        self._record = record
        self._us = Actor(user_id="wetread", ae_title=own_aet, role=_DESTINATION)
        self._repeat_s = repeat_s
        self._lock = threading.Lock()
        self._transfers: dict[object, _Transfer] = {}
        self._known: OrderedDict[Sender, None] = OrderedDict()
        self._repeated: OrderedDict[tuple[Sender, str, str], _Repeated] = OrderedDict()
        self._timer: threading.Timer | None = None
        self._is_closed = False

    def accepted(self, sender: Sender) -> None:
        """A sender was let in; its first time is recorded."""
        with self._lock:
            if sender in self._known:
                return
            self._known[sender] = None
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._try(self._node_event(sender, AuditOutcome.SUCCESS, "First association."))

    def begin(self, association: object, sender: Sender, study: str, patient_id: str) -> None:
        """Record that a study begins to come, before its first image is stored.

        Raises
        ------
        StorageError
            If it cannot be recorded: the image must not be stored then.
        """
        with self._lock:
            transfer = self._transfers.setdefault(association, _Transfer(sender=sender))
            if study in transfer.studies:
                return
        event = self._transfer_event(AuditEventType.BEGIN_TRANSFERRING, sender, study, patient_id)
        self._record(event)
        with self._lock:
            transfer.studies[study] = _Tally(patient_id=patient_id)

    def stored(self, association: object, study: str) -> None:
        """An image was stored, now or before."""
        with self._lock:
            transfer = self._transfers.get(association)
            # None: we stop, and what came until then is recorded.
            if transfer is not None:
                transfer.studies[study].stored += 1

    def refused(self, sender: Sender, study: str, what: str) -> None:
        """An image was not stored."""
        event = AuditEvent(
            type=AuditEventType.INSTANCES_TRANSFERRED,
            action=AuditAction.CREATE,
            at=datetime.now(UTC),
            outcome=AuditOutcome.SERIOUS_FAILURE,
            description=f"Refused: {what}",
            actors=(_actor(sender), self._us),
            studies=(study,) if study else (),
        )
        self._once(sender, study, event)

    def rejected(self, sender: Sender, what: str) -> None:
        """An association or a connection was turned away, or broke off."""
        self._once(sender, "", self._node_event(sender, AuditOutcome.SERIOUS_FAILURE, what))

    def message_refused(self, what: str) -> None:
        """An HL7 message was not taken."""
        sender = Sender(aet="HL7 sender")
        event = AuditEvent(
            type=AuditEventType.IMPORT,
            action=AuditAction.CREATE,
            at=datetime.now(UTC),
            outcome=AuditOutcome.MINOR_FAILURE,
            description=what,
            actors=(
                Actor(user_id=sender.aet, is_requestor=True, role=_SOURCE),
                Actor(user_id="wetread", role=_DESTINATION),
            ),
        )
        self._once(sender, "", event)

    def ended(self, association: object, *, is_broken: bool) -> None:
        """Record what came in an association."""
        with self._lock:
            transfer = self._transfers.pop(association, None)
        if transfer is None:
            return
        outcome = AuditOutcome.MINOR_FAILURE if is_broken else AuditOutcome.SUCCESS
        for study, tally in transfer.studies.items():
            event = self._transfer_event(
                AuditEventType.INSTANCES_TRANSFERRED,
                transfer.sender,
                study,
                tally.patient_id,
                outcome=outcome,
                count=tally.stored,
                description=f"{tally.stored} images{', then it broke off' if is_broken else ''}.",
            )
            self._try(event)

    def close(self) -> None:
        """Record what is still open; nothing is recorded afterwards."""
        with self._lock:
            open_ones = list(self._transfers)
            self._is_closed = True
            timer = self._timer
        if timer is not None:
            timer.cancel()
        for association in open_ones:
            self.ended(association, is_broken=True)
        self._tell_repeated()

    def _once(self, sender: Sender, study: str, event: AuditEvent) -> None:
        key = (sender, study, event.description)
        with self._lock:
            if self._is_closed:
                # What breaks off now does so because we stop.
                return
            known = self._repeated.get(key)
            if known is not None and time.monotonic() - known.since < self._repeat_s:
                known.count += 1
                self._start_timer()
                return
            self._repeated[key] = _Repeated(event=event, since=time.monotonic())
            overdue = []
            while len(self._repeated) > _REMEMBERED:
                overdue.append(self._repeated.popitem(last=False)[1])
        for one in [*filter(None, [known]), *overdue]:
            self._tell(one)
        self._try(event)

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(self._repeat_s, self._tell_repeated)
            self._timer.daemon = True
            self._timer.start()

    def _tell_repeated(self) -> None:
        with self._lock:
            self._timer = None
            told = list(self._repeated.values())
            self._repeated.clear()
        for one in told:
            self._tell(one)

    def _tell(self, one: _Repeated) -> None:
        if one.count:
            event = one.event
            self._try(
                AuditEvent(
                    type=event.type,
                    action=event.action,
                    at=datetime.now(UTC),
                    outcome=event.outcome,
                    subtype=event.subtype,
                    description=f"{event.description} {one.count} more times.",
                    actors=event.actors,
                    studies=event.studies,
                )
            )

    def _try(self, event: AuditEvent) -> None:
        try:
            self._record(event)
        except StorageError:
            # The disk is full: nothing is stored either. The answer to the sender must come all the same.
            if self._put_off is None:
                logger.exception("An audit event could not be kept: %s", event.type.name)
            else:
                self._put_off(partial(self._record, event))

    def _node_event(self, sender: Sender, outcome: AuditOutcome, description: str) -> AuditEvent:
        return AuditEvent(
            type=AuditEventType.SECURITY_ALERT,
            subtype=_NODE_AUTHENTICATION,
            action=AuditAction.EXECUTE,
            at=datetime.now(UTC),
            outcome=outcome,
            description=description,
            actors=(_actor(sender), self._us),
        )

    def _transfer_event(
        self,
        kind: AuditEventType,
        sender: Sender,
        study: str,
        patient_id: str,
        *,
        outcome: AuditOutcome = AuditOutcome.SUCCESS,
        count: int = 0,
        description: str = "",
    ) -> AuditEvent:
        is_begin = kind is AuditEventType.BEGIN_TRANSFERRING
        return AuditEvent(
            type=kind,
            action=AuditAction.EXECUTE if is_begin else AuditAction.CREATE,
            at=datetime.now(UTC),
            outcome=outcome,
            description=description,
            actors=(_actor(sender), self._us),
            studies=(study,),
            patient_id=patient_id,
            instance_count=count,
        )


def _actor(sender: Sender) -> Actor:
    return Actor(
        user_id=sender.user or sender.aet or "unknown",
        ae_title=sender.aet,
        address=sender.address,
        is_requestor=True,
        role=_SOURCE,
    )
