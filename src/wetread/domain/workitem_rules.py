"""What may become of a workitem: created, updated, taken, ended.

In: a workitem, what somebody wants.  Out: a ``Change``, or ``WorkitemRefused``.
Never: a clock, a database: whoever calls holds the row and keeps the change.

References
----------
PS3.4 CC.1.1 (states), tables CC.1.1-2 (transitions) and CC.2.5-3 (what is required when).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from wetread.domain import workitem as w
from wetread.domain.workitem import (
    Attributes,
    CancelRequest,
    Change,
    EventType,
    Refusal,
    Report,
    State,
    Warned,
    Workitem,
    WorkitemRefused,
    element,
    text_of,
    values_of,
)

#: Type 1 when it is created.
_REQUIRED = {
    w.PRIORITY: "Scheduled Procedure Step Priority",
    w.LABEL: "Procedure Step Label",
    w.START_AT: "Scheduled Procedure Step Start DateTime",
    w.READINESS: "Input Readiness State",
    w.STATE: "Procedure Step State",
}
_WORDS = {
    w.PRIORITY: ("HIGH", "MEDIUM", "LOW"),
    w.READINESS: ("INCOMPLETE", "UNAVAILABLE", "READY"),
}
#: Type 2 when it is created: there, if empty; what is not sent is added.
_EMPTY = {
    **dict.fromkeys((w.PARAMETERS, w.STATION_NAME, "00404026", "00404027", w.WORKITEM_CODE, w.INPUTS), "SQ"),
    **{"00400400": "LT", w.PATIENT_NAME: "PN", w.PATIENT_ID: "LO", "00100030": "DA", "00100040": "CS"},
    **{"00101002": "SQ", "00380010": "LO", "00380014": "SQ", "00081080": "LO", "00081084": "SQ"},
    **{w.REQUESTS: "SQ", w.PROGRESS: "SQ", w.PERFORMED: "SQ"},
}
#: Said by the service, or by the request itself.
_OURS = frozenset({w.SOP_CLASS_UID, w.SOP_INSTANCE_UID, w.MODIFIED_AT, w.TRANSACTION_UID})
#: What no update may touch: whose step it is does not change (table CC.2.5-3, "not allowed").
_FIXED = frozenset(
    {w.STATE, w.SOP_CLASS_UID, w.SOP_INSTANCE_UID, w.MODIFIED_AT, w.REQUESTS, "00741224"}
    | {w.PATIENT_NAME, w.PATIENT_ID, "00100021", "00100024", "00100030", "00100040"}
    | {"00380010", "00380014", "00081080", "00081084"}
)
#: Said when a workitem is asked to end.
_WHY = (w.REASON, w.REASON_CODE)
#: What a new list is called that nobody named.
DEFAULT_LIST = "Wetread"
#: PS3.16 CID 9300: Procedure Discontinuation Reasons.
_UNSPECIFIED = w.code_item("110513", "DCM", "Discontinued for unspecified reason")


def create(
    uid: str, given: Attributes, at: datetime, *, source: str, sources: tuple[str, ...] | None
) -> Change:
    """Return a new workitem; raises WorkitemRefused where something is missing or may not be there."""
    if text_of(given, w.STATE) not in ("", State.SCHEDULED):
        raise WorkitemRefused(Refusal.NOT_CREATED_SCHEDULED)
    for tag, name in _REQUIRED.items():
        if not values_of(given, tag):
            raise WorkitemRefused(
                Refusal.MISSING if tag not in given else Refusal.EMPTY, f"{name} is required."
            )
    _check_words(given)
    for tag in (w.TRANSACTION_UID, w.PROGRESS, w.PERFORMED):
        if values_of(given, tag):
            raise WorkitemRefused(
                Refusal.INVALID_VALUE, "A new workitem has no performer, progress or result."
            )
    kept = {tag: value for tag, value in given.items() if tag not in _OURS}
    attributes = {tag: element(vr) for tag, vr in _EMPTY.items()} | kept
    is_modified = not values_of(given, w.WORKLIST_LABEL)
    if is_modified:
        attributes[w.WORKLIST_LABEL] = element("LO", DEFAULT_LIST)
    attributes[w.SOP_CLASS_UID] = element("UI", w.UPS_CLASS_UID)
    attributes[w.SOP_INSTANCE_UID] = element("UI", uid)
    made = Workitem(uid=uid, attributes=attributes, source=source, sources=sources)
    made = _stamped(made, at)
    reports = (state_report(made), *_assigned(made, Workitem(uid=uid, attributes={})))
    return Change(workitem=made, reports=reports, warning=Warned.CREATED_MODIFIED if is_modified else None)


def update(held: Workitem, given: Attributes, transaction_uid: str, at: datetime) -> Change:
    """Return the workitem with what is given in the place of what it had.

    A SCHEDULED one may be changed by whoever may order; one IN PROGRESS by who performs it only.
    """
    if held.state.is_final:
        raise WorkitemRefused(Refusal.FINAL)
    if transaction_uid != held.transaction_uid:
        raise WorkitemRefused(Refusal.WRONG_TRANSACTION)
    if fixed := sorted(_FIXED & given.keys()):
        told = f"({fixed[0][:4]},{fixed[0][4:]}) stays as it was when the workitem was created."
        raise WorkitemRefused(Refusal.INVALID_VALUE, told)
    _check_words(given)
    for tag in _REQUIRED.keys() & given.keys():
        if not values_of(given, tag):
            raise WorkitemRefused(Refusal.EMPTY, f"{_REQUIRED[tag]} may not become empty.")
    if held.state is State.SCHEDULED and (values_of(given, w.PROGRESS) or values_of(given, w.PERFORMED)):
        raise WorkitemRefused(Refusal.NOT_IN_PROGRESS)
    fresh = {tag: value for tag, value in given.items() if tag not in (w.TRANSACTION_UID, w.CHARACTER_SET)}
    changed = _stamped(replace(held, attributes={**held.attributes, **fresh}), at)
    reports = list(_assigned(changed, held))
    if changed.attributes.get(w.READINESS) != held.attributes.get(w.READINESS):
        reports.append(state_report(changed))
    if w.PROGRESS in fresh and changed.attributes[w.PROGRESS] != held.attributes.get(w.PROGRESS):
        reports.append(
            Report(type=EventType.PROGRESS, attributes={w.PROGRESS: changed.attributes[w.PROGRESS]})
        )
    return Change(workitem=changed, reports=tuple(reports))


def change_state(held: Workitem, wanted: str, transaction_uid: str, performer: str, at: datetime) -> Change:
    """Return the workitem in another state (table CC.1.1-2)."""
    try:
        state = State(wanted)
    except ValueError as error:
        raise WorkitemRefused(Refusal.INVALID_VALUE, "There is no such Procedure Step State.") from error
    if state is State.SCHEDULED:
        raise WorkitemRefused(Refusal.ONLY_CREATED_SCHEDULED)
    if state is State.IN_PROGRESS:
        return _take(held, transaction_uid, performer, at)
    if held.state is State.SCHEDULED:
        raise WorkitemRefused(Refusal.NOT_IN_PROGRESS)
    if not transaction_uid or transaction_uid != held.transaction_uid:
        raise WorkitemRefused(Refusal.WRONG_TRANSACTION)
    if held.state is state:
        is_done = state is State.COMPLETED
        return Change(workitem=held, warning=Warned.ALREADY_COMPLETED if is_done else Warned.ALREADY_CANCELED)
    if held.state.is_final:
        raise WorkitemRefused(Refusal.FINAL)
    if state is State.CANCELED:
        held = _with_cancellation_time(held, at)
    if missing := lacks_for(held, state):
        raise WorkitemRefused(
            Refusal.NOT_READY_TO_END, f"{w.TOLD[Refusal.NOT_READY_TO_END]} Missing: {missing}."
        )
    return _moved(held, state, at)


def request_cancel(held: Workitem, request: CancelRequest, at: datetime) -> Change:
    """Return what comes of a wish to end a step that somebody else performs, or nobody yet."""
    if held.state is State.COMPLETED:
        raise WorkitemRefused(Refusal.COMPLETED)
    if held.state is State.CANCELED:
        return Change(workitem=held, warning=Warned.ALREADY_CANCELED)
    asked = {
        tag: request.attributes[tag]
        for tag in (*_WHY, w.CONTACT_URI, w.CONTACT_NAME)
        if values_of(request.attributes, tag)
    }
    if held.state is State.IN_PROGRESS:
        told = {w.REQUESTING_AE: element("AE", request.requesting_ae), **asked}
        report = Report(type=EventType.CANCEL_REQUESTED, attributes=told)
        return Change(workitem=_stamped(replace(held, is_cancel_requested=True), at), reports=(report,))
    # Nobody performs it: we end it, by way of IN PROGRESS (CC.2.2.3).
    begun = _moved(replace(held, performer=request.requesting_ae), State.IN_PROGRESS, at)
    ended = end_canceled(begun.workitem, {tag: asked[tag] for tag in _WHY if tag in asked}, at)
    return Change(workitem=ended.workitem, reports=begun.reports + ended.reports)


def end_canceled(held: Workitem, why: Attributes, at: datetime) -> Change:
    """Return the workitem CANCELED for this reason, with all that the final state asks for."""
    items = values_of(held.attributes, w.PROGRESS)
    item = {w.REASON_CODE: element("SQ", _UNSPECIFIED), **(items[0] if items else {}), **why}
    attributes = {**held.attributes, w.PROGRESS: element("SQ", item)}
    return _moved(_with_cancellation_time(replace(held, attributes=attributes), at), State.CANCELED, at)


def lacks_for(held: Workitem, state: State) -> str:
    """Return the keyword of something that a final state needs, ``""`` where it may be reached."""
    if state is State.CANCELED:
        items, needed = (
            values_of(held.attributes, w.PROGRESS),
            {
                w.CANCELLED_AT: "ProcedureStepCancellationDateTime",
                w.REASON_CODE: "ProcedureStepDiscontinuationReasonCodeSequence",
            },
        )
    else:
        items, needed = (
            values_of(held.attributes, w.PERFORMED),
            {
                w.PERFORMED_STATION: "PerformedStationNameCodeSequence",
                w.PERFORMED_START: "PerformedProcedureStepStartDateTime",
                w.PERFORMED_END: "PerformedProcedureStepEndDateTime",
                w.PERFORMED_CODE: "PerformedWorkitemCodeSequence",
            },
        )
    item: dict[str, Any] = items[0] if items else {}
    lacking = next((name for tag, name in needed.items() if not values_of(item, tag)), "")
    if not lacking and state is State.COMPLETED and w.OUTPUTS not in item:
        return "OutputInformationSequence"
    return lacking


def state_report(held: Workitem) -> Report:
    """Return what tells of a workitem's state; also the first thing that a new subscriber hears."""
    attributes = {
        w.STATE: element("CS", held.state.value),
        w.READINESS: held.attributes.get(w.READINESS, element("CS")),
    }
    item: dict[str, Any] = next(iter(values_of(held.attributes, w.PROGRESS)), {})
    if held.state is State.CANCELED:
        attributes |= {tag: item[tag] for tag in _WHY if values_of(item, tag)}
    return Report(type=EventType.STATE, attributes=attributes)


