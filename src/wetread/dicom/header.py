"""A DICOM file's header as plain values.

In: a file or its bytes, written by anybody.  Out: ``Instance``, or an InputError that says why not.
Never: pixel data or other bulk loaded, private attributes, a UID used before it was checked.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from pydicom.datadict import dictionary_VR, keyword_for_tag

from wetread.dicom.functional_groups import KEPT, MAX_FRAMES, SHARED_AND_PER_FRAME, flatten_groups
from wetread.dicom.json_model import LONGEST_VALUE_BYTES, JsonModel
from wetread.dicom.part10 import DataSetFile, open_data_set
from wetread.dicom.scan import LIMITS, UNDEFINED_LENGTH, Element, Scan
from wetread.dicom.values import MAX_VALUE_BYTES, Encoding, Plain, plain_value, python_encodings
from wetread.domain.study import Instance, Opener, open_plain
from wetread.errors import InputError, MissingAttribute, UnreadableInstance

#: PS3.5 section 9.1: digits and dots, at most 64. Leading zeros are wrong but harmless.
UID_PATTERN = re.compile(r"[0-9]+(?:\.[0-9]+)*")
MAX_UID_LENGTH = 64

_PIXEL_REPRESENTATION, _SPECIFIC_CHARACTER_SET = 0x00280103, 0x00080005

#: Bytes of values that one header keeps, functional groups apart: what the index holds of an instance
#: is bounded. Real headers have some KiB.
_MAX_KEPT_BYTES = 64 << 10
_MAX_GROUP_VALUE_BYTES = 128
_MAX_ITEMS = 64
_SHORT_BYTES = 64
_IDENTIFYING = frozenset(
    {
        *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SpecificCharacterSet"),
        *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "Modality"),
    }
)

# What pydicom's character sets and dictionary raise on odd values; anything else is a bug of ours.
_PARSER_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    struct.error,
)


def read_instance(path: Path, opener: Opener = open_plain, model: JsonModel | None = None) -> Instance:
    """Read the header of a file.

    Parameters
    ----------
    path
        Any file. A file without preamble and meta header is taken if it begins like a data set
        and names its SOP class and instance.
    opener
        How it, and later the instance, is opened.
    model
        A new one: it gets the whole header as DICOM JSON, from the same pass over the file.

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
    with opener(path) as file:
        return replace(_read(file, path, model), opener=opener)


def read_instance_bytes(
    data: bytes | memoryview, path: Path, opener: Opener = open_plain, model: JsonModel | None = None
) -> Instance:
    """Read the header of a file held in memory; ``path`` is where it lies or will lie, the rest as above.

    Raises
    ------
    UnreadableInstance, MissingAttribute
        As ``read_instance``.
    """
    return replace(_read(io.BytesIO(data), path, model), opener=opener)


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyHeader:
    """A header that was read while the rest of its file was still to come."""

    instance: Instance
    model: JsonModel
    #: Where the file ends that holds all of its pixel data, in bytes.
    whole_size: int

    def is_of(self, size: int) -> bool:
        """Tell whether a file of so many bytes is whole; one missing byte is forgiven, it is the padding."""
        return size >= self.whole_size - 1


def read_early(data: memoryview, path: Path, opener: Opener = open_plain) -> EarlyHeader | None:
    """Read the header from the beginning of a file.

    Returns
    -------
    EarlyHeader or None
        None where the beginning is not enough to say anything: the header is longer or wrong, it is deflated,
        or its pixel data does not say its length. Whoever has the whole file reads it with ``read_instance``.
    """
    ends: list[int] = []

    def note_end(source: DataSetFile, scan: Scan) -> None:
        if scan.pixels is not None and scan.pixels != UNDEFINED_LENGTH and not source.is_deflated:
            ends.append(source.cursor.position + scan.pixels)

    model = JsonModel()
    try:
        instance = _read(io.BytesIO(data), path, model, note_end)
    except InputError:
        return None
    if not ends:
        return None
    return EarlyHeader(instance=replace(instance, opener=opener), model=model, whole_size=ends[0])


def is_uid(text: str) -> bool:
    """Tell whether a text can safely be used as a UID (PS3.5 section 9.1)."""
    return len(text) <= MAX_UID_LENGTH and UID_PATTERN.fullmatch(text) is not None


def _read(
    file: BinaryIO,
    path: Path,
    model: JsonModel | None = None,
    check_pixels: Callable[[DataSetFile, Scan], None] | None = None,
) -> Instance:
    try:
        source = open_data_set(file)
        header = _read_header(source, model, check_pixels or _check_pixels)
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
        transfer_syntax_uid=source.transfer_syntax_uid,
        header=header,
        path=path,
    )


def _read_header(
    source: DataSetFile, model: JsonModel | None, check_pixels: Callable[[DataSetFile, Scan], None]
) -> dict[str, Plain]:
    scan = Scan(
        cursor=source.cursor,
        is_implicit=source.is_implicit,
        is_little_endian=source.is_little_endian,
        longest=MAX_VALUE_BYTES if model is None else LONGEST_VALUE_BYTES,
        deepest=2 if model is None else LIMITS.depth,
        tells_sequences=model is not None,
    )
    header = _Header(is_little_endian=source.is_little_endian)
    if model is not None:
        model.begin(is_little_endian=source.is_little_endian)
    for element in scan:
        header.take(element)
        if model is not None:
            model.take(element)
    check_pixels(source, scan)
    if model is not None and scan.pixels is not None:
        model.take_pixels(scan.pixel_tag, is_encapsulated=scan.pixels == UNDEFINED_LENGTH)
    return header.finish()


