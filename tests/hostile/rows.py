"""The hostile files, H17 to H36, as they go over the wire; see ``docs/reference/hostile-inputs.md``."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames

from tests.hostile.build import (
    DEFLATED,
    UNDEFINED,
    Object,
    deflate,
    deflate_bomb,
    delimiter,
    element,
    encapsulated,
    encode,
    even,
    item,
    native_pixels,
    nested,
    new_uid,
    series_of,
    slice_elements,
    tag_bytes,
    text,
    us,
)

RLE, JPEG_LS, JPEG_2000, JPEG = (
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.70",
)
DICOMDIR = "1.2.840.10008.1.3.10"
SOP_INSTANCE, SOP_CLASS, STUDY, SERIES = 0x00080018, 0x00080016, 0x0020000D, 0x0020000E
NESTED_ITEM = delimiter(0xFFFEE00D)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One input; ``code`` is what the sender's event says where it is refused, ``""`` where it is taken."""

    id: str
    make: Callable[[], list[Object]]
    code: str = ""
    #: How a study that was taken ends; None: either way, with a code.
    is_read: bool | None = None


def _row(name: str, make: Callable[[], list[Object]], code: str = "", is_read: bool | None = None) -> Row:
    return Row(id=name, make=make, code=code, is_read=is_read)


def _uid(tag: int, value: bytes) -> Callable[[], list[Object]]:
    """An object with such a UID; the request names a proper one."""

    def make() -> list[Object]:
        (one,) = series_of({tag: (b"UI", even(value))}, count=1)
        return [Object(data=one.data, sop_instance=new_uid().encode())]

    return make


def _named(value: bytes) -> Callable[[], list[Object]]:
    """A proper object, but the request names it so."""
    return lambda: [Object(data=one.data, sop_instance=value) for one in series_of(count=1)]


def _changed(changes: dict[int, tuple[bytes, bytes]], **more: object) -> Callable[[], list[Object]]:
    return lambda: series_of(changes, **more)  # type: ignore[arg-type]


def _extra(extra: bytes) -> Callable[[], list[Object]]:
    return lambda: series_of(count=1, extra=extra)


def _compressed(syntax: str, *fragments: bytes, table: bytes = b"") -> Callable[[], list[Object]]:
    return lambda: series_of(pixels=encapsulated(*fragments, table=table), syntax=syntax)


def _frame(name: str) -> bytes:
    ds = dcmread(str(get_testdata_file(name)))
    return next(iter(generate_frames(ds.PixelData, number_of_frames=1)))


def _large_private() -> list[Object]:
    """A private value of 300 MB, which is really sent."""
    (one,) = series_of(count=1)
    assert isinstance(one.data, bytes)
    pixels = len(native_pixels())
    size = 300 << 20

    def pieces() -> Iterator[bytes]:
        yield one.data[:-pixels]  # type: ignore[index]
        yield tag_bytes(0x00991001) + b"OB\0\0" + struct.pack("<I", size)
        for _ in range(300):
            yield bytes(1 << 20)

    return [Object(data=pieces(), sop_instance=one.sop_instance, study=one.study)]


def _bomb_in_pixels() -> list[Object]:
    elements = slice_elements(new_uid(), new_uid(), 0)
    size = 1 << 30
    head = encode(elements) + tag_bytes(0x7FE00010) + b"OW\0\0" + struct.pack("<I", size)
    return [Object(data=deflate_bomb(head, 1024), sop_instance=elements[SOP_INSTANCE][1], syntax=DEFLATED)]


def _bomb_in_header() -> list[Object]:
    elements = slice_elements(new_uid(), new_uid(), 0)
    head = encode(elements) + tag_bytes(0x00991001) + b"OB\0\0" + struct.pack("<I", 0xFFFFFFF0)
    return [Object(data=deflate_bomb(head, 600), sop_instance=elements[SOP_INSTANCE][1], syntax=DEFLATED)]


def _torn_deflate() -> list[Object]:
    (one,) = series_of(count=1)
    assert isinstance(one.data, bytes)
    return [Object(data=deflate(one.data)[:-20], sop_instance=one.sop_instance, syntax=DEFLATED)]


