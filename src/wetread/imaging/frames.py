"""Single frames of an object, as they are stored or decoded.

In: an open Part 10 file, numbers of frames.  Out: their bytes, one frame after the other.
Never: more than one frame in memory; a decoder in this process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from wetread.dicom.part10 import EXPLICIT
from wetread.dicom.scan import cut_short
from wetread.errors import NoSuchFrame
from wetread.imaging.colour import ybr_to_rgb
from wetread.imaging.decoder import DECODERS, Decoded, DecoderPool
from wetread.imaging.fragments import Fragments
from wetread.imaging.layout import PixelBytes, PixelLayout, read_layout

#: JPEG Baseline and Extended.
_LOSSY_JPEG = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame."""

    #: From 1.
    number: int
    data: bytes
    #: How ``data`` is written: Explicit VR Little Endian for everything that is not compressed.
    transfer_syntax_uid: str
    #: Photometric Interpretation of ``data``: decoding may change it.
    photometric: str


def iter_frames(
    file: BinaryIO,
    numbers: Sequence[int] | None,
    *,
    is_decoded: bool = False,
    layout: PixelLayout | None = None,
    decoders: DecoderPool = DECODERS,
) -> Iterator[Frame]:
    """Yield the stored bytes of frames, in the order of ``numbers``; None: of all.

    Parameters
    ----------
    file
        Seekable.
    is_decoded
        Whether what is compressed is decoded: little endian, colours by pixel; see ``Frame.photometric``.
    layout
        Of this object, where it is known already.

    Raises
    ------
    NoSuchFrame
        If one does not exist, before the first is yielded; ``facts["frames"]`` says how many there are.
    NoPixels
        If the object has no pixel data.
    UnreadableInstance
        If its structure is broken, or it is cut short.
    UndecodablePixels
        If a frame cannot be decoded.

    Notes
    -----
    Frames of one bit a pixel may begin inside of a byte; they are handed out from their own first bit, the
    last byte filled up with zeros. Big endian words are turned around.

    References
    ----------
    PS3.5 sections 8.1 and 8.2, annex A.4; PS3.18 section 10.4.1.1.6.
    """
    layout = layout or read_layout(file)
    wanted = range(1, layout.frames + 1) if numbers is None else numbers
    for number in wanted if numbers is not None else ():
        if not 1 <= number <= layout.frames:
            raise NoSuchFrame(number=number, frames=layout.frames)
    pixels = PixelBytes(file, layout)
    fragments = Fragments(pixels) if layout.is_encapsulated else None
    if fragments is None and numbers is None:
        _require_all(layout)
    for number in wanted:
        data = read_native(pixels, number) if fragments is None else fragments.read_frame(number)
        if layout.is_compressed and is_decoded:
            yield _decoded(number, decoders.decode(layout, data), layout)
        else:
            syntax = layout.transfer_syntax_uid if layout.is_compressed else EXPLICIT
            yield Frame(number=number, data=data, transfer_syntax_uid=syntax, photometric=layout.photometric)


def _decoded(number: int, decoded: Decoded, layout: PixelLayout) -> Frame:
    data, photometric = decoded.data, decoded.photometric
    if layout.transfer_syntax_uid in _LOSSY_JPEG and photometric == "YBR_FULL":
        # These colours were made by the compression: nobody else stores them at full size.
        pixels = np.frombuffer(data, np.uint8).reshape(layout.rows, layout.columns, 3)
        data, photometric = ybr_to_rgb(pixels).tobytes(), "RGB"
    return Frame(number=number, data=data, transfer_syntax_uid=EXPLICIT, photometric=photometric)


def read_native(pixels: PixelBytes, number: int) -> bytes:
    """Return a frame of native pixel data, little endian.

    Raises
    ------
    UnreadableInstance
        If it is cut short.
    """
    layout = pixels.layout
    bits, word = layout.frame_bits, layout.swapped_bytes
    begin, end = (number - 1) * bits, number * bits
    first, last = begin // 8, -(-end // 8)
    # Words are turned around whole, wherever in them the frame begins.
    low = first - first % word
    high = min(last + -last % word, layout.length)
    if last > layout.length + 1:
        raise cut_short()
    data = pixels.read(low, high - low)
    if len(data) < min(last, layout.length) - low:
        raise cut_short()
    if word > 1:
        data = _turn_around(data, word)
    if begin % 8 or end % 8:
        return _repack(data, begin - 8 * low, bits)
    return data if (low, high) == (first, last) else data[first - low : last - low]


def _require_all(layout: PixelLayout) -> None:
    if -(-layout.frames * layout.frame_bits // 8) > layout.length + 1:
        raise cut_short()


def _turn_around(data: bytes, word: int) -> bytes:
    padded = data + bytes(-len(data) % word)
    return np.frombuffer(padded, dtype=f">u{word}").byteswap().tobytes()


def _repack(data: bytes, begin: int, bits: int) -> bytes:
    """Return so many bits from ``begin`` on, the least significant bit of a byte first (PS3.5 8.1.1)."""
    unpacked = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    return np.packbits(unpacked[begin : begin + bits], bitorder="little").tobytes()
