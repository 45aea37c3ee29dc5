"""The content tree of a Structured Report by anybody, within bounds.

In: a file.  Out: what it is about, and its content items as plain values.
Never: more items, deeper ones or longer values than the limits; recursion that the file decides.

References
----------
PS3.3 A.35, C.17 (SR document modules), C.18 (content macros); PS3.5 section 7.5.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from pydicom.datadict import tag_for_keyword

from wetread.dicom.part10 import InflateLimits, open_data_set
from wetread.dicom.scan import ITEM, Element, Scan, ScanLimits
from wetread.dicom.values import Encoding, plain_value, python_encodings, unpack
from wetread.domain.code import Code
from wetread.domain.study import Instance
from wetread.errors import UnreadableInstance

#: Far above what a report of some hundred findings has.
LIMITS = ScanLimits(depth=48, elements=200_000, top_elements=2_000)
#: Of the file, and of what a deflated one becomes.
MOST_BYTES = 32 << 20
_INFLATED = InflateLimits(size=MOST_BYTES, harmless=MOST_BYTES)
MOST_ITEMS = 20_000
#: x, y, z of some thousand points, as float32.
_LONGEST_BYTES = 1 << 16
_LONGEST_TEXT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An object that is referred to."""

    sop_class_uid: str
    sop_instance_uid: str
    #: Referenced Frame Number, from 1; (): all.
    frames: tuple[int, ...] = ()
    #: Referenced Segment Number.
    segments: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One content item (PS3.3 C.17.3.2)."""

    #: Relationship Type, e.g. ``CONTAINS``; ``""``: the root.
    relationship: str = ""
    #: Value Type, e.g. ``CODE``; ``""``: it stands for the item that ``target`` names.
    kind: str = ""
    concept: Code | None = None
    #: Of TEXT and UIDREF.
    text: str = ""
    #: Of CODE: what is said; of NUM: its unit.
    code: Code | None = None
    #: Of NUM; NaN: none, or no number.
    number: float = math.nan
    #: Of SCOORD and SCOORD3D: Graphic Type, and the numbers one after the other.
    graphic: str = ""
    coordinates: tuple[float, ...] = ()
    frame_of_reference_uid: str = ""
    #: Of IMAGE and COMPOSITE.
    image: Image | None = None
    #: Referenced Content Item Identifier, from 1 at the root.
    target: tuple[int, ...] = ()
    children: tuple[Content, ...] = ()

    def walk(self) -> Iterator[Content]:
        """Yield it and all below it, in the order of the document."""
        waiting = [self]
        while waiting:
            one = waiting.pop()
            yield one
            waiting.extend(reversed(one.children))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A Structured Report."""

    root: Content
    #: ``COMPLETE`` or ``PARTIAL``.
    completion: str = ""
    #: (study, series, object) of Current Requested Procedure Evidence.
    evidence: frozenset[tuple[str, str, str]] = frozenset()
    #: Objects that it takes the place of.
    predecessors: frozenset[str] = frozenset()

    @property
    def images(self) -> tuple[Image, ...]:
        """All that its content refers to."""
        return tuple(one.image for one in self.root.walk() if one.image is not None)

    def resolve(self, item: Content) -> Content:
        """Return the item that another stands for; itself where it stands for none.

        Raises
        ------
        UnreadableInstance
            If it names no item of the document.
        """
        if not item.target:
            return item
        found = self.root
        for number in item.target[1:]:
            if not 1 <= number <= len(found.children):
                raise UnreadableInstance("The report refers to an item that it does not hold")
            found = found.children[number - 1]
        if item.target[0] != 1 or found.target:
            raise UnreadableInstance("The report refers to an item that it does not hold")
        return found


