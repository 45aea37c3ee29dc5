"""Workitems to send, as DICOM JSON."""

from __future__ import annotations

from typing import Any

from wetread.domain import workitem as w
from wetread.domain.workitem import code_item, element

PATIENT = "Nobody^Important"


def attributes(study: str = "2.25.77.1", code: str = "quick", **changes: Any) -> dict[str, Any]:
    """Return what it takes to create one; ``_00741204=...`` sets an attribute, None takes it away."""
    inputs = {"0040E020": element("CS", "DICOM"), w.STUDY_UID: element("UI", study)}
    made: dict[str, Any] = {
        w.PRIORITY: element("CS", "HIGH"),
        w.LABEL: element("LO", "Read it"),
        w.WORKLIST_LABEL: element("LO", "AI"),
        w.START_AT: element("DT", "20260101120000"),
        w.READINESS: element("CS", "READY"),
        w.STATE: element("CS", "SCHEDULED"),
        w.PATIENT_NAME: element("PN", {"Alphabetic": PATIENT}),
        w.PATIENT_ID: element("LO", "P1"),
        w.WORKITEM_CODE: element("SQ", code_item(code, "99WETREAD", "Read by a model")),
        w.INPUTS: element("SQ", inputs),
        w.REQUESTS: element("SQ", {"00080050": element("SH", "A1"), w.STUDY_UID: element("UI", study)}),
    }
    for name, value in changes.items():
        tag = name.removeprefix("_")
        if value is None:
            made.pop(tag, None)
        else:
            made[tag] = value
    return made


def performed() -> dict[str, Any]:
    """Return what a performer sets before it is COMPLETED."""
    item = {
        w.PERFORMED_STATION: element("SQ", code_item("AI", "99X", "A station")),
        w.PERFORMED_START: element("DT", "20260101120000"),
        w.PERFORMED_END: element("DT", "20260101120500"),
        w.PERFORMED_CODE: element("SQ", code_item("quick", "99WETREAD", "Read")),
        w.OUTPUTS: element("SQ"),
    }
    return {w.PERFORMED: element("SQ", item)}