def _dicomdir() -> list[Object]:
    """A directory that says it is a CT; as itself, no presentation context is accepted for it."""
    record = element(0x00041500, b"CS", even(b"..\\..\\..\\ETC\\PASSWD", b" "))
    (one,) = series_of({SOP_CLASS: text(b"UI", DICOMDIR)}, count=1)
    assert isinstance(one.data, bytes)
    data = one.data + element(0x00041220, b"SQ", item(record))
    return [Object(data=data, sop_instance=one.sop_instance)]


def _many_values() -> list[Object]:
    """A header of nothing but long values, as large as it may be."""
    long = element(0x00189004, b"LO", b"x" * 4000)
    items = b"".join(item(long * 30) for _ in range(64))
    return series_of(count=1, extra=element(0x00400555, b"SQ", items))


def _same_uid() -> list[Object]:
    (first,) = series_of(count=1)
    elements = dict(first.elements) | {0x00100020: text(b"LO", "SOMEBODY-ELSE")}
    second = Object(data=encode(elements) + native_pixels(), sop_instance=first.sop_instance)
    return [first, second]


UNREADABLE, MISSING = "unreadable-instance", "missing-attribute"
_EVIL = (b"../../../etc/cron.d/x", b"/etc/cron.d/x", b"..\\..\\x", b"%2e%2e%2fx", b"1.2\0/../x", b"1." * 5000)
_NUMBERS = ("NaN", "inf", "1e400", "", "1e-300", "9" * 400, "abc")
_J2K = _frame("MR_small_jp2klossless.dcm")
_JLS = _frame("MR_small_jpeg_ls_lossless.dcm")
_JPG = _frame("SC_rgb_jpeg.dcm")