def read_report(instance: Instance) -> Report:
    """Read a Structured Report.

    Raises
    ------
    UnreadableInstance
        If it is broken, has no content, or is larger or deeper than the limits.
    OSError
        If the file cannot be opened.
    """
    with instance.open() as file:
        top = _read(file)
    content = _Count()
    if "ValueType" not in top.values:
        raise UnreadableInstance("The report has no content")
    return Report(
        root=_content(top, content),
        completion=top.text("CompletionFlag"),
        evidence=frozenset(_objects(top, "CurrentRequestedProcedureEvidenceSequence")),
        predecessors=frozenset(uid for _, _, uid in _objects(top, "PredecessorDocumentsSequence")),
    )


_VRS = {
    "SpecificCharacterSet": "CS", "CompletionFlag": "CS", "StudyInstanceUID": "UI", "SeriesInstanceUID": "UI",
    "ReferencedSOPClassUID": "UI", "ReferencedSOPInstanceUID": "UI", "ReferencedFrameNumber": "IS",
    "ReferencedSegmentNumber": "US", "ValueType": "CS", "RelationshipType": "CS", "TextValue": "UT",
    "UID": "UI", "CodeValue": "SH", "LongCodeValue": "UC", "URNCodeValue": "UR", "CodeMeaning": "LO",
    "CodingSchemeDesignator": "SH", "NumericValue": "DS", "FloatingPointValue": "FD", "GraphicType": "CS",
    "GraphicData": "FL", "ReferencedFrameOfReferenceUID": "UI", "ReferencedContentItemIdentifier": "UL",
}  # fmt: skip
_SEQUENCES = (
    *(
        "CurrentRequestedProcedureEvidenceSequence",
        "PredecessorDocumentsSequence",
        "ReferencedSeriesSequence",
    ),
    *("ReferencedSOPSequence", "ContentSequence", "ConceptNameCodeSequence", "ConceptCodeSequence"),
    *("MeasuredValueSequence", "MeasurementUnitsCodeSequence"),
)
_KEYWORDS = {tag_for_keyword(name): name for name in (*_VRS, *_SEQUENCES)}
_Value = str | tuple[float, ...]


