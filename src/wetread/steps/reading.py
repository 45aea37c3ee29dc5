"""The steps that read a revision: match, infer, compose, address, finish.

In: a study's UID and a revision.  Out: rows in the store, and what the next step needs, as JSON.
Never: a second Reading for the same images.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from wetread.compose import compose, read_source
from wetread.deliver.destination import Destination
from wetread.domain.document import READING_KINDS, SIGNED_KINDS
from wetread.domain.fetching import Purpose
from wetread.domain.model import Model
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import StudyState
from wetread.domain.reading import Outcome, Priority, Reading
from wetread.domain.study import Series, Study
from wetread.errors import ModelInterrupted, StudyDeleted
from wetread.infer.job import ReadJob, make_unread
from wetread.infer.scratch import find_volume
from wetread.match import Match, Rule, choose_urgency, find_rule, match_study
from wetread.registry.lineup import Lineup
from wetread.registry.operating import apply as apply_point
from wetread.steps.comparing import find_prior, load_prior, record_prior
from wetread.steps.earlier import covers, find_predecessors, last_read
from wetread.steps.faults import note_outcome
from wetread.steps.journal import Journal
from wetread.steps.late_priors import is_late, is_wanted
from wetread.steps.loading import find_keys, load_revision
from wetread.steps.order import asked_rule
from wetread.steps.places import find_urgency, is_worth_reading
from wetread.steps.returning import list_peers
from wetread.steps.segmented import find_organs, organ_rules
from wetread.steps.sentences import documents_sentence, match_sentence, reading_sentence, title
from wetread.steps.shadowing import plan_shadows
from wetread.steps.trail import read_event
from wetread.store import Store
from wetread.store.history import Event
from wetread.store.readings import ReadingRow

#: So often another version is made live while one reads, and not more.
_MOST_CHANGES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSteps:
    """What reading works with."""

    store: Store
    lineup: Lineup
    rules: tuple[Rule, ...]
    destinations: Mapping[str, Destination]
    #: Runs a model, in a process of its own.
    run_job: Callable[[ReadJob], Reading]
    clock: Callable[[], datetime]
    #: Quiet period where no rule sets one.
    default_quiet_s: float
    #: Failures in a row, on different studies, after which a model goes out of service; 0: never.
    failures_in_a_row: int = 0
    monotonic: Callable[[], float] = time.monotonic

    @property
    def _peers(self) -> frozenset[str]:
        return list_peers(self.lineup.packages)

    @property
    def journal(self) -> Journal:
        """Where the steps note what they did."""
        return Journal(self.store.history, self.clock)

    def quiet_s(self, study: str) -> float:
        """Return how long a study must be quiet before it is complete; keep the urgency its rule gives."""
        # One image of each series is enough to ask; ``match`` looks at all of them.
        heads = self.store.studies.load_heads(study)
        row = self.store.studies.find(study)
        rules = [
            one for one in self._rules(study) if heads is not None and find_rule(heads, (one,)) is not None
        ]
        if heads is not None and rules and row is not None:
            urgency, name = choose_urgency(heads, rules)
            if row.urgency is not urgency:
                self.store.studies.set_urgency(study, urgency, name)
        set_by_rules = [rule.quiet_s for rule in rules if rule.quiet_s is not None]
        return max(set_by_rules, default=self.default_quiet_s)

    def urgency(self, study: str) -> Priority:
        """Return the urgency with which a study waits for its models."""
        return find_urgency(self.store, study)

    def is_backfill(self, study: str, revision: int) -> bool:
        """Tell whether a revision is read behind everything that is live: for a backfill, or a late prior."""
        row = self.store.studies.find(study)
        if row is None:
            return False
        return row.purpose is Purpose.BACKFILL or is_late(self.store.studies.get_revision(study, revision))

    def is_newest(self, study: str, revision: int) -> bool:
        """Tell whether a revision is worth reading; one that a newer one took over is closed here."""
        return is_worth_reading(self.store, self.journal, study, revision, self.clock())

    def match(self, study: str, revision: int) -> list[dict[str, str]]:
        """Decide which models read which series; the whole decision is kept for ``explain``."""
        held, models = self._study(study, revision), self.lineup.now()
        # A Segmentation asks for itself, whatever the rules say.
        asked = organ_rules(self.store, held, models, self._peers)
        match = match_study(held, models, (*asked, *self._rules(study)))
        if not self.store.studies.save_match(study, revision, match.to_json()) and not self._is_gone(study):
            # Somebody was quicker and called it off.
            return []
        self._retract(study, revision, match)
        for one in match.withheld:
            code = one.problems[0].code.value
            self.journal.problem(study, revision, "match", f"{one.model}: {one.reason}", code)
        if match.chosen:
            self.journal.note(study, revision, "match", match_sentence(match))
        else:
            code = next((problem.code.value for one in match.models for problem in one.problems), "")
            self.journal.problem(study, revision, "match", match_sentence(match), code)
        return [{"model": one.model, "series": one.series_instance_uid} for one in match.chosen]

    def infer(self, study: str, revision: int, model_name: str, series_uid: str) -> None:
        """Run one model on one series; the Reading is kept, read or not.

        What counts is the version that is live when the Reading is kept: where another one was made live
        meanwhile, that one reads.

        Raises
        ------
        ModelInterrupted
            If that happens again and again: the study is read again by itself.
        """
        if self.store.readings.find(study, revision, model_name) is not None:
            # The process ended between keeping the Reading and remembering that the step was done.
            return
        for _ in range(_MOST_CHANGES):
            chosen = self._settle(study, revision, model_name, series_uid)
            if chosen is None or self._read(study, revision, *chosen):
                return
        raise ModelInterrupted(model=model_name)

    def _settle(
        self, study: str, revision: int, model_name: str, series_uid: str
    ) -> tuple[Model, str] | None:
        """Return which version reads which series; matched again where another counts than was matched."""
        model = self.lineup.now().get(model_name)
        match = self.store.studies.get_revision(study, revision).match or {}
        matched: dict[str, Any] = next(
            (one for one in match.get("models", ()) if one["name"] == model_name), {}
        )
        is_same = model is not None and matched.get("digest", model.identity.digest) == model.identity.digest
        series = matched.get("chosen_series", series_uid)
        if model is not None and is_same and series and model.may_read and not model.withheld:
            return model, series
        self.journal.note(
            study, revision, "infer", f"{model_name}: it was decided anew about; matched again."
        )
        again = {one["model"]: one["series"] for one in self.match(study, revision)}
        model = self.lineup.now().get(model_name)
        return (model, again[model_name]) if model is not None and model_name in again else None

    def _read(self, study: str, revision: int, model: Model, series_uid: str) -> bool:
        """Read one series, unless a Reading of it stands; False: the version is not live any more."""
        name = model.identity.name
        held = self._study(study, revision)
        series = held.get_series(series_uid)
        model = apply_point(model, self.store.operating_points.list_all(name), series.header)
        earlier = self._earlier(study, revision, name)
        count = len(series.instances)
        organs, organ_problems = find_organs(self.store, held, series, model, self._peers)
        job = ReadJob(
            study_instance_uid=study,
            revision=revision,
            series=series,
            model=model,
            made_at=self.clock(),
            organs=organs,
            organ_problems=organ_problems,
            predecessor_digest=last_read(earlier),
            **self._files(series, self._volume_path(study, revision, name)),
        )
        is_due = bool(earlier) and is_wanted(self.store, study, model, earlier[-1].revision)
        if earlier and not is_due and covers(self.store, earlier[-1], job):
            self.journal.note(study, revision, "infer", "The images that were read are unchanged: it stands.")
            return True
        prior, prior_problems = find_prior(self.store, held, series, model)
        job = replace(job, prior=prior, prior_problems=prior_problems)
        # Before the model sees anything: what cannot be recorded waits.
        self._record(study, model, count)
        if prior is not None:
            record_prior(self.store, prior, title(model.identity), self.clock())
        try:
            begun_at = self.monotonic()
            reading = self.run_job(job)
            # A peer answers with what it did before.
            seconds = self.monotonic() - begun_at if model.runtime.kind != "dicom-peer" else None
            if not self._is_live(model):
                told = f"{title(model.identity)} is not live any more: what it read is not kept."
                self.journal.note(study, revision, "infer", told)
                self._volume_path(study, revision, name).unlink(missing_ok=True)
                return False
            self._keep(reading, count, model, seconds)
        except StudyDeleted:
            self._volume_path(study, revision, name).unlink(missing_ok=True)
            raise
        return True

    def _is_live(self, model: Model) -> bool:
        now = self.lineup.now().get(model.identity.name)
        return now is not None and now.identity == model.identity and now.may_read

    def _record(self, study: str, model: Model, count: int) -> None:
        row = self.store.studies.find(study)
        if row is not None:
            self.store.audit.record(read_event(row, self.clock(), title(model.identity), count))

    def _keep(self, reading: Reading, count: int, model: Model, seconds: float | None) -> None:
        """Keep a Reading with what is told of it: all or nothing, so that nothing is told twice or never."""
        study = self.store.studies.find(reading.study_instance_uid)
        event = self._told(reading)

        def tell(connection: Any) -> None:
            self.store.history.add_in(connection, event)
            states, most = self.store.model_states, self.failures_in_a_row
            note_outcome(states, connection, reading, model, at=self.clock(), most=most)
            if study is not None:
                is_read = reading.outcome is Outcome.READ
                entry = read_event(study, self.clock(), title(reading.model), count, is_read=is_read)
                self.store.audit.record_in(connection, entry)

        self.store.readings.save(reading, unless_deleted=True, seconds=seconds, beside=tell)
        self.store.audit.note_end()

    def _told(self, reading: Reading) -> Event:
        study, revision, message = reading.study_instance_uid, reading.revision, reading_sentence(reading)
        if reading.outcome is Outcome.READ:
            return self.journal.event(study, revision, "infer", message)
        code = reading.problems[0].code.value
        return self.journal.event(study, revision, "infer", message, level="problem", code=code)

    def list_readings(self, study: str, revision: int) -> list[int]:
        """Return the row numbers of the revision's Readings."""
        rows = self.store.readings.list_for_study(study)
        return [row.id for row in rows if row.revision == revision]

    def compose(self, reading_id: int) -> None:
        """Compose the documents of one Reading."""
        row = self.store.readings.get(reading_id)
        if self.store.readings.list_documents(reading_id):
            # The revision was opened again for another model, or the process ended before this was noted.
            self._volume_path(row.study_instance_uid, row.revision, row.model_name).unlink(missing_ok=True)
            return
        reading = self.store.readings.load(row.digest)
        study = self._study(row.study_instance_uid, row.revision)
        series = study.get_series(reading.series_instance_uid)
        path = self._volume_path(row.study_instance_uid, row.revision, row.model_name)
        vault = self.store.vault
        volume = find_volume(reading, series, path, vault.open if vault.keyring else None)
        earlier, prior = find_predecessors(self.store, reading), load_prior(self.store, reading)
        source = read_source(series, volume, predecessors=earlier, prior=prior)
        documents = compose(reading, source, READING_KINDS)
        self.store.readings.save_documents(reading_id, documents)
        path.unlink(missing_ok=True)
        self.journal.note(row.study_instance_uid, row.revision, "compose", documents_sentence(documents))

    def note_uncomposed(self, study: str, revision: int, code: str) -> None:
        """Note that a Reading has no documents; its findings stand on the page all the same."""
        if self._is_gone(study):
            return
        message = f"The documents could not be composed ({code}): nothing is delivered of this reading."
        self.journal.problem(study, revision, "compose", message, ProblemCode.COMPOSE_FAILED.value)

    def address(self, study: str, revision: int) -> list[str]:
        """Note what goes where, of all Readings that stand; returns the destinations that get something.

        Nothing goes out while newer images wait to be read: the next revision will go.
        """
        row = self.store.studies.find(study)
        if row is None or row.instance_count > row.covered_count or row.revision != revision:
            message = "Not delivered: more images arrived, they are read first."
            self.journal.note(study, revision, "deliver", message)
            return []
        documents = [
            document
            for standing in self._standing(study, revision)
            for document in self.store.readings.list_documents(standing.id)
            if document.kind not in SIGNED_KINDS
        ]
        documents += self.store.readings.list_signed(study)
        if row.purpose is Purpose.BACKFILL and not self.store.backfills.delivers(study):
            self.journal.note(study, revision, "deliver", "Not delivered: the backfill was begun without.")
            return []
        addressed = []
        for destination in self.destinations.values():
            wanted = [document.id for document in documents if document.kind in destination.kinds]
            self.store.deliveries.plan(study, revision, wanted, destination.name, self.clock())
            if wanted:
                addressed.append(destination.name)
        return addressed

    def finish(self, study: str, revision: int) -> None:
        """Close the revision with what came out of it."""
        current, now = self._standing(study, revision), self.clock()
        state = StudyState.READ if any(_is_read(row) for row in current) else StudyState.NOT_READ
        plan_shadows(self.store, self.lineup, self.store.studies.find(study), revision, now)
        self.store.studies.finish_revision(study, revision, state, now)

    def stop(self, study: str, revision: int, code: str) -> None:
        """Close a revision that could not be read, with the reason."""
        if self._is_gone(study):
            return
        message = f"The reading stopped ({code}). Send this line to whoever maintains Wetread."
        self.journal.problem(study, revision, "infer", message, ProblemCode.INTERNAL_ERROR.value)
        self.finish(study, revision)

    def note_waiting(self, study: str, revision: int, code: str) -> None:
        """Note that disk or index hold a reading up: it is read again when they take it."""
        message = (
            f"The result cannot be kept now ({code}): free space or mend the disk; then it is read again."
        )
        self.journal.waiting(study, revision, "infer", message, ProblemCode.STORAGE_ERROR.value)

    def _is_gone(self, study: str) -> bool:
        """Tell whether the study was deleted meanwhile: there is nothing left to be said."""
        return self.store.studies.find(study) is None

    def _standing(self, study: str, revision: int) -> list[ReadingRow]:
        """Return the Readings that stand; an earlier one only where its model was chosen again."""
        match = self.store.studies.get_revision(study, revision).match
        if match is not None:
            chosen = [one["name"] for one in match.get("models", []) if one["chosen_series"]]
            self.store.readings.supersede(study, before_revision=revision, keep_models=chosen)
        return self.store.readings.list_current([study]).get(study, [])

    def _retract(self, study: str, revision: int, match: Match) -> None:
        """Say "not read" for a model that read an earlier revision and cannot read this one."""
        models = self.lineup.now()
        for one in match.models:
            stood = [row for row in self._earlier(study, revision, one.model) if not row.superseded]
            if one.is_chosen or not any(_is_read(row) for row in stood):
                continue
            job = ReadJob(
                study_instance_uid=study,
                revision=revision,
                series=self._study(study, revision).series[0],
                model=models[one.model],
                made_at=self.clock(),
            )
            self.store.readings.save(make_unread(job, *one.problems), unless_deleted=True)

    def _rules(self, study: str) -> tuple[Rule, ...]:
        """Return what decides about a study: what was asked for on it, then the rules."""
        return (*(asked_rule(wish) for wish in self.store.asked.list_for(study)), *self.rules)

    def _study(self, study: str, revision: int) -> Study:
        return load_revision(self.store, study, revision)

    def _files(self, series: Series, volume_path: Path) -> dict[str, Any]:
        """Return how a model's process reaches the files of its job, and only those."""
        seal, keys = self.store.vault.seal(volume_path), find_keys(self.store, series)
        return {"volume_path": volume_path, "volume_seal": seal, "keys": keys}

    def _volume_path(self, study: str, revision: int, model_name: str) -> Path:
        return self.store.scratch.path(f"{study} {revision} {model_name}")

    def _earlier(self, study: str, revision: int, model_name: str) -> list[ReadingRow]:
        return [
            row
            for row in self.store.readings.list_for_study(study)
            if row.model_name == model_name and row.revision < revision
        ]


def _is_read(row: ReadingRow) -> bool:
    return row.outcome is Outcome.READ
