"""Priors: ask for a patient's earlier studies, and let a reading wait for them, but not for long.

In: a live study.  Out: rows of what is to be fetched; whether the reading waits.
Never: a reading that waits longer than was granted; a prior of another patient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from wetread.domain.fetching import FetchReason, FetchState, Purpose
from wetread.domain.problem import ProblemCode
from wetread.domain.query import Level
from wetread.domain.study import header_text
from wetread.errors import QueryRefused
from wetread.fetch.ask import open_finder
from wetread.fetch.found import STUDY_KEYS, Finder, Found
from wetread.fetch.listing import list_series
from wetread.fetch.pacs import Pacs
from wetread.fetch.relevance import Outline, PriorVerdict, judge_priors, read_regions
from wetread.fetch.trail import query_event
from wetread.steps.journal import Journal
from wetread.store import Store
from wetread.store.fetches import SETTLED, FetchRow, Want
from wetread.store.pacs_states import SearchRow
from wetread.store.studies import StudyRow
from wetread.waits import Waits

#: Earlier studies that are looked at more closely, the newest.
_MOST_OUTLINED = 30
#: How often somebody who waits looks again, in s.
_LOOK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSteps:
    """What priors are asked for with."""

    store: Store
    #: Those that are asked.
    pacs: tuple[Pacs, ...]
    clock: Callable[[], datetime]
    #: Called when there is something to ask.
    wanted: Callable[[], None] = field(default=lambda: None)
    waits: Waits = field(default_factory=Waits)

    @property
    def journal(self) -> Journal:
        """Where it is told."""
        return Journal(self.store.history, self.clock)

    def wait_s(self, row: StudyRow) -> float:
        """Ask for the priors of a study that arrives; returns how long its reading waits, 0: no more."""
        if not self.pacs or row.purpose is not Purpose.LIVE or row.revision or not _can_be_asked(row):
            return 0.0
        study = row.study_instance_uid
        searches = {
            pacs.name: self.store.pacs.want_priors(study, pacs.name, self.clock()) for pacs in self.pacs
        }
        waited_s = self.waits.seen_s(study, "priors")
        if not waited_s:
            self.wanted()
        left_s = 0.0
        for pacs in self.pacs:
            if self._open(searches[pacs.name]):
                left_s = max(left_s, pacs.priors.wait_s - waited_s)
        return min(left_s, _LOOK_S) if left_s > 0 else 0.0

    def end_round(self, studies: set[str]) -> None:
        """Forget what does not wait any more."""
        self.waits.forget_others(set(studies))

    def tell(self, row: StudyRow, revision: int) -> None:
        """Note at a study whose reading begins which priors came, and which did not and why."""
        if not self.pacs or row.revision or row.purpose is not Purpose.LIVE:
            return
        for search in self.store.pacs.list_searches_of(row.study_instance_uid):
            rows = self._rows(search)
            came = sum(one.state is FetchState.FETCHED for one in rows)
            lacking = [one for one in rows if one.state is not FetchState.FETCHED]
            parts = [f"Priors from {search.pacs}: {came} came."]
            if search.state == "waiting":
                parts = [f"Priors from {search.pacs}: it did not answer in time, read without."]
            elif search.message:
                parts.append(search.message)
            parts += [_why_lacking(one) for one in lacking]
            message = " ".join(parts)
            if lacking or search.state != "done":
                code = ProblemCode.PRIORS_MISSING.value
                self.journal.problem(row.study_instance_uid, revision, "fetch", message, code)
            else:
                self.journal.note(row.study_instance_uid, revision, "fetch", message)

    def search(self, pacs: Pacs, search: SearchRow) -> None:
        """Ask a PACS for the earlier studies of a patient, and want those that are worth it.

        Raises
        ------
        PeerError
            If the PACS does not answer: it is asked again.
        """
        row = self.store.studies.find(search.study_instance_uid)
        if row is None:
            self.store.pacs.end_search(search, "failed", "The study was deleted.", self.clock())
            return
        event = query_event(pacs, self.clock(), "earlier studies", study=row.study_instance_uid)
        self.store.audit.record(event)
        try:
            with open_finder(pacs) as finder:
                found = self._find(finder, row)
                verdicts = judge_priors(
                    self._outline(row), [self._look(finder, one) for one in found], pacs.priors
                )
        except QueryRefused as error:
            self.store.pacs.end_search(search, "failed", str(error), self.clock())
            return
        chosen = tuple(one.outline.study_instance_uid for one in verdicts if one.is_wanted)
        counts = {one.study_instance_uid: one.count("NumberOfStudyRelatedInstances") for one in found}
        for verdict in verdicts:
            if verdict.is_wanted:
                self._want(pacs, row, verdict.outline, counts[verdict.outline.study_instance_uid])
        self.store.pacs.end_search(search, "done", _describe(verdicts), self.clock(), chosen)

    def _find(self, finder: Finder, row: StudyRow) -> list[Found]:
        answer = finder.find(Level.STUDY, {"PatientID": row.patient_id}, STUDY_KEYS)
        issuer = self._issuer(row)
        others = [
            one
            for one in answer.found
            if one.study_instance_uid != row.study_instance_uid
            # Another hospital's patient may have the same number.
            and (not issuer or one.text("IssuerOfPatientID") in ("", issuer))
        ]
        others.sort(key=lambda one: (one.text("StudyDate"), one.text("StudyTime")), reverse=True)
        return others[:_MOST_OUTLINED]

    def _issuer(self, row: StudyRow) -> str:
        heads = self.store.studies.load_heads(row.study_instance_uid)
        return header_text(heads.header, "IssuerOfPatientID").strip() if heads else ""

    def _look(self, finder: Finder, found: Found) -> Outline:
        series = list_series(finder, found.study_instance_uid).found
        texts = [found.text("StudyDescription")]
        texts += [one.text(key) for one in series for key in ("BodyPartExamined", "SeriesDescription")]
        modalities = {*found.texts("ModalitiesInStudy"), *(one.text("Modality") for one in series)} - {""}
        return Outline(
            study_instance_uid=found.study_instance_uid,
            study_date=found.text("StudyDate"),
            study_time=found.text("StudyTime"),
            modalities=frozenset(modalities),
            regions=read_regions(texts),
        )

    def _outline(self, row: StudyRow) -> Outline:
        heads = self.store.studies.load_heads(row.study_instance_uid)
        texts = [row.study_description]
        for series in heads.series if heads else ():
            texts += [header_text(series.header, key) for key in ("BodyPartExamined", "SeriesDescription")]
        return Outline(
            study_instance_uid=row.study_instance_uid,
            study_date=row.study_date,
            study_time=row.study_time,
            modalities=frozenset(row.modalities),
            regions=read_regions(texts),
        )

    def _want(self, pacs: Pacs, row: StudyRow, prior: Outline, told: int | None) -> None:
        held = self.store.studies.find(prior.study_instance_uid)
        is_here = held is not None and told is not None and held.instance_count >= told
        want = Want(
            study_instance_uid=prior.study_instance_uid,
            pacs=pacs.name,
            reason=FetchReason.PRIOR,
            for_study=row.study_instance_uid,
            study_date=prior.study_date,
            expected_instances=told,
            state=FetchState.FETCHED if is_here else FetchState.WAITING,
        )
        self.store.fetches.want(want, self.clock())

    def _open(self, search: SearchRow) -> bool:
        return search.state == "waiting" or any(one.state not in SETTLED for one in self._rows(search))

    def _rows(self, search: SearchRow) -> list[FetchRow]:
        rows = [self.store.fetches.find(uid, search.pacs) for uid in search.chosen]
        return [row for row in rows if row is not None]


def _can_be_asked(row: StudyRow) -> bool:
    # Stars and question marks would match others, a backslash separates several (PS3.4 C.2.2.2).
    return bool(row.patient_id.strip()) and not set("*?\\") & set(row.patient_id)


def _why_lacking(row: FetchRow) -> str:
    day = f"The one of {row.study_date}" if row.study_date else "One"
    if row.state in (FetchState.WAITING, FetchState.FETCHING):
        return f"{day} did not come in time."
    return f"{day} did not come: {row.message or row.problem_code}"


def _describe(verdicts: tuple[PriorVerdict, ...]) -> str:
    wanted = [one for one in verdicts if one.is_wanted]
    rest = [one for one in verdicts if not one.is_wanted]
    parts = [f"{len(wanted)} of {len(verdicts)} earlier studies are wanted."]
    shown = [*wanted, *rest][:10]
    parts += [
        f"{one.outline.study_date or 'No date'}: {'' if one.is_wanted else 'not, '}{one.reason}."
        for one in shown
    ]
    return " ".join(parts)
