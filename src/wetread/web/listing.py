"""The reading list as it is shown.

In: rows of the store.  Out: ``Line`` values, ranked.  Never: the order itself (that is ``worklist``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from wetread.domain.progress import DeliveryState, StudyState
from wetread.domain.reading import Outcome, Priority
from wetread.store import Store
from wetread.store.reading_list import Kind, Wanted, Weights
from wetread.store.readings import ReadingRow
from wetread.store.room import Claim, GivenPriority
from wetread.store.studies import StudyRow
from wetread.web import words
from wetread.web.match_view import why_not_read
from wetread.worklist import (
    HEAD_STARTS,
    PRIORITIES,
    Entry,
    HeadStarts,
    Ranked,
    ReadingListSettings,
    describe_due,
    describe_duration,
    rank,
)

DeliveryCounts = Mapping[str, Mapping[DeliveryState, int]]

_DELIVERED = (DeliveryState.VERIFIED, DeliveryState.SENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryMark:
    """How far a study's documents are at one destination."""

    destination: str
    #: ``done``, ``waiting`` or ``trouble``.
    level: str
    #: E.g. ``"delivered"``, ``"2 of 6 refused"``.
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One study of the reading list."""

    #: For addresses: no identifier of the study.
    key: str
    study_instance_uid: str
    position: int
    #: ``"routine"`` too while nothing was read: see ``is_triaged``.
    priority: str
    #: False: no model has read it, so that its urgency is not known.
    is_triaged: bool
    #: Priority reached by waiting, ``""`` where none.
    raised_to: str
    patient_name: str
    patient_id: str
    patient_age: str
    patient_sex: str
    accession_number: str
    study_description: str
    study_date: str
    #: The same, as ``"today"`` where it is.
    study_day: str
    modalities: tuple[str, ...]
    instance_count: int
    state: str
    state_words: str
    #: With the wait as the last one.
    reasons: tuple[str, ...]
    waiting_since: str
    waiting_words: str
    finding_count: int
    deliveries: tuple[DeliveryMark, ...]
    #: ``""`` while it waits on the list.
    reported_at: str
    #: ``domain.fetching.Purpose``: what is not live was never on the list.
    purpose: str = "live"
    #: Who reads it now, and since when; ``""``: nobody.
    read_by: str = ""
    read_since: str = ""
    #: Who gave it its priority; ``""``: models and rules.
    priority_by: str = ""
    #: E.g. ``"due in 40 min"``; ``""`` where it does not wait.
    due_words: str = ""
    is_overdue: bool = False

    @property
    def clinical_reasons(self) -> tuple[str, ...]:
        """The reasons without the wait, which has a column of its own."""
        return self.reasons[:-1]

    @property
    def badge(self) -> str:
        """The priority, or that it is not known."""
        return self.priority if self.is_triaged else "unknown"

    @property
    def has_delivery_trouble(self) -> bool:
        """Whether a destination refused something."""
        return any(mark.level == "trouble" for mark in self.deliveries)

    @property
    def mark(self) -> str:
        """Changes when the study changed, but not as it waits."""
        told = (
            *(self.priority, self.state_words, self.clinical_reasons),
            *(self.instance_count, self.deliveries, self.read_by, self.is_overdue),
        )
        return hashlib.sha256(repr(told).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seats:
    """Who reads what, and which priorities readers gave."""

    claims: Mapping[str, Claim]
    priorities: Mapping[str, GivenPriority]

    def seat(self, line: Line) -> Line:
        """Return a line with who reads it."""
        claim, given = (one.get(line.study_instance_uid) for one in (self.claims, self.priorities))
        return replace(
            line,
            read_by=claim.who if claim else "",
            read_since=words.format_time(claim.at) if claim else "",
            priority_by=given.who if given else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One page of the list."""

    lines: tuple[Line, ...]
    #: By button: how many it would show.
    counts: Mapping[Kind, int]
    #: Of this button.
    total: int
    #: From 1.
    page: int
    pages: int


