"""The Native DICOM Model, read.

In: an XML document by anybody.  Out: DICOM JSON.  Never: a document type, an entity, a fetch.

References
----------
PS3.19 A.1; PS3.18 annex F (what stands for what).
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree
from xml.parsers.expat import ExpatError

_NUMBERS = {"DS": float, "FD": float, "FL": float, "IS": int, "SL": int, "SS": int, "UL": int, "US": int}
_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_DEEPEST = 64


def read_xml(body: bytes) -> dict[str, Any]:
    """Return the data set of a document.

    Raises
    ------
    ValueError
        If it is none.
    """
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body or body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError("A document type or another encoding than UTF-8.")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - no document type, so no entities
    except (ElementTree.ParseError, ExpatError, LookupError) as error:
        raise ValueError("It is no XML.") from error
    if _name(root) != "NativeDicomModel":
        raise ValueError("It is no NativeDicomModel.")
    return _data_set(root, 0)


def _data_set(parent: ElementTree.Element, depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise ValueError("Too deep.")
    found = {}
    for child in parent:
        tag, vr = child.get("tag", "").upper(), child.get("vr", "")
        if _name(child) != "DicomAttribute" or not tag or not vr:
            raise ValueError("An attribute without tag or VR.")
        found[tag] = _attribute(child, vr, depth)
    return found


def _attribute(attribute: ElementTree.Element, vr: str, depth: int) -> dict[str, Any]:
    values: list[Any] = []
    for child in attribute:
        name = _name(child)
        if name == "Item":
            values.append(_data_set(child, depth + 1))
        elif name == "PersonName":
            values.append(_person(child))
        elif name == "Value":
            text = child.text or ""
            values.append(_NUMBERS[vr](text) if vr in _NUMBERS and text.strip() else text)
        elif name == "InlineBinary":
            return {"vr": vr, "InlineBinary": (child.text or "").strip()}
        else:
            raise ValueError("A value of an unknown kind.")
    return {"vr": vr, "Value": values} if values else {"vr": vr}


def _person(element: ElementTree.Element) -> dict[str, str]:
    person = {}
    for group in element:
        texts = {_name(part): part.text or "" for part in group}
        if _name(group) in _GROUPS:
            person[_name(group)] = "^".join(texts.get(part, "") for part in _PARTS).rstrip("^")
    return person


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
