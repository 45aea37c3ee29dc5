"""Stored values to grey of eight bits.

In: one frame of stored values, how they are shown.  Out: grey, 0 black.
Never: a whole large frame as floating point numbers; padding that spoils the contrast.

References
----------
PS3.4 N.2 (modality, VOI, presentation), PS3.3 C.11.2.1.2 and C.11.2.1.3 (window functions).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wetread.imaging.display import Display, Shape, Window

Array = npt.NDArray[Any]

_BAND_PIXELS = 1 << 18
#: So many different values are shaded once each, then looked up.
_MOST_TABLE = 1 << 17


def to_grey(stored: Array, display: Display, *, is_inverted: bool = False) -> Array:
    """Return a frame as it is shown.

    Parameters
    ----------
    stored
        Shape (rows, columns), integers or floating point numbers.
    is_inverted
        Whether the lowest value is white (MONOCHROME1).
    """
    low, high = _range(stored, display.padding)
    shade = _Shade(display, low, high, is_inverted=is_inverted)
    if stored.dtype.kind in "iu":
        first, last = int(stored.min()), int(stored.max())
        if last - first < _MOST_TABLE:
            table = shade(np.arange(first, last + 1, dtype=np.float64))
            return _banded(stored, lambda band: table[band.astype(np.int64) - first])
    return _banded(stored, lambda band: shade(band.astype(np.float64)))


def _banded(stored: Array, change: Any) -> Array:
    grey = np.empty(stored.shape, np.uint8)
    rows = max(1, _BAND_PIXELS // stored.shape[1])
    for row in range(0, len(stored), rows):
        grey[row : row + rows] = change(stored[row : row + rows])
    return grey


def _range(stored: Array, padding: tuple[float, float] | None) -> tuple[float, float]:
    """Return the lowest and the highest value that are image."""
    image = stored
    if stored.dtype.kind == "f":
        image = stored[np.isfinite(stored)]
    if padding is not None:
        shown = image[(image < padding[0]) | (image > padding[1])]
        image = shown if shown.size else image
    return (float(image.min()), float(image.max())) if image.size else (0.0, 0.0)


class _Shade:
    """Stored values to grey, value by value."""

    def __init__(self, display: Display, low: float, high: float, *, is_inverted: bool) -> None:
        self._display = display
        self._is_inverted = is_inverted
        ends = np.array([low, high])
        is_table = display.modality_lut is not None
        span = self._modality(np.arange(low, min(high, low + _MOST_TABLE) + 1) if is_table else ends)
        self._span = float(span.min()), float(span.max())

    def __call__(self, values: Array) -> Array:
        with np.errstate(all="ignore"):
            return self._shade(values)

    def _shade(self, values: Array) -> Array:
        display = self._display
        values = self._modality(values)
        if display.window is not None:
            share = _windowed(values, display.window)
        elif display.voi_lut is not None:
            # Entries begin at zero, whatever the values before the table were.
            share = display.voi_lut.look_up(np.floor(values)) / display.voi_lut.largest
        else:
            low, high = self._span
            share = (values - low) / (high - low) if high > low else np.zeros_like(values)
        share = np.clip(np.nan_to_num(share, nan=0.0), 0.0, 1.0)
        if self._is_inverted:
            share = 1.0 - share
        grey: Array = (share * 255.0 + 0.5).astype(np.uint8)
        return grey

    def _modality(self, values: Array) -> Array:
        display = self._display
        if display.modality_lut is not None:
            return display.modality_lut.look_up(values).astype(np.float64)
        # Headers may hold any number; what is none in the end is black.
        with np.errstate(all="ignore"):
            rescaled: Array = values * display.slope + display.intercept
        return rescaled


def _windowed(values: Array, window: Window) -> Array:
    """Return which share of white each value is, not yet between 0 and 1."""
    center, width = window.center, window.width
    share: Array
    if window.shape is Shape.SIGMOID:
        share = 1.0 / (1.0 + np.exp(-4.0 * (values - center) / width))
        return share
    if window.shape is Shape.LINEAR:
        center, width = center - 0.5, width - 1.0
    share = (values > center).astype(np.float64) if width == 0 else (values - center) / width + 0.5
    return share
