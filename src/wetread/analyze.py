"""The path of a study offline: images in, findings.json and documents out.

In: a DICOM folder, file or zip, or a NIfTI CT.  Out: a folder.
Never: the network, the index; an answer without a Reading for each study.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wetread.compose import compose, read_source
from wetread.domain import code
from wetread.domain.document import READING_KINDS, Document, DocumentKind
from wetread.domain.model import Model
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.reading import Outcome, Reading, to_findings_json
from wetread.domain.study import Instance, Series, Study, group_instances
from wetread.imaging.nifti import is_nifti
from wetread.infer.job import ReadJob, make_unread
from wetread.infer.nifti import read_nifti
from wetread.infer.prior import PriorStudy, list_known
from wetread.infer.process import run_job
from wetread.infer.scratch import find_volume
from wetread.match import Match, Rule, match_study
from wetread.match.visits import Visit, choose_prior, order_visits, studied_at
from wetread.measure.guidelines.followed import describe_exam
from wetread.receive.folder import read_folder

_SUFFIX = {
    DocumentKind.PNG: ".png",
    DocumentKind.TEXT: ".txt",
    DocumentKind.ORU: ".hl7",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What an offline reading works with."""

    models: Mapping[str, Model]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where results go, and where work lies."""

    out: Path
    work: Path


#: What each model has read so far.
_Past = dict[str, list[tuple[Visit, Reading]]]


def only_with(model: Model) -> Analysis:
    """Return a reading with one model, whatever its state: whoever asks for it offline knows."""
    name = model.identity.name
    rule = Rule(name="asked for", models=(name,))
    return Analysis(models={name: replace(model, state="live")}, rules=(rule,))


def analyze_path(path: Path, out: Path, analysis: Analysis) -> list[dict[str, Any]]:
    """Read everything at ``path``; write ``findings.json`` and documents to ``out``.

    Returns
    -------
    list of dict
        The content of ``findings.json``: at least one entry, also where nothing could be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    # A draft says nothing of a study, unless there is nothing else.
    # What others marked is measured by the service, and by ``wetread measure``.
    reading = {
        name: model
        for name, model in analysis.models.items()
        if model.may_read and not model.runtime.measures
    }
    analysis = replace(analysis, models=reading or analysis.models)
    with tempfile.TemporaryDirectory(prefix="wetread-") as work:
        if is_nifti(path):
            entries = [read_nifti(path, out, model) for model in analysis.models.values()]
        else:
            entries = _analyze_dicom(path, out, Path(work), analysis)
    findings = out / "findings.json"
    part = findings.with_suffix(".part")
    part.write_text(json.dumps(entries, indent=2, allow_nan=False))
    part.replace(findings)
    return entries


def _analyze_dicom(path: Path, out: Path, work: Path, analysis: Analysis) -> list[dict[str, Any]]:
    instances, problems = read_folder(path, work / "members")
    past: _Past = {}
    # Oldest first: each is compared with what was read before.
    entries = [
        entry
        for study in order_visits(group_instances(instances))
        for entry in _analyze_safely(study, _Place(out=out, work=work), analysis, past)
    ]
    if entries:
        # What else lay there is said with the first study, since it belongs to none.
        entries[0]["problems"] += [_plain(problem) for problem in problems]
        return entries
    if not problems:
        problems = [Problem(code=ProblemCode.UNREADABLE_INSTANCE, message="There is no DICOM file here.")]
    nothing = _empty_study()
    return [
        to_findings_json(make_unread(_job(nothing, nothing.series[0], model), *problems), [])
        for model in analysis.models.values()
    ]


def _analyze_safely(study: Study, place: _Place, analysis: Analysis, past: _Past) -> list[dict[str, Any]]:
    """Analyze one study; what goes wrong with it is said in its entry, the others go on."""
    try:
        return _analyze_study(study, place, analysis, past)
    except Exception as error:  # noqa: BLE001 - one study of many must not cost the others their reading
        message = f"The documents could not be composed ({type(error).__name__})."
        problem = Problem(code=ProblemCode.COMPOSE_FAILED, message=message)
        unread = [make_unread(_job(study, study.series[0], one), problem) for one in analysis.models.values()]
        return [to_findings_json(reading, []) for reading in unread]


