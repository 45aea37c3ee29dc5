"""What changed rules would have done: held against past studies by their headers.

In: rules as they are and as they might be, the index.  Out: per study what would be read by which model, now
and then, and how many studies change how.  Never: a change; a file opened; all studies in memory.

Whether a model may read a series does not depend on rules. So a study is matched in full only where the rules
offer its models other series than before, which one image of each series tells; that makes a long archive
quick to look through.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from wetread.contract.replay import Change, Plan, Replayed, ReplaySummary, StudyChange
from wetread.domain.model import Model
from wetread.domain.study import Study
from wetread.match import Match, Rule, choose_urgency, list_candidates, match_study
from wetread.store import Store
from wetread.store.pages import StudyFilter
from wetread.store.studies import StudyRow

#: Studies whose headers are in memory at a time.
CHUNK = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Two sets of rules to be compared."""

    store: Store
    models: Mapping[str, Model]
    now: tuple[Rule, ...]
    then: tuple[Rule, ...]
    #: Whether studies for which nothing changes are told, too; slower.
    tells_unchanged: bool = False
    #: Only what came from these; None: from anywhere.
    sources: Collection[str] | None = None
    #: Study date, at the earliest.
    since: date | None = None


def unknown_models(rules: Sequence[Rule], known: Collection[str]) -> tuple[str, ...]:
    """Return the models that rules name and nobody registered."""
    return tuple(sorted({name for rule in rules for name in rule.models} - set(known)))


def replay(trial: Trial, *, limit: int, after: str = "", budget_s: float = float("inf")) -> Replayed:
    """Look at studies, newest study date first.

    Parameters
    ----------
    limit
        Most studies to look at.
    after
        Cursor of the batch before; ``""``: begin.
    budget_s
        After this time no further study is looked at: the cursor leads on.

    Raises
    ------
    NotHeld
        If the study that the cursor names is gone.
    """
    until, counts, told, cursor = time.monotonic() + budget_s, Counter[Change](), [], after
    wanted, left = StudyFilter(date_from=trial.since), limit
    has_more = True
    while has_more and left > 0 and time.monotonic() < until:
        size = min(CHUNK, left)
        rows = trial.store.pages.studies(wanted, size + 1, cursor, trial.sources)
        has_more, rows = len(rows) > size, rows[:size]
        for one in _compare(trial, rows):
            counts[one.change] += 1
            if trial.tells_unchanged or one.change is not Change.UNCHANGED:
                told.append(one)
        left -= len(rows)
        cursor = rows[-1].key if rows else cursor
    return Replayed(
        summary=summarize(counts),
        items=tuple(told),
        after=cursor if has_more else None,
        unknown_models=unknown_models(trial.then, trial.models),
    )


def summarize(counts: Mapping[Change, int]) -> ReplaySummary:
    """Return counts by change as a summary."""
    return ReplaySummary(**{one.name.lower(): counts.get(one, 0) for one in Change})


def _compare(trial: Trial, rows: Sequence[StudyRow]) -> Iterator[StudyChange]:
    heads = trial.store.studies.load_heads_of([row.study_instance_uid for row in rows])
    for row in rows:
        held = heads.get(row.study_instance_uid)
        # Without an image of its own nothing would be read, whatever the rules.
        yield _unchanged(row) if held is None else _compare_one(trial, row, held)


def _compare_one(trial: Trial, row: StudyRow, heads: Study) -> StudyChange:
    is_same = (
        all(_offers(heads, trial.now, name) == _offers(heads, trial.then, name) for name in trial.models)
        and choose_urgency(heads, trial.now)[0] is choose_urgency(heads, trial.then)[0]
    )
    if is_same and not trial.tells_unchanged:
        return _unchanged(row)
    whole = trial.store.studies.load(row.study_instance_uid) or heads
    now, then = (match_study(whole, trial.models, rules) for rules in (trial.now, trial.then))
    plans = (_plan(now, heads, trial.now), _plan(then, heads, trial.then))
    return _told(row, _describe(now, then, *plans), *plans)


def _offers(heads: Study, rules: Sequence[Rule], model: str) -> frozenset[str] | None:
    """Return the series that the first rule that asks for a model offers it."""
    for rule in rules:
        offered = list_candidates(heads, rule) if model in rule.models else ()
        if offered:
            return frozenset(one.series_instance_uid for one in offered)
    return None


def _describe(now: Match, then: Match, plan_now: Plan, plan_then: Plan) -> Change:
    before, after = ({one.model: one.series_instance_uid for one in match.chosen} for match in (now, then))
    if after and not before:
        return Change.NEWLY_READ
    if before and not after:
        return Change.NO_LONGER_READ
    if before != after:
        return Change.OTHER_MODEL
    return Change.OTHER_URGENCY if plan_now.urgency is not plan_then.urgency else Change.UNCHANGED


def _plan(match: Match, heads: Study, rules: Sequence[Rule]) -> Plan:
    return Plan(
        models=tuple(one.model for one in match.chosen),
        rules=tuple(dict.fromkeys(one.rule for one in match.chosen)),
        urgency=choose_urgency(heads, rules)[0],
        reasons=tuple(f"{one.model}: {one.reason}" for one in match.models),
    )


def _unchanged(row: StudyRow) -> StudyChange:
    nothing = Plan(models=(), rules=(), urgency=row.urgency, reasons=())
    return _told(row, Change.UNCHANGED, nothing, nothing)


def _told(row: StudyRow, change: Change, now: Plan, then: Plan) -> StudyChange:
    return StudyChange(
        study_key=row.key,
        study_date=_day(row.study_date),
        modalities=row.modalities,
        change=change,
        now=now,
        then=then,
    )


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None
