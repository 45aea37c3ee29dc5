"""Backfill: fetch and read what is old, day by day, when nothing else is to do.

In: backfills and what a PACS lists of their next day.  Out: rows of what is to be fetched; a moved cursor.
Never: a study of today delayed by one of yesterday; a day asked for that was done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from wetread.domain.fetching import BackfillState, FetchReason, FetchState
from wetread.errors import ConfigError
from wetread.fetch.ask import open_finder
from wetread.fetch.found import Finder, Found
from wetread.fetch.pacs import Pacs, is_within_hours
from wetread.fetch.trail import query_event
from wetread.match import Rule
from wetread.steps.watching import decide, list_days
from wetread.store import Store
from wetread.store.backfills import BackfillRow
from wetread.store.fetches import Want

#: A further day is asked for when so few studies of a backfill wait.
_FEW = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillSteps:
    """What backfills work with."""

    store: Store
    rules: tuple[Rule, ...]
    clock: Callable[[], datetime]

    def may_work(self, pacs: Pacs) -> bool:
        """Tell whether backfills may go on: at this hour, and nothing live waits."""
        now = self.clock()
        return is_within_hours(pacs.backfill_hours, now.hour * 60 + now.minute) and not (
            self.store.purposes.has_live_waiting()
        )

    def advance(self, pacs: Pacs) -> bool:
        """Ask for the next day of the oldest backfill, or close one that is done; False: nothing to do.

        Raises
        ------
        PeerError
            If the PACS does not answer, or has more of one day than is taken.
        """
        for row in self.store.backfills.list_all(BackfillState.RUNNING):
            if row.pacs != pacs.name:
                continue
            counts = self.store.fetches.count_by_state(backfill_id=row.id)
            if row.cursor > row.date_to:
                if not counts.get(FetchState.WAITING) and not counts.get(FetchState.FETCHING):
                    self.store.backfills.set_state(row.id, BackfillState.DONE, self.clock())
                    return True
            elif counts.get(FetchState.WAITING, 0) < _FEW:
                self._ask(pacs, row)
                return True
        return False

    def _ask(self, pacs: Pacs, row: BackfillRow) -> None:
        day = _date(row.cursor)
        rules = [rule for rule in self.rules if not row.rules or rule.name in row.rules]
        self.store.audit.record(query_event(pacs, self.clock(), "the studies of one day"))
        count = 0
        with open_finder(pacs) as finder:
            for found in list_days(finder, day, day, rules):
                count += 1
                self._want(pacs, row, rules, finder, found)
        self.store.backfills.move(row.id, f"{day + timedelta(days=1):%Y%m%d}", count, self.clock())

    def _want(self, pacs: Pacs, row: BackfillRow, rules: list[Rule], finder: Finder, found: Found) -> None:
        study = found.study_instance_uid
        held = self.store.studies.find(study)
        decision = decide(found, finder, rules, ())
        is_here = held is not None and decision.told is not None and held.instance_count >= decision.told
        state = FetchState.FETCHED if is_here else FetchState.WAITING
        if decision.why_not:
            state = FetchState.SKIPPED
        elif held is not None:
            self.store.purposes.add(study, FetchReason.BACKFILL.purpose)
        want = Want(
            study_instance_uid=study,
            pacs=pacs.name,
            reason=FetchReason.BACKFILL,
            backfill_id=row.id,
            study_date=found.text("StudyDate"),
            expected_instances=decision.told,
            state=state,
            message=decision.why_not,
        )
        self.store.fetches.want(want, self.clock())


def _date(text: str) -> date:
    return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()


def check_rules(names: tuple[str, ...], rules: tuple[Rule, ...]) -> None:
    """Refuse names of rules that there are not.

    Raises
    ------
    ConfigError
        If so.
    """
    known = [rule.name for rule in rules]
    for name in names:
        if name not in known:
            raise ConfigError(f"There is no rule {name!r}: known are {', '.join(known)}.")