def _analyze_study(study: Study, place: _Place, analysis: Analysis, past: _Past) -> list[dict[str, Any]]:
    match = match_study(study, analysis.models, analysis.rules)
    entries = []
    for chosen in match.chosen:
        series = study.get_series(chosen.series_instance_uid)
        job = _job(study, series, analysis.models[chosen.model], place.work / "voxels.npy")
        seen = past.setdefault(chosen.model, [])
        visit = Visit(study=study, series=series)
        job = _with_prior(job, visit, seen)
        reading = run_job(job)
        seen.append((visit, reading))
        prior = job.prior.series if job.prior is not None else None
        entries.append(_write(reading, series, place, prior) | _exam(reading, study))
    for model in analysis.models.values():
        problems = _why_not(match, model)
        if problems:
            reading = make_unread(_job(study, study.series[0], model), *problems)
            entries.append(_write(reading, study.series[0], place))
    return entries


def _why_not(match: Match, model: Model) -> tuple[Problem, ...]:
    for verdict in match.models:
        if verdict.model == model.identity.name and not verdict.is_chosen:
            return verdict.problems
    return ()


def _exam(reading: Reading, study: Study) -> dict[str, Any]:
    """Return what a guideline can be asked with, where there are nodules and a date."""
    day = studied_at(study)
    if day is None or not any(one.code == code.NODULE for one in reading.findings):
        return {}
    return {"exam": describe_exam(reading, day.date())}


def _with_prior(job: ReadJob, visit: Visit, seen: list[tuple[Visit, Reading]]) -> ReadJob:
    """Return the job with the prior study, if there is one among what was read."""
    read = {one.study.study_instance_uid: reading for one, reading in seen if reading.outcome is Outcome.READ}
    others = [one for one, _ in seen if one.study.study_instance_uid in read]
    prior, problems = choose_prior(visit, others)
    if prior is None:
        return replace(job, prior_problems=problems)
    reading = read[prior.visit.study.study_instance_uid]
    study = PriorStudy(
        study_instance_uid=reading.study_instance_uid,
        series=prior.visit.series,
        studied_on=prior.studied_on,
        interval_days=prior.interval_days,
        problems=prior.problems,
        known_by=reading.model,
        known=list_known(reading),
    )
    return replace(job, prior=study, prior_problems=problems)


def _write(reading: Reading, series: Series, place: _Place, prior: Series | None = None) -> dict[str, Any]:
    out, voxels = place.out, place.work / "voxels.npy"
    volume = find_volume(reading, series, voxels) if reading.outcome is Outcome.READ else None
    documents = compose(reading, read_source(series, volume, prior=prior), READING_KINDS)
    voxels.unlink(missing_ok=True)
    folder = out / "documents" / reading.study_instance_uid / reading.model.name
    # Of an earlier run into the same folder nothing may stay that this run does not say.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    listed = []
    for document in documents:
        file = folder / _file_name(document)
        file.write_bytes(document.data)
        listed.append(
            {
                "kind": document.kind.value,
                "path": str(file.relative_to(out)),
                "sop_instance_uid": document.sop_instance_uid,
            }
        )
    return to_findings_json(reading, listed)


def _file_name(document: Document) -> str:
    suffix = _SUFFIX.get(document.kind, ".dcm")
    return f"{document.kind.value}-{document.ordinal}{suffix}"


def _job(study: Study, series: Series, model: Model, volume_path: Path | None = None) -> ReadJob:
    return ReadJob(
        study_instance_uid=study.study_instance_uid,
        revision=study.revision,
        series=series,
        model=model,
        made_at=datetime.now(UTC).astimezone(),
        volume_path=volume_path,
    )


def _empty_study() -> Study:
    nothing = Instance(
        sop_instance_uid="",
        sop_class_uid="",
        series_instance_uid="",
        study_instance_uid="",
        transfer_syntax_uid="",
        header={},
        path=Path(),
    )
    return group_instances([nothing])[0]


def _plain(problem: Problem) -> dict[str, str]:
    return {"code": problem.code.value, "message": problem.message}
