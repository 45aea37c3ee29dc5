"""The frames of encapsulated pixel data.

In: fragments, offset tables that may lie.  Out: the stored bytes of one frame.
Never: a frame put together by a guess; more read than the tables and that frame, where there are tables.

References
----------
PS3.5 annex A.4; PS3.3 C.7.6.3.1.8 (Extended Offset Table).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from wetread.dicom.scan import ITEM, cut_short
from wetread.errors import UnreadableInstance
from wetread.imaging.layout import PixelBytes

_END = 0xFFFEE0DD
_HEAD = struct.Struct("<HHI")
_MOST_FRAGMENTS = 1_000_000
#: How the code streams of JPEG and JPEG-LS, JPEG 2000, and JPEG 2000 in a file begin.
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")

#: Place of a fragment in the pixel data, and its length.
_Fragment = tuple[int, int]


@dataclass(slots=True)
class Fragments:
    """The pixel data of one object; tables and fragments are looked at once."""

    pixels: PixelBytes
    #: Place of the first fragment.
    _start: int = 0
    #: Of each frame, counted from there; None: no table, or none that can be believed.
    _offsets: tuple[int, ...] | None = None
    _frames: list[list[_Fragment]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read the offset tables.

        Raises
        ------
        UnreadableInstance
            If the pixel data does not begin as it has to.
        """
        tag, length = self._head(0)
        if tag != ITEM:
            raise _broken()
        self._start = _HEAD.size + length
        layout = self.pixels.layout
        if layout.extended_offsets:
            self._offsets = _believed(layout.extended_offsets, "Q", layout.frames)
        if self._offsets is None and length == 4 * layout.frames:
            self._offsets = _believed(self.pixels.read(_HEAD.size, length), "I", layout.frames)

    def read_frame(self, number: int) -> bytes:
        """Return the stored bytes of a frame, counted from 1.

        Raises
        ------
        UnreadableInstance
            If the fragments do not tell where it lies, or it is cut short.
        """
        return b"".join(self._read(fragment) for fragment in self._fragments_of(number))

    def _fragments_of(self, number: int) -> list[_Fragment]:
        if self._offsets is not None and self.pixels.layout.frames > 1:
            begin = self._start + self._offsets[number - 1]
            is_last = number == len(self._offsets)
            end = None if is_last else self._start + self._offsets[number]
            return list(self._walk(begin, end))
        if not self._frames:
            self._frames = self._gather(list(self._walk(self._start, None)))
        return self._frames[number - 1]

    def _gather(self, fragments: list[_Fragment]) -> list[list[_Fragment]]:
        """Return the fragments of each frame where no table tells."""
        count = self.pixels.layout.frames
        if count == 1:
            return [fragments]
        if len(fragments) == count:
            return [[one] for one in fragments]
        frames: list[list[_Fragment]] = []
        for one in fragments:
            if self.pixels.read(one[0], 8).startswith(_STARTS):
                frames.append([])
            if frames:
                frames[-1].append(one)
        if len(frames) != count:
            raise UnreadableInstance(
                "The compressed pixel data does not hold the frames that its header counts: send it again",
                fragments=len(fragments),
                frames=count,
            )
        return frames

    def _walk(self, place: int, end: int | None) -> Iterator[_Fragment]:
        for _ in range(_MOST_FRAGMENTS):
            if end is not None and place >= end:
                return
            tag, length = self._head(place)
            if tag == _END:
                return
            if tag != ITEM:
                raise _broken()
            yield place + _HEAD.size, length
            place += _HEAD.size + length
        raise _broken()

    def _head(self, place: int) -> tuple[int, int]:
        head = self.pixels.read(place, _HEAD.size)
        if not head:
            # The delimiter alone may be missing at the end of the file.
            return _END, 0
        if len(head) < _HEAD.size:
            raise cut_short()
        group, number, length = _HEAD.unpack(head)
        return group << 16 | number, length

    def _read(self, fragment: _Fragment) -> bytes:
        place, length = fragment
        data = self.pixels.read(place, length)
        if len(data) < length - 1:
            raise cut_short()
        return data


def _believed(table: bytes, code: str, frames: int) -> tuple[int, ...] | None:
    """Return the offsets of a table that begins at 0 and grows, one a frame; None for any other."""
    form = struct.Struct(f"<{code}")
    if len(table) != form.size * frames:
        return None
    offsets = tuple(one for (one,) in form.iter_unpack(table))
    is_growing = all(a < b for a, b in pairwise(offsets))
    return offsets if offsets[0] == 0 and is_growing else None


def _broken() -> UnreadableInstance:
    return UnreadableInstance("The structure of the compressed pixel data is broken: send it again")