def moment(at: datetime) -> str:
    """Return a DT (PS3.5 6.2) with its offset."""
    return at.strftime("%Y%m%d%H%M%S.%f%z")


def _take(held: Workitem, transaction_uid: str, performer: str, at: datetime) -> Change:
    if held.state.is_final:
        raise WorkitemRefused(Refusal.FINAL)
    if held.state is State.IN_PROGRESS:
        raise WorkitemRefused(Refusal.IN_PROGRESS)
    if not transaction_uid:
        raise WorkitemRefused(Refusal.WRONG_TRANSACTION, "A Transaction UID is needed to take a workitem.")
    return _moved(replace(held, transaction_uid=transaction_uid, performer=performer), State.IN_PROGRESS, at)


def _moved(held: Workitem, state: State, at: datetime) -> Change:
    attributes = {**held.attributes, w.STATE: element("CS", state.value)}
    moved = _stamped(replace(held, state=state, attributes=attributes), at)
    return Change(workitem=moved, reports=(state_report(moved),))


def _stamped(held: Workitem, at: datetime) -> Workitem:
    attributes = {**held.attributes, w.MODIFIED_AT: element("DT", moment(at))}
    return replace(held, attributes=attributes, changed_at=at.timestamp())


def _with_cancellation_time(held: Workitem, at: datetime) -> Workitem:
    items = values_of(held.attributes, w.PROGRESS)
    item = {w.CANCELLED_AT: element("DT", moment(at)), **(items[0] if items else {})}
    return replace(held, attributes={**held.attributes, w.PROGRESS: element("SQ", item)})


def _assigned(now: Workitem, before: Workitem) -> tuple[Report, ...]:
    told: dict[str, Any] = {}
    if values_of(now.attributes, w.STATION_NAME):
        told[w.STATION_NAME] = now.attributes[w.STATION_NAME]
    for performer in values_of(now.attributes, w.PERFORMERS)[:1]:
        told |= {tag: performer[tag] for tag in (w.PERFORMER_CODE, w.ORGANIZATION) if tag in performer}
    is_new = any(
        now.attributes.get(tag) != before.attributes.get(tag) for tag in (w.STATION_NAME, w.PERFORMERS)
    )
    return (Report(type=EventType.ASSIGNED, attributes=told),) if told and is_new else ()


def _check_words(given: Attributes) -> None:
    for tag, words in _WORDS.items():
        if tag in given and text_of(given, tag) not in ("", *words):
            raise WorkitemRefused(
                Refusal.INVALID_VALUE, f"({tag[:4]},{tag[4:]}) is one of {', '.join(words)}."
            )
