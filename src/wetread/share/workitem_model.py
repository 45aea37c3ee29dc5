"""Workitems as they come and go: DICOM JSON, DICOM XML, data sets.

In: bodies and data sets by anybody.  Out: attributes as DICOM JSON; data sets.
Never: bulk data; more than the limits; something kept that could not be written again.

References
----------
PS3.18 annex F; PS3.19 A.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from wetread.dicom.xml_read import decode_xml
from wetread.domain import workitem as w
from wetread.domain.workitem import Attributes, Refusal, WorkitemRefused, element
from wetread.errors import UnreadableInstance

#: Bytes of a body.
LARGEST = 1 << 20
_MOST_ELEMENTS, _DEEPEST = 5000, 16
_UTF8 = "ISO_IR 192"


def read_json(body: bytes) -> Attributes:
    """Return the attributes of a body with one data set.

    Raises
    ------
    WorkitemRefused
        If it is no DICOM JSON, more than one data set, or too much.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _invalid("The body is no JSON.") from error
    if isinstance(found, list) and len(found) == 1:
        [found] = found
    if not isinstance(found, dict):
        raise _invalid("The body holds one data set in the DICOM JSON Model.")
    return normalize(found)


def read_body(body: bytes, *, is_xml: bool) -> Attributes:
    """Return the attributes of a body; raises like ``read_json``."""
    if not is_xml:
        return read_json(body)
    try:
        return normalize(decode_xml(body))
    except UnreadableInstance as error:
        raise _invalid("The body is no Native DICOM Model.") from error


def normalize(found: Mapping[str, Any]) -> Attributes:
    """Return DICOM JSON as we write it, after a look at all of it; raises like ``read_json``."""
    _check(found, 0)
    try:
        ds = Dataset.from_json(dict(found))
    except Exception as error:
        raise _invalid("The data set is not valid DICOM JSON.") from error
    return read_dataset(ds)


def read_dataset(ds: Dataset) -> Attributes:
    """Return the attributes of a data set; raises like ``read_json``."""
    try:
        plain: dict[str, Any] = ds.to_json_dict(bulk_data_threshold=LARGEST)
        _check(plain, 0)
        # What cannot be sent again is not taken.
        if encode(Dataset.from_json(plain), False, True) is None:
            raise _invalid("The data set has a value that its VR does not allow.")
    except WorkitemRefused:
        raise
    except Exception as error:
        raise _invalid("The data set has a value that its VR does not allow.") from error
    kept = {tag: _tidy(value) for tag, value in plain.items() if int(tag[:4], 16) > 2}
    return kept | {w.CHARACTER_SET: element("CS", _UTF8)}


def write_dataset(attributes: Attributes) -> Dataset:
    """Return the data set of attributes."""
    ds = Dataset.from_json(dict(attributes))
    ds.SpecificCharacterSet = _UTF8
    return ds


def _tidy(value: dict[str, Any]) -> dict[str, Any]:
    """Return an attribute without an empty Value (PS3.18 F.2.5)."""
    if value["vr"] == "SQ" and value.get("Value"):
        items = [{tag: _tidy(inner) for tag, inner in item.items()} for item in value["Value"]]
        return {"vr": "SQ", "Value": items}
    return value if value.get("Value", True) else {"vr": value["vr"]}


def _check(found: Mapping[str, Any], depth: int, seen: int = 0) -> int:
    """Count the elements, inside of sequences too."""
    seen += len(found)
    if depth > _DEEPEST or seen > _MOST_ELEMENTS:
        raise _invalid("The data set has too many elements.")
    for tag, value in found.items():
        if not isinstance(value, Mapping) or not isinstance(value.get("vr"), str) or len(tag) != 8:
            raise _invalid("An attribute has no VR or no tag.")
        if "BulkDataURI" in value:
            raise _invalid("A workitem has no bulk data.")
        values = value.get("Value", [])
        if not isinstance(values, list):
            raise _invalid("A Value is no array.")
        if value["vr"] == "SQ":
            for item in values:
                if not isinstance(item, Mapping):
                    raise _invalid("An item of a sequence is no data set.")
                seen = _check(item, depth + 1, seen)
    return seen


def _invalid(message: str) -> WorkitemRefused:
    return WorkitemRefused(Refusal.INVALID_VALUE, message)
