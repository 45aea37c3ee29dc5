"""Fetch one study: what is missing of it, and what became of that.

In: a row of what is to be fetched.  Out: images in the store; the row's new state, told in the history.
Never: an image that is here already fetched again; an image of another patient or study; an endless try.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from wetread.domain.fetching import FetchReason, FetchState
from wetread.domain.problem import ProblemCode
from wetread.domain.study import Instance, header_text
from wetread.errors import PeerError, QueryRefused, WetreadError
from wetread.fetch.ask import fetch_objects, open_finder
from wetread.fetch.listing import Listed, list_instances
from wetread.fetch.pacs import Pacs
from wetread.fetch.retrieval import FetchStopped, Stopper, Wanted
from wetread.fetch.suboperations import Transfer
from wetread.fetch.taking import BeginTaking, From, Tally
from wetread.fetch.trail import query_event
from wetread.steps.journal import Journal
from wetread.store import Store
from wetread.store.fetches import FetchRow

#: Tries of one study before somebody must look.
TRIES = 5
#: Why an object is refused for good, whoever sends it again.
_FINAL = (ProblemCode.OTHER_PATIENT.value, ProblemCode.OTHER_STUDY.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a try."""

    state: FetchState
    message: str
    code: str = ""
    #: False: it was interrupted, and is not counted.
    is_try: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSteps:
    """What fetching works with."""

    store: Store
    pacs: Mapping[str, Pacs]
    begin_taking: BeginTaking
    #: AE title of our own port.
    own_aet: str
    clock: Callable[[], datetime]
    #: Told after each end.
    settled: Callable[[], None] = field(default=lambda: None)

    @property
    def journal(self) -> Journal:
        """Where it is told."""
        return Journal(self.store.history, self.clock)

    def fetch(self, row: FetchRow, stopper: Stopper) -> FetchState:
        """Try once to fetch what is missing of a study; returns the row's new state.

        Raises
        ------
        PeerError
            If the PACS cannot be asked at all: that is no try, and concerns all that waits for it.
        StorageError
            If disk or index refuse; the same.
        """
        if not self.store.fetches.begin(row.id, self.clock()):
            return FetchState.SKIPPED
        try:
            outcome = self._try(row, self.pacs[row.pacs], stopper)
        except FetchStopped:
            outcome = Outcome(
                state=FetchState.WAITING, message="Interrupted, it goes on later.", is_try=False
            )
        except WetreadError as error:
            self._end(
                row, Outcome(state=FetchState.WAITING, code=error.code, message=str(error), is_try=False)
            )
            raise
        self._end(row, outcome)
        self.settled()
        return outcome.state

    def _try(self, row: FetchRow, pacs: Pacs, stopper: Stopper) -> Outcome:
        study = row.study_instance_uid
        self.store.audit.record(query_event(pacs, self.clock(), "what a study holds", study=study))
        listed = self._list(pacs, study)
        if listed is not None and listed.is_cut:
            message = "The PACS lists more instances than are taken of one study."
            return Outcome(state=FetchState.FAILED, code=ProblemCode.TOO_MANY_MATCHES.value, message=message)
        missing = self._missing(listed)
        if listed is not None and not listed.count:
            return self._failed(row, "The PACS does not list the study any more, or nothing in it.")
        if listed is not None and not missing:
            return Outcome(state=FetchState.FETCHED, message=f"All {listed.count} images were here already.")
        if listed is not None:
            # When so many are here, nothing more is waited for. Results of ours that are there do not count.
            expected = self._count(study) + sum(map(len, missing.values()))
            self.store.studies.expect(study, expected, pacs.name, self.clock())
        return self._transfer(row, pacs, stopper, listed)

    def _list(self, pacs: Pacs, study: str) -> Listed | None:
        """Return what the PACS lists; None where it does not answer such questions."""
        with open_finder(pacs) as finder:
            try:
                return list_instances(finder, study)
            except QueryRefused:
                return None

    def _missing(self, listed: Listed | None) -> dict[str, list[str]]:
        if listed is None:
            return {}
        held = self.store.fetches.list_held([uid for uids in listed.instances.values() for uid in uids])
        missing = {
            series: [uid for uid in uids if uid not in held] for series, uids in listed.instances.items()
        }
        return {series: uids for series, uids in missing.items() if uids}

    def _transfer(self, row: FetchRow, pacs: Pacs, stopper: Stopper, listed: Listed | None) -> Outcome:
        study, missing = row.study_instance_uid, self._missing(listed)
        is_whole = listed is None or sum(map(len, missing.values())) == listed.count
        wanted = Wanted(
            study_instance_uid=study,
            missing=None if is_whole else missing,
            sop_class_uids=listed.sop_class_uids if listed else frozenset(),
        )
        before = self._count(study)
        taking = self.begin_taking(
            From(source=pacs.source, aet=pacs.aet, address=pacs.address, check=self._check_of(row))
        )
        transfer = Transfer(
            pacs=pacs, wanted=wanted, stopper=stopper, count=lambda: self._count(study) + taking.tally.stored
        )
        status = ""
        is_broken = True
        try:
            status = fetch_objects(transfer, taking, self.own_aet).status
            is_broken = False
        except FetchStopped:
            raise
        except PeerError as error:
            status = str(error)
        finally:
            taking.close(is_broken=is_broken)
        if listed is not None:
            missing = self._missing(listed)
        return self._judge(row, taking.tally, missing, status, self._count(study) - before)

    def _judge(
        self, row: FetchRow, tally: Tally, missing: Mapping[str, list[str]], status: str, came: int
    ) -> Outcome:
        final = next((one for one in tally.refused if one[1] in _FINAL), None)
        stored = self.store.studies.find(row.study_instance_uid)
        if final is not None:
            return Outcome(state=FetchState.FAILED, code=final[1], message=final[2])
        if self._was_refused(row) or (stored and not self._is_of_patient(row, stored.patient_id)):
            # By C-MOVE it comes through our port like everything else.
            message = "The study that came is of another patient than it was asked for."
            return Outcome(state=FetchState.FAILED, code=ProblemCode.OTHER_PATIENT.value, message=message)
        code = next((one[1] for one in tally.refused), "")
        if code == ProblemCode.STORAGE_ERROR:
            return Outcome(state=FetchState.WAITING, code=code, message=tally.refused[0][2], is_try=False)
        lacking = sum(map(len, missing.values()))
        if lacking:
            why = f": {tally.refused[0][2]}" if tally.refused else f": {status}" if status else "."
            message = f"The PACS lists {lacking} images that did not come{why}"
            return self._failed(row, message, code)
        if stored is None or (status and not came):
            return self._failed(row, f"Nothing came: {status or 'the PACS says that all is done'}.", code)
        return Outcome(state=FetchState.FETCHED, message=f"{came} images came.")

    def _was_refused(self, row: FetchRow) -> bool:
        """Tell whether our port has turned away an image of another patient."""
        now = self.store.fetches.get(row.id)
        return now is not None and now.problem_code == ProblemCode.OTHER_PATIENT

    def _failed(self, row: FetchRow, message: str, code: str = "") -> Outcome:
        is_last = row.attempts + 1 >= TRIES
        return Outcome(
            state=FetchState.FAILED if is_last else FetchState.WAITING,
            code=code or ProblemCode.FETCH_FAILED.value,
            message=message,
        )

    def _count(self, study: str) -> int:
        row = self.store.studies.find(study)
        return row.instance_count if row else 0

    def _check_of(self, row: FetchRow) -> Callable[[Instance], tuple[str, str] | None]:
        def check(instance: Instance) -> tuple[str, str] | None:
            if instance.study_instance_uid != row.study_instance_uid:
                return (
                    ProblemCode.OTHER_STUDY.value,
                    "The PACS sent an image of another study than asked for.",
                )
            if not self._is_of_patient(row, header_text(instance.header, "PatientID")):
                return ProblemCode.OTHER_PATIENT.value, "The PACS sent an image of another patient."
            return None

        return check

    def _is_of_patient(self, row: FetchRow, patient_id: str) -> bool:
        """Tell whether images may be a prior of the study that it is fetched for."""
        current = self.store.studies.find(row.for_study) if row.for_study else None
        return current is None or current.patient_id.strip() == patient_id.strip()

    def _end(self, row: FetchRow, outcome: Outcome) -> None:
        study, purpose = row.study_instance_uid, row.reason.purpose
        if outcome.state is FetchState.FETCHED:
            self.store.purposes.add(study, purpose)
        if outcome.state is not FetchState.WAITING:
            self.store.purposes.close_prior(study)
        self.store.fetches.end(
            row.id,
            outcome.state,
            self.clock(),
            code=outcome.code,
            message=outcome.message,
            is_try=outcome.is_try,
        )
        self._tell(row, outcome)

    def _tell(self, row: FetchRow, outcome: Outcome) -> None:
        study = row.study_instance_uid
        why = {
            FetchReason.PRIOR: "a prior: kept to be compared with, not read by itself",
            FetchReason.BACKFILL: "for a backfill",
            FetchReason.WATCH: "new there",
            FetchReason.ASKED: "asked for",
        }[row.reason]
        if outcome.state is FetchState.FETCHED:
            self.journal.note(study, 0, "fetch", f"Fetched from {row.pacs} ({why}). {outcome.message}")
        elif outcome.is_try:
            then = "given up" if outcome.state is FetchState.FAILED else "it is tried again"
            message = f"Not fetched from {row.pacs} ({why}), {then}. {outcome.message}"
            self.journal.problem(study, 0, "fetch", message, outcome.code)
