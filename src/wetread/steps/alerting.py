"""Raise, end and escalate alerts: whatever the index says is due.

In: the index, the clock.  Out: alerts raised and ended, messages sent, each step in history and audit.
Never: trust in what was seen before; a study that holds up the others; an alert that a restart forgets.

Level-triggered, as ``dispatch``: what was raised, begun and sent are rows. An escalation is due by the clock
or by how long this process has seen the alert: a clock set ahead tells somebody early, one set back nobody
late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from wetread.deliver.alarm import AlertSettings, Told, tell
from wetread.domain.alert import Alert, Call, CallState, Channel
from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.domain.study import study_key
from wetread.errors import NotNow, PeerError
from wetread.store import Store
from wetread.waits import Backoff, Waits

#: Between the tries of one message.
WAITS_S = (5.0, 15.0, 60.0, 300.0)
#: In all: about an hour; the next step goes to somebody else.
TRIES = 15
_ACTOR = Actor(user_id="alerts", is_requestor=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSteps:
    """What alerting works with."""

    store: Store
    settings: AlertSettings
    clock: Callable[[], datetime]
    send: Callable[[AlertSettings, Channel, str, Told], None] = tell
    waits: Waits = field(default_factory=Waits)
    backoff: Backoff = field(default_factory=lambda: Backoff(WAITS_S))

    def sweep(self) -> None:
        """Do what is due now.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        self._raise_new()
        for alert in self.store.alerts.list_open():
            self._expire(alert)
        self._escalate()
        self._bring()

    def _raise_new(self) -> None:
        alerts = self.store.alerts
        found = alerts.list_critical(self.settings.priorities)
        known = alerts.list_known({one.study_instance_uid for one in found})
        for one in found:
            if (one.study_instance_uid, one.reasons_digest) not in known:
                alerts.raise_one(one, self.clock(), self._event(one.study_instance_uid, "Alert raised."))

    def _expire(self, alert: Alert) -> None:
        why = self._why_over(alert)
        if not why:
            return
        try:
            event = self._event(alert.study_instance_uid, f"Alert ended: {why}.")
            self.store.alerts.expire(alert, why, self.clock(), event)
        except NotNow:
            # Somebody acknowledged it in this moment.
            return

    def _why_over(self, alert: Alert) -> str:
        alerts = self.store.alerts
        if alerts.is_reported(alert.study_instance_uid):
            return "the study has been read"
        if alerts.reported_elsewhere(alert):
            return "a verified report of another system came"
        standing = self.store.readings.list_current([alert.study_instance_uid])
        rows = standing.get(alert.study_instance_uid, [])
        if not any(one.priority in self.settings.priorities for one in rows):
            return "newer images were read, and nothing is critical any more"
        return ""

    def _escalate(self) -> None:
        """Begin each step whose time has come."""
        alerts = self.store.alerts.list_open()
        begun = self.store.alerts.list_steps([one.id for one in alerts])
        self.waits.forget_others({one.id for one in alerts})
        for alert in alerts:
            age_s = max(self.clock().timestamp() - alert.raised_at, self.waits.seen_s(alert.id, ""))
            for number, step in enumerate(self.settings.steps, start=1):
                if step.after_s <= age_s and (alert.id, number) not in begun:
                    self._begin(alert, number)

    def _begin(self, alert: Alert, number: int) -> None:
        targets = self.settings.steps[number - 1].targets
        event = self._event(alert.study_instance_uid, f"Alert escalated: step {number}.")
        try:
            self.store.alerts.begin_step(alert, number, targets, self.clock(), event)
        except NotNow:
            return

    def _bring(self) -> None:
        """Try what waits; who does not answer is asked once in a round."""
        calls = self.store.alerts.list_calls(CallState.WAITING)
        silent: set[str] = set()
        for call in calls:
            if call.target not in silent and self.backoff.is_due(call.id, call.attempts):
                silent |= set() if self._try(call) else {call.target}
        self.backoff.end_round({one.id for one in calls})

    def _try(self, call: Call) -> bool:
        alert = self.store.alerts.find(call.alert_id)
        if alert is None or not self.store.alerts.take_call(call, self.clock()):
            return True
        told = Told(
            alert_id=alert.id,
            step=call.step,
            study_key=study_key(alert.study_instance_uid),
            priority=alert.priority,
            raised_at=alert.raised_at,
        )
        where = f"Step {call.step} by {call.channel.value}"
        try:
            self.send(self.settings, call.channel, call.target, told)
        except PeerError as error:
            is_last = call.attempts + 1 >= TRIES
            again = "Given up." if is_last else "Trying again."
            self._note(
                call,
                CallState.FAILED if is_last else CallState.WAITING,
                f"{where}: {error.message} {again}",
            )
            return False
        self._note(call, CallState.SENT, f"{where}: somebody was told.")
        return True

    def _note(self, call: Call, state: CallState, told: str) -> None:
        self.store.alerts.note_call(
            call, state, told, self.clock(), self._event(call.study_instance_uid, told)
        )

    def _event(self, study: str, told: str) -> AuditEvent:
        return AuditEvent(
            type=AuditEventType.INSTANCES_ACCESSED,
            action=AuditAction.EXECUTE,
            at=self.clock(),
            description=told,
            actors=(_ACTOR,),
            studies=(study,),
        )
