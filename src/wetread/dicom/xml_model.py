"""Headers in the Native DICOM Model, for those who ask for XML.

In: a header as DICOM JSON.  Out: an XML document.  Never: a character that XML does not allow.

References
----------
PS3.19 A.1; PS3.18 8.7.3.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from pydicom.datadict import keyword_for_tag

from wetread.dicom.json_model import JsonHeader

_NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
#: What XML 1.0 has no way to write.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def encode_xml(header: JsonHeader) -> bytes:
    """Return the document of one data set."""
    body = "".join(_attributes(header))
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><NativeDicomModel xmlns="{_NAMESPACE}"'
        f' xml:space="preserve">{body}</NativeDicomModel>'
    ).encode()


def _attributes(header: JsonHeader) -> Iterator[str]:
    for tag, element in sorted(header.items()):
        keyword = keyword_for_tag(int(tag, 16))
        named = f' keyword="{keyword}"' if keyword else ""
        creator = _creator(header, tag)
        yield f'<DicomAttribute tag="{tag}" vr="{element["vr"]}"{named}{creator}>'
        yield from _content(element)
        yield "</DicomAttribute>"


def _creator(header: JsonHeader, tag: str) -> str:
    if not int(tag[:4], 16) & 1 or tag[4:6] == "00":
        return ""
    [name, *_] = header.get(f"{tag[:4]}00{tag[4:6]}", {}).get("Value", [""])
    return f" privateCreator={quoteattr(_clean(str(name)))}" if name else ""


def _content(element: Any) -> Iterator[str]:
    if "InlineBinary" in element:
        yield f"<InlineBinary>{element['InlineBinary']}</InlineBinary>"
    elif "BulkDataURI" in element:
        yield f"<BulkData uri={quoteattr(element['BulkDataURI'])}/>"
    for number, value in enumerate(element.get("Value", ()), start=1):
        if element["vr"] == "SQ":
            yield f'<Item number="{number}">{"".join(_attributes(value))}</Item>'
        elif element["vr"] == "PN":
            yield f'<PersonName number="{number}">{"".join(_name(value or {}))}</PersonName>'
        elif value is not None:
            yield f'<Value number="{number}">{escape(_clean(_text(value)))}</Value>'


def _name(groups: dict[str, str]) -> Iterator[str]:
    for group, text in groups.items():
        parts = zip(_PARTS, text.split("^"), strict=False)
        inside = "".join(f"<{part}>{escape(_clean(one))}</{part}>" for part, one in parts if one)
        yield f"<{group}>{inside}</{group}>"


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("?", text)
