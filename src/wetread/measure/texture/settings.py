"""How grey levels are made and directions put together.

In: what the caller asks for.  Out: ``TextureSettings``, valid.
Never: a width and a number of bins at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from wetread.measure.texture.refused import InvalidTextureSettings

#: More levels than this are refused: co-occurrence is a table of levels by levels.
MOST_LEVELS = 1024


class Aggregation(StrEnum):
    """How the matrices of the 13 directions become one number."""

    #: One matrix of all directions (IBSI IAZD).
    MERGED = "merged"
    #: The mean of what is measured of each direction (IBSI ITBB).
    AVERAGED = "averaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextureSettings:
    """What has to be told with every feature so that somebody else gets the same number."""

    #: Width of a grey level in units of the image (fixed bin size, IBSI Q3RU); None: by number.
    bin_width: float | None = 25.0
    #: Number of grey levels (fixed bin number, IBSI K15C); None: by width.
    bin_count: int | None = None
    #: Lower edge of the first level where levels have a width; None: the region's minimum.
    lowest: float | None = None
    aggregation: Aggregation = Aggregation.MERGED

    def __post_init__(self) -> None:
        if (self.bin_width is None) == (self.bin_count is None):
            raise InvalidTextureSettings("Either a width or a number of bins makes the grey levels: give one")
        if self.bin_width is not None and not (math.isfinite(self.bin_width) and self.bin_width > 0):
            raise InvalidTextureSettings("The width of a bin must be positive", bin_width=self.bin_width)
        if self.bin_count is not None and not 1 <= self.bin_count <= MOST_LEVELS:
            raise InvalidTextureSettings(
                f"The number of bins must be from 1 to {MOST_LEVELS}", bin_count=self.bin_count
            )
        if self.lowest is not None and (self.bin_width is None or not math.isfinite(self.lowest)):
            raise InvalidTextureSettings("A lowest value is a number, and needs bins of a width")
