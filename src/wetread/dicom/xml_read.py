"""A data set in the Native DICOM Model, as somebody hands it in.

In: an XML document by anybody.  Out: the same in the DICOM JSON Model.
Never: a document type, an entity, an address that is opened; recursion; more elements than real ones have.

References
----------
PS3.19 A.1 (Native DICOM Model); PS3.18 F.2 (DICOM JSON Model).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from wetread.dicom.scan import LIMITS
from wetread.errors import UnreadableInstance

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_MOST_ELEMENTS = 500_000
_MOST_VALUES = 100_000
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_INTEGERS = frozenset({"IS", "US", "UL", "UV", "SS", "SL", "SV"})
_DECIMALS = frozenset({"DS", "FL", "FD"})
#: What may stand inside of what.
_INSIDE = {
    "": ("NativeDicomModel",),
    "NativeDicomModel": ("DicomAttribute",),
    "Item": ("DicomAttribute",),
    "DicomAttribute": ("Value", "Item", "PersonName", "BulkData", "InlineBinary"),
    "PersonName": _GROUPS,
    **dict.fromkeys(_GROUPS, _PARTS),
}
_TEXTS = frozenset({"Value", "InlineBinary", *_PARTS})


def decode_xml(data: bytes) -> dict[str, dict[str, Any]]:
    """Return a data set in the DICOM JSON Model.

    Raises
    ------
    UnreadableInstance
        If it is no document of the Native DICOM Model, or larger than any real one.
    """
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError) as error:
        # What it says may quote the document.
        raise UnreadableInstance("The metadata are no XML.") from error
    return reader.data_set


def _refuse_doctype(*_: object) -> None:
    raise UnreadableInstance("The metadata have a document type: send them without.")


def _broken() -> UnreadableInstance:
    return UnreadableInstance("The metadata are no data set in the Native DICOM Model.")


@dataclass(slots=True)
class _Open:
    """An element of the document that has not ended."""

    name: str
    #: Of the data set, of the attribute, or of the name, that it fills.
    content: dict[str, Any]
    #: From 1; 0: the next one.
    number: int = 0
    text: list[str] = field(default_factory=list)


class _Reader:
    def __init__(self) -> None:
        self.data_set: dict[str, dict[str, Any]] = {}
        self._open = [_Open("", {})]
        self._count = 0

    def begin(self, name: str, given: dict[str, str]) -> None:
        around, local = self._open[-1], name.rpartition(" ")[2]
        if local not in _INSIDE.get(around.name, ()):
            raise _broken()
        self._count += 1
        # Each item of a sequence is two levels of the document.
        if self._count > _MOST_ELEMENTS or len(self._open) > 2 * LIMITS.depth + 8:
            raise UnreadableInstance("The metadata are nested too deeply, or have too many elements.")
        self._open.append(_Open(local, self._content(local, given, around), _number(given)))

    def text(self, text: str) -> None:
        one = self._open[-1]
        if one.name in _TEXTS:
            one.text.append(text)
        elif text.strip():
            raise _broken()

    def end(self, _name: str) -> None:
        one = self._open.pop()
        around = self._open[-1]
        if one.name == "InlineBinary":
            around.content["InlineBinary"] = "".join("".join(one.text).split())
        elif one.name == "Value":
            _put(around.content, one.number, _value(around.content["vr"], "".join(one.text)))
        elif one.name in ("Item", "PersonName"):
            _put(around.content, one.number, one.content)
        elif one.name in _GROUPS:
            parts = "^".join(one.content.get(part, "") for part in _PARTS).rstrip("^")
            around.content[one.name] = parts
        elif one.name in _PARTS:
            around.content[one.name] = "".join(one.text)

    def _content(self, name: str, given: dict[str, str], around: _Open) -> dict[str, Any]:
        if name == "NativeDicomModel":
            return self.data_set
        if name == "DicomAttribute":
            tag = given.get("tag", "").upper()
            if not _TAG.fullmatch(tag) or tag in around.content:
                raise _broken()
            attribute: dict[str, Any] = {"vr": given.get("vr", "UN")}
            around.content[tag] = attribute
            return attribute
        if name == "BulkData":
            if "uri" not in given:
                raise UnreadableInstance("Bulk data must be in the same request, and be named by its uri.")
            around.content["BulkDataURI"] = given["uri"]
        return {}


def _number(given: dict[str, str]) -> int:
    text = given.get("number", "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 7 and int(text) <= _MOST_VALUES):
        raise _broken()
    return int(text)


def _put(attribute: dict[str, Any], number: int, value: Any) -> None:
    values = attribute.setdefault("Value", [])
    place = number or len(values) + 1
    # Those between are empty; no attribute has so many that this would be large.
    if place <= len(values) or place > len(values) + 1000:
        raise _broken()
    values.extend([None] * (place - len(values) - 1))
    values.append(value)


def _value(vr: str, text: str) -> Any:
    if vr not in _INTEGERS | _DECIMALS:
        return text
    try:
        return int(text) if vr in _INTEGERS else float(text)
    except ValueError:
        return text.strip()
