"""Are two files the same object in different transfer syntaxes?

In: two DICOM files of one SOP Instance UID.  Out: yes only where every value and every pixel is equal.
Never: a guess: what cannot be read or compared is not the same.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from pydicom.datadict import dictionary_has_tag, dictionary_VR

from wetread.dicom.header import read_instance
from wetread.dicom.part10 import open_data_set
from wetread.dicom.scan import Element, Scan
from wetread.dicom.values import Encoding, plain_value
from wetread.errors import InputError, UnreadableInstance
from wetread.imaging.pixels import PixelError, read_frames

#: What an encoder may change without changing the image (PS3.5 8.2, PS3.3 C.7.6.3): Planar
#: Configuration, Specific Character Set.
_OF_THE_ENCODING = frozenset({0x00280006, 0x00080005})
_LONGEST_VALUE_BYTES = 16 << 20
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
        if _digest_header(one) != _digest_header(other):
            return False
        if not all("Rows" in instance.header for instance in (first, second)):
            return True
        return bool(np.array_equal(read_frames(first), read_frames(second)))
    except (InputError, PixelError, OSError):
        return False


def _digest_header(path: Path) -> bytes:
    """Return a digest of all public values, whatever they are encoded in."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        source = open_data_set(file)
        scan = Scan(
            cursor=source.cursor,
            is_implicit=source.is_implicit,
            is_little_endian=source.is_little_endian,
            longest=_LONGEST_VALUE_BYTES,
            deepest=255,
        )
        encoding = Encoding(is_little_endian=source.is_little_endian)
        for element in scan:
            tags = [*(tag for tag, _ in element.path), element.tag]
            if _OF_THE_ENCODING.isdisjoint(tags) and not any(_is_private_or_length(tag) for tag in tags):
                digest.update(repr((element.path, element.tag, _comparable(element, encoding))).encode())
    return digest.digest()


def _is_private_or_length(tag: int) -> bool:
    return bool(tag >> 16 & 1) or tag & 0xFFFF == 0


def _comparable(element: Element, encoding: Encoding) -> object:
    if element.value is None:
        raise UnreadableInstance("A value is too long to be compared")
    # The dictionary's, which both encodings share: implicit files name none.
    vr = dictionary_VR(element.tag) if dictionary_has_tag(element.tag) else element.vr
    plain = plain_value(vr, element.value, encoding)
    return element.value.rstrip(b"\0 ") if plain is None else plain