@dataclass(slots=True)
class _Item:
    """One item of a sequence, or the top level."""

    values: dict[str, _Value] = field(default_factory=dict)
    items: dict[str, list[_Item]] = field(default_factory=dict)

    def text(self, keyword: str) -> str:
        """Return a value as text, ``""`` where there is none."""
        value = self.values.get(keyword, "")
        return value if isinstance(value, str) else ""

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Return a value as numbers, () where there are none."""
        value = self.values.get(keyword, ())
        return value if isinstance(value, tuple) else ()

    def first(self, keyword: str) -> _Item | None:
        """Return the first item of a sequence."""
        held = self.items.get(keyword)
        return held[0] if held else None


@dataclass(slots=True)
class _Count:
    """How many content items there are so far."""

    items: int = 0

    def add(self) -> None:
        """Count one more."""
        self.items += 1
        if self.items > MOST_ITEMS:
            raise UnreadableInstance("The report has more content than any real one", limit=MOST_ITEMS)


def _read(file: BinaryIO) -> _Item:
    source = open_data_set(file, _INFLATED)
    start = file.tell()
    if file.seek(0, 2) > MOST_BYTES:
        raise UnreadableInstance("The report is larger than any real one", limit=MOST_BYTES)
    file.seek(start)
    scan = Scan(
        cursor=source.cursor,
        is_implicit=source.is_implicit,
        is_little_endian=source.is_little_endian,
        longest=_LONGEST_BYTES,
        deepest=LIMITS.depth,
        limits=LIMITS,
    )
    top, encoding = _Item(), Encoding(is_little_endian=source.is_little_endian)
    for element in scan:
        place = _find_place(top, element)
        keyword = _KEYWORDS.get(element.tag, "")
        if place is None or keyword not in _VRS:
            continue
        if element.value is None:
            raise UnreadableInstance("A value of the report is longer than any real one", attribute=keyword)
        value = _value(keyword, element.value, encoding)
        if keyword == "SpecificCharacterSet" and place is top:
            encoding = replace(encoding, charsets=python_encodings(str(value).split("\\")))
        place.values[keyword] = value
    return top


def _find_place(top: _Item, element: Element) -> _Item | None:
    """Return the item that an element stands in; None where nothing of it is wanted."""
    place = top
    for tag, number in element.path:
        keyword = _KEYWORDS.get(tag)
        if keyword not in _SEQUENCES:
            return None
        held = place.items.setdefault(keyword, [])
        if element.tag == ITEM and number == len(held):
            held.append(_Item())
        if number >= len(held):
            return None
        place = held[number]
    return place


def _value(keyword: str, raw: bytes, encoding: Encoding) -> _Value:
    vr = _VRS[keyword]
    if vr in ("FL", "FD", "US", "UL"):
        code = {"FL": "f", "FD": "d", "US": "H", "UL": "I"}[vr]
        return tuple(float(one) for (one,) in unpack(code, raw, encoding))
    value = plain_value(vr, raw, encoding)
    held = value if isinstance(value, tuple) else () if value is None else (value,)
    if vr in ("DS", "IS"):
        return tuple(float(one) if isinstance(one, int | float) else math.nan for one in held)
    return "\\".join(str(one) for one in held)[:_LONGEST_TEXT]


def _content(item: _Item, count: _Count) -> Content:
    # As deep as the scan allows, and no deeper.
    count.add()
    concept = _code(item.first("ConceptNameCodeSequence"))
    measured = item.first("MeasuredValueSequence")
    if measured is not None:
        exact, decimal = measured.numbers("FloatingPointValue"), measured.numbers("NumericValue")
        number = next(iter((*exact, *decimal)), math.nan)
        code = _code(measured.first("MeasurementUnitsCodeSequence"))
    else:
        number, code = math.nan, _code(item.first("ConceptCodeSequence"))
    referred = item.first("ReferencedSOPSequence")
    return Content(
        relationship=item.text("RelationshipType"),
        kind=item.text("ValueType"),
        concept=concept,
        text=item.text("TextValue") or item.text("UID"),
        code=code,
        number=number,
        graphic=item.text("GraphicType"),
        coordinates=item.numbers("GraphicData"),
        frame_of_reference_uid=item.text("ReferencedFrameOfReferenceUID"),
        image=None if referred is None else _image(referred),
        target=tuple(int(one) for one in item.numbers("ReferencedContentItemIdentifier")),
        children=tuple(_content(one, count) for one in item.items.get("ContentSequence", ())),
    )


def _code(item: _Item | None) -> Code | None:
    if item is None:
        return None
    value = next(
        (item.text(key) for key in ("CodeValue", "LongCodeValue", "URNCodeValue") if item.text(key)), ""
    )
    scheme = item.text("CodingSchemeDesignator") or ("URN" if item.text("URNCodeValue") else "")
    if not value or not scheme:
        return None
    return Code(value=value[:64], scheme=scheme[:16], meaning=item.text("CodeMeaning")[:64])


def _image(item: _Item) -> Image:
    return Image(
        sop_class_uid=item.text("ReferencedSOPClassUID"),
        sop_instance_uid=item.text("ReferencedSOPInstanceUID"),
        frames=tuple(int(one) for one in item.numbers("ReferencedFrameNumber") if math.isfinite(one)),
        segments=tuple(int(one) for one in item.numbers("ReferencedSegmentNumber")),
    )


def _objects(top: _Item, sequence: str) -> Iterator[tuple[str, str, str]]:
    """Yield study, series and object of a Hierarchical SOP Instance Reference (PS3.3 C.17.2.1)."""
    for study in top.items.get(sequence, ()):
        for series in study.items.get("ReferencedSeriesSequence", ()):
            for one in series.items.get("ReferencedSOPSequence", ()):
                yield (
                    study.text("StudyInstanceUID"),
                    series.text("SeriesInstanceUID"),
                    one.text("ReferencedSOPInstanceUID"),
                )
