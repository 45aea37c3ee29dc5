"""Where the pixels of an object lie, and how they are written.

In: an open Part 10 file.  Out: ``PixelLayout``; bytes of the pixel data by their place in it.
Never: pixels read to find them; a decoder; a header believed beyond the file's end.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import BinaryIO

from wetread.dicom.part10 import BIG_ENDIAN, EXPLICIT, IMPLICIT, DataSetFile, open_data_set
from wetread.dicom.scan import UNDEFINED_LENGTH, Cursor, Element, Scan
from wetread.dicom.values import Encoding, Plain, plain_value
from wetread.errors import NoPixels, UnreadableInstance

_DEFLATED = "1.2.840.10008.1.2.1.99"
#: Transfer syntaxes whose pixel data may be native: not encapsulated.
NATIVE = frozenset({IMPLICIT, EXPLICIT, BIG_ENDIAN, _DEFLATED})
#: Encapsulated Uncompressed Explicit VR Little Endian: a fragment is a native frame (PS3.5 A.4.11).
ENCAPSULATED_NATIVE = "1.2.840.10008.1.2.1.98"
FLOAT_TAGS = frozenset({0x7FE00008, 0x7FE00009})
EXTENDED_OFFSETS, EXTENDED_LENGTHS = 0x7FE00001, 0x7FE00002
#: Samples of a pixel by photometric interpretation, where the colours are stored for several pixels together.
_SUBSAMPLED = {"YBR_FULL_422": 2.0, "YBR_PARTIAL_422": 2.0, "YBR_PARTIAL_420": 1.5}
_IMAGE_PIXEL = {
    0x00280002: "US",
    0x00280004: "CS",
    0x00280006: "US",
    0x00280008: "IS",
    0x00280010: "US",
    0x00280011: "US",
    0x00280100: "US",
    0x00280101: "US",
    0x00280102: "US",
    0x00280103: "US",
}
#: Extended offsets of some hundred thousand frames, lookup tables; longer values are passed over.
_LONGEST_BYTES = 1 << 20
_SHORT_BYTES = 64
_MOST_FRAMES = 1 << 31

Take = Callable[[Element], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLayout:
    """The Image Pixel module, and where its data lies (PS3.3 C.7.6.3)."""

    transfer_syntax_uid: str
    is_little_endian: bool
    #: Pixel Data, or Float or Double Float Pixel Data.
    tag: int
    #: Of the value; in a deflated object, in its inflated data set.
    offset: int
    #: In bytes; ``UNDEFINED_LENGTH`` where it is encapsulated.
    length: int
    #: Bytes of a word that has to be turned around; 1: none.
    swapped_bytes: int = 1
    frames: int
    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    photometric: str
    is_planar: bool
    #: Extended Offset Table as it is stored, ``b""`` where there is none.
    extended_offsets: bytes = field(default=b"", repr=False)

    @property
    def is_encapsulated(self) -> bool:
        """Whether the pixel data consists of fragments."""
        return self.length == UNDEFINED_LENGTH

    @property
    def is_compressed(self) -> bool:
        """Whether a frame must be decoded."""
        return self.is_encapsulated and self.transfer_syntax_uid != ENCAPSULATED_NATIVE

    @property
    def is_float(self) -> bool:
        """Whether the pixels are floating point numbers."""
        return self.tag in FLOAT_TAGS

    @property
    def is_subsampled(self) -> bool:
        """Whether native colours are stored for several pixels together.

        Notes
        -----
        Some writers say so of pixels that are stored in full: the length tells.
        """
        full = self.frames * self.rows * self.columns * self.samples * self.bits_allocated // 8
        return self.photometric in _SUBSAMPLED and self.samples == 3 and self.length < full

    @property
    def frame_bits(self) -> int:
        """Length of a native frame, in bits.

        Raises
        ------
        UnreadableInstance
            If the header does not say it.
        """
        self.require_size()
        samples = _SUBSAMPLED[self.photometric] if self.is_subsampled else float(self.samples)
        return int(self.rows * self.columns * samples * self.bits_allocated)

    @property
    def decoded_bytes(self) -> int:
        """Length of a decoded frame."""
        self.require_size()
        return -(-self.rows * self.columns * self.samples * self.bits_allocated // 8)

    def require_size(self) -> None:
        """Check that the header tells the size of a frame.

        Raises
        ------
        UnreadableInstance
            If it does not.
        """
        if not (self.rows and self.columns and self.samples in (1, 3, 4)):
            raise UnreadableInstance("Rows, Columns or Samples per Pixel is missing or wrong")
        if self.bits_allocated not in (1, 8, 16, 32, 64):
            raise UnreadableInstance("Bits Allocated is not 1, 8, 16, 32 or 64: send standard pixel data")


def read_layout(file: BinaryIO, take: Take | None = None) -> PixelLayout:
    """Find the pixel data of an object.

    Parameters
    ----------
    file
        Seekable; read from its beginning.
    take
        Is shown the elements before the pixel data, three levels deep. Without it sequences are passed over.

    Raises
    ------
    NoPixels
        If the object has none.
    UnreadableInstance
        If its structure is broken.
    """
    file.seek(0)
    source = open_data_set(file)
    scan = Scan(
        cursor=source.cursor,
        is_implicit=source.is_implicit,
        is_little_endian=source.is_little_endian,
        longest=_SHORT_BYTES if take is None and source.transfer_syntax_uid in NATIVE else _LONGEST_BYTES,
        deepest=0 if take is None else 3,
        # An enhanced object has up to a million elements in front of its pixels; intake has checked them.
        passes_sequences=take is None,
    )
    return _Finder(file, source, scan, take).find()


@dataclass(slots=True)
class _Finder:
    """One pass over a header."""

    file: BinaryIO
    source: DataSetFile
    scan: Scan
    take: Take | None
    _values: dict[int, Plain] = field(default_factory=dict)
    _extended_offsets: bytes = b""

    def find(self) -> PixelLayout:
        """Return the layout."""
        for element in self.scan:
            if not element.path:
                self._keep(element)
            if self.take is not None:
                self.take(element)
        if self.scan.pixels is None:
            raise NoPixels()
        if self.scan.pixels == UNDEFINED_LENGTH and self.source.transfer_syntax_uid in NATIVE:
            raise UnreadableInstance("Its transfer syntax is not that of its pixel data: send it again")
        offset = self.source.cursor.position
        # A stream that is inflated cannot go back; it is explicit and little endian.
        swapped = self._swapped(offset) if not self.source.is_little_endian else 1
        return self._layout(self.scan.pixel_tag, offset, self.scan.pixels, swapped)

    def _keep(self, element: Element) -> None:
        if element.value is None:
            return
        if element.tag == EXTENDED_OFFSETS:
            self._extended_offsets = element.value
            return
        vr = _IMAGE_PIXEL.get(element.tag)
        if vr is None:
            return
        encoding = Encoding(is_little_endian=self.source.is_little_endian)
        value = plain_value(vr if element.vr == "UN" else element.vr, element.value, encoding)
        if value is not None:
            self._values[element.tag] = value

    def _swapped(self, offset: int) -> int:
        """Return the length of the words of big endian pixel data: OW turns bytes around in pairs."""
        self.file.seek(offset - 8)
        vr = self.file.read(2)
        bits = self._number(0x00280100, 8)
        return max(bits // 8, 2 if vr == b"OW" else 1)

    def _layout(self, tag: int, offset: int, length: int, swapped_bytes: int) -> PixelLayout:
        bits = self._number(0x00280100, {0x7FE00008: 32, 0x7FE00009: 64}.get(tag, 0))
        stored = self._number(0x00280101, bits)
        photometric = self._values.get(0x00280004, "")
        frames = self._number(0x00280008, 1)
        return PixelLayout(
            transfer_syntax_uid=self.source.transfer_syntax_uid,
            is_little_endian=self.source.is_little_endian,
            tag=tag,
            offset=offset,
            length=length,
            swapped_bytes=swapped_bytes,
            frames=frames if 1 <= frames < _MOST_FRAMES else 1,
            rows=self._number(0x00280010, 0),
            columns=self._number(0x00280011, 0),
            samples=self._number(0x00280002, 1),
            bits_allocated=bits,
            bits_stored=stored,
            high_bit=self._number(0x00280102, stored - 1),
            is_signed=self._number(0x00280103, 0) == 1,
            photometric=photometric if isinstance(photometric, str) else "",
            is_planar=self._number(0x00280006, 0) == 1,
            extended_offsets=self._extended_offsets,
        )

    def _number(self, tag: int, missing: int) -> int:
        value = self._values.get(tag)
        return value if isinstance(value, int) else missing


@dataclass(slots=True)
class Layouts:
    """The layouts of objects that were asked for lately: who asks for a frame asks for the next."""

    size: int = 128
    _known: OrderedDict[Hashable, PixelLayout] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, key: Hashable, file: BinaryIO) -> PixelLayout:
        """Return the layout of an object.

        Parameters
        ----------
        key
            Names the content of the file: it must be another one where that is replaced.

        Raises
        ------
        NoPixels, UnreadableInstance
            As ``read_layout``.
        """
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        layout = read_layout(file)
        with self._lock:
            self._known[key] = layout
            if len(self._known) > self.size:
                self._known.popitem(last=False)
        return layout


@dataclass(slots=True)
class PixelBytes:
    """Reads pixel data by the place in it, also where it is deflated."""

    file: BinaryIO
    layout: PixelLayout
    #: A deflated object can only be read on: how far it is.
    _inflated: Cursor | None = None

    def read(self, offset: int, length: int) -> bytes:
        """Return so many bytes, fewer at the end of the file."""
        if self.layout.transfer_syntax_uid != _DEFLATED:
            self.file.seek(self.layout.offset + offset)
            return self.file.read(length)
        place = self.layout.offset + offset
        if self._inflated is None or self._inflated.position > place:
            self.file.seek(0)
            self._inflated = open_data_set(self.file).cursor
        self._inflated.skip(place - self._inflated.position)
        return self._inflated.read(length)
