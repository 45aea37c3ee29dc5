"""The history of a study as its page shows it: steps, and the times that it was taken as complete.

In: rows of the index.  Out: what is shown.  Never: queries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wetread.domain.reading import Outcome
from wetread.store.history import Event
from wetread.store.readings import ReadingRow
from wetread.store.studies import RevisionRow
from wetread.web import words


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One step of the history."""

    at: str
    stage: str
    level: str
    code: str
    message: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionView:
    """One time that the study was taken as complete."""

    revision: int
    instance_count: int
    cause: str
    begun_at: str
    #: ``""`` while it is read.
    finished_at: str
    #: Readings of it, with whether they stand.
    readings: tuple[tuple[str, str], ...]


def view_event(one: Event) -> EventView:
    """Return a step of the history."""
    return EventView(
        at=words.format_time(one.at.timestamp()),
        stage=one.stage,
        level=one.level,
        code=one.code,
        message=one.message,
        revision=one.revision,
    )


def view_revision(row: RevisionRow, readings: Iterable[ReadingRow]) -> RevisionView:
    """Return a revision with its Readings, those that were superseded too."""
    return RevisionView(
        revision=row.revision,
        instance_count=row.instance_count,
        cause=row.cause,
        begun_at=words.format_time(row.begun_at),
        finished_at=words.format_time(row.finished_at) if row.finished_at is not None else "",
        readings=tuple(
            (
                f"{one.model_name} {one.model_version}: {outcome_words(one)}",
                "superseded" if one.superseded else "",
            )
            for one in readings
            if one.revision == row.revision
        ),
    )


def outcome_words(row: ReadingRow) -> str:
    """Return how a Reading ended."""
    if row.outcome is Outcome.NOT_READ:
        return "not read"
    return (
        f"read, {words.format_count(row.finding_count, 'finding') if row.finding_count else 'nothing found'}"
    )
