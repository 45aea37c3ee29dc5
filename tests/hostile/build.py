"""Data sets byte by byte: what no polite writer writes."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from tests.hostile.wire import EXPLICIT

CT = "1.2.840.10008.5.1.4.1.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
SIDE = 16

Elements = Mapping[int, tuple[bytes, bytes]]

_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Object:
    """One object to send: what the request says of it, and its bytes."""

    data: bytes | Iterator[bytes]
    sop_instance: bytes
    sop_class: str = CT
    syntax: str = EXPLICIT
    study: str = ""
    elements: Elements = field(default_factory=dict, repr=False)

    def part10(self, preamble: bytes = bytes(128)) -> bytes:
        """Return it as a file."""
        assert isinstance(self.data, bytes)
        meta = b"".join(
            element(tag, b"UI", even(value.encode()))
            for tag, value in ((0x00020002, self.sop_class), (0x00020010, self.syntax))
        )
        return preamble.ljust(128, b"\0")[:128] + b"DICM" + meta + self.data


def new_uid() -> str:
    """Return a UID that no other object of this run has."""
    return f"1.2.826.0.1.3680043.10.999.{next(_numbers)}"


def even(value: bytes, padding: bytes = b"\0") -> bytes:
    """Pad to an even length."""
    return value + padding * (len(value) % 2)


def tag_bytes(tag: int) -> bytes:
    """Return a tag, little endian."""
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF)


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """Return an explicit little endian element; ``length`` may lie."""
    size = len(value) if length is None else length
    if vr in {b"OB", b"OW", b"OF", b"OD", b"OL", b"SQ", b"UC", b"UN", b"UR", b"UT", b"OV", b"SV", b"UV"}:
        return tag_bytes(tag) + vr + struct.pack("<HI", 0, size) + value
    return tag_bytes(tag) + vr + struct.pack("<H", size & 0xFFFF) + value


def item(value: bytes, length: int | None = None) -> bytes:
    """Return an item; ``length`` may lie."""
    return tag_bytes(ITEM) + struct.pack("<I", len(value) if length is None else length) + value


def delimiter(tag: int) -> bytes:
    """Return an item or sequence delimiter."""
    return tag_bytes(tag) + bytes(4)


def text(vr: bytes, value: str | bytes) -> tuple[bytes, bytes]:
    """Return a text element's VR and value."""
    data = value.encode("latin-1") if isinstance(value, str) else value
    return vr, even(data, b"\0" if vr == b"UI" else b" ")


def us(value: int) -> tuple[bytes, bytes]:
    """Return an unsigned short."""
    return b"US", struct.pack("<H", value)


def slice_elements(study: str, series: str, number: int) -> dict[int, tuple[bytes, bytes]]:
    """Return the elements of a small CT slice, without pixels."""
    return {
        0x00080008: text(b"CS", "ORIGINAL\\PRIMARY\\AXIAL"),
        0x00080016: text(b"UI", CT),
        0x00080018: text(b"UI", new_uid()),
        0x00080060: text(b"CS", "CT"),
        0x00081030: text(b"LO", "Chest"),
        0x00100010: text(b"PN", "Doe^Jane"),
        0x00100020: text(b"LO", "HOSTILE-1"),
        0x00101010: text(b"AS", "063Y"),
        0x00180050: text(b"DS", "2"),
        0x0020000D: text(b"UI", study),
        0x0020000E: text(b"UI", series),
        0x00200032: text(b"DS", f"0\\0\\{2 * number}"),
        0x00200037: text(b"DS", "1\\0\\0\\0\\1\\0"),
        0x00200052: text(b"UI", f"{study}.9"),
        0x00280002: us(1),
        0x00280004: text(b"CS", "MONOCHROME2"),
        0x00280010: us(SIDE),
        0x00280011: us(SIDE),
        0x00280030: text(b"DS", "0.7\\0.7"),
        0x00280100: us(16),
        0x00280101: us(16),
        0x00280102: us(15),
        0x00280103: us(1),
        0x00281052: text(b"DS", "0"),
        0x00281053: text(b"DS", "1"),
    }


def native_pixels() -> bytes:
    """Return Pixel Data of a slice with some contrast."""
    values = np.linspace(-1000, 400, SIDE * SIDE).astype("<i2")
    return element(0x7FE00010, b"OW", values.tobytes())


def encapsulated(*fragments: bytes, table: bytes = b"") -> bytes:
    """Return encapsulated Pixel Data."""
    items = item(table) + b"".join(item(even(one)) for one in fragments)
    return element(0x7FE00010, b"OB", items + delimiter(SEQUENCE_END), UNDEFINED)


def encode(elements: Elements) -> bytes:
    """Return the elements in the order of their tags."""
    return b"".join(element(tag, vr, value) for tag, (vr, value) in sorted(elements.items()))


def series_of(
    changes: Elements | None = None,
    *,
    count: int = 3,
    pixels: bytes | None = None,
    extra: bytes = b"",
    syntax: str = EXPLICIT,
    study: str = "",
) -> list[Object]:
    """Return a small series with changed elements; ``extra`` stands before the pixels."""
    study, series = study or new_uid(), new_uid()
    objects = []
    for number in range(count):
        elements = slice_elements(study, series, number) | dict(changes or {})
        data = encode(elements) + extra + (native_pixels() if pixels is None else pixels)
        objects.append(
            Object(
                data=deflate(data) if syntax == DEFLATED else data,
                sop_instance=elements[0x00080018][1],
                syntax=syntax,
                study=study,
                elements=elements,
            )
        )
    return objects


def deflate(data: bytes) -> bytes:
    """Return a deflated data set (PS3.5 section A.5)."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def deflate_bomb(head: bytes, megabytes: int) -> bytes:
    """Return a deflated data set that goes on with zeros: one compressed piece, many times."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + piece * megabytes + packer.flush()


def nested(depth: int, tag: int = 0x00081140, *, is_defined: bool = False) -> bytes:
    """Return sequences inside sequences."""
    if is_defined:
        value = b""
        for _ in range(depth):
            value = element(tag, b"SQ", item(value))
        return value
    opening = element(tag, b"SQ", b"", UNDEFINED) + item(b"", UNDEFINED)
    return opening * depth + (delimiter(ITEM_END) + delimiter(SEQUENCE_END)) * depth
