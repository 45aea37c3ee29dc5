"""A workitem (Unified Procedure Step): what it is, and every word with which it is refused.

In: nothing.  Out: values and codes that REST, DIMSE and the store share.  Never: a network, SQL.

Attributes are those of the DICOM JSON Model: tag -> ``{"vr": ..., "Value": [...]}``. Never among them is the
Transaction UID: it is known to who performs the step alone.

References
----------
PS3.4 annex CC; PS3.18 section 11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from wetread.domain.reading import Priority
from wetread.errors import AccessError

#: DICOM JSON.
Attributes = Mapping[str, Any]

#: UPS Push SOP Class: the class of every workitem, whatever it is asked for with (PS3.4 CC.3.1).
UPS_CLASS_UID = "1.2.840.10008.5.1.4.34.6.1"
#: Well-known instances: all workitems, all that match (PS3.4 CC.2.3).
GLOBAL_UID, FILTERED_UID = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"

STATE, READINESS, PRIORITY = "00741000", "00404041", "00741200"
LABEL, WORKLIST_LABEL, TRANSACTION_UID = "00741204", "00741202", "00081195"
START_AT, MODIFIED_AT = "00404005", "00404010"
PATIENT_NAME, PATIENT_ID, STUDY_UID, SERIES_UID = "00100010", "00100020", "0020000D", "0020000E"
SOP_CLASS_UID, SOP_INSTANCE_UID, CHARACTER_SET = "00080016", "00080018", "00080005"
STATION_NAME, PERFORMERS, ORGANIZATION, PERFORMER_CODE = "00404025", "00404034", "00404036", "00404009"
WORKITEM_CODE, PARAMETERS, INPUTS, REQUESTS = "00404018", "00741210", "00404021", "0040A370"
PROGRESS, PERCENT, PROGRESS_TEXT = "00741002", "00741004", "00741006"
CANCELLED_AT, REASON, REASON_CODE = "00404052", "00741238", "0074100E"
CONTACT_URI, CONTACT_NAME = "0074100A", "0074100C"
PERFORMED, OUTPUTS, PERFORMED_STATION = "00741216", "00404033", "00404028"
PERFORMED_START, PERFORMED_END, PERFORMED_CODE = "00404050", "00404051", "00404019"
RECEIVING_AE, REQUESTING_AE, DELETION_LOCK = "00741234", "00741236", "00741230"
SCP_STATUS, SUBSCRIPTION_STATUS, LIST_STATUS = "00741242", "00741244", "00741246"


class State(StrEnum):
    """Procedure Step State (0074,1000)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        """Whether nothing of it changes any more."""
        return self in (State.COMPLETED, State.CANCELED)


class EventType(IntEnum):
    """What subscribers are told (PS3.4 table CC.2.4-1)."""

    STATE = 1
    CANCEL_REQUESTED = 2
    PROGRESS = 3
    SCP_STATUS = 4
    ASSIGNED = 5


class Warned(IntEnum):
    """Done, but not quite as asked."""

    CREATED_MODIFIED = 0xB300
    NO_LOCK = 0xB301
    ALREADY_CANCELED = 0xB304
    COERCED = 0xB305
    ALREADY_COMPLETED = 0xB306


class Refusal(IntEnum):
    """Why something is not done: the status of DIMSE, from which REST takes its own."""

    INVALID_VALUE = 0x0106
    DUPLICATE = 0x0111
    NO_SUCH_CLASS = 0x0118
    MISSING = 0x0120
    EMPTY = 0x0121
    NO_SUCH_ACTION = 0x0123
    NOT_AUTHORIZED = 0x0124
    RESOURCES = 0x0213
    UNABLE = 0xC000
    FINAL = 0xC300
    WRONG_TRANSACTION = 0xC301
    IN_PROGRESS = 0xC302
    ONLY_CREATED_SCHEDULED = 0xC303
    NOT_READY_TO_END = 0xC304
    UNKNOWN = 0xC307
    UNKNOWN_AE = 0xC308
    NOT_CREATED_SCHEDULED = 0xC309
    NOT_IN_PROGRESS = 0xC310
    COMPLETED = 0xC311
    NOT_APPROPRIATE = 0xC314


