"""What an archive says of instances that can be had (PS3.4 Annex R).

In: an attribute list as plain values.  Out: a ``Notice``.
Never: a wait for what the archive itself cannot hand out.
"""

from __future__ import annotations

from wetread.dicom.header import is_uid
from wetread.dicom.plain import Node
from wetread.domain.notice import Notice, NoticeKind, StepState
from wetread.receive.performed import (
    INVALID_INSTANCE,
    INVALID_VALUE,
    MISSING_ATTRIBUTE,
    MISSING_VALUE,
    RefusedNotice,
    check_count,
    read_reference,
    read_uid,
)

_STUDY_UID, _SERIES, _SERIES_UID, _REFERENCES = 0x0020000D, 0x00081115, 0x0020000E, 0x00081199
_AVAILABILITY = 0x00080056
#: Instance Availability (0008,0056), PS3.3 C.4.23.1.1; whether it can be had now.
_AVAILABLE = {"ONLINE": True, "NEARLINE": False, "OFFLINE": False, "UNAVAILABLE": False}


def read_availability(sop_instance_uid: str, node: Node) -> Notice:
    """Return what an N-CREATE says, with the instances that are online; raises ``RefusedNotice``."""
    if not is_uid(sop_instance_uid):
        raise RefusedNotice(INVALID_INSTANCE, "The SOP Instance UID of the notice is none.")
    if not node.items(_SERIES):
        status = MISSING_VALUE if node.has(_SERIES) else MISSING_ATTRIBUTE
        raise RefusedNotice(status, "Referenced Series Sequence is missing or empty.")
    uids = [uid for series in node.items(_SERIES) for uid in _read_series(series)]
    return Notice(
        sop_instance_uid=sop_instance_uid,
        kind=NoticeKind.IAN,
        state=StepState.AVAILABLE,
        studies=(read_uid(node, _STUDY_UID, "Study Instance UID"),),
        instances=check_count(uids),
    )


def _read_series(series: Node) -> list[str]:
    read_uid(series, _SERIES_UID, "Series Instance UID")
    if not series.items(_REFERENCES):
        status = MISSING_VALUE if series.has(_REFERENCES) else MISSING_ATTRIBUTE
        raise RefusedNotice(status, "Referenced SOP Sequence is missing or empty.")
    return [read_reference(one) for one in series.items(_REFERENCES) if _is_online(one)]


def _is_online(reference: Node) -> bool:
    text = reference.text(_AVAILABILITY)
    if not text:
        status = MISSING_VALUE if reference.has(_AVAILABILITY) else MISSING_ATTRIBUTE
        raise RefusedNotice(status, "Instance Availability is missing or has no value.")
    if text not in _AVAILABLE:
        raise RefusedNotice(INVALID_VALUE, "Instance Availability is none that there is.")
    return _AVAILABLE[text]