ROWS: tuple[Row, ...] = (
    *(_row(f"H17-sop-{n}", _uid(SOP_INSTANCE, evil), MISSING) for n, evil in enumerate(_EVIL)),
    *(_row(f"H17-request-{n}", _named(evil), UNREADABLE) for n, evil in enumerate(_EVIL[:4])),
    *(_row(f"H18-study-{n}", _uid(STUDY, evil), MISSING) for n, evil in enumerate(_EVIL[:5])),
    _row("H18-series", _uid(SERIES, _EVIL[0]), MISSING),
    _row("H19-dicomdir", _dicomdir, UNREADABLE),
    _row("H21-even", _extra(tag_bytes(0x00991001) + b"OB\0\0\xfe\xff\xff\xff"), UNREADABLE),
    _row("H21-short", _extra(tag_bytes(0x00991001) + b"LO\xfe\xff" + b"x"), UNREADABLE),
    _row("H21-sequence", _extra(tag_bytes(0x00400555) + b"SQ\0\0\xf0\xff\xff\xff"), UNREADABLE),
    _row("H21-300-mb", _large_private),
    _row("H21-values", _many_values),
    _row("H22-10000", _extra(nested(10_000)), UNREADABLE),
    _row("H22-private", _extra(nested(20_000, 0x00991010)), UNREADABLE),
    _row("H22-defined", _extra(nested(2_000, is_defined=True)), UNREADABLE),
    _row("H22-items", _extra(element(0x00081140, b"SQ", item(b"") * 1_100_000)), UNREADABLE),
    _row("H23-item", _extra(element(0x00081140, b"SQ", item(b"", UNDEFINED), UNDEFINED)), UNREADABLE),
    _row("H23-wrong", _extra(element(0x00081140, b"SQ", item(b"") + NESTED_ITEM, UNDEFINED)), UNREADABLE),
    _row("H23-bytes", _extra(element(0x00991001, b"OB", b"no items at all!", UNDEFINED)), UNREADABLE),
    _row("H24-header", _bomb_in_header, UNREADABLE),
    _row("H24-pixels", _bomb_in_pixels, UNREADABLE),
    _row("H24-torn", _torn_deflate, UNREADABLE),
    _row(
        "H25-2-63",
        _changed({0x00280008: text(b"IS", "2147483647"), 0x00280010: us(65535), 0x00280011: us(65535)}),
        is_read=False,
    ),
    _row("H25-46341", _changed({0x00280010: us(46341), 0x00280011: us(46341)}), is_read=False),
    _row("H26-ul", _changed({0x00280010: (b"UL", struct.pack("<I", 65536 + 16))}), is_read=False),
    _row(
        "H27-palette",
        _changed(
            {
                0x00280004: text(b"CS", "PALETTE COLOR"),
                0x00281101: (b"US", struct.pack("<3H", 0, 0, 16)),
                0x00281201: (b"OW", bytes(4)),
            }
        ),
    ),
    _row("H27-allocated", _changed({0x00280100: us(1)}), is_read=False),
    *(
        _row(f"H28-{count or 'none'}", _changed({0x00280008: text(b"IS", count)}))
        for count in ("0", "-1", "1e9", "1000000000", "7", "")
    ),
    _row("H28-short", _changed({}, pixels=element(0x7FE00010, b"OW", bytes(10))), is_read=False),
    _row("H28-cut", _changed({}, pixels=element(0x7FE00010, b"OW", bytes(10), 512)), UNREADABLE),
    _row("H29-short", _compressed(RLE, b"\1\0\0\0" + bytes(20)), is_read=False),
    _row(
        "H29-offsets",
        _compressed(RLE, struct.pack("<16I", 2, 64, 0xFFFFFFF0, *[9] * 13) + b"\x80" * 90),
        is_read=False,
    ),
    _row(
        "H29-count",
        _compressed(RLE, struct.pack("<16I", 0xFFFFFFFF, *[64] * 15) + b"\x7f" * 10),
        is_read=False,
    ),
    _row("H30-j2k-size", _compressed(JPEG_2000, _J2K), is_read=False),
    _row("H30-j2k-torn", _compressed(JPEG_2000, _J2K[:200]), is_read=False),
    _row("H30-j2k-huge", _compressed(JPEG_2000, _J2K[:8] + b"\xff" * 8 + _J2K[16:]), is_read=False),
    _row("H30-jls-torn", _compressed(JPEG_LS, _JLS[: len(_JLS) // 2]), is_read=False),
    _row("H30-jpeg-torn", _compressed(JPEG, _JPG[:300]), is_read=False),
    _row("H30-noise", _compressed(JPEG_2000, b"\xff\x4f\xff\x51" + bytes(range(256)) * 4), is_read=False),
    _row("H31-empty", _compressed(JPEG_2000), is_read=False),
    _row("H31-tiny", _compressed(JPEG_LS, b"\xff", b"", b"\xd8"), is_read=False),
    _row(
        "H31-table", _compressed(JPEG_2000, _J2K, table=struct.pack("<3I", 0, 0xFFFFFFF0, 5)), is_read=False
    ),
    *(
        _row(f"H32-spacing-{n}", _changed({0x00280030: text(b"DS", f"{x}\\{x}")}))
        for n, x in enumerate(_NUMBERS)
    ),
    *(_row(f"H32-slope-{n}", _changed({0x00281053: text(b"DS", x)})) for n, x in enumerate(_NUMBERS[:4])),
    _row("H32-position", _changed({0x00200032: text(b"DS", "NaN\\inf\\1e400")}), is_read=False),
    _row("H32-orientation", _changed({0x00200037: text(b"DS", "NaN\\0\\0\\0\\NaN\\0")}), is_read=False),
    _row("H33-thickness", _changed({0x00180050: text(b"DS", "-5")})),
    _row("H33-singular", _changed({0x00200037: text(b"DS", "1\\0\\0\\1\\0\\0")}), is_read=False),
    _row("H33-positions", _changed({0x00200032: text(b"DS", "0\\0\\0")}), is_read=False),
    _row(
        "H34-unknown",
        _changed({0x00080005: text(b"CS", "ISO_IR 9999"), 0x00100010: text(b"PN", b"\xff\xfe^x")}),
    ),
    _row(
        "H34-escapes",
        _changed(
            {0x00080005: text(b"CS", "\\ISO 2022 IR 87"), 0x00100010: text(b"PN", b"\x1b$B\x1b(\x1b$)^\x1b")}
        ),
    ),
    _row(
        "H34-overlong",
        _changed(
            {
                0x00080005: text(b"CS", "ISO_IR 192"),
                0x00100010: text(b"PN", b"\xc0\xaf\xe2\x80\xae^\0x\xed\xa0\x80"),
            }
        ),
    ),
    _row(
        "H34-long",
        _changed(
            {
                0x00100020: text(b"LO", "P" * 4000),
                0x00080020: text(b"DA", "9" * 300),
                0x00101010: text(b"AS", "x" * 99),
            }
        ),
    ),
    _row("H36-same-uid", _same_uid, "content-conflict"),
)
