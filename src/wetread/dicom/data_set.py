"""A header as pydicom's data set, for those who copy from it.

In: an open DICOM file.  Out: its public attributes without pixels.
Never: private attributes, functional groups, long values; more memory than the limit.
"""

from __future__ import annotations

from typing import BinaryIO

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from wetread.dicom.part10 import DataSetFile, open_data_set
from wetread.dicom.scan import ITEM, Element, Path, Scan
from wetread.dicom.values import python_encodings
from wetread.errors import UnreadableInstance

#: Longer values are left out: nothing that documents repeat is that long.
LONGEST_VALUE_BYTES = 64 << 10
_MOST_BYTES = 16 << 20
#: What an element or item takes in memory beside its value.
_OVERHEAD_BYTES = 512
_SPECIFIC_CHARACTER_SET = 0x00080005
# They grow with the number of frames, and the plain header has what is needed of them.
_FUNCTIONAL_GROUPS = frozenset({0x52009229, 0x52009230})


def read_data_set(file: BinaryIO) -> Dataset:
    """Return the header; its values are decoded when they are asked for.

    Raises
    ------
    UnreadableInstance
        If its structure is broken, or it holds more than any real header.
    """
    source = open_data_set(file)
    scan = Scan(
        cursor=source.cursor,
        is_implicit=source.is_implicit,
        is_little_endian=source.is_little_endian,
        longest=LONGEST_VALUE_BYTES,
        deepest=255,
    )
    builder = _Builder(source)
    for element in scan:
        builder.take(element)
    return builder.root


class _Builder:
    """Puts elements where their paths say."""

    def __init__(self, source: DataSetFile) -> None:
        self._source = source
        self._charsets = list(python_encodings([]))
        self._left = _MOST_BYTES
        self.root = self._new()
        # Only the items that are open: the scan comes by once.
        self._open: list[tuple[Path, Dataset]] = [((), self.root)]

    def take(self, element: Element) -> None:
        """Add one element."""
        if element.value is None or any(_is_left_out(tag) for tag, _ in element.path):
            return
        is_item = element.tag == ITEM
        around = element.path[:-1] if is_item else element.path
        while self._open[-1][0] != around:
            self._open.pop()
        holder = self._open[-1][1]
        if is_item:
            self._spend(0)
            item = self._new()
            sequence = element.path[-1][0]
            if sequence not in holder:
                holder[sequence] = DataElement(BaseTag(sequence), "SQ", Sequence())
            holder[sequence].value.append(item)
            self._open.append((element.path, item))
        elif not _is_left_out(element.tag):
            self._add(holder, element, element.value)

    def _add(self, holder: Dataset, element: Element, value: bytes) -> None:
        self._spend(len(value))
        holder[element.tag] = RawDataElement(
            BaseTag(element.tag),
            None if element.vr == "UN" else element.vr,
            len(value),
            value,
            0,
            self._source.is_implicit,
            self._source.is_little_endian,
        )
        if element.tag == _SPECIFIC_CHARACTER_SET and not element.path:
            names = value.decode("ascii", "replace").strip("\0 ").split("\\")
            self._charsets = list(python_encodings([name.strip() for name in names]))
            self._set_encoding(self.root)

    def _new(self) -> Dataset:
        data_set = Dataset()
        self._set_encoding(data_set)
        return data_set

    def _set_encoding(self, data_set: Dataset) -> None:
        data_set.set_original_encoding(
            self._source.is_implicit, self._source.is_little_endian, self._charsets
        )

    def _spend(self, size: int) -> None:
        self._left -= size + _OVERHEAD_BYTES
        if self._left < 0:
            raise UnreadableInstance("The header holds more than that of any real object")


def _is_left_out(tag: int) -> bool:
    group = tag >> 16
    is_bookkeeping = tag & 0xFFFF == 0 or group in {0x0000, 0x0002}
    return bool(group % 2) or is_bookkeeping or tag in _FUNCTIONAL_GROUPS
