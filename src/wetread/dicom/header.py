"""A DICOM file's header as plain values.

In: a file or its bytes, written by anybody.  Out: ``Instance``, or an InputError that says why not.
Never: pixel data or other bulk loaded, private attributes, a UID used before it was checked.
"""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import ENCODED_VR, data_element_generator
from pydicom.sequence import Sequence
from pydicom.values import convert_SQ

from wetread.dicom.functional_groups import SHARED_AND_PER_FRAME, flatten_groups
from wetread.dicom.values import Encoding, Plain, plain_value
from wetread.domain.study import Instance
from wetread.errors import MissingAttribute, UnreadableInstance

#: PS3.5 section 9.1: digits and dots, at most 64. Leading zeros are wrong but harmless.
UID_PATTERN = re.compile(r"[0-9]+(?:\.[0-9]+)*")
MAX_UID_LENGTH = 64

_IMPLICIT, _EXPLICIT, _BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_UNDEFINED_LENGTH = 0xFFFFFFFF
_PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_PIXEL_REPRESENTATION, _SPECIFIC_CHARACTER_SET = 0x00280103, 0x00080005

# A functional group sequence of thousands of frames is a few MiB; what is larger stays on disk.
_MAX_ELEMENT_BYTES = 16 * 2**20
_MAX_INFLATED_BYTES = 2**30
_MAX_ELEMENTS = 10_000
_MAX_ITEMS = 64
_SHORTEST_ELEMENT = 8

# What pydicom raises on bytes that are no data set; anything else is a bug of ours.
_PARSER_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

Element = RawDataElement | DataElement


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """An open data set, positioned at its first element."""

    file: BinaryIO
    size: int
    transfer_syntax_uid: str
    is_implicit: bool
    is_little_endian: bool
    meta: dict[int, str]


def read_instance(path: Path) -> Instance:
    """Read the header of a file.

    Parameters
    ----------
    path
        Any file. A file without preamble and meta header is taken if it begins like a data set
        and names its SOP class and instance.

    Returns
    -------
    Instance
        ``header`` holds every public attribute of the top level of up to 4096 bytes, and those of
        its sequences' items as ``"Sequence.Keyword"``; see ``domain.study.Header``.

    Raises
    ------
    UnreadableInstance
        If it is no DICOM, cut short, or its structure is broken.
    MissingAttribute
        If a UID that identifies it is missing or malformed.
    OSError
        If the file cannot be opened.

    References
    ----------
    PS3.10 section 7; PS3.5 sections 6.2, 7 and A.4.
    """
    with path.open("rb") as file:
        return _read(file, os.fstat(file.fileno()).st_size, path)


def read_instance_bytes(data: bytes, path: Path) -> Instance:
    """Read the header of a file held in memory; ``path`` is where it lies or will lie.

    Raises
    ------
    UnreadableInstance, MissingAttribute
        As ``read_instance``.
    """
    return _read(io.BytesIO(data), len(data), path)


def is_uid(text: str) -> bool:
    """Tell whether a text can safely be used as a UID (PS3.5 section 9.1)."""
    return len(text) <= MAX_UID_LENGTH and UID_PATTERN.fullmatch(text) is not None


def _read(file: BinaryIO, size: int, path: Path) -> Instance:
    try:
        source = _open(file, size)
        header = _read_header(source)
        transfer_syntax_uid = _check_pixels(source)
    except _PARSER_ERRORS as error:
        raise UnreadableInstance(
            "Not a readable DICOM object: check the file and send it again",
            reason=type(error).__name__,
        ) from error
    for keyword, tag in (("SOPInstanceUID", 0x00020003), ("SOPClassUID", 0x00020002)):
        header[keyword] = header.get(keyword) or source.meta.get(tag, "")
    return Instance(
        sop_instance_uid=_require_uid(header, "SOPInstanceUID"),
        sop_class_uid=_require_uid(header, "SOPClassUID"),
        series_instance_uid=_require_uid(header, "SeriesInstanceUID"),
        study_instance_uid=_require_uid(header, "StudyInstanceUID"),
        transfer_syntax_uid=transfer_syntax_uid,
        header=header,
        path=path,
    )


def _require_uid(header: dict[str, Plain], keyword: str) -> str:
    value = header.get(keyword, "")
    if isinstance(value, str) and is_uid(value):
        return value
    sentence = "is missing" if value == "" else "is not a valid UID"
    raise MissingAttribute(f"{keyword} {sentence}: the sender must fill it in", attribute=keyword)


