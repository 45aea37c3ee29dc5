"""Elements of any encoding, written in Explicit VR Little Endian.

In: the elements of a scan that tells all depths and sequences.  Out: their bytes, piece by piece.
Never: pixel data; group lengths; a value turned around whose VR does not say how.

References
----------
PS3.5 sections 7.1.2, 7.3, 7.5, annex A.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from pydicom.datadict import dictionary_VR
from pydicom.filereader import ENCODED_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from wetread.dicom.scan import ITEM, UNDEFINED_LENGTH, Element, Path
from wetread.errors import UnreadableInstance

_ITEM_END, _SEQUENCE_END = 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_REPRESENTATION = 0x00280103
_LONG_VRS = frozenset(str(vr) for vr in EXPLICIT_VR_LENGTH_32)
_KNOWN_VRS = frozenset(vr.decode() for vr in ENCODED_VR)
_LONGEST_SHORT = 0xFFFE
#: Bytes of the words of a value by VR; the others are texts or bytes.
_WORD_BYTES = {
    **dict.fromkeys(("US", "SS", "OW", "AT"), 2),
    **dict.fromkeys(("UL", "SL", "FL", "OL", "OF"), 4),
    **dict.fromkeys(("FD", "OD", "UV", "SV", "OV"), 8),
}
#: VRs of the dictionary that are settled elsewhere in a data set.
_SETTLED = {"OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW", "NONE": "UN"}
_ZERO_PADDED = frozenset({"UI", "OB", "UN"})
_PIECE = 1 << 16

#: Tag -> VR and value.
Elements = Mapping[int, tuple[str, bytes]]


@dataclass(slots=True, kw_only=True)
class ExplicitWriter:
    """Writes one data set up to its pixels; use it once."""

    is_little_endian: bool
    #: Stand in for those of the top level.
    replaced: Elements = field(default_factory=dict)
    #: Of the top level, where the data set does not have them.
    added: Elements = field(default_factory=dict)
    #: Of the top level, with everything inside.
    left_out: frozenset[int] = frozenset()
    #: What is open: an item by its path, a sequence by that around it and its tag.
    _open: list[tuple[Path, int]] = field(default_factory=list)
    _pending: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    _is_signed: bool = False

    def write(self, elements: Iterable[Element]) -> Iterator[bytes]:
        """Yield the data set.

        Raises
        ------
        UnreadableInstance
            If a value is longer than is taken into memory.
        """
        self._pending = {**self.added, **self.replaced}
        piece = bytearray()
        for element in elements:
            if not self._is_left_out(element):
                piece += self._write(element)
            if len(piece) >= _PIECE:
                yield bytes(piece)
                piece.clear()
        piece += self._close_to(None)
        piece += self._write_pending(UNDEFINED_LENGTH)
        yield bytes(piece)

    def _write(self, element: Element) -> bytes:
        if element.tag == ITEM:
            path = element.path
            head = self._close_to((path[:-1], path[-1][0]))
            self._open.append((path, ITEM))
            return head + struct.pack("<HHI", ITEM >> 16, ITEM & 0xFFFF, UNDEFINED_LENGTH)
        head = self._close_to((element.path, ITEM) if element.path else None)
        if not element.path:
            head += self._write_pending(element.tag)
            if element.tag in self.replaced:
                return head
        if element.vr == "SQ":
            self._open.append((element.path, element.tag))
            return head + _head(element.tag, "SQ", UNDEFINED_LENGTH)
        if element.value is None:
            raise UnreadableInstance("A value of the object is too long to be written anew")
        return head + self._encode(element, element.value)

    def _is_left_out(self, element: Element) -> bool:
        top = element.path[0][0] if element.path else element.tag
        is_bookkeeping = element.tag & 0xFFFF == 0 and element.tag != ITEM
        return top in self.left_out or is_bookkeeping or top >> 16 in (0x0000, 0x0002)

    def _close_to(self, target: tuple[Path, int] | None) -> bytes:
        """Write the delimiters of what is open inside of ``target``; None: of everything."""
        closed = bytearray()
        while self._open and self._open[-1] != target:
            _, tag = self._open.pop()
            end = _ITEM_END if tag == ITEM else _SEQUENCE_END
            closed += struct.pack("<HHI", end >> 16, end & 0xFFFF, 0)
        return bytes(closed)

    def _write_pending(self, tag: int) -> bytes:
        """Write what goes before or in the place of ``tag``."""
        due = sorted(one for one in self._pending if one <= tag)
        written = bytearray()
        for one in due:
            vr, value = self._pending.pop(one)
            # The data set has one itself.
            if one != tag or one in self.replaced:
                written += write_element(one, vr, value)
        return bytes(written)

    def _encode(self, element: Element, value: bytes) -> bytes:
        vr = element.vr
        if not self.is_little_endian:
            value = turn_around(value, _WORD_BYTES.get(vr, 1))
        if vr == "UN" or vr not in _KNOWN_VRS:
            vr = self._look_up(element.tag)
        if element.tag == _PIXEL_REPRESENTATION and not element.path:
            self._is_signed = any(value)
        return write_element(element.tag, vr, value)

    def _look_up(self, tag: int) -> str:
        if tag >> 16 & 1:
            is_creator = 0x10 <= tag & 0xFFFF <= 0xFF
            return "LO" if is_creator else "UN"
        try:
            vr = dictionary_VR(tag)
        except KeyError:
            return "UN"
        if vr == "US or SS":
            return "SS" if self._is_signed else "US"
        # A sequence that was not told as one is bytes by now.
        return _SETTLED.get(vr, "UN" if vr == "SQ" else vr)


def write_element(tag: int, vr: str, value: bytes) -> bytes:
    """Return an element; a value that is too long for its VR becomes one of VR UN (PS3.5 6.2.2)."""
    if len(value) % 2:
        value += b"\0" if vr in _ZERO_PADDED or vr in _WORD_BYTES else b" "
    if vr not in _LONG_VRS and len(value) > _LONGEST_SHORT:
        vr = "UN"
    return _head(tag, vr, len(value)) + value


def turn_around(value: bytes, word_bytes: int) -> bytes:
    """Return big endian words as little endian ones; what is left at the end stays."""
    whole = len(value) - len(value) % word_bytes
    if word_bytes == 1 or not whole:
        return value
    return np.frombuffer(value[:whole], f">u{word_bytes}").byteswap().tobytes() + value[whole:]


def _head(tag: int, vr: str, length: int) -> bytes:
    group, number = tag >> 16, tag & 0xFFFF
    if vr in _LONG_VRS:
        return struct.pack("<HH2sHI", group, number, vr.encode("ascii"), 0, length)
    return struct.pack("<HH2sH", group, number, vr.encode("ascii"), length)
