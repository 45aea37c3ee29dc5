"""One long value of an object, by the place that its metadata names.

In: an open DICOM file, a place such as ``00081032/1/00091002``.  Out: the value's bytes, piece by piece.
Never: the whole value in memory; a place believed that no metadata of ours would name.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

from wetread.dicom.part10 import open_data_set
from wetread.dicom.scan import LIMITS, PIXEL_TAGS, UNDEFINED_LENGTH, Cursor, Path, Scan, cut_short
from wetread.errors import NotHeld

_PIECE = 1 << 20
_PLACE = re.compile(r"(?:[0-9A-Fa-f]{8}/[0-9]{1,6}/)*[0-9A-Fa-f]{8}")
_ITEM, _END = 0xFFFEE000, 0xFFFEE0DD


def iter_value(file: BinaryIO, place: str) -> Iterator[bytes]:
    """Yield the bytes of a value as they are stored; of encapsulated pixel data its fragments.

    Raises
    ------
    NotHeld
        If the object has no such value.
    UnreadableInstance
        If the file is broken.
    """
    path, tag = _read_place(place)
    source = open_data_set(file)
    scan = Scan(
        cursor=source.cursor,
        is_implicit=source.is_implicit,
        is_little_endian=source.is_little_endian,
        longest=0,
        deepest=LIMITS.depth,
        stop_at=(path, tag),
    )
    for _ in scan:
        pass
    is_pixels = not path and tag in PIXEL_TAGS and scan.pixel_tag == tag
    length = scan.pixels if is_pixels else scan.stopped
    if length is None:
        raise NotHeld("The object has no such value.")
    if length == UNDEFINED_LENGTH:
        yield from _iter_fragments(source.cursor, is_little_endian=source.is_little_endian)
    else:
        yield from _iter_pieces(source.cursor, length)


def _read_place(place: str) -> tuple[Path, int]:
    if len(place) > 16 * LIMITS.depth or not _PLACE.fullmatch(place):
        raise NotHeld("The object has no such value.")
    *inside, tag = place.split("/")
    steps = zip(inside[::2], inside[1::2], strict=True)
    return tuple((int(sequence, 16), int(number) - 1) for sequence, number in steps), int(tag, 16)


def _iter_pieces(cursor: Cursor, length: int) -> Iterator[bytes]:
    left = length
    while left > 0:
        piece = cursor.read(min(left, _PIECE))
        if not piece:
            raise cut_short()
        left -= len(piece)
        yield piece


def _iter_fragments(cursor: Cursor, *, is_little_endian: bool) -> Iterator[bytes]:
    form = struct.Struct("<HHI" if is_little_endian else ">HHI")
    is_table = True
    while len(head := cursor.read(form.size)) == form.size:
        group, number, length = form.unpack(head)
        if group << 16 | number != _ITEM:
            return
        if is_table:
            # The first item is the offset table (PS3.5 A.4).
            cursor.skip(length)
            is_table = False
        else:
            yield from _iter_pieces(cursor, length)