def _open(file: BinaryIO, size: int) -> _Source:
    """Read preamble and meta header, and settle the encoding."""
    head = file.read(132)
    if head[128:] == b"DICM":
        meta = _read_meta(file)
    elif _begins_like_dicom(head):
        file.seek(0)
        meta = _read_meta(file)
    else:
        raise UnreadableInstance("Not a DICOM file: it lacks the DICM prefix and a data set's beginning")
    uid = meta.get(0x00020010, "")
    if uid == _DEFLATED:
        inflated = _inflate(file)
        file, size = io.BytesIO(inflated), len(inflated)
    if not is_uid(uid):
        uid = _guess_transfer_syntax(file)
    return _Source(
        file=file,
        size=size,
        transfer_syntax_uid=uid,
        is_implicit=_is_implicit(file),
        is_little_endian=uid != _BIG_ENDIAN,
        meta=meta,
    )


def _begins_like_dicom(head: bytes) -> bool:
    # The first element of a data set lies in group 0002 or 0008, in either byte order.
    return head[:2] in {b"\x02\x00", b"\x08\x00", b"\x00\x08"} and len(head) > 16


def _read_meta(file: BinaryIO) -> dict[int, str]:
    """Return the UIDs of the meta header; the file is left at the data set (PS3.10 section 7.1)."""
    start = file.tell()
    if file.read(2) != b"\x02\x00":
        file.seek(start)
        return {}
    file.seek(start)
    elements = data_element_generator(file, False, True, stop_when=lambda tag, _vr, _len: tag >> 16 != 2)
    return {
        int(raw.tag): raw.value.decode("ascii", "replace").strip("\0 ")
        for raw in elements
        if isinstance(raw, RawDataElement) and raw.VR == "UI" and raw.value
    }


