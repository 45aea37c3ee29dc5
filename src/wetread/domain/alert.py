"""A critical result that nobody has answered yet.

In: nothing.  Out: values.  Never: who the patient is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AlertState(StrEnum):
    """How an alert stands."""

    #: Nobody has answered it: it stays on top of the list, and escalates.
    OPEN = "open"
    #: Somebody said that they know.
    ACKNOWLEDGED = "acknowledged"
    #: The study was read, or is critical no more.
    EXPIRED = "expired"


class Channel(StrEnum):
    """How somebody is told."""

    MAIL = "mail"
    WEBHOOK = "webhook"


class CallState(StrEnum):
    """How far telling somebody is."""

    WAITING = "waiting"
    SENT = "sent"
    #: Tried as often as it is tried.
    FAILED = "failed"
    #: Not needed any more.
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert."""

    id: int
    study_instance_uid: str
    #: What was found, as a digest: the same said again is the same alert.
    reasons_digest: str
    #: domain.reading.Priority.
    priority: str
    #: Seconds since 1970.
    raised_at: float
    state: AlertState
    #: None: it is open.
    ended_at: float | None
    #: Who acknowledged it; ``""``: nobody.
    ended_by: str
    #: In words.
    ended_because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One message about an alert to one place."""

    id: int
    alert_id: int
    study_instance_uid: str
    #: From 1.
    step: int
    channel: Channel
    #: Mail address, or address of the webhook.
    target: str
    state: CallState
    attempts: int
    message: str
    #: Seconds since 1970.
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Critical:
    """A study whose standing Readings are critical, and which nobody has read."""

    study_instance_uid: str
    revision: int
    priority: str
    reasons_digest: str
