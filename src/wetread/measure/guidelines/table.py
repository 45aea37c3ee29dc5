"""Rows of tables: what they ask for, and what they say.

In: sizes.  Out: whether a row is met.  Never: a rule outside of a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Band:
    """From a size on, up to and without another; None: without end."""

    low: Decimal | None = None
    high: Decimal | None = None

    def holds(self, size: Decimal) -> bool:
        """Tell whether a size lies in it."""
        return (self.low is None or size >= self.low) and (self.high is None or size < self.high)


def band(low: int | str | None = None, high: int | str | None = None) -> Band:
    """Return a band with exact ends."""
    return Band(None if low is None else Decimal(low), None if high is None else Decimal(high))


#: Every size.
ANY = Band()


@dataclass(frozen=True, slots=True)
class Extent:
    """A size as a guideline prints it: by diameter, and by volume for whoever measures that."""

    diameter_mm: Band = ANY
    volume_mm3: Band = ANY


ANY_EXTENT = Extent()
#: Mean diameter, mm -> volume of that sphere in whole mm3, as Lung-RADS v2022 prints them.
SPHERE_MM3 = {4: 34, 6: 113, 8: 268, 10: 524, 15: 1767, 30: 14137}


def volume_band(diameter_mm: Band) -> Band:
    """Return the band of volumes that stands for one of diameters.

    Raises
    ------
    KeyError
        If the guideline prints no volume for an end.
    """
    ends = [
        None if end is None else Decimal(SPHERE_MM3[int(end)]) for end in (diameter_mm.low, diameter_mm.high)
    ]
    return Band(*ends)
