"""The stored pixel values of one object.

In: a DICOM file, in any transfer syntax that CT comes in.  Out: its frames as integers.
Never: rescale, colour, more pixels than the header promised.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import pixel_array

from wetread.domain.problem import ProblemCode
from wetread.domain.study import Header, Instance
from wetread.imaging.codestream import find_size

IntArray = npt.NDArray[Any]

#: Larger images than any scanner makes; a header that asks for more is damaged or hostile.
MAX_SIDE = 8192
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_UNCOMPRESSED = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", _BIG_ENDIAN})
# What decoders raise on broken code streams.
_DECODER_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
_PIXEL_KEYWORDS = (
    "PixelData",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)


class PixelError(Exception):
    """The pixels of one object cannot be had; ``code`` and ``sentence`` become its Problem."""

    def __init__(self, code: ProblemCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code, self.sentence = code, sentence


def read_frames(instance: Instance) -> IntArray:
    """Decode an object's pixel data.

    Returns
    -------
    numpy.ndarray
        Stored values, shape (frames, rows, columns), integer, native byte order, sign and unused
        bits settled by Bits Stored and Pixel Representation. May be read-only.

    Raises
    ------
    PixelError
        ``missing-pixels`` or ``undecodable-pixels``.

    Notes
    -----
    Uncompressed data is a view of the file's bytes; RLE, JPEG, JPEG-LS and JPEG 2000 go through the
    decoders that are installed. Memory: the decoded object, once or twice.

    References
    ----------
    PS3.5 section 8 and annex A.4; PS3.3 C.7.6.3.
    """
    shape = _check_header(instance.header)
    try:
        ds = _read(instance)
        frames = (
            _uncompressed(ds, instance, shape)
            if instance.transfer_syntax_uid in _UNCOMPRESSED
            else _compressed(ds, shape)
        )
    except _DECODER_ERRORS as error:
        raise PixelError(
            ProblemCode.UNDECODABLE_PIXELS,
            f"The pixel data (transfer syntax {instance.transfer_syntax_uid}) cannot be decoded"
            f" ({type(error).__name__}): send it again, uncompressed.",
        ) from error
    return _settle_bits(frames, instance.header)


def _check_header(header: Header) -> tuple[int, int, int]:
    rows, columns = header.get("Rows", 0), header.get("Columns", 0)
    frames = header.get("NumberOfFrames", 1) or 1
    if not all(isinstance(one, int) and one >= 1 for one in (rows, columns, frames)):
        raise PixelError(ProblemCode.MISSING_PIXELS, "Rows or Columns is missing: these are no images.")
    shape = int(frames), int(rows), int(columns)  # type: ignore[arg-type]  # checked above
    if max(shape[1:]) > MAX_SIDE:
        raise PixelError(
            ProblemCode.UNDECODABLE_PIXELS, f"Images of more than {MAX_SIDE} pixels a side are not taken."
        )
    if header.get("SamplesPerPixel", 1) != 1:
        raise PixelError(
            ProblemCode.UNDECODABLE_PIXELS, "The images are in colour: send the original grey images."
        )
    if header.get("BitsAllocated") not in (8, 16, 32):
        raise PixelError(
            ProblemCode.UNDECODABLE_PIXELS, "Bits Allocated is not 8, 16 or 32: send standard pixel data."
        )
    return shape


def _read(instance: Instance) -> Dataset:
    with instance.open() as file:
        ds = dcmread(file, force=True, specific_tags=list(_PIXEL_KEYWORDS))
    if "PixelData" not in ds:
        raise PixelError(ProblemCode.MISSING_PIXELS, "The object holds no pixel data: send the images.")
    return ds


def _uncompressed(ds: Dataset, instance: Instance, shape: tuple[int, int, int]) -> IntArray:
    element = ds.get_item("PixelData")
    data = element.value if isinstance(element, RawDataElement) else ds.PixelData
    order = ">" if instance.transfer_syntax_uid == _BIG_ENDIAN else "<"
    dtype = np.dtype(f"{order}{_kind(instance.header)}")
    count = shape[0] * shape[1] * shape[2]
    if data is None or len(data) < count * dtype.itemsize:
        raise PixelError(
            ProblemCode.MISSING_PIXELS, "The pixel data is shorter than the image: send the images again."
        )
    return np.frombuffer(data, dtype=dtype, count=count).reshape(shape)


def _kind(header: Header) -> str:
    size = int(header["BitsAllocated"]) // 8  # type: ignore[arg-type]  # checked by _check_header
    return f"{'i' if header.get('PixelRepresentation') == 1 else 'u'}{size}"


def _compressed(ds: Dataset, shape: tuple[int, int, int]) -> IntArray:
    for fragment in generate_frames(ds.PixelData, number_of_frames=shape[0]):
        size = find_size(fragment)
        if size is not None and size != shape[1:]:
            raise PixelError(
                ProblemCode.UNDECODABLE_PIXELS, "The compressed image has another size than its header says."
            )
    frames: IntArray = pixel_array(ds, raw=True)
    if frames.size != shape[0] * shape[1] * shape[2]:
        raise PixelError(
            ProblemCode.UNDECODABLE_PIXELS, "The compressed image has another size than its header says."
        )
    return frames.reshape(shape)


def _settle_bits(frames: IntArray, header: Header) -> IntArray:
    """Bring the stored bits into place and extend their sign (PS3.5 section 8.1.1)."""
    allocated = frames.dtype.itemsize * 8
    stored = header.get("BitsStored", allocated)
    high = header.get("HighBit", int(stored) - 1) if isinstance(stored, int) else None
    if not isinstance(stored, int) or not isinstance(high, int) or not 1 <= stored <= high + 1 <= allocated:
        raise PixelError(
            ProblemCode.UNDECODABLE_PIXELS, "Bits Stored and High Bit contradict each other: correct them."
        )
    native = frames.astype(frames.dtype.newbyteorder("="), copy=False)
    if stored == allocated:
        return native
    left = allocated - 1 - high
    settled: IntArray = (native << left) >> (allocated - stored)
    return settled
