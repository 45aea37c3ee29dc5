"""A whole object in Explicit VR Little Endian.

In: an open Part 10 file in any transfer syntax.  Out: the same object, piece by piece.
Never: compression; more than one frame in memory; an attribute changed that decoding does not change.

References
----------
PS3.10 section 7.1; PS3.5 annex A; PS3.3 C.7.6.3.1.2 (photometric interpretation after decompression).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

from wetread.dicom.part10 import EXPLICIT, TRANSFER_SYNTAX, DataSetFile, open_data_set
from wetread.dicom.scan import LIMITS, Cursor, Scan, cut_short
from wetread.errors import NoPixels, UndecodablePixels
from wetread.imaging.decoder import DECODERS, DecoderPool
from wetread.imaging.explicit import Elements, ExplicitWriter, turn_around, write_element
from wetread.imaging.frames import Frame, iter_frames
from wetread.imaging.layout import PixelBytes, PixelLayout, read_layout

_PIECE = 1 << 20
_DEFLATED = "1.2.840.10008.1.2.1.99"
#: Of a value that is no pixel data.
_LONGEST_BYTES = 256 << 20
_LONGEST_PIXELS = 0xFFFFFFFE
_META_LENGTH, _META_VERSION, _META_CLASS, _META_INSTANCE = 0x00020000, 0x00020001, 0x00020002, 0x00020003
_META_IMPLEMENTATION = 0x00020012
_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_PHOTOMETRIC, _PLANAR, _LOSSY = 0x00280004, 0x00280006, 0x00282110
#: A preview that may be compressed itself, and tables about fragments.
_OF_COMPRESSION = frozenset({0x00880200, 0x7FE00001, 0x7FE00002})
#: JPEG Baseline and Extended, JPEG-LS near-lossless: never without loss.
_ALWAYS_LOSSY = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 81))
#: Names this implementation where a file names none.
_IMPLEMENTATION_CLASS_UID = b"2.25.279426617338126514617337128904517716337"


def to_explicit_little_endian(file: BinaryIO, *, decoders: DecoderPool = DECODERS) -> Iterator[bytes]:
    """Yield an object in Explicit VR Little Endian, as a Part 10 file.

    Parameters
    ----------
    file
        Seekable; open until the last piece is taken.

    Raises
    ------
    UnreadableInstance
        If its structure is broken, it is cut short, or a value is too long to be written anew.
    UndecodablePixels
        If its pixels cannot be decoded: for the first frame before anything is yielded.

    Notes
    -----
    What was compressed gets its colours by pixel; colours of lossy JPEG become RGB. Left out: group lengths,
    a compressed object's icon and offset tables, and what stands behind pixels that are written anew:
    padding, and signatures, which no longer hold.
    """
    meta = _encode_meta(file)
    file.seek(0)
    source = open_data_set(file)
    if source.transfer_syntax_uid in (EXPLICIT, _DEFLATED) and not source.is_implicit:
        yield meta
        yield from _iter_rest(source.cursor)
        return
    yield from _write_anew(file, meta, decoders)


@dataclass(frozen=True, slots=True)
class _Pixels:
    """Pixel data as it will be written."""

    layout: PixelLayout
    length: int
    #: After decoding.
    photometric: str
    pieces: Iterator[bytes]


def _write_anew(file: BinaryIO, meta: bytes, decoders: DecoderPool) -> Iterator[bytes]:
    try:
        layout = read_layout(file)
    except NoPixels:
        pixels = None
    else:
        pixels = _prepare(file, layout, decoders)
    file.seek(0)
    source = open_data_set(file)
    scan = Scan(
        cursor=source.cursor,
        is_implicit=source.is_implicit,
        is_little_endian=source.is_little_endian,
        longest=_LONGEST_BYTES,
        deepest=LIMITS.depth,
        tells_sequences=True,
    )
    yield meta
    yield from _writer(source, pixels).write(scan)
    if pixels is not None:
        yield _pixel_head(pixels)
        yield from pixels.pieces
        yield bytes(pixels.length % 2)


def _writer(source: DataSetFile, pixels: _Pixels | None) -> ExplicitWriter:
    if pixels is None or not pixels.layout.is_encapsulated:
        return ExplicitWriter(is_little_endian=source.is_little_endian)
    replaced: dict[int, tuple[str, bytes]] = {_PHOTOMETRIC: ("CS", pixels.photometric.encode("ascii"))}
    if pixels.layout.samples > 1:
        replaced[_PLANAR] = ("US", bytes(2))
    is_lossy = pixels.layout.transfer_syntax_uid in _ALWAYS_LOSSY
    added: Elements = {_LOSSY: ("CS", b"01")} if is_lossy else {}
    return ExplicitWriter(
        is_little_endian=source.is_little_endian, replaced=replaced, added=added, left_out=_OF_COMPRESSION
    )


def _prepare(file: BinaryIO, layout: PixelLayout, decoders: DecoderPool) -> _Pixels:
    if not layout.is_encapsulated:
        return _Pixels(layout, layout.length, layout.photometric, _iter_native(PixelBytes(file, layout)))
    size = layout.decoded_bytes
    if size * layout.frames > _LONGEST_PIXELS or layout.bits_allocated == 1:
        raise UndecodablePixels("The decoded pixels do not fit one object: ask for it as it is stored.")
    frames = iter_frames(file, None, is_decoded=True, layout=layout, decoders=decoders)
    first = next(frames)
    pieces = _iter_decoded(chain([first], frames), first.photometric, size)
    return _Pixels(layout, size * layout.frames, first.photometric, pieces)


def _iter_decoded(frames: Iterator[Frame], photometric: str, size: int) -> Iterator[bytes]:
    for frame in frames:
        if frame.photometric != photometric or len(frame.data) < size:
            raise UndecodablePixels("The frames of the object differ in their colours or size.")
        yield frame.data[:size]


def _iter_native(pixels: PixelBytes) -> Iterator[bytes]:
    """Yield native pixel data as it is, whatever its header says of it."""
    length = pixels.layout.length
    for place in range(0, length, _PIECE):
        wanted = min(_PIECE, length - place)
        data = pixels.read(place, wanted)
        if len(data) < wanted:
            # The padding alone may be missing.
            if place + len(data) < length - 1:
                raise cut_short()
            data += bytes(wanted - len(data))
        yield turn_around(data, pixels.layout.swapped_bytes)


def _pixel_head(pixels: _Pixels) -> bytes:
    layout = pixels.layout
    vr = {0x7FE00008: b"OF", 0x7FE00009: b"OD"}.get(
        layout.tag, b"OB" if layout.bits_allocated <= 8 else b"OW"
    )
    length = pixels.length + pixels.length % 2
    return struct.pack("<HH2sHI", layout.tag >> 16, layout.tag & 0xFFFF, vr, 0, length)


def _iter_rest(cursor: Cursor) -> Iterator[bytes]:
    while piece := cursor.read(_PIECE):
        yield piece


def _encode_meta(file: BinaryIO) -> bytes:
    """Return preamble, prefix and File Meta Information as they are, but for the transfer syntax.

    The preamble is not kept: it may be the head of a file of another kind (PS3.10 7.1).
    """
    elements = _read_meta(file)
    if not {_META_CLASS, _META_INSTANCE} <= elements.keys():
        elements = {**_read_uids(file), **elements}
    elements.setdefault(_META_VERSION, ("OB", b"\0\1"))
    elements.setdefault(_META_IMPLEMENTATION, ("UI", _IMPLEMENTATION_CLASS_UID))
    elements[TRANSFER_SYNTAX] = ("UI", EXPLICIT.encode("ascii"))
    body = b"".join(write_element(tag, vr, value) for tag, (vr, value) in sorted(elements.items()))
    length = write_element(_META_LENGTH, "UL", struct.pack("<I", len(body)))
    return bytes(128) + b"DICM" + length + body


def _read_meta(file: BinaryIO) -> dict[int, tuple[str, bytes]]:
    file.seek(0)
    if file.read(132)[128:] != b"DICM":
        file.seek(0)
    scan = Scan(cursor=_cursor(file), is_implicit=False, longest=_PIECE, only_group=2)
    return {
        element.tag: (element.vr, element.value)
        for element in scan
        if element.value is not None and not element.path and element.tag != _META_LENGTH
    }


def _read_uids(file: BinaryIO) -> dict[int, tuple[str, bytes]]:
    """Return what a meta header says of the data set, out of the data set."""
    file.seek(0)
    source = open_data_set(file)
    scan = Scan(
        cursor=source.cursor,
        is_implicit=source.is_implicit,
        is_little_endian=source.is_little_endian,
        longest=128,
        deepest=0,
    )
    found: dict[int, tuple[str, bytes]] = {}
    for element in scan:
        if element.tag > _SOP_INSTANCE:
            break
        tag = {_SOP_CLASS: _META_CLASS, _SOP_INSTANCE: _META_INSTANCE}.get(element.tag)
        if tag is not None and element.value:
            found[tag] = ("UI", element.value)
    return found


def _cursor(file: BinaryIO) -> Cursor:
    start = file.tell()
    size = file.seek(0, 2)
    file.seek(start)
    return Cursor(file, size)
