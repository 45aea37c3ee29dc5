"""The frames of a Segmentation, encoded by hand.

In: what each frame shows, and its bits.  Out: the last two elements, Explicit VR Little Endian (PS3.5 7.1.2).
Never: bytes that pydicom would write otherwise (a test compares).

pydicom takes a millisecond a frame, and two lungs make 500 frames.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from wetread.compose.source import PlaneSource
from wetread.domain.code import Code

_PER_FRAME_FUNCTIONAL_GROUPS = 0x52009230
_PIXEL_DATA = 0x7FE00010

_SEGMENTATION = Code(value="113076", scheme="DCM", meaning="Segmentation")
_SOURCE_IMAGE = Code(value="121322", scheme="DCM", meaning="Source image for image processing operation")


@dataclass(frozen=True, kw_only=True)
class SegmentFrame:
    """One frame: one segment on one plane."""

    segment_number: int
    #: From 1, in the order of the planes that are used.
    position_index: int
    #: Decimal strings of ImagePositionPatient.
    position: tuple[str, str, str]
    source: PlaneSource

    @cached_property
    def encoded(self) -> bytes:
        """The frame's item."""
        content = _element(0x00209157, "UL", struct.pack("<2I", self.segment_number, self.position_index))
        place = _element(0x00200032, "DS", "\\".join(self.position).encode())
        identity = _element(0x0062000B, "US", struct.pack("<H", self.segment_number))
        return _item(
            _derivation(self.source)
            + _sequence(0x00209111, content)
            + _sequence(0x00209113, place)
            + _sequence(0x0062000A, identity)
        )


def encode_frames(frames: Sequence[SegmentFrame], pixels: bytes) -> bytes:
    """Return PerFrameFunctionalGroupsSequence and PixelData: the end of a data set, in the order of tags."""
    groups = _element(_PER_FRAME_FUNCTIONAL_GROUPS, "SQ", b"".join(frame.encoded for frame in frames))
    return groups + _element(_PIXEL_DATA, "OB", pixels)


def _derivation(source: PlaneSource) -> bytes:
    """Return DerivationImageSequence: a segmentation of the image (PS3.3 C.7.6.16.2.6)."""
    reference = _element(0x00081150, "UI", source.sop_class_uid.encode())
    reference += _element(0x00081155, "UI", source.sop_instance_uid.encode())
    if source.frame_number is not None:
        reference += _element(0x00081160, "IS", str(source.frame_number).encode())
    preserved = _element(0x0028135A, "CS", b"YES")
    image = reference + preserved + _sequence(0x0040A170, _code(_SOURCE_IMAGE))
    return _sequence(0x00089124, _sequence(0x00082112, image) + _sequence(0x00089215, _code(_SEGMENTATION)))


def _code(code: Code) -> bytes:
    return (
        _element(0x00080100, "SH", code.value.encode())
        + _element(0x00080102, "SH", code.scheme.encode())
        + _element(0x00080104, "LO", code.meaning.encode())
    )


def _sequence(tag: int, item: bytes) -> bytes:
    """Return a sequence of one item."""
    return _element(tag, "SQ", _item(item))


def _item(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def _element(tag: int, vr: str, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr in ("UI", "OB") else b" "
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    size = struct.pack("<HI", 0, len(value)) if vr in ("SQ", "OB") else struct.pack("<H", len(value))
    return head + size + value
