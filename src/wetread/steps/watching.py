"""Watch a PACS: what is new there, and is it wanted?

In: what a PACS lists of the last days, the rules.  Out: rows of what is to be fetched, or why not.
Never: a study asked about again that has not changed; one left out because something was not told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from wetread.domain.fetching import FetchReason, FetchState, Purpose
from wetread.domain.query import Level
from wetread.errors import TooManyMatches
from wetread.fetch.ask import open_finder
from wetread.fetch.found import STUDY_KEYS, Answer, Finder, Found
from wetread.fetch.listing import count_instances, list_instances, list_series, series_headers
from wetread.fetch.pacs import Pacs
from wetread.fetch.trail import query_event
from wetread.match import Rule, find_possible, list_keywords
from wetread.steps.journal import Journal
from wetread.store import Store
from wetread.store.fetches import FetchRow, Want

#: A PACS that does not count instances of studies is asked for each known study this often, in s.
_RECOUNT_S = 300.0
#: New studies that are decided in one look; the rest in the next.
MOST_DECIDED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSteps:
    """What watching works with."""

    store: Store
    rules: tuple[Rule, ...]
    clock: Callable[[], datetime]
    monotonic: Callable[[], float] = time.monotonic
    #: Study and PACS -> when its instances were counted last.
    _counted: dict[tuple[str, str], float] = field(default_factory=dict)
    #: Study and PACS -> instances, of what is here for another reason: it is decided once.
    _judged: dict[tuple[str, str], int | None] = field(default_factory=dict)

    def look(self, pacs: Pacs) -> int:
        """Ask for the studies of the last days; returns how many were looked at closely.

        Raises
        ------
        PeerError
            If the PACS does not answer, or has more than is taken of one day.
        StorageError
            If index or trail refuse.
        """
        today = self.clock().date()
        first = today - timedelta(days=pacs.watch.look_back_days)
        self.store.audit.record(query_event(pacs, self.clock(), "new studies"))
        count = 0
        with open_finder(pacs) as finder:
            # Of tomorrow too: their clock may be ahead, or east of ours.
            for found in list_days(finder, first, today + timedelta(days=1), self.rules):
                if count >= MOST_DECIDED:
                    break
                count += self._consider(pacs, finder, found)
        return count

    def _consider(self, pacs: Pacs, finder: Finder, found: Found) -> bool:
        study = found.study_instance_uid
        key = (study, pacs.name)
        row = self.store.fetches.find(study, pacs.name)
        told = found.count("NumberOfStudyRelatedInstances")
        if row is not None and not self._is_to_decide(row, told):
            return False
        decision = decide(found, finder, self.rules, pacs.watch.modalities)
        told = decision.told if told is None else told
        self._remember(key, told)
        if row is not None and row.reason is FetchReason.WATCH and told == row.expected_instances:
            return True
        want = Want(
            study_instance_uid=study,
            pacs=pacs.name,
            reason=FetchReason.WATCH,
            study_date=found.text("StudyDate"),
            expected_instances=told,
            state=self._state(study, told, decision.why_not),
            message=decision.why_not,
        )
        after = self.store.fetches.want(want, self.clock())
        if not decision.why_not:
            self._let_be_read(after)
        return True

    def _is_to_decide(self, row: FetchRow, told: int | None) -> bool:
        """Tell whether a study that is known is to be looked at again."""
        if row.state is FetchState.FETCHING:
            return False
        if row.reason is not FetchReason.WATCH:
            key = (row.study_instance_uid, row.pacs)
            return key not in self._judged or self._judged[key] != (told or self._judged[key])
        return told != row.expected_instances and self._counts(row, told)

    def _remember(self, key: tuple[str, str], told: int | None) -> None:
        self._judged[key] = told
        self._counted[key] = self.monotonic()
        for memory in (self._judged, self._counted):
            while len(memory) > 10 * MOST_DECIDED:
                memory.pop(next(iter(memory)))

    def _let_be_read(self, after: FetchRow) -> None:
        """Let what is here as a prior or for a backfill be read as what is new."""
        is_here = after.state is FetchState.FETCHED
        if is_here and self.store.purposes.add(after.study_instance_uid, Purpose.LIVE):
            message = f"{after.pacs} lists it as new: it is read."
            Journal(self.store.history, self.clock).note(after.study_instance_uid, 0, "fetch", message)

    def _counts(self, row: FetchRow, told: int | None) -> bool:
        """Tell whether the instances of a known study are to be counted now."""
        if told is not None:
            return True
        key, now = (row.study_instance_uid, row.pacs), self.monotonic()
        return now - self._counted.get(key, float("-inf")) >= _RECOUNT_S

    def _state(self, study: str, told: int | None, why_not: str) -> FetchState:
        if why_not:
            return FetchState.SKIPPED
        held = self.store.studies.find(study)
        is_here = held is not None and told is not None and held.instance_count >= told
        return FetchState.FETCHED if is_here else FetchState.WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a study is wanted."""

    #: ``""``: it is.
    why_not: str
    #: How many instances the PACS counts; None: it does not.
    told: int | None


def decide(found: Found, finder: Finder, rules: Sequence[Rule], modalities: Sequence[str]) -> Decision:
    """Decide by what a PACS tells of a study and its series; raises ``PeerError``."""
    series = list_series(finder, found.study_instance_uid, list_keywords(rules))
    told = count_instances(found, series)
    if told is None:
        told = list_instances(finder, found.study_instance_uid).count or None
    has = set(found.texts("ModalitiesInStudy")) | {one.text("Modality") for one in series.found} - {""}
    if modalities and has and not has & set(modalities):
        return Decision(why_not=f"Its modality is none of {', '.join(modalities)}.", told=told)
    if not find_possible(rules, series_headers(found, series)):
        return Decision(why_not="No rule can apply to it.", told=told)
    return Decision(why_not="", told=told)


def list_days(finder: Finder, first: date, last: date, rules: Sequence[Rule]) -> Iterator[Found]:
    """Yield the studies of some days, the newest first; where they are too many, day by day.

    Raises
    ------
    PeerError
        If the PACS does not answer, or has more of one day than is taken.
    """
    answer = _find_days(finder, first, last, rules)
    if answer.is_cut and first == last:
        raise TooManyMatches
    days = [first + timedelta(days=n) for n in range((last - first).days, -1, -1)]
    answers = [_find_days(finder, day, day, rules) for day in days] if answer.is_cut else [answer]
    for one in answers:
        if one.is_cut:
            raise TooManyMatches
        yield from sorted(one.found, key=lambda found: (found.text("StudyDate"), found.text("StudyTime")))[
            ::-1
        ]


def _find_days(finder: Finder, first: date, last: date, rules: Sequence[Rule]) -> Answer:
    days = f"{first:%Y%m%d}-{last:%Y%m%d}" if first != last else f"{first:%Y%m%d}"
    keys = dict.fromkeys((*STUDY_KEYS, *list_keywords(rules)))
    return finder.find(Level.STUDY, {"StudyDate": days}, tuple(keys))