def _require_uid(header: dict[str, Plain], keyword: str) -> str:
    value = header.get(keyword, "")
    if isinstance(value, str) and is_uid(value):
        return value
    sentence = "is missing" if value == "" else "is not a valid UID"
    raise MissingAttribute(f"{keyword} {sentence}: the sender must fill it in", attribute=keyword)


class _Header:
    """Collects the values of a header, up to their limits."""

    def __init__(self, *, is_little_endian: bool) -> None:
        self.values: dict[str, Plain] = {}
        self._encoding = Encoding(is_little_endian=is_little_endian)
        self._items: dict[str, list[Plain]] = {}
        self._groups: dict[str, list[dict[str, Plain]]] = {name: [] for name in SHARED_AND_PER_FRAME}
        self._left = _MAX_KEPT_BYTES

    def take(self, element: Element) -> None:
        """Add one element in the order of the data set."""
        if not element.path:
            self._take_top(element)
            return
        sequence = keyword_for_tag(element.path[0][0])
        if sequence in self._groups:
            self._take_group(self._groups[sequence], element)
        elif len(element.path) == 1 and sequence and element.path[0][1] < _MAX_ITEMS:
            keyword, value = self._plain(element)
            if keyword and value is not None and self._fits(element):
                self._items.setdefault(f"{sequence}.{keyword}", []).append(value)

    def finish(self) -> dict[str, Plain]:
        """Return all values, sequences flattened."""
        for name, values in self._items.items():
            self.values[name] = values[0] if len(values) == 1 else _chain(values)
        for sequence, groups in self._groups.items():
            self.values.update(flatten_groups(sequence, groups))
        return self.values

    def _take_top(self, element: Element) -> None:
        if element.vr == "UI" and (element.value is None or len(element.value) > MAX_VALUE_BYTES):
            # Too long for any UID: the meta header's must not stand in for it.
            raise MissingAttribute("A UID is far too long: the sender must correct it")
        keyword, value = self._plain(element)
        # What names object, study and patient is kept whatever else there is.
        if not keyword or value is None or not (keyword in _IDENTIFYING or self._fits(element)):
            return
        self.values[keyword] = value
        if element.tag == _SPECIFIC_CHARACTER_SET:
            self._encoding = _with_charsets(self._encoding, value)
        elif element.tag == _PIXEL_REPRESENTATION:
            self._encoding = replace(self._encoding, is_signed=value == 1)

    def _take_group(self, groups: list[dict[str, Plain]], element: Element) -> None:
        """Add an attribute of a macro of a functional group (PS3.3 C.7.6.16)."""
        number = element.path[0][1]
        if number > MAX_FRAMES:
            return
        if number == len(groups):
            groups.append({})
        if len(element.path) == 2 and element.path[1][1] == 0:
            keyword, value = self._plain(element)
            if keyword in KEPT and value is not None and len(element.value or b"") <= _MAX_GROUP_VALUE_BYTES:
                groups[number][keyword] = value

    def _plain(self, element: Element) -> tuple[str, Plain | None]:
        keyword, vr = _name(element.tag, element.vr)
        if not keyword or element.value is None:
            return "", None
        read = _short_value if len(element.value) <= _SHORT_BYTES else plain_value
        return keyword, read(vr, element.value, self._encoding)

    def _fits(self, element: Element) -> bool:
        self._left -= len(element.value or b"")
        return self._left >= 0


def _with_charsets(encoding: Encoding, names: Plain) -> Encoding:
    several = names if isinstance(names, tuple) else (names,)
    return replace(encoding, charsets=python_encodings([str(name) for name in several]))


@lru_cache(maxsize=4096)
def _name(tag: int, written_vr: str) -> tuple[str, str]:
    """Return keyword and VR; ``""`` for what headers leave out."""
    group = tag >> 16
    if group % 2 or group in {0x0000, 0x0002} or group & 0xFF00 in {0x5000, 0x6000} or tag & 0xFFFF == 0:
        return "", ""
    keyword = keyword_for_tag(tag)
    return keyword, dictionary_VR(tag) if written_vr == "UN" and keyword else written_vr


# The images of a series have most of their values in common.
_short_value = lru_cache(maxsize=4096)(plain_value)


def _chain(values: list[Plain]) -> Plain:
    return tuple(one for value in values for one in (value if isinstance(value, tuple) else (value,)))


def _check_pixels(source: DataSetFile, scan: Scan) -> None:
    """Refuse pixel data that is cut short."""
    if scan.pixels is None:
        return
    if scan.pixels != UNDEFINED_LENGTH:
        source.cursor.skip(scan.pixels)
        return
    if not source.declared_syntax_uid:
        raise UnreadableInstance("Compressed pixel data without a Transfer Syntax UID: send it again")
    scan.skip_fragments()
