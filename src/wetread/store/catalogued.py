"""What the index notes of a header so that it can be found by it.

In: a header as plain values, or as DICOM JSON.  Out: values of columns, and back.  Never: queries.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Column

from wetread.domain.study import Header, header_text
from wetread.store.names import name_key
from wetread.store.text import clean_text

#: Of a name or description on the list; DICOM's own limits are 64 a group and 64.
_LONGEST_TEXT = 256
_INTEGER_LIMIT = 1 << 31
#: What a search for images answers of each beside UIDs (PS3.18 table 10.6.3-5); in their order.
BRIEF = ("00080005", "00080201", "00200013", "00280008", "00280010", "00280011", "00280100")
#: Before what is not compressed; what is begins with another byte.
_MARK = 1
_MARK_BYTE = bytes([_MARK])
_WITH_BRIEF = struct.Struct(">BH")
#: A few numbers; whoever sends more is answered more slowly.
_LONGEST_BRIEF = 1024


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
    """Return DICOM JSON as the index keeps it; ``b""`` where it was too large for it.

    In front stands, as plain text, what a search for images answers: of thousands none is unpacked for it.
    """
    if metadata is None:
        return b""
    header = orjson.loads(metadata)
    told = [one for one in BRIEF if one in header and "BulkDataURI" not in header[one]]
    # A NUL is in no JSON text.
    brief = b"\0".join(encode_member(tag, header[tag]) for tag in told)
    if len(brief) > _LONGEST_BRIEF:
        return zlib.compress(metadata, 1)
    return _WITH_BRIEF.pack(_MARK, len(brief)) + brief + zlib.compress(metadata, 1)


def unpack_metadata(packed: bytes) -> bytes:
    """Return what ``pack_metadata`` got; it must not be empty."""
    if packed[0] != _MARK:
        return zlib.decompress(packed)
    _, length = _WITH_BRIEF.unpack_from(packed)
    return zlib.decompress(memoryview(packed)[_WITH_BRIEF.size + length :])


def unpack_brief(packed: bytes) -> dict[bytes, bytes] | None:
    """Return the attributes of ``BRIEF`` that a header has, by tag, as ``encode_member`` writes them.

    None where they do not stand in front.
    """
    if packed[:1] != _MARK_BYTE:
        return None
    _, length = _WITH_BRIEF.unpack_from(packed)
    brief = packed[_WITH_BRIEF.size : _WITH_BRIEF.size + length]
    return {member[:8]: member for member in brief.split(b"\0")} if brief else {}


def encode_member(tag: str, attribute: Mapping[str, Any]) -> bytes:
    """Return an attribute of a JSON header as text: ``00280010":{"vr":"US","Value":[512]``.

    Attributes that are joined by ``},"`` between ``{"`` and ``}}`` are a header.
    """
    return b'%s":%s' % (tag.encode(), orjson.dumps(attribute)[:-1])


def _text(header: Header, keyword: str, length: int) -> str:
    return clean_text(header_text(header, keyword))[:length]


def _first(header: Header, keyword: str, length: int) -> str:
    value = header.get(keyword, "")
    return clean_text(str(value[0] if isinstance(value, tuple) else value))[:length]
