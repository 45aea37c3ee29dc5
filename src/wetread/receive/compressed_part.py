"""Bulk data that are a compressed image: what they say, and how they become Pixel Data.

In: the media type and the first bytes of a part.  Out: ``Compressed``; encapsulated Pixel Data.
Never: decoding; a transfer syntax or a size that the code stream contradicts.

References
----------
PS3.18 8.7.3.3 (compressed media types), 10.5.2 (what metadata may leave out); PS3.5 A.4; ITU-T T.81 B.2.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wetread.errors import UnreadableInstance
from wetread.imaging.codestream import Frame, read_frame_header
from wetread.receive.multipart import MediaType
from wetread.receive.spool import Spool

#: Of a part, enough to see what it is.
BEGINNING_BYTES = 64 << 10
_PIECE = 1 << 20
_LONGEST_FRAGMENT = 0xFFFFFFFE
_JPEG = "1.2.840.10008.1.2.4."
#: Start of frame -> what it may be called, the first where nothing is said.
_JPEG_SYNTAXES = {
    0xC0: (f"{_JPEG}50", f"{_JPEG}51"),
    0xC1: (f"{_JPEG}51",),
    0xC3: (f"{_JPEG}57", f"{_JPEG}70"),
}
#: Media type -> transfer syntaxes, the first where nothing is said.
_OTHERS = {
    "image/jls": (f"{_JPEG}80", f"{_JPEG}81"),
    "image/jp2": (f"{_JPEG}91", f"{_JPEG}90"),
    "image/dicom-rle": ("1.2.840.10008.1.2.5",),
    "video/mpeg": (f"{_JPEG}100", f"{_JPEG}101"),
    "video/mp4": tuple(f"{_JPEG}{number}" for number in (102, 103, 104, 105, 106)),
}
#: Without loss whatever the stream is.
_LOSSY = frozenset(f"{_JPEG}{number}" for number in (50, 51))


class CompressedBulkData(UnreadableInstance):
    """These compressed bulk data are not taken: send the image as application/dicom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """A compressed image or film."""

    transfer_syntax_uid: str
    #: What its code stream says; None where that is not looked at.
    frame: Frame | None = None


def read_compressed(media_type: MediaType, beginning: bytes) -> Compressed:
    """Return what a part is.

    Raises
    ------
    CompressedBulkData
        If the media type is none that is taken, or contradicts the part.
    """
    wanted = media_type.parameters.get("transfer-syntax", "")
    frame = read_frame_header(beginning)
    if media_type.name == "image/jpeg":
        known = _JPEG_SYNTAXES.get(frame.marker, ()) if frame else ()
    else:
        known = _OTHERS.get(media_type.name, ())
    if not known or (wanted and wanted not in known):
        raise CompressedBulkData
    return Compressed(transfer_syntax_uid=wanted or known[0], frame=frame)


def complete(model: Mapping[str, Mapping[str, Any]], compressed: Compressed) -> dict[str, Any]:
    """Return metadata with what the code stream says of the image, where they leave it out.

    Raises
    ------
    CompressedBulkData
        If the two contradict each other, or there is more than one frame: how they are divided is not told.
    """
    frame = compressed.frame
    is_film = compressed.transfer_syntax_uid in (*_OTHERS["video/mpeg"], *_OTHERS["video/mp4"])
    if not is_film and _number(model, "00280008") not in (None, 1):
        raise CompressedBulkData
    if frame is None:
        return dict(model)
    told = {"00280010": frame.rows, "00280011": frame.columns}
    if any(_number(model, tag) not in (None, value) for tag, value in told.items()):
        raise CompressedBulkData
    derived = _derived(frame, is_lossy=compressed.transfer_syntax_uid in _LOSSY)
    return derived | dict(model)


def _derived(frame: Frame, *, is_lossy: bool) -> dict[str, Any]:
    allocated = 8 if frame.bits <= 8 else 16
    colours = "MONOCHROME2" if frame.components == 1 else "YBR_FULL_422" if is_lossy else "RGB"
    numbers = {
        "00280002": frame.components,
        "00280010": frame.rows,
        "00280011": frame.columns,
        "00280100": allocated,
        "00280101": frame.bits,
        "00280102": frame.bits - 1,
        "00280103": 0,
    }
    derived: dict[str, Any] = {tag: {"vr": "US", "Value": [value]} for tag, value in numbers.items()}
    derived["00280004"] = {"vr": "CS", "Value": [colours]}
    if frame.components > 1:
        derived["00280006"] = {"vr": "US", "Value": [0]}
    if is_lossy:
        derived["00282110"] = {"vr": "CS", "Value": ["01"]}
    return derived


def iter_encapsulated(spool: Spool) -> Iterator[bytes]:
    """Yield Pixel Data with one fragment and an empty offset table."""
    padding = spool.size % 2
    if spool.size + padding > _LONGEST_FRAGMENT:
        raise UnreadableInstance("A value is longer than DICOM allows.")
    yield struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OB", 0xFFFFFFFF)
    yield struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    yield struct.pack("<HHI", 0xFFFE, 0xE000, spool.size + padding)
    with spool.opener(spool.path) as file:
        while piece := file.read(_PIECE):
            yield piece
    yield bytes(padding) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def _number(model: Mapping[str, Mapping[str, Any]], tag: str) -> int | None:
    element = model.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    if not isinstance(values, list) or not values:
        return None
    try:
        return int(values[0])
    except (TypeError, ValueError) as error:
        raise CompressedBulkData from error
