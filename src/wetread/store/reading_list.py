"""The reading list a page at a time: searched, filtered, counted and ordered in the index.

In: what somebody wants to see.  Out: rows in the order of ``worklist``, counts.
Never: a study left out because the list is long; a text that is searched for, kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Engine, Text, and_, case, cast, false, func, literal, or_, select, true
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.progress import StudyState
from wetread.domain.reading import Priority
from wetread.errors import StorageError
from wetread.store import schema
from wetread.store.deliveries import DEAD, stands
from wetread.store.list_rank import NUMBERS
from wetread.store.names import word_patterns
from wetread.store.studies import STUDY_COLUMNS, StudyRow, study_row
from wetread.store.together import reading

_study = schema.study.c
#: Words of a search that are looked at.
_MOST_WORDS = 8


class Kind(StrEnum):
    """The buttons above the list."""

    ALL = "all"
    STAT = "stat"
    URGENT = "urgent"
    FINDINGS = "findings"
    NOT_READ = "not-read"
    IN_PROGRESS = "in-progress"
    TROUBLE = "trouble"
    OVERDUE = "overdue"
    FREE = "free"
    MINE = "mine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How urgency counts against waiting, in s (``worklist.HeadStarts``)."""

    #: By priority.
    head_starts_s: Mapping[Priority, float]
    #: Of what no model has read yet, at least.
    unread_s: float
    #: Most that a score adds.
    score_span_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which studies."""

    is_reported: bool = False
    kind: Kind = Kind.ALL
    #: Of the study; ``""``: any.
    modality: str = ""
    #: Of name, ID, accession number, description; each word must be in one of them.
    text: str = ""
    #: Whether ``text`` may be looked for in what says who the patient is; else only in the study's key.
    knows_names: bool = True
    #: AE titles; None: from anywhere.
    sources: Collection[str] | None = None
    #: Who asks: for ``Kind.MINE``.
    who: str = ""
    #: Seconds since 1970, and in how many s a study is due after its first image.
    now: float = 0.0
    due_s: Mapping[Priority, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a study stands in the list."""

    #: From 1; 0: it is not in it.
    position: int
    total: int
    previous_key: str
    next_key: str


@dataclass(frozen=True, slots=True)
class ReadingList:
    """Questions about the list."""

    engine: Engine

    def page(self, wanted: Wanted, weights: Weights, offset: int, limit: int) -> list[StudyRow]:
        """Return the studies from a place on, most urgent first; reported ones: newest first."""
        # First where, from the index alone; then the rows themselves.
        query = (
            select(_study.study_instance_uid)
            .where(*_where(wanted, is_few=wanted.kind in _FEW), _is(wanted.kind, wanted))
            .order_by(*_order(wanted, weights))
            .limit(limit)
            .offset(offset)
        )
        with self._reading() as connection:
            uids = list(connection.execute(query).scalars())
            found = select(*STUDY_COLUMNS).where(_study.study_instance_uid.in_(uids))
            rows = {row["study_instance_uid"]: row for row in connection.execute(found).mappings()}
        return [study_row(rows[uid]) for uid in uids if uid in rows]

    def counts(self, wanted: Wanted) -> dict[Kind, int]:
        """Return how many studies each button shows, of those that the search and the modality leave."""
        kinds = (_study.list_priority, _study.state)
        columns = (_count(_study.list_findings > 0), _count(_is_overdue(wanted)))
        grouped = select(*kinds, func.count(), *columns).where(*_where(wanted)).group_by(*kinds)
        with self._reading() as connection:
            groups = connection.execute(grouped).all()
            few = {kind: self._total(connection, _uids(kind, wanted), wanted) for kind in _FEW}
            claimed = self._total(connection, _uids(Kind.FREE, wanted), wanted)
        counts = dict.fromkeys(Kind, 0) | few
        for number, state, count, with_findings, overdue in groups:
            kinds_of_group = [Kind.ALL, *_KINDS_OF_STATE.get(state, ()), *_KINDS_OF_PRIORITY.get(number, ())]
            for kind in kinds_of_group:
                counts[kind] += count
            counts[Kind.FINDINGS] += int(with_findings or 0)
            counts[Kind.OVERDUE] += int(overdue or 0)
        return counts | {Kind.FREE: counts[Kind.ALL] - claimed}

    def place(self, study_instance_uid: str, wanted: Wanted, weights: Weights) -> Place:
        """Return where a study stands in the whole list, and its neighbours."""
        moved = _moved(wanted, weights)
        mine = _study.study_instance_uid == study_instance_uid
        with self._reading() as connection:
            own = connection.execute(select(moved).where(*_where(wanted), mine)).scalar()
            if own is None:
                return Place(position=0, total=0, previous_key="", next_key="")
            here = _study.study_instance_uid
            before = or_(moved < own, and_(moved == own, here < study_instance_uid))
            after = or_(moved > own, and_(moved == own, here > study_instance_uid))
            told = select(func.count(), func.sum(case((before, 1), else_=0))).select_from(schema.study)
            total, count = connection.execute(told.where(*_where(wanted))).one()
            theirs = select(here).where(*_where(wanted))
            previous = theirs.where(before).order_by(moved.desc(), here.desc()).limit(1)
            following = theirs.where(after).order_by(moved, here).limit(1)
            return Place(
                position=int(count or 0) + 1,
                total=int(total),
                previous_key=_key(connection, previous),
                next_key=_key(connection, following),
            )

    def _total(self, connection: Any, few: Any, wanted: Wanted) -> int:
        # Begin with the few, and not with everything that waits: the limit keeps them apart.
        some = few.limit(_ALL).subquery()
        joined = some.join(schema.study, _study.study_instance_uid == some.c.study_instance_uid)
        query = select(func.count()).select_from(joined).where(*_where(wanted, is_few=True))
        return int(connection.execute(query).scalar() or 0)

    def _reading(self) -> Any:
        return _Answered(reading(self.engine))


