"""An instance handed in as metadata, with its bulk data beside it.

In: JSON or XML by anybody, and the spools of its bulk data.  Out: a data set, explicit VR little endian.
Never: an address that is fetched; pixel data in memory; more elements or nesting than the limits.

References
----------
PS3.18 8.7.3 (metadata and bulk data), annex F (DICOM JSON Model).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.valuerep import VR, format_number_as_ds

from wetread.dicom.header import is_uid
from wetread.dicom.scan import LIMITS
from wetread.dicom.values import BINARY, Encoding, unpack
from wetread.dicom.xml_read import decode_xml
from wetread.errors import MissingAttribute, UnreadableInstance
from wetread.receive.compressed_part import (
    BEGINNING_BYTES,
    Compressed,
    CompressedBulkData,
    iter_encapsulated,
    read_compressed,
)
from wetread.receive.multipart import MediaType
from wetread.receive.spool import Spool

#: Of all metadata in a request, in bytes.
METADATA_LIMIT = 8 << 20
#: A list or object of nothing costs us thirty times what it costs the sender: so many at most.
_MOST_JSON_VALUES = 500_000
_MOST_ELEMENTS = 50_000
#: Bulk data that is no pixel data or lies inside of a sequence, of one instance.
_MEMORY_LIMIT = 16 << 20
_PIECE = 1 << 20
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_SOP_CLASS_UID, _SOP_INSTANCE_UID, _CHARACTER_SET = "00080016", "00080018", "00080005"
_PIXEL_DATA = "7FE00010"
_UTF_8 = {"vr": "CS", "Value": ["ISO_IR 192"]}
_VRS = frozenset(str(vr.value) for vr in VR if len(vr.value) == 2)
#: Values that are bytes, and may be as long as a file.
_BYTES = frozenset({"OB", "OW", "OL", "OF", "OD", "OV", "UN"})
_LONGEST = 0xFFFFFFFE

# What pydicom raises on values that do not fit their VR; anything else is a bug of ours.
_VALUE_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
    struct.error,
)

Model = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkData:
    """A part of the request that metadata may refer to."""

    spool: Spool
    media_type: MediaType

    @property
    def is_plain(self) -> bool:
        """Whether these are the bytes of a value, and not of a compressed image."""
        return self.media_type.name in ("", "application/octet-stream")


def parse_metadata(data: bytes) -> list[Model]:
    """Return the data sets of a part with metadata.

    Raises
    ------
    UnreadableInstance
        If it is no list of data sets in the DICOM JSON Model, or too large.
    """
    if sum(data.count(mark) for mark in (b"[", b"{", b",")) > _MOST_JSON_VALUES:
        raise UnreadableInstance("The metadata hold more values than any real ones: send less at a time.")
    try:
        models = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UnreadableInstance("The metadata are no JSON.") from error
    # PS3.18 F.2.1: a list; one alone is meant by an object.
    models = [models] if isinstance(models, dict) else models
    if not isinstance(models, list) or not models or not all(isinstance(one, dict) for one in models):
        raise UnreadableInstance("The metadata are no list of data sets in the DICOM JSON Model.")
    return models


def parse_xml(data: bytes) -> list[Model]:
    """Return the data set of a part with metadata in the Native DICOM Model.

    Raises
    ------
    UnreadableInstance
        If it is none, or too large.
    """
    return [decode_xml(data)]


def name_of(model: Model) -> tuple[str, str]:
    """Return SOP Class and SOP Instance UID.

    Raises
    ------
    MissingAttribute
        If they are none.
    """
    return _uid(model, _SOP_CLASS_UID, "SOPClassUID"), _uid(model, _SOP_INSTANCE_UID, "SOPInstanceUID")


def find_compressed(model: Model, bulk: Mapping[str, BulkData]) -> Compressed | None:
    """Return what the pixel data of a data set are where they are compressed, None where they are not.

    Raises
    ------
    CompressedBulkData
        If they are nothing that is taken.
    OSError
        If they cannot be read again.
    """
    address = model.get(_PIXEL_DATA, {}).get("BulkDataURI")
    found = bulk.get(address) if isinstance(address, str) else None
    if found is None or found.is_plain:
        return None
    if found.spool.error is not None:
        raise found.spool.error
    with found.spool.opener(found.spool.path) as file:
        return read_compressed(found.media_type, file.read(BEGINNING_BYTES))


def write_data_set(model: Model, bulk: Mapping[str, BulkData], write: Callable[[memoryview], None]) -> None:
    """Encode a data set.

    Parameters
    ----------
    bulk
        By the address that metadata give it.
    write
        Called with one piece after the other.

    Raises
    ------
    UnreadableInstance
        If a value does not fit its VR, or bulk data are not there.
    CompressedBulkData
        If bulk data beside the pixel data are compressed.
    OSError
        If bulk data cannot be read again.
    """
    whole = {tag.upper(): element for tag, element in model.items()} | {_CHARACTER_SET: _UTF_8}
    _settle(whole)
    source = _Source(bulk)
    try:
        for tag, element in sorted(whole.items()):
            # File meta information and lengths of groups are ours to write.
            if tag[:4] != "0002" and tag[4:] != "0000":
                _write_element(tag, element, source, write)
    except _VALUE_ERRORS as error:
        # What it says quotes the value.
        raise UnreadableInstance("A value of the metadata does not fit its VR.") from error


def _write_element(
    tag: str, element: Mapping[str, Any], source: _Source, write: Callable[[memoryview], None]
) -> None:
    vr, address = element["vr"], element.get("BulkDataURI")
    if tag == _PIXEL_DATA and address is not None and source.is_compressed(address):
        for piece in iter_encapsulated(source.find(address, is_pixel_data=True).spool):
            write(memoryview(piece))
        return
    if address is not None and vr in _BYTES:
        for piece in _iter_long(tag, vr, source.find(address).spool):
            write(memoryview(piece))
        return
    [key] = {"Value", "InlineBinary", "BulkDataURI"} & set(element) or [None]
    value = element[key] if key else [""]
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    plain = DataElement.from_json(Dataset, tag, vr, value, key, source.load)
    try:
        write_data_element(buffer, plain, ["utf8"])
    except OSError as error:
        # Numbers beyond their VR; the buffer is in memory.
        raise UnreadableInstance("A number of the metadata does not fit its VR.") from error
    write(memoryview(buffer.getvalue()))


def _iter_long(tag: str, vr: str, spool: Spool) -> Iterator[bytes]:
    padding = spool.size % 2
    if spool.size + padding > _LONGEST:
        raise UnreadableInstance("A value is longer than DICOM allows.")
    group, element = int(tag[:4], 16), int(tag[4:], 16)
    yield struct.pack("<HH2s2xI", group, element, vr.encode(), spool.size + padding)
    with spool.opener(spool.path) as file:
        while piece := file.read(_PIECE):
            yield piece
    yield bytes(padding)


class _Source:
    """Bulk data of one instance, by address."""

    def __init__(self, bulk: Mapping[str, BulkData]) -> None:
        self._bulk = bulk
        self._left = _MEMORY_LIMIT

    def is_compressed(self, address: object) -> bool:
        found = self._bulk.get(address) if isinstance(address, str) else None
        return found is not None and not found.is_plain

    def find(self, address: object, *, is_pixel_data: bool = False) -> BulkData:
        found = self._bulk.get(address) if isinstance(address, str) else None
        if found is None:
            raise UnreadableInstance("Bulk data must be in the same request: no address is ever opened.")
        if not (found.is_plain or is_pixel_data):
            raise CompressedBulkData
        if found.spool.error is not None:
            raise found.spool.error
        return found

    def load(self, _tag: str, vr: str, address: str) -> Any:
        """Return a value as pydicom wants it."""
        spool = self.find(address).spool
        self._left -= spool.size
        if self._left < 0:
            raise UnreadableInstance("Long values beside the pixel data are too large.")
        with spool.opener(spool.path) as file:
            data = file.read()
        if vr in _BYTES:
            return data
        if vr in BINARY:
            return [number for (number,) in unpack(BINARY[vr], data, Encoding())]
        if vr == "AT":
            return [int(first) << 16 | int(second) for first, second in unpack("HH", data, Encoding())]
        return data.decode()


def _settle(model: Model) -> None:
    """Shorten decimals to what DICOM has room for; refuse too many elements or levels, and what is none."""
    count = 0
    waiting: list[tuple[int, Any]] = [(0, model)]
    while waiting:
        depth, one = waiting.pop()
        if not isinstance(one, dict) or depth > LIMITS.depth:
            raise UnreadableInstance("The metadata are nested too deeply, or hold what is no data set.")
        count += len(one) + 1
        if count > _MOST_ELEMENTS:
            raise UnreadableInstance("The metadata have too many elements: send it as application/dicom.")
        for tag, element in one.items():
            waiting += [(depth + 1, item or {}) for item in _items(tag, element)]


def _items(tag: str, element: Any) -> list[Any]:
    if not _TAG.fullmatch(tag) or not isinstance(element, dict) or element.get("vr") not in _VRS:
        raise UnreadableInstance("The metadata have an attribute without a tag or a known VR.")
    if len({"Value", "InlineBinary", "BulkDataURI"} & set(element)) > 1:
        raise UnreadableInstance("The metadata have an attribute with two values.")
    values = element.get("Value", [])
    if not isinstance(values, list):
        raise UnreadableInstance("The metadata have an attribute whose values are no list.")
    if element["vr"] == "DS" and values:
        element["Value"] = [_short(value) for value in values]
        return []
    return values if element["vr"] == "SQ" else []


def _short(value: Any) -> Any:
    # PS3.5 6.2: at most 16 characters; JSON has as many as the number needs.
    return format_number_as_ds(value) if isinstance(value, float) else value


def _uid(model: Model, tag: str, keyword: str) -> str:
    element = model.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    value = values[0] if isinstance(values, list) and values else ""
    if not isinstance(value, str) or not is_uid(value):
        raise MissingAttribute(f"{keyword} is missing or no UID: the sender must fill it in")
    return value
