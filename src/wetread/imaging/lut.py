"""Lookup tables of DICOM: modality, VOI, palette.

In: descriptor and data as they are stored.  Out: ``Lut``.
Never: a table that is shorter than it says filled up with a guess; more entries than it says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wetread.errors import UndecodablePixels

Array = npt.NDArray[Any]

_MOST_ENTRIES = 1 << 16
_DISCRETE, _LINEAR = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Lut:
    """A lookup table; values outside of it are its first or last entry."""

    #: The value that the first entry is for.
    first: int
    #: Largest number an entry may be.
    largest: int
    entries: Array

    def look_up(self, values: Array) -> Array:
        """Return the entries of values."""
        index = np.clip(values - self.first, 0, len(self.entries) - 1)
        found: Array = self.entries[index.astype(np.int32)]
        return found


def make_lut(
    descriptor: bytes, data: bytes, *, is_little_endian: bool, is_signed: bool, is_segmented: bool = False
) -> Lut:
    """Make a table of LUT Descriptor and LUT Data.

    Parameters
    ----------
    is_signed
        Whether the first value is one with a sign.
    is_segmented
        Whether the data is a Segmented Palette Color Lookup Table.

    Raises
    ------
    UndecodablePixels
        If it is shorter than it says, or is none.

    References
    ----------
    PS3.3 C.11.1.1, C.7.6.3.1.5, C.7.9.2.
    """
    order = "<" if is_little_endian else ">"
    if len(descriptor) != 6:
        raise UndecodablePixels("A lookup table of the object has no proper descriptor: send it corrected")
    count, first, bits = (int(one) for one in np.frombuffer(descriptor, f"{order}u2"))
    count = count or _MOST_ENTRIES
    if is_signed and first >= 1 << 15:
        first -= 1 << 16
    if not 1 <= bits <= 16:
        raise UndecodablePixels("A lookup table of the object has no proper descriptor: send it corrected")
    entries = _expand(data, count, bits, order) if is_segmented else _plain(data, count, order)
    if len(entries) < count:
        raise UndecodablePixels("A lookup table of the object is shorter than it says: send it corrected")
    entries = entries[:count]
    # Some writers say 16 bits of entries that have eight.
    largest = (1 << bits) - 1
    return Lut(first=first, largest=255 if bits > 8 and entries.max() < 256 else largest, entries=entries)


def _plain(data: bytes, count: int, order: str) -> Array:
    if len(data) >= 2 * count:
        return np.frombuffer(data[: 2 * count], f"{order}u2").astype(np.uint16)
    # Entries of eight bits, two in a word.
    if order == ">" and len(data) % 2 == 0:
        data = np.frombuffer(data, ">u2").byteswap().tobytes()
    return np.frombuffer(data[:count], np.uint8).astype(np.uint16)


def _expand(data: bytes, count: int, bits: int, order: str) -> Array:
    """Return the entries of a segmented table (PS3.3 C.7.9.2); none that need indirect segments."""
    numbers = np.frombuffer(data[: len(data) // 2 * 2], f"{order}u2" if bits > 8 else "u1").astype(np.int64)
    entries: list[Array] = []
    size, at = 0, 0
    while size < count and at + 2 < len(numbers):
        kind, length = int(numbers[at]), int(numbers[at + 1])
        if kind == _DISCRETE:
            piece, at = numbers[at + 2 : at + 2 + length], at + 2 + length
        elif kind == _LINEAR and entries:
            start, stop = int(entries[-1][-1]), int(numbers[at + 2])
            piece, at = np.linspace(start, stop, length + 1)[1:].round().astype(np.int64), at + 3
        else:
            break
        if not len(piece):
            break
        entries.append(piece)
        size += len(piece)
    return np.concatenate(entries).astype(np.uint16) if entries else np.empty(0, np.uint16)
