"""What the audit trail says: who did what to whose data, when, and how it ended.

In: plain values.  Out: ``AuditEvent``.  Never: images, findings, passwords, tokens.

The words are those of DICOM PS3.15 A.5 (audit trail message format profile).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum


class AuditEventType(StrEnum):
    """Event IDs (PS3.16 CID 400), by their DCM code."""

    APPLICATION_ACTIVITY = "110100"
    AUDIT_LOG_USED = "110101"
    BEGIN_TRANSFERRING = "110102"
    INSTANCES_ACCESSED = "110103"
    INSTANCES_TRANSFERRED = "110104"
    STUDY_DELETED = "110105"
    EXPORT = "110106"
    IMPORT = "110107"
    NETWORK_ENTRY = "110108"
    ORDER_RECORD = "110109"
    PATIENT_RECORD = "110110"
    PROCEDURE_RECORD = "110111"
    QUERY = "110112"
    SECURITY_ALERT = "110113"
    USER_AUTHENTICATION = "110114"


class AuditAction(StrEnum):
    """What was done (EventActionCode)."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class AuditOutcome(IntEnum):
    """How it ended (EventOutcomeIndicator)."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8
    MAJOR_FAILURE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who took part: a person, a program, an application entity."""

    #: Account name, AE title, ``token NAME``, or the name of a part of ours.
    user_id: str
    is_requestor: bool = False
    #: IP address; "" where there was no network between.
    address: str = ""
    #: DCM code where PS3.15 asks for one: ``110153`` source, ``110152`` destination, ``110150`` application.
    role: str = ""
    #: Where it is an application entity: becomes ``AETITLES=`` in the message.
    ae_title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One audit message before it is written."""

    type: AuditEventType
    action: AuditAction
    at: datetime
    outcome: AuditOutcome = AuditOutcome.SUCCESS
    #: DCM code that says more (PS3.16 CID 401 to 403), e.g. ``110122`` login, ``110123`` logout,
    #: ``110120`` application start, ``110126`` node authentication.
    subtype: str = ""
    #: One sentence of ours: no patient's name, nothing that a sender wrote unless it is made printable.
    description: str = ""
    actors: tuple[Actor, ...] = ()
    studies: tuple[str, ...] = ()
    patient_id: str = ""
    #: How many instances it was about.
    instance_count: int = 0


START, STOP = "110120", "110121"


def application_event(subtype: str, at: datetime) -> AuditEvent:
    """Return the event of our ``START`` or ``STOP``."""
    return AuditEvent(
        type=AuditEventType.APPLICATION_ACTIVITY,
        subtype=subtype,
        action=AuditAction.EXECUTE,
        at=at,
        actors=(Actor(user_id="wetread", role="110150"),),
    )
