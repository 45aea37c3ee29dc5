"""Give a model the patient's earlier study, if it compares and there is one.

In: a study that is read, what else is held of its patient.  Out: the prior study, or why there is none.
Never: a study of another patient; one that a model's process could not be told to compare with.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from wetread.domain.lifecycle import ModelState
from wetread.domain.model import Model
from wetread.domain.problem import Problem
from wetread.domain.reading import Outcome, Reading
from wetread.domain.study import Series, Study, header_text
from wetread.infer.prior import PriorStudy, list_known
from wetread.match import Rule, match_study
from wetread.match.visits import Prior, Visit, choose_prior
from wetread.steps.loading import find_keys
from wetread.steps.trail import read_event
from wetread.store import Store
from wetread.store.pages import StudyFilter

#: Studies of a patient that are looked at, the newest.
_MOST_STUDIES = 20


def find_prior(
    store: Store, study: Study, series: Series, model: Model
) -> tuple[PriorStudy | None, tuple[Problem, ...]]:
    """Return the study that a model compares with, and what is to be said where there is none.

    A study that was read counts with the series that was read; one that was fetched to be compared with, with
    the series that the model would read.
    """
    if not model.runtime.compares:
        return None, ()
    patient_id = header_text(study.header, "PatientID").strip()
    rows = store.pages.studies(StudyFilter(patient_id=patient_id), _MOST_STUDIES) if patient_id else []
    readings: dict[str, Reading] = {}
    others = []
    for row in rows:
        held = None
        if row.study_instance_uid != study.study_instance_uid:
            held = store.studies.load(row.study_instance_uid)
        if held is not None:
            reading = _reading_of(store, row.study_instance_uid, model)
            visit = _visit(held, reading, model)
            if visit is not None:
                others.append(visit)
            if reading is not None:
                readings[row.study_instance_uid] = reading
    prior, problems = choose_prior(Visit(study=study, series=series), others)
    if prior is None:
        return None, problems
    return _describe(store, prior, readings.get(prior.visit.study.study_instance_uid)), problems


def load_prior(store: Store, reading: Reading) -> Series | None:
    """Return the series that a Reading was compared with; None where none was, or it is not held any more."""
    comparison = reading.comparison
    if comparison is None or comparison.images is None:
        return None
    held = store.studies.load(comparison.study_instance_uid)
    for series in held.series if held else ():
        if series.series_instance_uid == comparison.images.series_instance_uid:
            return series
    return None


def record_prior(store: Store, prior: PriorStudy, model_title: str, at: datetime) -> None:
    """Put into the audit trail that a model is about to see the earlier study.

    Raises
    ------
    StorageError
        If that cannot be recorded: it must not see it then.
    """
    row = store.studies.find(prior.study_instance_uid)
    if row is not None:
        store.audit.record(read_event(row, at, model_title, len(prior.series.instances)))


def _reading_of(store: Store, study: str, model: Model) -> Reading | None:
    """Return what the model, in whatever version, read of a study and stands."""
    for row in store.readings.list_current([study]).get(study, []):
        if row.model_name == model.identity.name and row.outcome is Outcome.READ:
            return store.readings.load(row.digest)
    return None


def _visit(study: Study, reading: Reading | None, model: Model) -> Visit | None:
    named = reading.series_instance_uid if reading is not None else _chosen(study, model)
    for series in study.series:
        if series.series_instance_uid == named:
            return Visit(study=study, series=series)
    return None


def _chosen(study: Study, model: Model) -> str:
    name = model.identity.name
    as_live = replace(model, state=ModelState.LIVE.value)
    match = match_study(study, {name: as_live}, (Rule(name="comparison", models=(name,)),))
    return match.chosen[0].series_instance_uid if match.chosen else ""


def _describe(store: Store, prior: Prior, reading: Reading | None) -> PriorStudy:
    series = prior.visit.series
    return PriorStudy(
        study_instance_uid=prior.visit.study.study_instance_uid,
        series=series,
        studied_on=prior.studied_on,
        interval_days=prior.interval_days,
        problems=prior.problems,
        known_by=reading.model if reading is not None else None,
        known=list_known(reading) if reading is not None else (),
        keys=find_keys(store, series),
    )
