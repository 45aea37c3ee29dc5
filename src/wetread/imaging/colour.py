"""Colours to RGB of eight bits.

In: pixels and their photometric interpretation.  Out: RGB.
Never: a whole image as floating point numbers; a photometric interpretation taken for another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wetread.errors import UndecodablePixels
from wetread.imaging.lut import Lut

Array = npt.NDArray[Any]

_BAND_PIXELS = 1 << 18
# PS3.3 C.7.6.3.1.2: what RGB gets of Y, Cb, Cr around zero
_FULL = np.array(
    [
        [1.0, 1.0, 1.0],
        [0.0, -0.114 * 1.772 / 0.587, 1.772],
        [1.402, -0.299 * 1.402 / 0.587, 0.0],
    ],
    dtype=np.float32,
)
# ITU-R BT.601: Y from 16 to 235, colours from 16 to 240
_PARTIAL = _FULL * np.array([[255 / 219], [255 / 224], [255 / 224]], dtype=np.float32)


def to_rgb(pixels: Array, photometric: str, bits_stored: int) -> Array:
    """Return RGB of eight bits.

    Parameters
    ----------
    pixels
        Shape (rows, columns, 3), every pixel with its own colours.

    Raises
    ------
    UndecodablePixels
        If the photometric interpretation is none of those that are shown.
    """
    eight = pixels if bits_stored <= 8 else pixels >> (bits_stored - 8)
    eight = eight.astype(np.uint8, copy=False)
    if photometric in ("RGB", "YBR_RCT", "YBR_ICT"):
        # What JPEG 2000 calls so is RGB by now.
        return eight
    if photometric in ("YBR_FULL", "YBR_FULL_422"):
        return ybr_to_rgb(eight)
    if photometric.startswith("YBR_PARTIAL"):
        return ybr_to_rgb(eight, is_partial=True)
    raise UndecodablePixels("Pixels of this Photometric Interpretation are not shown.")


def ybr_to_rgb(pixels: Array, *, is_partial: bool = False) -> Array:
    """Return RGB of YCbCr of eight bits, shape (rows, columns, 3)."""
    flat = pixels.reshape(-1, 3)
    rgb = np.empty_like(flat)
    matrix = _PARTIAL if is_partial else _FULL
    offset = np.array([16 if is_partial else 0, 128, 128], dtype=np.float32)
    for start in range(0, len(flat), _BAND_PIXELS):
        band = flat[start : start + _BAND_PIXELS].astype(np.float32) - offset
        rgb[start : start + _BAND_PIXELS] = np.clip(np.floor(band @ matrix + np.float32(0.5)), 0, 255)
    return rgb.reshape(pixels.shape)


def expand_422(data: bytes, rows: int, columns: int) -> Array:
    """Return every pixel with its own colours, of native pixels that share them in pairs.

    References
    ----------
    PS3.3 C.7.6.3.1.2: Y1, Y2, Cb, Cr.
    """
    pairs = np.frombuffer(data, np.uint8)
    pairs = pairs[: len(pairs) // 4 * 4].reshape(-1, 4)
    pixels = np.empty((len(pairs), 2, 3), np.uint8)
    pixels[:, :, 0] = pairs[:, :2]
    pixels[:, :, 1:] = pairs[:, None, 2:]
    return pixels.reshape(rows, columns, 3)


def apply_palette(stored: Array, palette: tuple[Lut, Lut, Lut]) -> Array:
    """Return RGB of indices."""
    rgb = np.empty((*stored.shape, 3), np.uint8)
    for channel, lut in enumerate(palette):
        table = lut.entries if lut.largest == 255 else lut.entries.astype(np.float32) * (255 / lut.largest)
        eight = Lut(first=lut.first, largest=255, entries=np.asarray(table).round().astype(np.uint8))
        for row in range(0, len(stored), 64):
            rgb[row : row + 64, :, channel] = eight.look_up(stored[row : row + 64].astype(np.int32))
    return rgb
