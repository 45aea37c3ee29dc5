"""A table of labels beside the images: CSV.

In: a path.  Out: its rows, by the id of the sample.  Never: a row that is passed over in silence.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wetread.errors import InvalidSamples, LabelsDoNotFit, NotFinite

_LARGEST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows by id."""

    columns: tuple[str, ...]
    rows: Mapping[str, Mapping[str, str]]

    def get(self, sample_id: str) -> Mapping[str, str]:
        """Return a sample's row.

        Raises
        ------
        LabelsDoNotFit
            If there is none.
        """
        if sample_id not in self.rows:
            raise LabelsDoNotFit("An image has no row in the table of labels: add it", sample=sample_id)
        return self.rows[sample_id]


def read_table(path: Path) -> Table:
    """Read a CSV with a heading, whose rows are named by ``id``, or by ``patient`` and ``nodule``.

    Raises
    ------
    InvalidSamples
        If it is no such table.
    LabelsDoNotFit
        If an id stands twice.
    """
    lines = _read_lines(path)
    columns = tuple(lines[0]) if lines else ()
    if "id" not in columns and not {"patient", "nodule"} <= set(columns):
        raise InvalidSamples(
            "The table of labels must have a column id, or columns patient and nodule", file=path.name
        )
    rows: dict[str, Mapping[str, str]] = {}
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(columns):
            raise InvalidSamples(
                "A row has more or fewer values than the heading", file=path.name, line=number
            )
        row = {column: value.strip() for column, value in zip(columns, line, strict=True)}
        name = row["id"] if "id" in row else f"{row['patient']}_n{row['nodule']}"
        if name in rows:
            raise LabelsDoNotFit("A sample stands twice in the table of labels", file=path.name, line=number)
        rows[name] = row
    return Table(columns=columns, rows=rows)


def _read_lines(path: Path) -> list[list[str]]:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ValueError("too large")
        with path.open(newline="", encoding="utf-8-sig") as file:
            return [line for line in csv.reader(file, strict=True) if line]
    except (OSError, ValueError, csv.Error) as error:
        raise InvalidSamples("Not a readable CSV file in UTF-8: check the table", file=path.name) from error


def read_number(row: Mapping[str, str], column: str, sample_id: str) -> float | None:
    """Return a number of a row; None where nothing is written.

    Raises
    ------
    LabelsDoNotFit, NotFinite
        If something else than a number is written.
    """
    text = row.get(column, "")
    if not text:
        return None
    try:
        number = float(text)
    except ValueError as error:
        raise LabelsDoNotFit(f"{column} must be a number", sample=sample_id) from error
    if not math.isfinite(number):
        raise NotFinite(f"{column} is no number", sample=sample_id)
    return number
