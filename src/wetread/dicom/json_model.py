"""A header in the DICOM JSON Model, for everybody who asks for metadata.

In: the elements of a scan, in their order.  Out: JSON as bytes, every attribute with its VR.
Never: bulk data (its place is named instead); more than the limits; a number that JSON does not know.

Made once, when an instance is taken in, and kept in the index: an answer only joins what is there.
References to bulk data are relative to the instance, ``bulkdata/7FE00010``: whoever answers knows the
address of the instance and puts it in front (``with_base``).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import orjson
from pydicom.datadict import dictionary_VR

from wetread.dicom.scan import ITEM, Element, Path
from wetread.dicom.values import (
    BINARY,
    Encoding,
    decimal_of,
    decode_text,
    finite,
    integer_of,
    python_encodings,
    split_numbers,
    unpack,
)

#: Tag in upper-case hexadecimal -> ``{"vr": ..., "Value": [...]}``, as ``json.loads`` gives it.
JsonHeader = Mapping[str, Mapping[str, Any]]

#: Longer texts and numbers are bulk data, as are other VRs beyond ``_INLINE_BYTES``.
LONGEST_VALUE_BYTES = 64 << 10
_LONGEST_NUMBERS_BYTES, _INLINE_BYTES = 8 << 10, 1 << 10
_TEXT = frozenset(["AE", "AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"])
_LARGE = 1 << 53
_SHORT_BYTES = 64
_PIXEL_REPRESENTATION, _SPECIFIC_CHARACTER_SET, _BITS_ALLOCATED = 0x00280103, 0x00080005, 0x00280100
_BULK_PREFIX = b'"BulkDataURI":"'
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLimits:
    """How much is made into JSON; what is more is left to whoever opens the file."""

    #: Elements and items.
    elements: int = 20_000
    #: Bytes of all values.
    size: int = 4 << 20


#: When an instance is taken in: a sender waits.
AT_INTAKE = JsonLimits()
#: When somebody asks for one that was too large then.
ON_DEMAND = JsonLimits(elements=1_000_000, size=256 << 20)


@dataclass(slots=True)
class _Open:
    """A data set that is being filled: the top, or an item."""

    path: Path
    attributes: dict[str, dict[str, Any]]
    encoding: Encoding


@dataclass(slots=True, kw_only=True)
class JsonModel:
    """Collects the elements of a scan that tells all depths (``Scan.deepest``).

    References
    ----------
    PS3.18 annex F; the character set is UTF-8 and said to be (F.2.2).
    """

    limits: JsonLimits = AT_INTAKE
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    _open: list[_Open] = field(default_factory=list)
    _elements: int = 0
    _size: int = 0
    _bits_allocated: int = 16

    def begin(self, *, is_little_endian: bool) -> None:
        """Get ready for a data set of this byte order."""
        self._open.append(_Open((), self.attributes, Encoding(is_little_endian=is_little_endian)))

    @property
    def is_complete(self) -> bool:
        """Whether nothing had to be left out for its size."""
        return self._elements <= self.limits.elements and self._size <= self.limits.size

    @property
    def is_small(self) -> bool:
        """Whether it would have been complete within ``AT_INTAKE``."""
        return self._elements <= AT_INTAKE.elements and self._size <= AT_INTAKE.size

    def take(self, element: Element) -> None:
        """Add one element in the order of the data set."""
        self._elements += 1
        self._size += len(element.value or b"")
        if not self.is_complete:
            return
        is_item = element.tag == ITEM
        around = element.path[:-1] if is_item else element.path
        while self._open[-1].path != around:
            self._open.pop()
        if is_item:
            self._begin_item(element.path)
        elif element.tag & 0xFFFF and element.tag >> 16 not in (0x0000, 0x0002):
            self._add(self._open[-1], element)

    def take_pixels(self, tag: int, *, is_encapsulated: bool) -> None:
        """Name the place of the pixel data, at which the scan has stopped."""
        vr = {0x7FE00008: "OF", 0x7FE00009: "OD"}.get(tag)
        vr = vr or ("OB" if is_encapsulated or self._bits_allocated <= 8 else "OW")
        self.attributes[f"{tag:08X}"] = {"vr": vr, "BulkDataURI": _place((), tag)}

    def encode(self) -> bytes | None:
        """Return the JSON, None if it would not be complete."""
        return orjson.dumps(self.attributes) if self.is_complete else None

    def _begin_item(self, path: Path) -> None:
        holder = self._open[-1]
        sequence = holder.attributes.setdefault(f"{path[-1][0]:08X}", {"vr": "SQ"})
        item: dict[str, dict[str, Any]] = {}
        if sequence["vr"] == "SQ":
            sequence.setdefault("Value", []).append(item)
        self._open.append(_Open(path, item, holder.encoding))

    def _add(self, holder: _Open, element: Element) -> None:
        tag, value = element.tag, element.value
        vr = _vr_of(element, holder.encoding)
        if tag == _SPECIFIC_CHARACTER_SET and value is not None:
            names = value.decode("ascii", "replace").strip("\0 ").split("\\")
            charsets = python_encodings([name.strip() for name in names])
            holder.encoding = replace(holder.encoding, charsets=charsets)
            holder.attributes["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
            return
        holder.attributes[f"{tag:08X}"] = _attribute(element, vr, holder.encoding)
        if tag == _PIXEL_REPRESENTATION and value:
            holder.encoding = replace(holder.encoding, is_signed=any(value))
        elif tag == _BITS_ALLOCATED and not element.path and value and len(value) == 2:
            self._bits_allocated = int(unpack("H", value, holder.encoding)[0][0])


def with_base(metadata: bytes, instance_url: str) -> bytes:
    """Return the JSON of one instance with addresses of bulk data that lead there.

    Parameters
    ----------
    instance_url
        ``.../studies/1/series/2/instances/3`` without a slash at the end.
    """
    # Inside of a JSON text a quotation mark is escaped: this cannot match there.
    return metadata.replace(_BULK_PREFIX, _BULK_PREFIX + instance_url.encode() + b"/")


def _place(path: Path, tag: int) -> str:
    """Return the relative address of a value: sequence, item (from 1), ..., tag."""
    inside = "".join(f"{sequence:08X}/{number + 1}/" for sequence, number in path)
    return f"bulkdata/{inside}{tag:08X}"


def _vr_of(element: Element, encoding: Encoding) -> str:
    vr = element.vr
    if vr == "UN":
        try:
            vr = dictionary_VR(element.tag)
        except KeyError:
            # The name of a private block is text, also where the VR is not written (PS3.5 7.8.1).
            is_creator = element.tag >> 16 & 1 and 0x10 <= element.tag & 0xFFFF <= 0xFF
            return "LO" if is_creator else "UN"
    if " or " not in vr:
        return vr
    if vr.startswith("US or SS") and (element.value is None or len(element.value) <= _INLINE_BYTES):
        return "SS" if encoding.is_signed else "US"
    return "OW"


def _attribute(element: Element, vr: str, encoding: Encoding) -> dict[str, Any]:
    value = element.value
    if value is None or _is_bulk(vr, len(value)):
        return {"vr": vr, "BulkDataURI": _place(element.path, element.tag)}
    if vr == "SQ":
        # Its items are put into it.
        return {"vr": vr}
    return _short(vr, value, encoding) if len(value) <= _SHORT_BYTES else _inline(vr, value, encoding)


def _inline(vr: str, value: bytes, encoding: Encoding) -> dict[str, Any]:
    if not value:
        return {"vr": vr}
    if vr in _TEXT:
        return _with_values(vr, _several(decode_text(vr, value, encoding)))
    if vr == "PN":
        return _with_values(vr, [_name(one) for one in _several(decode_text(vr, value, encoding))])
    if vr in ("DS", "IS"):
        convert = decimal_of if vr == "DS" else integer_of
        return _with_values(vr, [convert(one) if one else "" for one in split_numbers(value)])
    if vr in BINARY:
        return _with_values(vr, [_exact(finite(one)) for (one,) in unpack(BINARY[vr], value, encoding)])
    if vr == "AT":
        return _with_values(vr, [f"{a:04X}{b:04X}" for a, b in unpack("HH", value, encoding)])
    return {"vr": vr, "InlineBinary": base64.b64encode(value).decode()}


# The images of a series have most of their values in common.
_short = lru_cache(maxsize=4096)(_inline)


def _is_bulk(vr: str, size: int) -> bool:
    if vr in _TEXT or vr == "PN":
        return size > LONGEST_VALUE_BYTES
    if vr in BINARY or vr in ("DS", "IS", "AT"):
        return size > _LONGEST_NUMBERS_BYTES
    return size > _INLINE_BYTES


def _with_values(vr: str, values: list[Any]) -> dict[str, Any]:
    # An empty one among several is null; none at all leaves the attribute empty (PS3.18 F.2.5).
    kept = [None if value in ("", {}) else value for value in values]
    return {"vr": vr, "Value": kept} if any(value is not None for value in kept) else {"vr": vr}


def _several(value: str | tuple[str, ...]) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value]


def _name(text: str) -> dict[str, str]:
    groups = zip(_NAME_GROUPS, text.split("="), strict=False)
    return {key: group.strip() for key, group in groups if group.strip()}


def _exact(number: float | str) -> float | str:
    # What a reader with 53-bit numbers would round is written as text (PS3.18 F.2.3).
    return str(number) if isinstance(number, int) and abs(number) > _LARGE else number