#: Words of PS3.4 and PS3.18 for the statuses that are not explained where they are given.
TOLD: dict[Refusal | Warned, str] = {
    Warned.CREATED_MODIFIED: "The Workitem was created with modifications.",
    Warned.NO_LOCK: "Deletion Lock not granted.",
    Warned.ALREADY_CANCELED: "The UPS is already in the requested state of CANCELED.",
    Warned.COERCED: "The Workitem was updated with modifications.",
    Warned.ALREADY_COMPLETED: "The UPS is already in the requested state of COMPLETED.",
    Refusal.DUPLICATE: "A workitem of this UID exists already.",
    Refusal.FINAL: "The UPS may no longer be updated.",
    Refusal.WRONG_TRANSACTION: "The correct Transaction UID was not provided.",
    Refusal.IN_PROGRESS: "The UPS is already IN PROGRESS.",
    Refusal.ONLY_CREATED_SCHEDULED: "The UPS may only become SCHEDULED by being created.",
    Refusal.NOT_READY_TO_END: "The UPS has not met the final state requirements for the requested state.",
    Refusal.UNKNOWN: "There is no workitem of this UID here.",
    Refusal.UNKNOWN_AE: "The receiving AE title is not known here.",
    Refusal.NOT_CREATED_SCHEDULED: "A workitem is created in the state SCHEDULED.",
    Refusal.NOT_IN_PROGRESS: "The UPS is not yet in the IN PROGRESS state.",
    Refusal.COMPLETED: "The UPS is already COMPLETED.",
}


class WorkitemRefused(AccessError):
    """The workitem is not changed: see the reason."""

    code = "workitem-refused"

    def __init__(self, refusal: Refusal, message: str = "", *, is_gone: bool = False) -> None:
        #: Why, as DIMSE says it.
        self.refusal = refusal
        #: Whether there was such a workitem once.
        self.is_gone = is_gone
        super().__init__(message or TOLD.get(refusal))


@dataclass(frozen=True, slots=True, kw_only=True)
class Workitem:
    """One Unified Procedure Step."""

    uid: str
    state: State = State.SCHEDULED
    #: Without the Transaction UID.
    attributes: Attributes
    #: Of who performs it; "" while nobody does.
    transaction_uid: str = ""
    #: Who performs it: AE title or account.
    performer: str = ""
    #: Who created it: what an account may see can hang on it.
    source: str = ""
    #: Whose studies whoever created it may see; None: all.
    sources: tuple[str, ...] | None = None
    #: Seconds since 1970.
    changed_at: float = 0.0
    #: Whether somebody asked who performs it to stop.
    is_cancel_requested: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What subscribers are told."""

    type: EventType
    attributes: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of a workitem."""

    workitem: Workitem
    reports: tuple[Report, ...] = ()
    #: Done, but not quite as asked.
    warning: Warned | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    """Somebody who does not perform a step wants it to end (PS3.4 table CC.2.2-1)."""

    requesting_ae: str
    #: Reason, code, contact: as they came.
    attributes: Attributes = field(default_factory=dict)


def values_of(attributes: Attributes, tag: str) -> list[Any]:
    """Return the values of an attribute, none where it is absent or empty."""
    found = attributes.get(tag)
    return [one for one in (found or {}).get("Value", ()) if one not in (None, "", {})]


def first_of(attributes: Attributes, tag: str) -> Any:
    """Return the first value of an attribute, ``""`` where there is none."""
    return next(iter(values_of(attributes, tag)), "")


def text_of(attributes: Attributes, tag: str) -> str:
    """Return the first value as text."""
    value = first_of(attributes, tag)
    return str(value.get("Alphabetic", "") if isinstance(value, Mapping) else value).strip()


def element(vr: str, *values: Any) -> dict[str, Any]:
    """Return an attribute."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def code_item(value: str, scheme: str, meaning: str) -> dict[str, Any]:
    """Return an item of a code sequence (PS3.3 8.8)."""
    return {
        "00080100": element("SH", value),
        "00080102": element("SH", scheme),
        "00080104": element("LO", meaning),
    }


def urgency_of(workitem: Workitem) -> Priority:
    """Return how urgent a workitem is, in our words."""
    words = {"HIGH": Priority.STAT, "MEDIUM": Priority.URGENT}
    return words.get(text_of(workitem.attributes, PRIORITY), Priority.ROUTINE)