def weigh(head_starts: HeadStarts = HEAD_STARTS) -> Weights:
    """Return how the index orders the list: as ``worklist`` does."""
    return Weights(
        head_starts_s={one: head_starts.of(one).total_seconds() for one in Priority},
        unread_s=head_starts.unread.total_seconds(),
        score_span_s=head_starts.score_span.total_seconds(),
    )


def list_lines(
    store: Store, wanted: Wanted, now: datetime, settings: ReadingListSettings | None = None, page: int = 1
) -> Listed:
    """Return a page of the waiting studies, most urgent first, or of the reported ones, newest first.

    Parameters
    ----------
    page
        From 1; where there are fewer, the last.
    """
    settings = settings or ReadingListSettings()
    due_s = {one: settings.due(one).total_seconds() for one in Priority}
    wanted = replace(wanted, now=now.timestamp(), due_s=due_s)
    counts = store.reading_list.counts(wanted)
    size = settings.page_size
    pages = max(1, -(-counts[wanted.kind] // size))
    page = min(page, pages)
    first = (page - 1) * size
    rows = store.reading_list.page(wanted, weigh(), first, size)
    made = {line.study_instance_uid: line for line in make_lines(store, rows, now)}
    lines = tuple(
        _set_due(replace(made[row.study_instance_uid], position=first + number), row, now, settings)
        for number, row in enumerate(rows, start=1)
    )
    return Listed(lines=lines, counts=counts, total=counts[wanted.kind], page=page, pages=pages)


def _set_due(line: Line, row: StudyRow, now: datetime, settings: ReadingListSettings) -> Line:
    if row.reported_at is not None:
        return line
    waiting = now - datetime.fromtimestamp(row.first_received_at, UTC)
    told, is_overdue = describe_due(Priority(line.priority), waiting, settings)
    return replace(line, due_words=told, is_overdue=is_overdue)


def make_lines(store: Store, rows: Sequence[StudyRow], now: datetime) -> tuple[Line, ...]:
    """Return these studies ranked among themselves."""
    by_uid = {row.study_instance_uid: row for row in rows}
    readings = store.readings.list_current(list(by_uid))
    deliveries = store.deliveries.count_by_study(list(by_uid))
    stopped = _why_stopped(store, [uid for uid, row in by_uid.items() if row.state is StudyState.NOT_READ])
    room = Seats(claims=store.room.claims(by_uid), priorities=store.room.priorities(by_uid))
    entries = [
        to_entry(row, readings.get(uid, []), stopped.get(uid, ""), room.priorities.get(uid))
        for uid, row in by_uid.items()
    ]
    triaged = {uid for uid, rows in readings.items() if any(one.outcome is Outcome.READ for one in rows)}
    triaged |= {uid for uid, row in by_uid.items() if row.urgency is not Priority.ROUTINE}
    triaged |= set(room.priorities)
    return tuple(
        room.seat(to_line(one, by_uid[uid], deliveries.get(uid, {}), now, is_triaged=uid in triaged))
        for one in rank(entries, now)
        for uid in (one.entry.study_instance_uid,)
    )


def _why_stopped(store: Store, uids: list[str]) -> dict[str, str]:
    """Return why no Reading says more: no model was chosen, or the history's last problem."""
    if not uids:
        return {}
    chosen = {uid: why_not_read(match) for uid, match in store.studies.newest_matches(uids).items()}
    return store.history.last_problems(uids) | {uid: why for uid, why in chosen.items() if why}


def to_entry(
    row: StudyRow,
    readings: Sequence[ReadingRow],
    why_stopped: str = "",
    given: GivenPriority | None = None,
) -> Entry:
    """Join the standing Readings of a study: the most urgent decides, reasons and problems add up.

    Parameters
    ----------
    given
        A reader's own priority, which counts before all of them.
    """
    by_urgency = sorted(readings, key=lambda one: (PRIORITIES.index(one.priority), -one.score, one.id))
    found = by_urgency[0].priority if by_urgency else Priority.ROUTINE
    reasons = [reason for one in by_urgency for reason in one.reasons]
    if row.urgency is not Priority.ROUTINE:
        reasons.append(f"{row.urgency.value} by rule {row.urgency_rule}")
    if given is not None and given.priority is not None:
        reasons.insert(0, f"{given.priority.value} by {given.who}: {given.why}")
    messages = [str(problem["message"]) for one in _by_outcome(by_urgency) for problem in one.problems]
    return Entry(
        study_instance_uid=row.study_instance_uid,
        state=row.state,
        priority=(given.priority if given else None) or min(found, row.urgency, key=PRIORITIES.index),
        score=min(max(by_urgency[0].score, 0.0), 1.0) if by_urgency else 0.0,
        reasons=tuple(dict.fromkeys(reasons)),
        waiting_since=datetime.fromtimestamp(row.first_received_at, UTC),
        problems=tuple(dict.fromkeys(messages)) or tuple(filter(None, [why_stopped])),
        finding_count=sum(one.finding_count for one in readings),
        is_reread=_is_reread(row, readings),
    )


def _is_reread(row: StudyRow, readings: Sequence[ReadingRow]) -> bool:
    # The Reading of the revision at hand is there before its documents are.
    newest_old = row.revision if row.state is StudyState.ARRIVING else row.revision - 1
    is_open = row.state in (StudyState.ARRIVING, StudyState.READING)
    return is_open and any(one.outcome is Outcome.READ and one.revision <= newest_old for one in readings)


def to_line(
    ranked: Ranked, row: StudyRow, deliveries: DeliveryCounts, now: datetime, *, is_triaged: bool
) -> Line:
    """Return what is shown of a ranked study."""
    entry = ranked.entry
    return Line(
        key=row.key,
        study_instance_uid=row.study_instance_uid,
        position=ranked.position,
        priority=entry.priority.value,
        is_triaged=is_triaged,
        raised_to=ranked.raised_to.value if ranked.raised_to else "",
        patient_name=words.format_name(row.patient_name),
        patient_id=row.patient_id,
        patient_age=words.format_age(row.patient_birth_date, words.parse_date(row.study_date) or now.date()),
        patient_sex=words.format_sex(row.patient_sex),
        accession_number=row.accession_number,
        study_description=row.study_description,
        study_date=words.format_date(row.study_date),
        study_day=words.format_day(row.study_date, now),
        modalities=row.modalities,
        instance_count=row.instance_count,
        state=entry.state.value,
        state_words=ranked.state_words,
        reasons=ranked.reasons,
        waiting_since=entry.waiting_since.isoformat(),
        waiting_words=describe_duration(ranked.waiting),
        finding_count=entry.finding_count,
        deliveries=tuple(describe_deliveries(name, counts) for name, counts in deliveries.items()),
        reported_at=words.format_time(row.reported_at) if row.reported_at is not None else "",
        purpose=row.purpose.value,
    )


def describe_deliveries(destination: str, counts: Mapping[DeliveryState, int]) -> DeliveryMark:
    """Sum up a destination: trouble before waiting before done, never "delivered" too early."""
    total = sum(count for state, count in counts.items() if state is not DeliveryState.SUPERSEDED)
    for state, level, word in (
        (DeliveryState.REFUSED, "trouble", "refused"),
        (DeliveryState.FAILED, "trouble", "failed"),
        (DeliveryState.WAITING, "waiting", "waiting"),
    ):
        if count := counts.get(state, 0):
            told = word if count == total else f"{count} of {total} {word}"
            return DeliveryMark(destination=destination, level=level, words=told)
    delivered = sum(counts.get(state, 0) for state in _DELIVERED)
    if not delivered:
        return DeliveryMark(destination=destination, level="waiting", words="superseded")
    is_checked = counts.get(DeliveryState.VERIFIED, 0) == delivered
    told = "delivered, checked" if is_checked else "delivered"
    return DeliveryMark(destination=destination, level="done", words=told)


def _by_outcome(readings: Sequence[ReadingRow]) -> list[ReadingRow]:
    # What was not read comes first: its problem is the reason to show.
    return sorted(readings, key=lambda one: one.outcome is Outcome.READ)