def _inflate(file: BinaryIO) -> bytes:
    # PS3.5 section A.5. Bounded: a few KiB can inflate to as many MiB.
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(file.read(), _MAX_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise UnreadableInstance("The deflated data set is larger than 1 GiB: send it uncompressed")
    return data


def _is_implicit(file: BinaryIO) -> bool:
    """Tell by the first element: some writers declare one encoding and use the other (PS3.5 section 7.1)."""
    head = file.read(6)
    file.seek(-len(head), os.SEEK_CUR)
    return head[4:6] not in ENCODED_VR


def _guess_transfer_syntax(file: BinaryIO) -> str:
    if _is_implicit(file):
        return _IMPLICIT
    first = file.read(1)
    file.seek(-len(first), os.SEEK_CUR)
    return _BIG_ENDIAN if first == b"\0" else _EXPLICIT


def _read_header(source: _Source) -> dict[str, Plain]:
    header: dict[str, Plain] = {}
    encoding = Encoding(is_little_endian=source.is_little_endian)
    for count, element in enumerate(_iter_elements(source)):
        if count > _MAX_ELEMENTS:
            raise UnreadableInstance("The data set has more elements than any real object")
        tag = int(element.tag)
        _add(header, element, encoding)
        if tag == _SPECIFIC_CHARACTER_SET:
            encoding = _with_charsets(encoding, header.get("SpecificCharacterSet", ""))
        elif tag == _PIXEL_REPRESENTATION:
            encoding = replace(encoding, is_signed=header.get("PixelRepresentation") == 1)
    return header


def _iter_elements(source: _Source) -> Iterator[Element]:
    elements = data_element_generator(
        source.file,
        source.is_implicit,
        source.is_little_endian,
        stop_when=lambda tag, _vr, _length: int(tag) in _PIXEL_TAGS,
        defer_size=_MAX_ELEMENT_BYTES,
    )
    end = 0
    for element in elements:
        end = element.value_tell + element.length if isinstance(element, RawDataElement) else 0
        if end > source.size + 1:
            raise UnreadableInstance("The file ends inside its header: send it again")
        yield element
    # Less than an element's tag and length is left: a cut, unless a device padded the file.
    if end and 0 < source.size - end < _SHORTEST_ELEMENT:
        source.file.seek(end)
        if source.file.read().strip(b"\0"):
            raise UnreadableInstance("The file ends inside its header: send it again")


def _with_charsets(encoding: Encoding, names: Plain) -> Encoding:
    several = [str(name) for name in names] if isinstance(names, tuple) else str(names)
    return replace(encoding, charsets=tuple(convert_encodings(several)))


def _add(header: dict[str, Plain], element: Element, encoding: Encoding) -> None:
    """Put one element of the top level into the header."""
    keyword, vr = _name(element)
    if not keyword or element.value is None:
        return
    if vr == "SQ":
        header.update(_flatten(keyword, _items(element, encoding), encoding))
    elif isinstance(element, RawDataElement):
        value = plain_value(vr, element.value or b"", encoding)
        if value is not None:
            header[keyword] = value


def _name(element: Element) -> tuple[str, str]:
    """Return keyword and VR; ``""`` for what headers leave out."""
    tag = int(element.tag)
    group = tag >> 16
    if group % 2 or group in {0x0000, 0x0002} or group & 0xFF00 in {0x5000, 0x6000} or tag & 0xFFFF == 0:
        return "", ""
    keyword = keyword_for_tag(tag)
    vr = str(element.VR or "UN")
    return keyword, dictionary_VR(tag) if vr == "UN" and keyword else vr


def _items(element: Element, encoding: Encoding) -> Sequence:
    if not isinstance(element, RawDataElement):
        value: Sequence = element.value
        return value
    # An unknown VR of a known sequence is written implicit (PS3.5 section 6.2.2).
    is_implicit = element.is_implicit_VR or element.VR == "UN"
    return convert_SQ(element.value or b"", is_implicit, encoding.is_little_endian, list(encoding.charsets))


def _flatten(keyword: str, items: Sequence, encoding: Encoding) -> dict[str, Plain]:
    """Return the attributes of a sequence's items as ``"Sequence.Keyword"``, items joined in order."""
    if keyword in SHARED_AND_PER_FRAME:
        return flatten_groups(keyword, [_group_values(item, encoding) for item in items])
    found: dict[str, list[Plain]] = {}
    for item in items[:_MAX_ITEMS]:
        for name, value in _item_values(item, encoding).items():
            found.setdefault(f"{keyword}.{name}", []).append(value)
    return {name: values[0] if len(values) == 1 else _chain(values) for name, values in found.items()}


def _chain(values: list[Plain]) -> Plain:
    return tuple(one for value in values for one in (value if isinstance(value, tuple) else (value,)))


def _item_values(item: Dataset, encoding: Encoding) -> dict[str, Plain]:
    values: dict[str, Plain] = {}
    for element in item.values():
        if _name(element)[1] != "SQ":
            _add(values, element, encoding)
    return values


def _group_values(item: Dataset, encoding: Encoding) -> dict[str, Plain]:
    """Return the attributes of one functional group item, its macros merged (PS3.3 C.7.6.16)."""
    values: dict[str, Plain] = {}
    for element in item.values():
        keyword, vr = _name(element)
        if keyword and vr == "SQ":
            for macro in _items(element, encoding)[:1]:
                values.update(_item_values(macro, encoding))
    return values


def _check_pixels(source: _Source) -> str:
    """Refuse pixel data that is cut short; return the transfer syntax."""
    start = source.file.tell()
    head = source.file.read(12)
    if len(head) < 12:
        return source.transfer_syntax_uid
    order = "<" if source.is_little_endian else ">"
    if source.is_implicit:
        length, header_size = struct.unpack(f"{order}I", head[4:8])[0], 8
    else:
        length, header_size = struct.unpack(f"{order}I", head[8:12])[0], 12
    if length == _UNDEFINED_LENGTH:
        if not source.meta.get(0x00020010):
            raise UnreadableInstance("Compressed pixel data without a Transfer Syntax UID: send it again")
        _check_fragments(source)
    elif start + header_size + length > source.size + 1:
        raise UnreadableInstance("The file ends inside its pixel data: send it again")
    return source.transfer_syntax_uid


def _check_fragments(source: _Source) -> None:
    """Refuse encapsulated pixel data that is cut short; a missing delimiter alone is forgiven (PS3.5 A.4)."""
    file = source.file
    while len(item := file.read(8)) == 8:
        tag, length = struct.unpack("<4sI", item)
        if tag != b"\xfe\xff\x00\xe0":
            return
        if file.seek(length, os.SEEK_CUR) > source.size + 1:
            raise UnreadableInstance("The file ends inside its compressed pixel data: send it again")
