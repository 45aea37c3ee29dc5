"""What the index notes of a header so that it can be found by it.

In: a header as plain values, or as DICOM JSON.  Out: values of columns.  Never: queries.
"""

from __future__ import annotations

import zlib
from typing import Any

from sqlalchemy import Column

from wetread.domain.study import Header, header_text
from wetread.store.names import name_key
from wetread.store.text import clean_text

#: Of a name or description on the list; DICOM's own limits are 64 a group and 64.
_LONGEST_TEXT = 256
_INTEGER_LIMIT = 1 << 31


def study_values(header: Header) -> dict[str, Any]:
    """Return what a study is found by, beside what its list shows."""
    return {
        "study_id": _text(header, "StudyID", 64),
        "referring_physician_key": name_key(clean_text(header_text(header, "ReferringPhysicianName"))),
        "patient_key": name_key(clean_text(header_text(header, "PatientName"))),
    }


def series_values(header: Header) -> dict[str, Any]:
    """Return what a series is found by."""
    step = "RequestAttributesSequence.ScheduledProcedureStepID"
    procedure = "RequestAttributesSequence.RequestedProcedureID"
    return {
        "modality": _text(header, "Modality", 16),
        "series_number": to_integer(header, "SeriesNumber"),
        "performed_date": _text(header, "PerformedProcedureStepStartDate", 8),
        "performed_time": _text(header, "PerformedProcedureStepStartTime", 16),
        "scheduled_step_id": _first(header, step, 64),
        "requested_procedure_id": _first(header, procedure, 64),
    }


def to_integer(header: Header, keyword: str) -> int | None:
    """Return a number that the index can hold, None for anything else."""
    value = header.get(keyword)
    return value if isinstance(value, int) and abs(value) < _INTEGER_LIMIT else None


def column_text(header: Header, keyword: str, column: Column[Any]) -> str:
    """Return a value as its column can show it; the whole value stays in the instance's header."""
    return _text(header, keyword, getattr(column.type, "length", None) or _LONGEST_TEXT)


def pack_metadata(metadata: bytes | None) -> bytes:
    """Return DICOM JSON as the index keeps it; ``b""`` where it was too large for it."""
    return zlib.compress(metadata, 1) if metadata is not None else b""


def unpack_metadata(packed: bytes) -> bytes:
    """Return what ``pack_metadata`` got; it must not be empty."""
    return zlib.decompress(packed)


def _text(header: Header, keyword: str, length: int) -> str:
    return clean_text(header_text(header, keyword))[:length]


def _first(header: Header, keyword: str, length: int) -> str:
    value = header.get(keyword, "")
    return clean_text(str(value[0] if isinstance(value, tuple) else value))[:length]
