"""The rows of BTS 2015.

In: nothing.  Out: rows, in the order in which they are tried.  Never: code.

Marks: [R] read at a source that quotes the guideline, [M] from memory. The source is named in ``bts``.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from wetread.measure.guidelines.table import ANY, Band, band

_RISK = Decimal("0.10")
SOLID, SUBSOLID = frozenset({"solid"}), frozenset({"part-solid", "ground-glass"})
DISCHARGE = "Discharge."


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a nodule must be, and what is recommended then."""

    id: str
    types: frozenset[str]
    #: ``first``, ``unchanged``, ``growing``.
    stage: str
    rank: int
    management: str
    after_months: tuple[int, int] | None = None
    size: Band = ANY
    #: mm3; decides where a volume is known.
    volume: Band = ANY
    #: Brock risk; a row that asks for it needs the predictors.
    risk: Band = ANY
    #: Volume doubling time, days.
    doubling_days: Band = ANY
    #: Months since the first exam.
    elapsed: Band = ANY
    #: The months that ``after_months`` counts from the first exam.
    counts_from_first: bool = False
    #: Whether it asks for a volume then and now; None: either.
    has_volumes: bool | None = None
    mark: str = "R"


ROWS = (
    Row(
        id="solid-small",
        types=SOLID,
        stage="first",
        rank=0,
        size=band(None, 5),
        volume=band(None, 80),
        management=DISCHARGE,
    ),
    Row(
        id="solid-5-to-6",
        types=SOLID,
        stage="first",
        rank=2,
        size=band(5, 6),
        volume=band(None, 0),
        management="CT at 1 year.",
        after_months=(12, 12),
        mark="M",
    ),
    Row(
        id="solid-6-to-8",
        types=SOLID,
        stage="first",
        rank=3,
        size=band(6, 8),
        volume=band(80, 300),
        management="CT at 3 months, then at 1 year.",
        after_months=(3, 3),
        mark="M",
    ),
    Row(
        id="solid-large-low-risk",
        types=SOLID,
        stage="first",
        rank=4,
        size=band(8),
        volume=band(300),
        risk=Band(None, _RISK),
        management="Brock risk below 10 %: CT at 3 months, then at 1 year.",
        after_months=(3, 3),
        mark="M",
    ),
    Row(
        id="solid-large-high-risk",
        types=SOLID,
        stage="first",
        rank=8,
        size=band(8),
        volume=band(300),
        risk=Band(_RISK, None),
        mark="M",
        management="Brock risk of 10 % or more: PET/CT where it is large enough to be seen, "
        "then Herder's risk.",
    ),
    Row(
        id="subsolid-small",
        types=SUBSOLID,
        stage="first",
        rank=0,
        size=band(None, 5),
        management=DISCHARGE,
        mark="M",
    ),
    Row(
        id="subsolid",
        types=SUBSOLID,
        stage="first",
        rank=3,
        size=band(5),
        management="CT at 3 months.",
        after_months=(3, 3),
        mark="M",
    ),
    Row(
        id="solid-growing-fast",
        types=SOLID,
        stage="growing",
        rank=10,
        doubling_days=band(None, 401),
        management="Volume doubles within 400 days: further work-up (biopsy or resection).",
    ),
    Row(
        id="solid-growing",
        types=SOLID,
        stage="growing",
        rank=7,
        doubling_days=band(401, 601),
        management="Volume doubles in 400 to 600 days: consider biopsy or CT surveillance, "
        "as the patient prefers.",
    ),
    Row(
        id="solid-growing-slowly",
        types=SOLID,
        stage="growing",
        rank=2,
        doubling_days=band(601),
        management="Volume doubles in more than 600 days: consider discharge or CT surveillance.",
    ),
    Row(
        id="solid-unchanged-volume-1-year",
        types=SOLID,
        stage="unchanged",
        rank=0,
        elapsed=band(12),
        has_volumes=True,
        management=DISCHARGE,
        mark="M",
    ),
    Row(
        id="solid-unchanged-volume",
        types=SOLID,
        stage="unchanged",
        rank=2,
        elapsed=band(None, 12),
        has_volumes=True,
        management="CT at 1 year from the first exam.",
        after_months=(12, 12),
        counts_from_first=True,
        mark="M",
    ),
    Row(
        id="solid-unchanged-diameter-2-years",
        types=SOLID,
        stage="unchanged",
        rank=0,
        elapsed=band(24),
        has_volumes=False,
        management=DISCHARGE,
        mark="M",
    ),
    Row(
        id="solid-unchanged-diameter",
        types=SOLID,
        stage="unchanged",
        rank=2,
        elapsed=band(12, 24),
        has_volumes=False,
        management="CT at 2 years from the first exam.",
        after_months=(24, 24),
        counts_from_first=True,
        mark="M",
    ),
    Row(
        id="solid-unchanged-diameter-first-year",
        types=SOLID,
        stage="unchanged",
        rank=2,
        elapsed=band(None, 12),
        has_volumes=False,
        management="CT at 1 year from the first exam, then at 2 years.",
        after_months=(12, 12),
        counts_from_first=True,
        mark="M",
    ),
    Row(
        id="subsolid-growing",
        types=SUBSOLID,
        stage="growing",
        rank=9,
        management="Growth of 2 mm or more, or a new solid part: resection or biopsy.",
    ),
    Row(
        id="subsolid-persistent-high-risk",
        types=SUBSOLID,
        stage="unchanged",
        rank=6,
        risk=Band(_RISK, None),
        management="Brock risk of 10 % or more: discuss surveillance, biopsy or resection.",
        mark="M",
    ),
    Row(
        id="subsolid-persistent-1-year",
        types=SUBSOLID,
        stage="unchanged",
        rank=2,
        risk=Band(None, _RISK),
        elapsed=band(None, 12),
        after_months=(12, 12),
        counts_from_first=True,
        mark="M",
        management="CT at 1, 2 and 4 years from the first exam.",
    ),
    Row(
        id="subsolid-persistent-2-years",
        types=SUBSOLID,
        stage="unchanged",
        rank=2,
        risk=Band(None, _RISK),
        elapsed=band(12, 24),
        after_months=(24, 24),
        counts_from_first=True,
        mark="M",
        management="CT at 2 and 4 years from the first exam.",
    ),
    Row(
        id="subsolid-persistent-4-years",
        types=SUBSOLID,
        stage="unchanged",
        rank=2,
        risk=Band(None, _RISK),
        elapsed=band(24, 48),
        after_months=(48, 48),
        counts_from_first=True,
        mark="M",
        management="CT at 4 years from the first exam.",
    ),
    Row(
        id="subsolid-persistent",
        types=SUBSOLID,
        stage="unchanged",
        rank=0,
        risk=Band(None, _RISK),
        elapsed=band(48),
        management=DISCHARGE,
        mark="M",
    ),
)
