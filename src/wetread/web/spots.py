"""Findings as cards: what was measured, and where among the images it is seen.

In: findings, tables of them, stacks.  Out: ``FindingCard`` values.
Never: a place among images that are not those that were read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wetread.domain.finding import Finding
from wetread.domain.measurement import MEASUREMENTS
from wetread.domain.reading import Reading
from wetread.web.marks import Part, turned_size, turned_spacing_mm
from wetread.web.stacks import Layout, Stack
from wetread.web.tables import Table, capitalize

#: Side of the square that a card shows: at least this, and so many times the finding.
_LEAST_MM, _TIMES = 56.0, 1.7
#: Stand in the table below the cards, where there is room for everything.
_IN_TABLES = (
    "greatest_long_axis_mm",
    "greatest_short_axis_mm",
    "greatest_mean_diameter_mm",
    "area_mm2",
)
_TITLES_IN_TABLES = frozenset(capitalize(MEASUREMENTS[name].title) for name in _IN_TABLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where a finding is seen best."""

    stack: str
    #: From 1, in the stack's order.
    number: int
    place: str
    window: str
    #: What lies left, right, at the top and at the bottom.
    letters: tuple[str, str, str, str]
    #: What of the slice a card shows; None: all of it.
    part: Part | None
    #: For the viewer that reads DICOMweb; ``""`` for whom UIDs are not.
    series_instance_uid: str = ""
    sop_instance_uid: str = ""

    @property
    def part_words(self) -> str:
        """The part as an address holds it, ``""`` for all."""
        one = self.part
        return f"{one.left},{one.top},{one.width},{one.height}" if one else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingCard:
    """One finding."""

    uid: str
    name: str
    #: What it is called among its like, e.g. ``"Lung nodule"``.
    kind: str
    #: Title, value with unit.
    facts: tuple[tuple[str, str], ...]
    #: None where no image shows it.
    spot: Spot | None
    #: In addresses: which Reading, which finding.
    of: str
    #: ``Segment.number``, 0: it has none.
    segment: int = 0


def make_cards(
    reading: Reading, digest: str, tables: Sequence[Table], stacks: Sequence[Stack]
) -> tuple[FindingCard, ...]:
    """Return a card for each finding, in the order of the tables."""
    order = {finding.tracking_uid: index for index, finding in enumerate(reading.findings)}
    cards = []
    for table in tables:
        for uid, row in zip(table.finding_uids, table.rows, strict=True):
            finding = reading.findings[order[uid]]
            facts = [
                (column.title, f"{cell} {column.unit}".strip())
                for column, cell in zip(table.columns[1:], row[1:], strict=True)
                if cell and column.title not in _TITLES_IN_TABLES
            ]
            cards.append(
                FindingCard(
                    uid=uid,
                    name=row[0],
                    kind=table.caption,
                    facts=tuple(facts),
                    spot=find_spot(reading, finding, stacks),
                    of=f"{digest[:12]}-{order[uid]}",
                    segment=finding.segment_number or 0,
                )
            )
    return tuple(cards)


def find_spot(reading: Reading, finding: Finding, stacks: Sequence[Stack]) -> Spot | None:
    """Return where a finding is seen best, None where its images are not there."""
    grid = reading.grid
    if grid is None:
        return None
    uids = grid.sop_instance_uids
    uid = uids[finding.key_plane] if finding.key_plane < len(uids) else ""
    _, row, column = grid.to_index(finding.center_lps_mm).tolist()
    point = grid.to_lps_mm((finding.key_plane, row, column)).tolist()
    for stack in stacks:
        is_read = stack.series_instance_uid == reading.series_instance_uid
        if not is_read or (uid and all(one.sop_instance_uid != uid for one in stack.slices)):
            continue
        number = stack.find_slice(point, uid)
        if number is not None:
            return Spot(
                stack=stack.key,
                number=number,
                place=stack.place_words(number),
                window=stack.first_window,
                letters=stack.letters,
                part=_part_about(point, finding, stack, number),
                series_instance_uid=stack.series_instance_uid,
                sop_instance_uid=stack.slices[number - 1].sop_instance_uid,
            )
    return None


def without_uids(card: FindingCard, stacks: Mapping[str, Stack]) -> FindingCard:
    """Return a card for whom names are not: no UID of an image, no place in a stack that is not shown."""
    spot = card.spot
    if spot is None or spot.stack not in stacks:
        return replace(card, spot=None)
    return replace(card, spot=replace(spot, series_instance_uid="", sop_instance_uid=""))


def _part_about(point_lps_mm: list[float], finding: Finding, stack: Stack, number: int) -> Part | None:
    layout, position = stack.layout, stack.slices[number - 1].position_lps_mm
    if layout is None or position is None:
        return None
    # Of the box no more than what lies within the slice: a long finding may run through it.
    extent = np.subtract(finding.box_lps_mm[1], finding.box_lps_mm[0])
    reach_mm = max(float(np.abs(layout.across) @ extent), float(np.abs(layout.down) @ extent))
    side_mm = max(_LEAST_MM, _TIMES * reach_mm)
    away = np.subtract(point_lps_mm, position)
    row = float(away @ np.array(layout.down)) / layout.spacing_mm[0]
    column = float(away @ np.array(layout.across)) / layout.spacing_mm[1]
    ((x, y),) = layout.view.turn_points(np.array([[column + 0.5, row + 0.5]]), layout.size).tolist()
    return _square(x, y, side_mm, stack, layout)


def _square(x: float, y: float, side_mm: float, stack: Stack, layout: Layout) -> Part:
    """Return a square in mm about a point, moved and cut so that it lies on the image."""
    rows, columns = turned_size(layout)
    row_mm, column_mm = turned_spacing_mm(stack)
    side_mm = min(side_mm, rows * row_mm, columns * column_mm)
    width, height = max(1, int(side_mm / column_mm)), max(1, int(side_mm / row_mm))
    left = min(max(0, round(x - width / 2)), columns - width)
    top = min(max(0, round(y - height / 2)), rows - height)
    return Part(left=left, top=top, width=width, height=height)
