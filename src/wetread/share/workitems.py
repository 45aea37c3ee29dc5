"""The worklist (Unified Procedure Step), whoever asks and however.

In: who asks, and what they want.  Out: workitems and changes; what subscribers are told is kept with them.
Never: a protocol; a change that is not in the audit trail; a workitem of others for whom it is not.

REST (``web``), DIMSE (``ups``) and our own performer (``steps.performing``) all come through here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from wetread.dicom.header import is_uid
from wetread.domain import workitem as w
from wetread.domain import workitem_rules as rules
from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType, AuditOutcome
from wetread.domain.workitem import (
    FILTERED_UID,
    GLOBAL_UID,
    Attributes,
    CancelRequest,
    Change,
    Refusal,
    State,
    Warned,
    Workitem,
    WorkitemRefused,
    text_of,
    values_of,
)
from wetread.domain.workitem_match import matches
from wetread.store.audit import Audit
from wetread.store.subscriptions import Channel, Subscription, Subscriptions
from wetread.store.workitems import Workitems, study_of

#: Answers at most, whatever is asked for.
MOST_RESULTS = 5000
#: Ended workitems are kept for so long, for who asks what became of them.
KEEP_ENDED_S = 7 * 86400.0
#: What nobody fetched or took is forgotten.
KEEP_REPORTS_S = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks."""

    #: Account, token or AE title: what the audit trail says.
    name: str
    #: IP address.
    address: str = ""
    #: Empty where it is no application entity.
    aet: str = ""
    #: What its workitems came from (``Workitem.source``).
    source: str = ""
    #: Whose workitems it may see; None: all.
    sources: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Worklist:
    """All workitems, and who is told of them."""

    workitems: Workitems
    subscriptions: Subscriptions
    audit: Audit
    clock: Callable[[], datetime]
    #: Told after each change.
    on_changed: Callable[[], None] = lambda: None

    def create(self, asker: Asker, uid: str, attributes: Attributes) -> Change:
        """Make a workitem; raises WorkitemRefused."""
        if not is_uid(uid) or uid in (GLOBAL_UID, FILTERED_UID):
            raise WorkitemRefused(Refusal.INVALID_VALUE, "The UID of the workitem is none.")
        change = rules.create(uid, attributes, self.clock(), source=asker.source, sources=asker.sources)
        self.workitems.create(change, self._recording(asker, AuditAction.CREATE, "created"))
        self._settle()
        return change

    def retrieve(self, asker: Asker, uid: str) -> Workitem:
        """Return a workitem, once that is recorded; raises WorkitemRefused."""
        held = self._require(asker, uid)
        self.audit.record(self._event(asker, AuditAction.READ, "A workitem was read.", held))
        return held

    def search(self, asker: Asker, keys: Attributes, limit: int, offset: int = 0) -> list[Workitem]:
        """Return the workitems that match, oldest first, once the question is recorded."""
        self.audit.record(self._event(asker, AuditAction.EXECUTE, "Searched for workitems.", None))
        state, patient, study = (text_of(keys, tag) for tag in (w.STATE, w.PATIENT_ID, w.STUDY_UID))
        is_plain = not any(letter in patient for letter in "*?\\")
        asked = {tag: value for tag, value in keys.items() if tag != w.STUDY_UID}
        found = self.workitems.iter_all(
            states=[State(state)] if state in list(State) else (),
            patient_id=patient if is_plain and len(values_of(keys, w.PATIENT_ID)) == 1 else "",
            study_instance_uid=study if len(values_of(keys, w.STUDY_UID)) == 1 else "",
            sources=asker.sources,
        )
        wanted = values_of(keys, w.STUDY_UID)
        matching = (
            one for one in found if (not wanted or study_of(one) in wanted) and matches(one.attributes, asked)
        )
        return list(islice(matching, offset, offset + min(limit, MOST_RESULTS)))

    def update(self, asker: Asker, uid: str, attributes: Attributes, transaction_uid: str) -> Change:
        """Set attributes of a workitem; raises WorkitemRefused."""
        return self._change(
            asker, uid, "updated", lambda held: rules.update(held, attributes, transaction_uid, self.clock())
        )

    def change_state(self, asker: Asker, uid: str, state: str, transaction_uid: str) -> Change:
        """Take or end a workitem; raises WorkitemRefused."""
        if transaction_uid and not is_uid(transaction_uid):
            raise WorkitemRefused(Refusal.INVALID_VALUE, "The Transaction UID is no UID.")

        def edit(held: Workitem) -> Change:
            return rules.change_state(held, state, transaction_uid, asker.name, self.clock())

        return self._change(asker, uid, f"made {state[:16]}", edit)

    def request_cancel(self, asker: Asker, uid: str, attributes: Attributes) -> Change:
        """Ask for the end of a workitem; raises WorkitemRefused."""
        request = CancelRequest(requesting_ae=asker.aet or asker.name[:16], attributes=attributes)
        return self._change(
            asker, uid, "asked to be canceled", lambda held: rules.request_cancel(held, request, self.clock())
        )

    def change(self, asker: Asker, uid: str, told: str, edit: Callable[[Workitem], Change]) -> Change:
        """Change a workitem as only who performs it knows how; raises WorkitemRefused."""
        return self._change(asker, uid, told, edit)

    def subscribe(self, asker: Asker, one: Subscription) -> Warned | None:
        """Have somebody told of a workitem, of all, or of all that match; raises WorkitemRefused."""
        uid, is_filtered = one.workitem_uid, one.workitem_uid == FILTERED_UID
        if is_filtered and not any(values_of(one.keys or {}, tag) for tag in one.keys or {}):
            raise WorkitemRefused(Refusal.NOT_APPROPRIATE, "A filtered subscription needs keys to match.")
        if not is_filtered and uid != GLOBAL_UID:
            found = [self._require(asker, uid)]
        else:
            everything = self.workitems.iter_all(sources=asker.sources)
            found = [held for held in everything if matches(held.attributes, one.keys or {})]
        self._record_subscription(asker, "subscribed to", uid)
        reports = [(held.uid, rules.state_report(held)) for held in found]
        self.subscriptions.add(one, reports, self.clock().timestamp())
        self.on_changed()
        return None

    def unsubscribe(self, asker: Asker, aet: str, channel: Channel, uid: str) -> None:
        """Have somebody told no more; raises WorkitemRefused."""
        if uid not in (GLOBAL_UID, FILTERED_UID):
            self._require(asker, uid)
        self._record_subscription(asker, "unsubscribed from", uid)
        self.subscriptions.remove(aet, channel, uid)

    def suspend(self, asker: Asker, aet: str, channel: Channel, uid: str) -> None:
        """Have somebody told of no new workitems any more; raises WorkitemRefused."""
        if uid not in (GLOBAL_UID, FILTERED_UID):
            raise WorkitemRefused(Refusal.NOT_APPROPRIATE, "Only a global subscription is suspended.")
        self._record_subscription(asker, "suspended", uid)
        self.subscriptions.suspend(aet, channel)

    def note_refused(self, asker: Asker) -> None:
        """Record that somebody wanted something of workitems that they may not."""
        what = "Asked for workitems, which it may not."
        self.audit.record(self._event(asker, AuditAction.EXECUTE, what, None, AuditOutcome.MINOR_FAILURE))

    def sweep(self) -> None:
        """Remove what has been over for long."""
        now = self.clock().timestamp()
        while self.workitems.remove_ended(now - KEEP_ENDED_S):
            pass
        self.subscriptions.remove_old(now - KEEP_REPORTS_S)

    def _change(self, asker: Asker, uid: str, told: str, edit: Callable[[Workitem], Change]) -> Change:
        def guarded(held: Workitem) -> Change:
            _check_visible(asker, held)
            return edit(held)

        try:
            change = self.workitems.change(uid, guarded, self._recording(asker, AuditAction.UPDATE, told))
        except WorkitemRefused as error:
            what = f"A workitem was not {told}: {error.refusal.name}."
            held = self.workitems.find(uid)
            event = self._event(asker, AuditAction.UPDATE, what, held, AuditOutcome.MINOR_FAILURE)
            self.audit.record(event)
            raise
        self._settle()
        return change

    def _require(self, asker: Asker, uid: str) -> Workitem:
        held = self.workitems.find(uid)
        if held is None:
            raise WorkitemRefused(Refusal.UNKNOWN, is_gone=self.workitems.was_removed(uid))
        try:
            _check_visible(asker, held)
        except WorkitemRefused:
            # To them it is not there; the audit trail knows better.
            what = "Asked for a workitem of another sender."
            self.audit.record(self._event(asker, AuditAction.READ, what, None, AuditOutcome.MINOR_FAILURE))
            raise
        return held

    def _settle(self) -> None:
        self.audit.note_end()
        self.on_changed()

    def _recording(self, asker: Asker, action: AuditAction, told: str) -> Callable[[Any, Change], None]:
        def record(connection: Any, change: Change) -> None:
            event = self._event(asker, action, f"A workitem was {told}.", change.workitem)
            self.audit.record_in(connection, event)

        return record

    def _record_subscription(self, asker: Asker, told: str, uid: str) -> None:
        words = {GLOBAL_UID: "all workitems", FILTERED_UID: "workitems that match"}
        what = f"Was {told} {words.get(uid, 'a workitem')}."
        self.audit.record(self._event(asker, AuditAction.EXECUTE, what, None))

    def _event(
        self,
        asker: Asker,
        action: AuditAction,
        told: str,
        held: Workitem | None,
        outcome: AuditOutcome = AuditOutcome.SUCCESS,
    ) -> AuditEvent:
        study = study_of(held) if held else ""
        is_query = held is None
        return AuditEvent(
            type=AuditEventType.QUERY if is_query else AuditEventType.PROCEDURE_RECORD,
            action=AuditAction.EXECUTE if is_query else action,
            at=self.clock(),
            outcome=outcome,
            description=told,
            actors=(
                Actor(user_id=asker.name, is_requestor=True, address=asker.address, ae_title=asker.aet),
                Actor(user_id="wetread"),
            ),
            studies=(study,) if study else (),
            patient_id=text_of(held.attributes, w.PATIENT_ID) if held else "",
        )


def _check_visible(asker: Asker, held: Workitem) -> None:
    if asker.sources is not None and held.source not in asker.sources:
        raise WorkitemRefused(Refusal.UNKNOWN)
