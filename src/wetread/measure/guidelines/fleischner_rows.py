"""The rows of Fleischner 2017.

In: nothing.  Out: rows, for the first exam, for what is unchanged, for what has grown.  Never: code.

Marks: [R] read at a source that quotes the guideline, [M] from memory. The source is named in ``fleischner``.
"""

from __future__ import annotations

from dataclasses import dataclass

from wetread.measure.guidelines.table import ANY, ANY_EXTENT, Band, Extent, band

SUBSOLID = frozenset({"ground-glass", "part-solid"})
_LOW, _HIGH = frozenset({"low"}), frozenset({"high"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a nodule must be, and what is recommended then."""

    id: str
    types: frozenset[str]
    #: Least suspicious first: the row with the highest decides for the exam.
    rank: int
    management: str
    after_months: tuple[int, int] | None = None
    #: None: either.
    is_multiple: bool | None = None
    #: Empty: either.
    risks: frozenset[str] = frozenset()
    #: Whole mm of mean diameter; whole mm3.
    extent: Extent = ANY_EXTENT
    #: Of the solid part.
    solid: Band = ANY
    #: The months that ``after_months`` counts from the first exam, not from this one.
    counts_from_first: bool = False
    #: Months since the first exam.
    elapsed: Band = ANY
    mark: str = "R"


_SMALL = Extent(band(None, 6), band(None, 100))
# 6 to 8 mm and 100 to 250 mm3, both ends within.
_MIDDLE = Extent(band(6, 9), band(100, 251))
_LARGE = Extent(band(9), band(251))
_NOT_SMALL = Extent(band(6), band(100))
SOLID, _GLASS, _PART = frozenset({"solid"}), frozenset({"ground-glass"}), frozenset({"part-solid"})
NONE = "No routine follow-up."
_TISSUE = "PET/CT, biopsy or resection: highly suspicious."

FIRST = (
    Row(
        id="solid-single-below-6-low",
        types=SOLID,
        rank=0,
        is_multiple=False,
        risks=_LOW,
        management=NONE,
        extent=_SMALL,
    ),
    Row(
        id="solid-single-below-6-high",
        types=SOLID,
        rank=1,
        is_multiple=False,
        risks=_HIGH,
        management="Optional CT at 12 months.",
        after_months=(12, 12),
        extent=_SMALL,
    ),
    Row(
        id="solid-single-6-to-8-low",
        types=SOLID,
        rank=3,
        is_multiple=False,
        risks=_LOW,
        management="CT at 6 to 12 months, then consider CT at 18 to 24 months.",
        after_months=(6, 12),
        extent=_MIDDLE,
    ),
    Row(
        id="solid-single-6-to-8-high",
        types=SOLID,
        rank=4,
        is_multiple=False,
        risks=_HIGH,
        management="CT at 6 to 12 months, then CT at 18 to 24 months.",
        after_months=(6, 12),
        extent=_MIDDLE,
    ),
    Row(
        id="solid-single-above-8",
        types=SOLID,
        rank=8,
        is_multiple=False,
        management="Consider CT at 3 months, PET/CT or tissue sampling.",
        after_months=(3, 3),
        extent=_LARGE,
    ),
    Row(
        id="solid-multiple-below-6-low",
        types=SOLID,
        rank=0,
        is_multiple=True,
        risks=_LOW,
        management=NONE,
        extent=_SMALL,
    ),
    Row(
        id="solid-multiple-below-6-high",
        types=SOLID,
        rank=1,
        is_multiple=True,
        risks=_HIGH,
        management="Optional CT at 12 months.",
        after_months=(12, 12),
        extent=_SMALL,
    ),
    Row(
        id="solid-multiple-from-6-low",
        types=SOLID,
        rank=6,
        is_multiple=True,
        risks=_LOW,
        management="CT at 3 to 6 months, then consider CT at 18 to 24 months.",
        after_months=(3, 6),
        extent=_NOT_SMALL,
    ),
    Row(
        id="solid-multiple-from-6-high",
        types=SOLID,
        rank=7,
        is_multiple=True,
        risks=_HIGH,
        management="CT at 3 to 6 months, then CT at 18 to 24 months.",
        after_months=(3, 6),
        extent=_NOT_SMALL,
    ),
    Row(
        id="ground-glass-single-below-6",
        types=_GLASS,
        rank=0,
        is_multiple=False,
        management=NONE,
        extent=_SMALL,
    ),
    Row(
        id="ground-glass-single-from-6",
        types=_GLASS,
        rank=2,
        is_multiple=False,
        after_months=(6, 12),
        management="CT at 6 to 12 months to confirm that it persists, then every 2 years until 5 years.",
        extent=_NOT_SMALL,
    ),
    Row(
        id="part-solid-single-below-6",
        types=_PART,
        rank=0,
        is_multiple=False,
        management=NONE,
        extent=_SMALL,
    ),
    Row(
        id="part-solid-single-from-6",
        types=_PART,
        rank=7,
        is_multiple=False,
        after_months=(3, 6),
        management="CT at 3 to 6 months to confirm that it persists. If it is unchanged and its solid part "
        "stays below 6 mm: every year for 5 years.",
        extent=_NOT_SMALL,
    ),
    Row(
        id="subsolid-multiple-below-6",
        types=SUBSOLID,
        rank=5,
        is_multiple=True,
        after_months=(3, 6),
        management="CT at 3 to 6 months; if stable, consider CT at 2 and 4 years.",
        extent=_SMALL,
    ),
    Row(
        id="subsolid-multiple-from-6",
        types=SUBSOLID,
        rank=7,
        is_multiple=True,
        after_months=(3, 6),
        management="CT at 3 to 6 months, then by the most suspicious nodule.",
        extent=_NOT_SMALL,
    ),
)

UNCHANGED = (
    Row(id="below-6-unchanged", types=SOLID, rank=0, management=NONE, extent=_SMALL),
    Row(
        id="solid-unchanged-low",
        types=SOLID,
        rank=3,
        risks=_LOW,
        elapsed=band(None, 18),
        management="Consider CT at 18 to 24 months from the first exam.",
        after_months=(18, 24),
        counts_from_first=True,
        extent=_NOT_SMALL,
    ),
    Row(
        id="solid-unchanged-high",
        types=SOLID,
        rank=4,
        risks=_HIGH,
        elapsed=band(None, 18),
        management="CT at 18 to 24 months from the first exam.",
        after_months=(18, 24),
        counts_from_first=True,
        extent=_NOT_SMALL,
    ),
    Row(
        id="solid-unchanged-18-months",
        types=SOLID,
        rank=0,
        elapsed=band(18),
        management=NONE,
        extent=_NOT_SMALL,
    ),
    Row(
        id="ground-glass-unchanged",
        types=_GLASS,
        rank=2,
        elapsed=band(None, 60),
        after_months=(24, 24),
        management="CT every 2 years until 5 years from the first exam.",
        extent=_NOT_SMALL,
    ),
    Row(
        id="part-solid-persistent-solid-part-from-6",
        types=_PART,
        rank=9,
        solid=band(6),
        management=_TISSUE,
        extent=_NOT_SMALL,
    ),
    Row(
        id="part-solid-persistent-solid-part-below-6",
        types=_PART,
        rank=5,
        solid=band(None, 6),
        elapsed=band(None, 60),
        after_months=(12, 12),
        management="CT every year until 5 years from the first exam.",
        extent=_NOT_SMALL,
    ),
    Row(
        id="subsolid-unchanged-5-years",
        types=SUBSOLID,
        rank=0,
        elapsed=band(60),
        management=NONE,
        extent=_NOT_SMALL,
    ),
    Row(
        id="subsolid-multiple-below-6-unchanged-2-years",
        types=SUBSOLID,
        rank=2,
        is_multiple=True,
        elapsed=band(None, 24),
        after_months=(24, 24),
        counts_from_first=True,
        management="Consider CT at 2 and 4 years from the first exam.",
        extent=_SMALL,
    ),
    Row(
        id="subsolid-multiple-below-6-unchanged-4-years",
        types=SUBSOLID,
        rank=1,
        is_multiple=True,
        elapsed=band(24, 48),
        after_months=(48, 48),
        counts_from_first=True,
        management="Consider CT at 4 years from the first exam.",
        extent=_SMALL,
    ),
    Row(id="subsolid-below-6-unchanged", types=SUBSOLID, rank=0, management=NONE, extent=_SMALL),
)

#: Growth is 2 mm or more of the mean diameter.
GROWING = (
    Row(
        id="solid-growing",
        types=SOLID,
        rank=10,
        mark="M",
        management="Growth: PET/CT, tissue sampling or resection.",
    ),
    Row(id="part-solid-growing", types=_PART, rank=10, management="Growth: PET/CT, biopsy or resection."),
    Row(
        id="ground-glass-growing",
        types=_GLASS,
        rank=9,
        mark="M",
        management="Growth, or a solid part that develops: consider resection.",
    ),
)
