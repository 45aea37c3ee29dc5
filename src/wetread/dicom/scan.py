"""The elements of a data set, one after the other, within bounds.

In: a data set written by anybody.  Out: its elements, those inside sequences with their path.
Never: recursion; a long value read; more elements or deeper nesting than the limits; pixel data.

Nothing here trusts a length: what a file claims costs no memory, and a broken structure ends in an
InputError. Every header goes through here before anything else looks at the object, so what is
stored holds these bounds.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, NamedTuple

from pydicom.datadict import dictionary_VR
from pydicom.filereader import ENCODED_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from wetread.errors import UnreadableInstance

#: Pixel Data and its float relatives: a header ends there.
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
UNDEFINED_LENGTH = 0xFFFFFFFF
#: Begins an item; yielded for each item, so that empty ones count too.
ITEM = 0xFFFEE000
_ITEM_END, _SEQUENCE_END = 0xFFFEE00D, 0xFFFEE0DD
_PIECE = 1 << 16
#: What a sequence may be written with.
_SEQUENCE_VRS = frozenset({"SQ", "UN"})
_LONG_VRS = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32)

#: Of the item inside: tag of the sequence and number of the item (from 0), outermost first.
Path = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanLimits:
    """How much structure is looked at: above what real objects have, below what hurts."""

    #: Sequences inside sequences; a deep SR has some ten.
    depth: int = 64
    #: Elements, items and fragments: an Enhanced object of some thousand frames has a few hundred thousand.
    elements: int = 1_000_000
    #: Elements of the top level.
    top_elements: int = 10_000


LIMITS = ScanLimits()


class Element(NamedTuple):
    """One element, or the beginning of an item (tag ``ITEM``)."""

    tag: int
    #: As written; ``"UN"`` where it is not written.
    vr: str
    #: None where it is longer than asked for.
    value: bytes | None
    path: Path


class Cursor:
    """A place in a file: reads little, skips much, knows where the file ends."""

    __slots__ = ("_file", "_size", "position")

    def __init__(self, file: BinaryIO, size: int | None) -> None:
        self._file = file
        # None: a stream that can only be read on, whose end shows itself.
        self._size = size
        self.position = file.tell() if size is not None else 0

    def read(self, length: int) -> bytes:
        """Read so many bytes, fewer only at the end of the file."""
        data = self._file.read(length)
        self.position += len(data)
        return data

    def read_value(self, length: int) -> bytes:
        """Read a value; one missing byte is forgiven, it is the padding."""
        data = self._file.read(length)
        read = len(data)
        self.position += read
        if read < length - 1:
            raise cut_short()
        return data

    def skip(self, length: int) -> None:
        """Pass over so many bytes."""
        if self._size is None:
            self._read_over(length)
            return
        if self.position + length > self._size + 1:
            raise cut_short()
        self._file.seek(length, os.SEEK_CUR)
        self.position += length

    def _read_over(self, length: int) -> None:
        left = length
        while left > 0:
            data = self._file.read(min(left, _PIECE))
            if not data:
                if left > 1:
                    raise cut_short()
                return
            left -= len(data)
            self.position += len(data)


@dataclass(slots=True)
class _Level:
    """A data set or a sequence that is being read."""

    #: Position after it; None: a delimiter ends it.
    end: int | None
    is_sequence: bool
    is_implicit: bool
    #: Of the items inside; for a sequence, of the data set around it.
    path: Path = ()
    #: A sequence's tag and number of items so far.
    tag: int = 0
    items: int = 0
    #: Written with an unknown VR, so that only known VRs are believed inside.
    is_unknown: bool = False


@dataclass(slots=True, kw_only=True)
class Scan:
    """One pass over a data set; iterate over it once.

    Notes
    -----
    Memory: one value of ``longest`` bytes and a few words for each level.

    References
    ----------
    PS3.5 sections 7.1, 7.5 and A.4; section 6.2.2 (unknown VR of a sequence).
    """

    cursor: Cursor
    is_implicit: bool
    is_little_endian: bool = True
    #: Longer values are passed over, in bytes.
    longest: int
    #: Elements deeper than this are checked but not told.
    deepest: int = 2
    limits: ScanLimits = LIMITS
    #: Whether the beginning of each sequence is told, as an element without a value.
    tells_sequences: bool = False
    #: Whether sequences and items of known length are passed over unseen: for what was scanned whole before.
    passes_sequences: bool = False
    #: Group that ends the scan where another begins; None: pixel data does.
    only_group: int | None = None
    #: Path and tag of the value at which the scan ends, the cursor there; None: no such.
    stop_at: tuple[Path, int] | None = None
    #: After a scan that ended there: its length.
    stopped: int | None = None
    #: After the scan: length of the pixel data, the cursor at its value; None where there is none.
    pixels: int | None = None
    #: Which of ``PIXEL_TAGS`` it was.
    pixel_tag: int = 0
    #: After a scan of one group: where the next one begins.
    end: int = 0
    _order: Literal["little", "big"] = field(init=False)
    _levels: list[_Level] = field(default_factory=list)
    _count: int = 0
    _top_count: int = 0

    def __post_init__(self) -> None:
        self._order = "little" if self.is_little_endian else "big"

    def __iter__(self) -> Iterator[Element]:
        """Yield the elements in their order; raises UnreadableInstance where the structure is broken."""
        levels = self._levels
        levels.append(_Level(end=None, is_sequence=False, is_implicit=self.is_implicit))
        while levels:
            level = levels[-1]
            if level.end is not None and self.cursor.position >= level.end:
                if self.cursor.position > level.end + 1:
                    raise _broken()
                levels.pop()
                continue
            element = self._next_item(level) if level.is_sequence else self._next_element(level)
            if element is not None:
                yield element

    def _next_item(self, level: _Level) -> Element | None:
        tag, length = self._item_head()
        if tag == _SEQUENCE_END:
            self._levels.pop()
            return None
        if tag != ITEM:
            raise _broken()
        path = (*level.path, (level.tag, level.items))
        level.items += 1
        if self.passes_sequences and length != UNDEFINED_LENGTH:
            self.cursor.skip(length)
            return None
        self._levels.append(
            _Level(
                end=self._end(length, level),
                is_sequence=False,
                is_implicit=level.is_implicit,
                path=path,
                is_unknown=level.is_unknown,
            )
        )
        return Element(ITEM, "", b"", path) if len(path) <= self.deepest else None

    def _item_head(self) -> tuple[int, int]:
        self._tick()
        head = self.cursor.read(8)
        if len(head) < 8:
            raise cut_short()
        group, number, length = struct.unpack("<HHI" if self.is_little_endian else ">HHI", head)
        return group << 16 | number, length

    def _next_element(self, level: _Level) -> Element | None:
        head = self.cursor.read(8)
        if len(head) < 8:
            self._finish(head)
            return None
        group, number = struct.unpack_from("<HH" if self.is_little_endian else ">HH", head)
        tag = group << 16 | number
        if self.only_group is not None and group != self.only_group and not level.path:
            self.end = self.cursor.position - len(head)
            self._levels.clear()
            return None
        if group == 0xFFFE:
            self._end_item(tag, level)
            return None
        self._tick()
        vr, length, is_implicit = self._vr_and_length(head, level)
        if not level.path:
            self._count_top()
            if tag in PIXEL_TAGS:
                self.pixels, self.pixel_tag = length, tag
                self._levels.clear()
                return None
        return self._value(tag, vr, length, is_implicit, level)

    def _value(self, tag: int, vr: str, length: int, is_implicit: bool, level: _Level) -> Element | None:
        # Most are neither: asking takes longer than looking.
        if vr in _SEQUENCE_VRS and self._is_sequence(tag, vr, length):
            if self.passes_sequences and length != UNDEFINED_LENGTH:
                self.cursor.skip(length)
                return None
            self._begin_sequence(tag, vr, length, is_implicit, level)
            is_told = self.tells_sequences and len(level.path) <= self.deepest
            return Element(tag, "SQ", b"", level.path) if is_told else None
        if self.stop_at == (level.path, tag):
            self.stopped = length
            self._levels.clear()
            return None
        if length == UNDEFINED_LENGTH:
            self.skip_fragments()
            return None
        if level.end is not None and self.cursor.position + length > level.end + 1:
            raise _broken()
        is_told = len(level.path) <= self.deepest
        if is_told and length <= self.longest:
            return Element(tag, vr, self.cursor.read_value(length), level.path)
        self.cursor.skip(length)
        return Element(tag, vr, None, level.path) if is_told else None

    def _vr_and_length(self, head: bytes, level: _Level) -> tuple[str, int, bool]:
        vr = head[4:6]
        is_named = vr in ENCODED_VR or (not level.is_unknown and b"AA" <= vr <= b"ZZ" and vr.isalpha())
        # Some writers leave the VR out inside sequences of explicit data sets.
        if level.is_implicit or not is_named:
            return "UN", int.from_bytes(head[4:8], self._order), True
        if vr not in _LONG_VRS:
            return vr.decode("ascii"), int.from_bytes(head[6:8], self._order), False
        tail = self.cursor.read(4)
        if len(tail) < 4:
            raise cut_short()
        return vr.decode("ascii"), int.from_bytes(tail, self._order), False

    def _is_sequence(self, tag: int, vr: str, length: int) -> bool:
        if vr != "UN":
            return vr == "SQ"
        try:
            return dictionary_VR(tag) == "SQ"
        except KeyError:
            # A private one: of undefined length it can be nothing else (PS3.5 section 6.2.2).
            return length == UNDEFINED_LENGTH

    def _begin_sequence(self, tag: int, vr: str, length: int, is_implicit: bool, level: _Level) -> None:
        if len(level.path) >= self.limits.depth:
            raise UnreadableInstance(
                "Its sequences are nested deeper than those of any real object: send it corrected",
                limit=self.limits.depth,
            )
        is_unknown = level.is_unknown or (vr == "UN" and not is_implicit)
        self._levels.append(
            _Level(
                end=self._end(length, level),
                is_sequence=True,
                is_implicit=level.is_implicit,
                path=level.path,
                tag=tag,
                is_unknown=is_unknown,
            )
        )

    def _end(self, length: int, level: _Level) -> int | None:
        if length == UNDEFINED_LENGTH:
            return None
        end = self.cursor.position + length
        if level.end is not None and end > level.end + 1:
            raise _broken()
        return end

    def _end_item(self, tag: int, level: _Level) -> None:
        if tag != _ITEM_END or not level.path:
            raise _broken()
        self._levels.pop()

    def skip_fragments(self) -> None:
        """Pass over an encapsulated value up to its delimiter; that alone may be missing at the end."""
        while True:
            self._tick()
            head = self.cursor.read(8)
            if len(head) < 8:
                if self._levels:
                    raise cut_short()
                return
            group, number, length = struct.unpack("<HHI" if self.is_little_endian else ">HHI", head)
            if group << 16 | number == _SEQUENCE_END:
                return
            if group << 16 | number != ITEM:
                if self._levels:
                    raise _broken()
                return
            self.cursor.skip(length)

    def _finish(self, head: bytes) -> None:
        # Less than an element's tag and length is left: a cut, unless a device padded the file.
        if len(self._levels) > 1 or head.strip(b"\0"):
            raise cut_short()
        self.end = self.cursor.position
        self._levels.clear()

    def _tick(self) -> None:
        self._count += 1
        if self._count > self.limits.elements:
            raise _too_many(self.limits.elements)

    def _count_top(self) -> None:
        self._top_count += 1
        if self._top_count > self.limits.top_elements:
            raise _too_many(self.limits.top_elements)


def cut_short() -> UnreadableInstance:
    """Return the error of a file that ends too early."""
    return UnreadableInstance("The file ends inside an element: send it again")


def _broken() -> UnreadableInstance:
    return UnreadableInstance("The structure of the data set is broken: send it corrected")


def _too_many(limit: int) -> UnreadableInstance:
    return UnreadableInstance("The data set has more elements than any real object", limit=limit)
