"""The values of one frame, out of its bytes.

In: a native or decoded frame, its layout.  Out: an array of rows and columns, colours last.
Never: rescale, colour conversion; unused bits taken for a value.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wetread.errors import UndecodablePixels
from wetread.imaging.colour import expand_422
from wetread.imaging.layout import PixelLayout

Array = npt.NDArray[Any]


def to_array(data: bytes, layout: PixelLayout) -> Array:
    """Return the stored values.

    Parameters
    ----------
    data
        Little endian. What was compressed has its colours by pixel.

    Returns
    -------
    numpy.ndarray
        Shape (rows, columns), or (rows, columns, samples) of colours. May be read-only.

    Raises
    ------
    UndecodablePixels
        If pixels are stored in a way that is not shown.

    References
    ----------
    PS3.5 section 8.1.1; PS3.3 C.7.6.3.1.
    """
    rows, columns, samples = layout.rows, layout.columns, layout.samples
    if layout.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little", count=rows * columns * samples)
        return bits.reshape((rows, columns) if samples == 1 else (rows, columns, samples))
    if layout.is_subsampled:
        if layout.bits_allocated != 8 or layout.photometric.endswith("420") or columns % 2:
            raise UndecodablePixels("Pixels of this Photometric Interpretation are not shown.")
        return expand_422(data, rows, columns)
    values = _settle(np.frombuffer(data, _dtype(layout), count=rows * columns * samples), layout)
    if samples == 1:
        return values.reshape(rows, columns)
    if layout.is_planar and not layout.is_compressed:
        return values.reshape(samples, rows, columns).transpose(1, 2, 0)
    return values.reshape(rows, columns, samples)


def _dtype(layout: PixelLayout) -> np.dtype[Any]:
    size = layout.bits_allocated // 8
    if layout.is_float:
        if size not in (4, 8):
            raise UndecodablePixels("Floating point pixels have 32 or 64 bits: send them corrected")
        return np.dtype(f"<f{size}")
    return np.dtype(f"<{'i' if layout.is_signed else 'u'}{size}")


def _settle(values: Array, layout: PixelLayout) -> Array:
    """Bring the stored bits into place and extend their sign."""
    allocated, stored, high = layout.bits_allocated, layout.bits_stored, layout.high_bit
    if layout.is_float or stored == allocated:
        return values
    if not 1 <= stored <= high + 1 <= allocated:
        raise UndecodablePixels("Bits Stored and High Bit contradict each other: send it corrected")
    settled: Array = (values << (allocated - 1 - high)) >> (allocated - stored)
    return settled
