"""Have versions in the shadow read what the live ones have read.

In: a finished revision.  Out: rows beside it, for a comparison of both.
Never: a live reading delayed; a study's state, history, documents or deliveries touched; a result shown as
one of the study.

What is to be read is a row from the moment the revision ends. A version reads the series that it would read
if it were live, with the threshold that it would have.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from wetread.domain.fetching import Purpose
from wetread.domain.lifecycle import ModelState
from wetread.domain.model import Model, ModelIdentity
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.reading import Outcome, Priority, Reading
from wetread.domain.shadow import Said, ShadowState, shorten
from wetread.domain.study import Series
from wetread.errors import StudyDeleted
from wetread.infer.job import ReadJob, make_unread
from wetread.match import Rule, match_study
from wetread.match.decide import ModelMatch
from wetread.registry.lineup import Lineup
from wetread.registry.operating import apply as apply_point
from wetread.steps.comparing import find_prior, record_prior
from wetread.steps.faults import note_outcome
from wetread.steps.journal import Journal
from wetread.steps.loading import find_keys, load_revision
from wetread.steps.order import asked_rule
from wetread.steps.sentences import title
from wetread.steps.trail import read_event
from wetread.store import Store
from wetread.store.shadows import ShadowRow
from wetread.store.studies import StudyRow


def plan_shadows(store: Store, lineup: Lineup, study: StudyRow | None, revision: int, now: datetime) -> None:
    """Note what is to be read in the shadow of a revision that ends; of live studies only."""
    versions = lineup.shadows()
    if not versions or study is None or study.purpose is not Purpose.LIVE:
        return
    with contextlib.suppress(StudyDeleted):
        store.shadows.plan(
            study.study_instance_uid,
            revision,
            [(entry.model.identity, period) for entry, period in versions],
            now,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowSteps:
    """What reading in the shadow works with."""

    store: Store
    lineup: Lineup
    rules: tuple[Rule, ...]
    #: Runs a model, in a process of its own, while nothing live is read.
    run_job: Callable[[ReadJob], Reading]
    clock: Callable[[], datetime]
    #: As for live versions; 0: never.
    failures_in_a_row: int = 0
    monotonic: Callable[[], float] = time.monotonic

    def list_waiting(self, limit: int) -> list[ShadowRow]:
        """Return what is to be read now."""
        digests = [entry.model.identity.digest for entry, _ in self.lineup.shadows()]
        return self.store.shadows.list_waiting(digests, limit)

    def forget_withdrawn(self) -> None:
        """Forget what waits for versions that are in the shadow nowhere any more."""
        states = {one.model.identity.digest: one.state for one in self.lineup.entries()}
        # Of such too as this process does not have.
        states |= {one.digest: one.state for one in self.lineup.states.list_all()}
        shadows = [digest for digest, state in states.items() if state is ModelState.SHADOW]
        self.store.shadows.drop_all_but(shadows)

    def read(self, study: str, revision: int, digest: str) -> None:
        """Read one revision with one version; what was read, is gone or is withdrawn is left alone."""
        row, held = self.store.shadows.find(study, revision, digest), self.store.studies.find(study)
        model = self._find_model(digest)
        if row is None or row.state is not ShadowState.WAITING or held is None or model is None:
            return
        if held.revision != revision:
            # The newer one is read when it ends.
            self.store.shadows.drop(row)
            return
        with contextlib.suppress(StudyDeleted):
            self._consider(row, held, model)

    def stop(self, study: str, revision: int, digest: str, code: str) -> None:
        """Close a row that a bug of ours kept from being read; told of no study."""
        row = self.store.shadows.find(study, revision, digest)
        if row is None or row.state is not ShadowState.WAITING:
            return
        identity = ModelIdentity(name=row.model_name, version=row.model_version, digest=digest)
        told = "Send this line to whoever maintains Wetread."
        message = f"{title(identity)}: a reading in the shadow stopped ({code}). {told}"
        reading = Reading(
            study_instance_uid=study,
            series_instance_uid="",
            revision=revision,
            model=identity,
            operating_point="",
            outcome=Outcome.NOT_READ,
            problems=(Problem(code=ProblemCode.INTERNAL_ERROR, message=message),),
            made_at=self.clock(),
        )
        with contextlib.suppress(StudyDeleted):
            self.store.shadows.save(row, reading, shorten(reading, None), None, self.clock())
        Journal(self.store.history, self.clock).problem(
            "", 0, "registry", message, ProblemCode.INTERNAL_ERROR.value
        )

    def _consider(self, row: ShadowRow, study: StudyRow, model: Model) -> None:
        """Read the series that the version chooses; where it chooses none, say why if the live one does."""
        decided, live = self._match(row, model), self._live_match(row)
        chosen = decided.series_instance_uid or str(live.get("chosen_series", ""))
        if not chosen:
            self.store.shadows.drop(row)
            return
        series = load_revision(self.store, row.study_instance_uid, row.revision).get_series(chosen)
        beside = self._live_said(row, live)
        if not decided.is_chosen:
            reading = make_unread(self._job(row, series, model), *decided.problems)
            self.store.shadows.save(row, reading, shorten(reading, None), beside, self.clock())
            return
        model = apply_point(model, self.store.operating_points.list_all(row.model_name), series.header)
        if not self._stands(row, series, model, beside):
            self._read(row, study, series, model, beside)

    def _read(
        self, row: ShadowRow, study: StudyRow, series: Series, model: Model, beside: Said | None
    ) -> None:
        count, name = len(series.instances), f"{title(model.identity)} in the shadow"
        job = self._with_prior(row, self._job(row, series, model))
        # Before the model sees anything: what cannot be recorded waits.
        self.store.audit.record(read_event(study, self.clock(), name, count))
        if job.prior is not None:
            record_prior(self.store, job.prior, name, self.clock())
        begun_at = self.monotonic()
        reading = self.run_job(job)
        seconds = self.monotonic() - begun_at
        if self._find_model(model.identity.digest) is None:
            # Withdrawn meanwhile.
            return

        def tell(connection: Any) -> None:
            states, most = self.store.model_states, self.failures_in_a_row
            note_outcome(states, connection, reading, model, at=self.clock(), most=most)
            is_read = reading.outcome is Outcome.READ
            self.store.audit.record_in(
                connection, read_event(study, self.clock(), name, count, is_read=is_read)
            )

        self.store.shadows.save(row, reading, shorten(reading, seconds), beside, self.clock(), tell)
        self.store.audit.note_end()

    def _stands(self, row: ShadowRow, series: Series, model: Model, beside: Said | None) -> bool:
        """Take over what the version read before, where the images and its threshold are the same."""
        earlier = self.store.shadows.find_earlier(row)
        if earlier is None or earlier.said is None:
            return False
        reading = self.store.shadows.load(earlier)
        uids = {one.sop_instance_uid for one in series.instances}
        is_same_point = bool(model.runtime.entry) or reading.operating_point == model.operating_point
        if reading.grid is None or set(reading.grid.sop_instance_uids) != uids or not is_same_point:
            return False
        self.store.shadows.save(row, reading, earlier.said, beside, self.clock())
        return True

    def _job(self, row: ShadowRow, series: Series, model: Model) -> ReadJob:
        # Without ``volume_path``: nothing is composed of it.
        return ReadJob(
            study_instance_uid=row.study_instance_uid,
            revision=row.revision,
            series=series,
            model=model,
            made_at=self.clock(),
            keys=find_keys(self.store, series),
        )

    def _with_prior(self, row: ShadowRow, job: ReadJob) -> ReadJob:
        """Give it the earlier study as the live one gets it, or the two would be no comparison."""
        study = load_revision(self.store, row.study_instance_uid, row.revision)
        prior, problems = find_prior(self.store, study, job.series, job.model)
        return replace(job, prior=prior, prior_problems=problems)

    def _find_model(self, digest: str) -> Model | None:
        """Return a version that reads in the shadow now."""
        models = (entry.model for entry, _ in self.lineup.shadows())
        return next((one for one in models if one.identity.digest == digest), None)

    def _match(self, row: ShadowRow, model: Model) -> ModelMatch:
        """Decide as if the version were live."""
        study = load_revision(self.store, row.study_instance_uid, row.revision)
        asked = self.store.asked.list_for(row.study_instance_uid)
        rules = (*(asked_rule(wish) for wish in asked), *self.rules)
        as_live = replace(model, state=ModelState.LIVE.value)
        match = match_study(study, {row.model_name: as_live}, rules)
        return next(one for one in match.models if one.model == row.model_name)

    def _live_match(self, row: ShadowRow) -> Mapping[str, Any]:
        """Return what was decided for the live version; empty where there is none."""
        live = self.lineup.now().get(row.model_name)
        if live is None or not live.may_read:
            return {}
        match = self.store.studies.get_revision(row.study_instance_uid, row.revision).match or {}
        named: list[Mapping[str, Any]] = [
            one for one in match.get("models", ()) if one["name"] == row.model_name
        ]
        return next((one for one in named if one.get("digest") == live.identity.digest), {})

    def _live_said(self, row: ShadowRow, match: Mapping[str, Any]) -> Said | None:
        """Return what the live version said; None where none was asked."""
        standing = self.store.readings.list_current([row.study_instance_uid])
        for one in standing.get(row.study_instance_uid, ()):
            if one.model_name == row.model_name:
                reading = self.store.readings.load(one.digest)
                return None if reading.model.digest == row.model_digest else shorten(reading, one.seconds)
        live = self.lineup.now().get(row.model_name)
        if not match or live is None:
            return None
        return Said(
            version=live.identity.version,
            digest=live.identity.digest,
            series_instance_uid="",
            outcome=Outcome.NOT_READ,
            priority=Priority.ROUTINE,
            codes=tuple(dict.fromkeys(str(one["code"]) for one in match["problems"])),
            measurements={},
        )
