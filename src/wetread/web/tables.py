"""Findings and regions as tables.

In: findings, regions of a Reading.  Out: captions, columns, cells.  Never: a number that the Reading lacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wetread.compose.wording import verdict_text
from wetread.domain.comparison import Status
from wetread.domain.finding import Finding, Region
from wetread.domain.measurement import MEASUREMENTS
from wetread.web import words

#: Names of the same concept and unit.
_SAME_COLUMN = {"lung_volume_ml": "volume_ml"}


#: Name, finding, what became of it.
_Member = tuple[str, Finding, Status | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table."""

    title: str
    unit: str = ""
    #: Numbers stand right, words left.
    is_number: bool = False
    #: Sentences need room.
    is_long: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells as they are shown."""

    caption: str
    #: True where the rows are findings to be counted.
    is_list: bool
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    #: Of findings: the tracking UID of each row.
    finding_uids: tuple[str, ...] = ()


def finding_tables(
    findings: Sequence[Finding], names: Sequence[str], statuses: Sequence[Status | None]
) -> tuple[Table, ...]:
    """Return a table for each kind of finding, in the order of their first.

    Parameters
    ----------
    names
        Of each finding, as documents call it: ``Reading.finding_names``.
    statuses
        What became of each: ``Reading.status_of``.
    """
    by_label: dict[str, list[_Member]] = {}
    for name, finding, status in zip(names, findings, statuses, strict=True):
        by_label.setdefault(finding.label, []).append((name, finding, status))
    return tuple(_finding_table(label, members) for label, members in by_label.items())


def region_table(
    regions: Sequence[Region], study_measurements: Mapping[str, float], caption: str = "Lungs"
) -> Table | None:
    """Return what was measured on normal parts and on the whole study, None where nothing was."""
    rows = [(region.label, region.measurements) for region in regions]
    if study_measurements:
        # Both lungs together: the same quantity as the volume of one.
        whole = {_SAME_COLUMN.get(name, name): value for name, value in study_measurements.items()}
        rows.append(("Whole study", whole))
    if not rows:
        return None
    names = _used_names([measurements for _, measurements in rows])
    return Table(
        caption=caption,
        is_list=False,
        columns=(Column(title="Part"), *_columns(names)),
        rows=tuple((label, *_cells(names, measurements)) for label, measurements in rows),
    )


def _finding_table(label: str, members: Sequence[_Member]) -> Table:
    findings = [finding for _, finding, _ in members]
    names = _used_names([finding.measurements for finding in findings])
    has_type = any(finding.texture for finding in findings)
    has_probability = any(finding.probability is not None for finding in findings)
    has_prior = any(finding.prior or status for _, finding, status in members)
    columns = [Column(title="Name"), Column(title="Side")]
    columns += [Column(title="Type")] * has_type
    columns += [Column(title="Change since prior", is_long=True)] * has_prior
    columns += _columns(names)
    columns += [Column(title="Probability", unit="%", is_number=True)] * has_probability
    rows = []
    for name, finding, status in members:
        row = [name, finding.laterality.meaning.lower() if finding.laterality else ""]
        row += [finding.texture.meaning.lower() if finding.texture else ""] * has_type
        row += [_change(finding, status)] * has_prior
        row += _cells(names, finding.measurements)
        row += ["" if finding.probability is None else f"{finding.probability:.0%}"[:-1]] * has_probability
        rows.append(tuple(row))
    return Table(
        caption=capitalize(label),
        is_list=True,
        columns=tuple(columns),
        rows=tuple(rows),
        finding_uids=tuple(finding.tracking_uid for finding in findings),
    )


def _used_names(measurements: Sequence[Mapping[str, float]]) -> list[str]:
    return [name for name in MEASUREMENTS if any(name in one for one in measurements)]


def _columns(names: Sequence[str]) -> list[Column]:
    return [
        Column(
            title=capitalize(MEASUREMENTS[name].title),
            unit=words.format_unit(MEASUREMENTS[name].unit.value),
            is_number=True,
        )
        for name in names
    ]


def capitalize(title: str) -> str:
    """Return a title with its first letter large."""
    # Not str.capitalize: "LAA-950" stays as it is.
    return title[:1].upper() + title[1:]


def _cells(names: Sequence[str], measurements: Mapping[str, float]) -> list[str]:
    return [
        f"{measurements[name] + 0.0:.{MEASUREMENTS[name].decimals}f}" if name in measurements else ""
        for name in names
    ]


def _change(finding: Finding, status: Status | None) -> str:
    prior = finding.prior
    if prior is None:
        return status.value.replace("-", " ") if status else ""
    low, high = prior.volume_change_ci95
    verdict = f"{verdict_text(prior)}, " if prior.status else ""
    text = f"{verdict}volume {prior.volume_change_percent:+.0f} % ({low:+.0f} to {high:+.0f})"
    if prior.doubling_time_days is not None:
        text += f", doubles in {prior.doubling_time_days:.0f} days"
    return text
