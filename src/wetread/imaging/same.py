"""Are two files the same object in different transfer syntaxes?

In: two DICOM files of one SOP Instance UID.  Out: yes only where every value and every pixel is equal.
Never: a guess: what cannot be read or compared is not the same.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread

from wetread.dicom.header import read_instance
from wetread.errors import InputError
from wetread.imaging.pixels import PixelError, read_frames

#: What an encoder may change without changing the image (PS3.5 8.2, PS3.3 C.7.6.3).
_OF_THE_ENCODING = ("PixelData", "PlanarConfiguration", "SpecificCharacterSet")
#: Compared by value in memory: more is not looked at.
_LARGEST_BYTES = 1 << 30


def is_same_object(one: Path, other: Path) -> bool:
    """Tell whether two files differ in their transfer syntax alone."""
    if max(one.stat().st_size, other.stat().st_size) > _LARGEST_BYTES:
        return False
    try:
        first, second = read_instance(one), read_instance(other)
        if first.transfer_syntax_uid == second.transfer_syntax_uid:
            return False
        headers = [_header(path) for path in (one, other)]
        if headers[0] != headers[1]:
            return False
        if not all("Rows" in header for header in headers):
            return True
        return bool(np.array_equal(read_frames(first), read_frames(second)))
    except (InputError, PixelError, OSError, ValueError, NotImplementedError):
        return False


def _header(path: Path) -> Dataset:
    header = dcmread(path, stop_before_pixels=True, force=True)
    for keyword in _OF_THE_ENCODING:
        if keyword in header:
            del header[keyword]
    header.remove_private_tags()
    return Dataset({tag: header[tag] for tag in header.keys()})  # noqa: SIM118 - a data set iterates over elements