def _key(connection: Any, neighbour: Any) -> str:
    # In two steps: the index alone knows which, the table what it is called.
    uid = connection.execute(neighbour).scalar()
    found = select(_study.key).where(_study.study_instance_uid == uid)
    return str(connection.execute(found).scalar() or "") if uid else ""


_ALL = 2**31 - 1
#: Rarely more than a page.
_FEW = (Kind.TROUBLE, Kind.MINE)
#: What a study in this state, of this priority, counts for.
_KINDS_OF_STATE = {
    StudyState.NOT_READ.value: (Kind.NOT_READ,),
    StudyState.ARRIVING.value: (Kind.IN_PROGRESS,),
    StudyState.READING.value: (Kind.IN_PROGRESS,),
}
_KINDS_OF_PRIORITY = {NUMBERS[Priority.STAT]: (Kind.STAT,), NUMBERS[Priority.URGENT]: (Kind.URGENT,)}


def _count(where: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.sum(case((where, 1), else_=0))


class _Answered:
    """A connection whose failures are ours."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __enter__(self) -> Any:
        return self._inner.__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._inner.__exit__(kind, error, trace)
        if isinstance(error, SQLAlchemyError):
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error


def _moved(wanted: Wanted, weights: Weights) -> ColumnElement[Any]:
    """Return what is sorted by, the smallest first: as ``worklist`` has it, or when it was reported."""
    if wanted.is_reported:
        return -_study.reported_at
    by_priority = case(
        *((_study.list_priority == NUMBERS[one], weights.head_starts_s[one]) for one in Priority),
        else_=0.0,
    )
    is_unread = and_(
        _study.state != StudyState.READ.value,
        _study.list_priority.in_([NUMBERS[one] for one in Priority if _is_less(one, weights)]),
    )
    head_start = case((is_unread, literal(weights.unread_s)), else_=by_priority)
    return _study.first_received_at - head_start - _study.list_score * weights.score_span_s


def _is_less(priority: Priority, weights: Weights) -> bool:
    return weights.head_starts_s[priority] < weights.unread_s


def _order(wanted: Wanted, weights: Weights) -> tuple[ColumnElement[Any], ...]:
    return _moved(wanted, weights), _study.study_instance_uid


def _where(wanted: Wanted, *, is_few: bool = False) -> list[ColumnElement[bool]]:
    # For a sum no index is looked at. What the index does not hold is read in the order of the table.
    by_row = is_few or wanted.text or wanted.modality
    is_waiting = (_study.reported_at + 0.0 if by_row else _study.reported_at).is_(None)
    where: list[ColumnElement[bool]] = [~is_waiting if wanted.is_reported else is_waiting]
    if wanted.sources is not None:
        where.append(_study.source.in_(tuple(wanted.sources)))
    if wanted.modality:
        where.append(cast(_study.modalities, Text).contains(f'"{wanted.modality}"', autoescape=True))
    where += [_has_word(word, wanted) for word in wanted.text.split()[:_MOST_WORDS]]
    return where


def _has_word(word: str, wanted: Wanted) -> ColumnElement[bool]:
    if not wanted.knows_names:
        return _study.key.startswith(word.lower(), autoescape=True)
    # Each of its words begins some word of the name.
    names = [_study.patient_key.like(one, escape="\\") for one in word_patterns(word)]
    told = _study.patient_id + "\n" + _study.accession_number + "\n" + _study.study_description
    found = told.icontains(word, autoescape=True)
    return or_(and_(*names), found) if names else found


def _is(kind: Kind, wanted: Wanted) -> ColumnElement[bool]:
    if kind in (Kind.STAT, Kind.URGENT):
        return _study.list_priority == NUMBERS[Priority(kind.value)]
    if kind is Kind.FINDINGS:
        return _study.list_findings > 0
    if kind is Kind.NOT_READ:
        return _study.state == StudyState.NOT_READ.value
    if kind is Kind.IN_PROGRESS:
        return _study.state.in_([StudyState.ARRIVING.value, StudyState.READING.value])
    if kind is Kind.OVERDUE:
        return _is_overdue(wanted)
    if kind is Kind.FREE:
        return ~_study.study_instance_uid.in_(_uids(kind, wanted))
    if kind in _FEW:
        return _study.study_instance_uid.in_(_uids(kind, wanted))
    return true()


def _uids(kind: Kind, wanted: Wanted) -> Any:
    """Return the question for the studies of a kind that are few; of ``FREE``, for the others."""
    claim, delivery = schema.claim.c, schema.delivery.c
    if kind is Kind.TROUBLE:
        dead = delivery.state.in_([one.value for one in DEAD])
        return select(delivery.study_instance_uid).where(dead, stands()).distinct()
    claimed = select(claim.study_instance_uid)
    return claimed.where(claim.who == wanted.who) if kind is Kind.MINE else claimed


def _is_overdue(wanted: Wanted) -> ColumnElement[bool]:
    if wanted.is_reported or not wanted.due_s:
        return false()
    late = [
        and_(_study.list_priority == NUMBERS[one], _study.first_received_at < wanted.now - seconds)
        for one, seconds in wanted.due_s.items()
    ]
    return or_(*late)
