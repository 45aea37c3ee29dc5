"""What a modality says of a procedure step, by the rules of PS3.4 F.7.2.

In: attribute and modification lists as plain values.  Out: a ``Notice``.
Never: more than the studies, the state and the names of what was made; a step that is over changed.

Statuses (PS3.4 F.7.2.1.2 and F.7.2.2.2, PS3.7 Annex C):

====== ==========================================================================================
0x0106 a UID or the state is none, or the step does not begin as IN PROGRESS
0x0110 the step is over: it may no longer be updated (Error ID A710); or it cannot be read
0x0111 there is a step with this SOP Instance UID
0x0112 there is none
0x0117 the SOP Instance UID is missing or none
0x0120 an attribute of type 1 is missing
0x0121 an attribute of type 1 has no value
0x0124 who tells may send images, but not tell of them
0x0213 it names more than a study may have, or the index is out: tell it again later
====== ==========================================================================================

What an N-SET may not change (patient, scheduled step, start) is passed over and not refused: modalities send
it all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from wetread.dicom.header import is_uid
from wetread.dicom.plain import Node
from wetread.domain.notice import FINAL, Notice, NoticeKind, StepState

INVALID_VALUE, PROCESSING_FAILURE, DUPLICATE_INSTANCE, NO_SUCH_INSTANCE = 0x0106, 0x0110, 0x0111, 0x0112
INVALID_INSTANCE, MISSING_ATTRIBUTE, MISSING_VALUE = 0x0117, 0x0120, 0x0121
NOT_AUTHORIZED, RESOURCE_LIMITATION = 0x0124, 0x0213
#: Error ID (0000,0903): Performed Procedure Step Object may no longer be updated.
NO_LONGER_UPDATED = 0xA710

#: More than any study has.
MOST_INSTANCES = 20_000
MOST_STUDIES = 100

_SCHEDULED, _STUDY_UID, _STATUS, _END_DATE, _END_TIME = (
    0x00400270, 0x0020000D, 0x00400252, 0x00400250, 0x00400251,
)  # fmt: skip
_SERIES, _SERIES_UID, _PROTOCOL = 0x00400340, 0x0020000E, 0x00181030
#: Referenced Image Sequence, Referenced Non-Image Composite SOP Instance Sequence.
_REFERENCES = (0x00081140, 0x00400220)
_CLASS_UID, _INSTANCE_UID = 0x00081150, 0x00081155
#: Of type 1 at N-CREATE, beside what is looked into.
_NEEDED = {
    0x00400253: "Performed Procedure Step ID",
    0x00400241: "Performed Station AE Title",
    0x00400244: "Performed Procedure Step Start Date",
    0x00400245: "Performed Procedure Step Start Time",
    _STATUS: "Performed Procedure Step Status",
    0x00080060: "Modality",
}


class RefusedNotice(Exception):
    """Why a notice is not taken: an answer, not an error."""

    def __init__(self, status: int, comment: str, error_id: int = 0) -> None:
        super().__init__(comment)
        self.status = status
        #: Without anything that the sender wrote.
        self.comment = comment
        self.error_id = error_id


def begin_step(sop_instance_uid: str, node: Node) -> Notice:
    """Return the step that an N-CREATE begins; raises ``RefusedNotice``."""
    if not is_uid(sop_instance_uid):
        raise RefusedNotice(INVALID_INSTANCE, "The SOP Instance UID of the step is missing or none.")
    for tag, name in _NEEDED.items():
        _need_value(node, tag, name)
    if node.text(_STATUS) != StepState.IN_PROGRESS:
        raise RefusedNotice(INVALID_VALUE, "A procedure step begins as IN PROGRESS.")
    return Notice(
        sop_instance_uid=sop_instance_uid,
        kind=NoticeKind.MPPS,
        state=StepState.IN_PROGRESS,
        studies=_read_studies(node),
        instances=_read_series(node, is_final=False),
        has_end=_has_end(node),
    )


def change_step(known: Notice, node: Node) -> Notice:
    """Return a step as an N-SET leaves it; raises ``RefusedNotice``."""
    if known.state in FINAL:
        comment = f"The step is {known.state}: it may no longer be updated."
        raise RefusedNotice(PROCESSING_FAILURE, comment, NO_LONGER_UPDATED)
    state = known.state
    if node.has(_STATUS):
        state = _read_state(node.text(_STATUS))
    instances = known.instances
    if node.has(_SERIES):
        instances = _read_series(node, is_final=state in FINAL)
    changed = replace(known, state=state, instances=instances, has_end=known.has_end or _has_end(node))
    if state in FINAL:
        _check_final(known, changed, node)
    return changed


def read_uid(node: Node, tag: int, name: str) -> str:
    """Return a UID of type 1; raises ``RefusedNotice``."""
    _need_value(node, tag, name)
    text = node.text(tag)
    if not is_uid(text):
        raise RefusedNotice(INVALID_VALUE, f"{name} is not a UID.")
    return text


def read_reference(node: Node) -> str:
    """Return the SOP Instance UID of a reference; raises ``RefusedNotice``."""
    read_uid(node, _CLASS_UID, "Referenced SOP Class UID")
    return read_uid(node, _INSTANCE_UID, "Referenced SOP Instance UID")


def check_count(uids: Iterable[str]) -> tuple[str, ...]:
    """Return each UID once; raises ``RefusedNotice`` where there are too many."""
    held = tuple(dict.fromkeys(uids))
    if len(held) > MOST_INSTANCES:
        raise RefusedNotice(RESOURCE_LIMITATION, f"More than {MOST_INSTANCES} instances are named.")
    return held


def _check_final(known: Notice, changed: Notice, node: Node) -> None:
    """Refuse an end that lacks what an end must have (PS3.4 table F.7.2-1, final state)."""
    if not changed.has_end:
        for tag, name in ((_END_DATE, "End Date"), (_END_TIME, "End Time")):
            _need_value(node, tag, f"Performed Procedure Step {name}")
    is_empty = not node.items(_SERIES) if node.has(_SERIES) else not known.instances
    if changed.state is StepState.COMPLETED and is_empty:
        status = MISSING_VALUE if node.has(_SERIES) else MISSING_ATTRIBUTE
        raise RefusedNotice(status, "A completed step has a Performed Series Sequence.")


def _read_studies(node: Node) -> tuple[str, ...]:
    if not node.has(_SCHEDULED):
        raise RefusedNotice(MISSING_ATTRIBUTE, "Scheduled Step Attributes Sequence is missing.")
    items = node.items(_SCHEDULED)
    if not items:
        raise RefusedNotice(MISSING_VALUE, "Scheduled Step Attributes Sequence is empty.")
    if len(items) > MOST_STUDIES:
        raise RefusedNotice(RESOURCE_LIMITATION, f"More than {MOST_STUDIES} scheduled steps are named.")
    return tuple(dict.fromkeys(read_uid(item, _STUDY_UID, "Study Instance UID") for item in items))


def _read_series(node: Node, *, is_final: bool) -> tuple[str, ...]:
    uids: list[str] = []
    for series in node.items(_SERIES):
        read_uid(series, _SERIES_UID, "Series Instance UID")
        if is_final:
            _need_value(series, _PROTOCOL, "Protocol Name")
        for tag in _REFERENCES:
            uids += [read_reference(one) for one in series.items(tag)]
    return check_count(uids)


def _read_state(text: str) -> StepState:
    states = {one.value: one for one in (StepState.IN_PROGRESS, *FINAL)}
    if not text:
        raise RefusedNotice(MISSING_VALUE, "Performed Procedure Step Status has no value.")
    if text not in states:
        raise RefusedNotice(INVALID_VALUE, "Performed Procedure Step Status is none that there is.")
    return states[text]


def _has_end(node: Node) -> bool:
    return bool(node.text(_END_DATE) and node.text(_END_TIME))


def _need_value(node: Node, tag: int, name: str) -> None:
    if not node.has(tag):
        raise RefusedNotice(MISSING_ATTRIBUTE, f"{name} is missing.")
    if not node.text(tag):
        raise RefusedNotice(MISSING_VALUE, f"{name} has no value.")
