"""The size that a compressed image says it has, before a decoder believes it.

In: the first bytes of a JPEG, JPEG-LS or JPEG 2000 stream.  Out: (rows, columns), a frame header, None.
Never: decoding; a decoder allocates what the stream asks for, so that a small file could ask for much.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

# ITU-T T.81 table B.1: start of frame, without DHT, JPG, DAC; T.87: SOF55 of JPEG-LS
_START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_JPEG, _JPEG_2000, _JP2_BOX = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "


def find_size(data: bytes) -> tuple[int, int] | None:
    """Return (rows, columns) of a code stream; None where its beginning does not say.

    References
    ----------
    ITU-T T.81 B.2.2 (frame header), T.87 C.2.2, T.800 A.5.1 (SIZ).
    """
    if data.startswith(_JP2_BOX):
        start = data.find(_JPEG_2000, 0, 4096)
        data = data[start:] if start >= 0 else b""
    if data.startswith(_JPEG_2000):
        return _jpeg_2000_size(data)
    return _jpeg_size(data) if data.startswith(_JPEG) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the frame header of a JPEG or JPEG-LS image says."""

    #: Start of frame, the second byte: 0xC0 baseline, 0xC1 extended, 0xC3 lossless, 0xF7 JPEG-LS.
    marker: int
    bits: int
    rows: int
    columns: int
    components: int


def read_frame_header(data: bytes) -> Frame | None:
    """Return the frame header of a JPEG or JPEG-LS image; None where its beginning has none."""
    return _jpeg_frame(data) if data.startswith(_JPEG) else None


def _jpeg_2000_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 24:
        return None
    right, bottom, left, top = struct.unpack(">4I", data[8:24])
    return bottom - top, right - left


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    frame = _jpeg_frame(data)
    return (frame.rows, frame.columns) if frame else None


def _jpeg_frame(data: bytes) -> Frame | None:
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _START_OF_FRAME:
            bits, rows, columns, components = struct.unpack(">BHHB", data[at + 4 : at + 10])
            return Frame(marker=marker, bits=bits, rows=rows, columns=columns, components=components)
        else:
            at += 2 + length
    return None
