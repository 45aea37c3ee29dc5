"""Order the reading list and say why.

In: one ``Entry`` per study, and now.  Out: the same, ranked, each with its reasons in words.
Never: a study that can be overtaken for ever; an order that depends on when it was asked for.

Most urgent first alone makes the least urgent wait without limit: simulated on chest radiographs,
triage by urgency raised the longest wait from 890 to 1293 min, a limit on waiting brought it back
to 979 min (Baltruschat et al. 2021, PMC8128725). Here urgency is therefore a *head start*, counted
in time: a study ranks as if it had arrived that much earlier. From this follows:

* stat stays before routine until routine has waited ``stat`` - ``score_span`` (three days) longer:
  the routine studies of a weekend must not stand before Monday's first pneumothorax;
* only what arrives within ``stat`` + ``score_span`` after a study can ever come before it:
  nothing starves, whatever arrives;
* the order does not depend on ``now``: rows move only when something happened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from wetread.domain.progress import StudyState
from wetread.domain.reading import Priority
from wetread.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadStarts:
    """How much earlier a study ranks than it arrived."""

    #: Outlasts a weekend, Friday 17:00 to Monday 08:00.
    stat: timedelta = timedelta(hours=72, minutes=30)
    #: Outlasts a night.
    urgent: timedelta = timedelta(hours=24)
    #: Nobody has looked yet, or no model could: before what was read and is routine.
    unread: timedelta = timedelta(hours=1)
    #: Most that the score (0 to 1) adds within a priority.
    score_span: timedelta = timedelta(minutes=30)

    def __post_init__(self) -> None:
        steps = (self.stat - self.urgent, self.urgent - self.unread, self.unread)
        if self.score_span < timedelta(0) or min(steps) < self.score_span:
            raise ValueError("each head start must exceed the next by at least score_span")

    def of(self, priority: Priority) -> timedelta:
        """Return the head start of a priority, without score."""
        return {Priority.STAT: self.stat, Priority.URGENT: self.urgent, Priority.ROUTINE: timedelta(0)}[
            priority
        ]

    @property
    def horizon(self) -> timedelta:
        """What arrives later than this after a study never comes before it."""
        return self.stat + self.score_span


HEAD_STARTS = HeadStarts()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingListSettings:
    """``[reading_list]``: by when a study is to be read, and how much of the list one page shows."""

    #: Minutes from the first image on, by priority.
    due_stat_min: float = 60.0
    due_urgent_min: float = 240.0
    due_routine_min: float = 2880.0
    #: Studies on one page.
    page_size: int = 50

    def __post_init__(self) -> None:
        """Refuse what would make every study late, or no page."""
        if not 0 < self.due_stat_min <= self.due_urgent_min <= self.due_routine_min:
            raise ConfigError(
                "reading_list: due_stat_min, due_urgent_min and due_routine_min must rise from above 0."
            )
        if not 10 <= self.page_size <= 500:
            raise ConfigError("reading_list.page_size must lie between 10 and 500.")

    def due(self, priority: Priority) -> timedelta:
        """Return within what time a study of this priority is to be read."""
        minutes = {
            Priority.STAT: self.due_stat_min,
            Priority.URGENT: self.due_urgent_min,
            Priority.ROUTINE: self.due_routine_min,
        }
        return timedelta(minutes=minutes[priority])


#: Highest first.
PRIORITIES = tuple(Priority)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the ranking needs to know about a study."""

    #: Names the study; decides between equals.
    study_instance_uid: str
    state: StudyState
    priority: Priority = Priority.ROUTINE
    #: 0 to 1 within the priority.
    score: float = 0.0
    #: Why it is urgent, most important first.
    reasons: tuple[str, ...] = ()
    #: When its first image came, with time zone.
    waiting_since: datetime
    #: Sentences: what stood in the way.
    problems: tuple[str, ...] = ()
    finding_count: int = 0
    #: True where a reading of fewer images stands while the newest is made.
    is_reread: bool = False

    def __post_init__(self) -> None:
        if self.waiting_since.tzinfo is None:
            raise ValueError("waiting_since needs a time zone")
        if not 0.0 <= self.score <= 1.0:
            raise ValueError("score must lie between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """An entry in its place."""

    #: From 1.
    position: int
    entry: Entry
    #: E.g. ``"read, nothing found"``.
    state_words: str
    #: Why it stands here, most important first; the last is how long it waits.
    reasons: tuple[str, ...]
    waiting: timedelta
    #: The higher priority it has reached by waiting, None where it has not.
    raised_to: Priority | None


def rank(
    entries: Iterable[Entry], now: datetime, head_starts: HeadStarts = HEAD_STARTS
) -> tuple[Ranked, ...]:
    """Return the entries most urgent first.

    Parameters
    ----------
    now
        With time zone; for the words only, the order does not depend on it.
    """
    ordered = sorted(entries, key=lambda one: (_virtual_arrival(one, head_starts), one.study_instance_uid))
    return tuple(_place(place, one, now, head_starts) for place, one in enumerate(ordered, start=1))


def describe_state(entry: Entry) -> str:
    """Return the state in words that tell "nothing found" from "not read" from "not yet"."""
    if entry.state is StudyState.NOT_READ:
        return f"not read, because: {entry.problems[0]}" if entry.problems else "not read"
    if entry.state is StudyState.READ:
        return f"read, {_count_findings(entry.finding_count)}"
    words = "arriving" if entry.state is StudyState.ARRIVING else "being read"
    return f"{words}, more images than were read before" if entry.is_reread else words


def describe_duration(duration: timedelta) -> str:
    """Return a duration by its two largest units, e.g. ``"3 h 20 min"``; never negative."""
    minutes = max(int(duration.total_seconds() // 60), 0)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else "less than 1 min"


def describe_due(priority: Priority, waiting: timedelta, settings: ReadingListSettings) -> tuple[str, bool]:
    """Return by when a study is to be read, in words, and whether that is over."""
    rest = settings.due(priority) - waiting
    if rest >= timedelta(0):
        return f"due in {describe_duration(rest)}", False
    return f"overdue {describe_duration(-rest)}", True


def _virtual_arrival(entry: Entry, head_starts: HeadStarts) -> datetime:
    head_start = head_starts.of(entry.priority)
    if entry.state is not StudyState.READ:
        head_start = max(head_start, head_starts.unread)
    return entry.waiting_since - head_start - entry.score * head_starts.score_span


def _place(position: int, entry: Entry, now: datetime, head_starts: HeadStarts) -> Ranked:
    waiting = max(now - entry.waiting_since, timedelta(0))
    raised_to = _raised_to(entry, waiting, head_starts)
    words = f"waiting {describe_duration(waiting)}"
    if raised_to is not None:
        words += f": raised to {raised_to.value}"
    return Ranked(
        position=position,
        entry=entry,
        state_words=describe_state(entry),
        reasons=(*entry.reasons, words),
        waiting=waiting,
        raised_to=raised_to,
    )


def _raised_to(entry: Entry, waiting: timedelta, head_starts: HeadStarts) -> Priority | None:
    # Ranks before whatever of that priority arrives now, with any score.
    reached = head_starts.of(entry.priority) + waiting - head_starts.score_span
    for priority in PRIORITIES[: PRIORITIES.index(entry.priority)]:
        if reached >= head_starts.of(priority):
            return priority
    return None


def _count_findings(count: int) -> str:
    if count == 0:
        return "nothing found"
    return "1 finding" if count == 1 else f"{count} findings"
