"""For every model: which series it reads, or why none.

In: a study, the models, the rules.  Out: ``Match``.  Never: pixels, a model left unmentioned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wetread.domain.model import Model
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.reading import Priority
from wetread.domain.study import Series, Study
from wetread.match.choice import rank_series
from wetread.match.condition import count_met, describe_failure, is_met
from wetread.match.patients import check_patients
from wetread.match.rules import Level, Rule
from wetread.match.suitable import SeriesVerdict, check_series


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMatch:
    """What was decided for one model."""

    #: Name of the model.
    model: str
    #: sha256 over the files of the version that was considered; ``""``: none is registered.
    digest: str = ""
    #: The chosen series; ``""``: none.
    series_instance_uid: str = ""
    #: Name of the rule that asked for the model; ``""``: none did.
    rule: str = ""
    #: In words: what was chosen and why, or why nothing was.
    reason: str
    #: Why nothing was chosen; empty where something was.
    problems: tuple[Problem, ...] = ()
    #: Every series that was a candidate, best first, then the unsuitable ones.
    series: tuple[SeriesVerdict, ...] = ()
    #: Series Instance UID -> in words why a suitable series stands where it does.
    places: Mapping[str, str]

    @property
    def is_chosen(self) -> bool:
        """True where the model reads a series."""
        return bool(self.series_instance_uid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What was decided for a study: every registered model is named."""

    study_instance_uid: str
    revision: int
    models: tuple[ModelMatch, ...]

    @property
    def chosen(self) -> tuple[ModelMatch, ...]:
        """The models that read a series."""
        return tuple(model for model in self.models if model.is_chosen)

    @property
    def withheld(self) -> tuple[ModelMatch, ...]:
        """The models that would read a series and may not now."""
        code = ProblemCode.MODEL_OUT_OF_SERVICE
        return tuple(one for one in self.models if any(problem.code is code for problem in one.problems))

    def to_json(self) -> dict[str, Any]:
        """Return the plain form that is kept with the study and shown by ``explain`` and the page."""
        return {
            "study_instance_uid": self.study_instance_uid,
            "revision": self.revision,
            "models": [_model_json(model) for model in self.models],
        }


def find_rule(study: Study, rules: Sequence[Rule]) -> Rule | None:
    """Return the first rule, as they are written, that applies to a study or one of its series."""
    return next((rule for rule in rules if list_candidates(study, rule)), None)


def choose_urgency(study: Study, rules: Sequence[Rule]) -> tuple[Priority, str]:
    """Return the most urgent that applying rules say, and whose it is; routine and ``""`` where none does."""
    applying = [rule for rule in rules if list_candidates(study, rule)]
    if not applying:
        return Priority.ROUTINE, ""
    most = min(applying, key=lambda rule: list(Priority).index(rule.urgency))
    return most.urgency, most.name


def match_study(study: Study, models: Mapping[str, Model], rules: Sequence[Rule]) -> Match:
    """Decide for every registered model.

    Notes
    -----
    A model is asked by the first rule that names it and applies. A rule of level ``study`` applies
    if any series meets all its conditions, and makes every series a candidate; one of level
    ``series`` makes candidates of the series that meet them. Among the candidates that the
    model's eligibility passes the best is chosen. A model that a rule names but nobody registered
    is listed with ``unknown-model``.
    """
    unregistered = sorted({name for rule in rules for name in rule.models} - models.keys())
    decided = [_match_model(study, model, rules) for _name, model in sorted(models.items())]
    decided += [_unknown(name, study, rules) for name in unregistered]
    return Match(study_instance_uid=study.study_instance_uid, revision=study.revision, models=tuple(decided))


def list_candidates(study: Study, rule: Rule) -> tuple[Series, ...]:
    """Return the series that a rule offers to its models; one image of each series is enough to know."""
    meeting = tuple(
        series for series in study.series if all(is_met(term, series.header) for term in rule.when)
    )
    return study.series if meeting and rule.level is Level.STUDY else meeting


def _match_model(study: Study, model: Model, rules: Sequence[Rule]) -> ModelMatch:
    decided = replace(_consider(study, model, rules), digest=model.identity.digest)
    if not decided.is_chosen or not model.withheld:
        return decided
    # Said of the studies only that it would have read.
    problem = Problem(code=ProblemCode.MODEL_OUT_OF_SERVICE, message=model.withheld)
    return replace(decided, series_instance_uid="", reason=_why_not_read((problem,)), problems=(problem,))


def _consider(study: Study, model: Model, rules: Sequence[Rule]) -> ModelMatch:
    name = model.identity.name
    mixed = check_patients(study)
    if mixed:
        return _not_chosen(name, "", mixed)
    if not model.may_read:
        reason = model.withheld or f"Its state is {model.state}: promote it to let it read."
        return _not_chosen(name, "", (Problem(code=ProblemCode.NO_RULE_APPLIES, message=reason),))
    naming = [rule for rule in rules if name in rule.models]
    for rule in naming:
        candidates = list_candidates(study, rule)
        if candidates:
            return _choose(model, rule, candidates, study)
    if not naming:
        message = (
            "No Segmentation of organs by others has come for this study."
            if model.runtime.measures
            else "No rule names this model: add it to a rule's models."
        )
        return _not_chosen(name, "", (Problem(code=ProblemCode.NO_RULE_APPLIES, message=message),))
    return _not_chosen(name, "", tuple(_why_not(rule, study) for rule in naming))


def _choose(model: Model, rule: Rule, candidates: tuple[Series, ...], study: Study) -> ModelMatch:
    verdicts = [check_series(series, model.eligibility) for series in candidates]
    ranked = rank_series([one for one in verdicts if one.is_suitable], model.eligibility)
    refused = [one for one in verdicts if not one.is_suitable]
    left_out = tuple(_left_out(series, rule) for series in study.series if series not in candidates)
    series = (*(one.verdict for one in ranked), *refused, *left_out)
    if not ranked:
        return _not_chosen(model.identity.name, rule.name, _why_none(refused), series)
    best = ranked[0]
    return ModelMatch(
        model=model.identity.name,
        series_instance_uid=best.verdict.series_instance_uid,
        rule=rule.name,
        reason=best.reason,
        series=series,
        places={one.verdict.series_instance_uid: one.reason for one in ranked},
    )


def _left_out(series: Series, rule: Rule) -> SeriesVerdict:
    number = series.header.get("SeriesNumber", "?")
    title = series.modality or "no modality"
    return SeriesVerdict(
        series_instance_uid=series.series_instance_uid,
        description=f"{number}: {title} ({len(series.instances)} images)",
        problems=(_unmet(rule, series),),
    )


def _unmet(rule: Rule, series: Series) -> Problem:
    failed = next(term for term in rule.when if not is_met(term, series.header))
    message = f"Rule {rule.name!r} does not apply: {describe_failure(failed, series.header)}."
    return Problem(code=ProblemCode.RULE_NOT_MET, message=message)


def _why_not(rule: Rule, study: Study) -> Problem:
    """Say what the series that comes nearest to a rule lacks."""
    nearest = max(study.series, key=lambda series: count_met(rule.when, series.header))
    return _unmet(rule, nearest)


def _why_none(refused: Sequence[SeriesVerdict]) -> tuple[Problem, ...]:
    """Return the reasons of the series that came nearest: fewest refusals, most images."""
    nearest = min(
        refused,
        key=lambda one: (
            one.slice_count == 0,
            sum(problem.refuses for problem in one.problems),
            -one.slice_count,
            one.series_instance_uid,
        ),
    )
    count = len(refused)
    opening = "The series cannot be read" if count == 1 else f"None of {count} series can be read"
    return (
        Problem(
            code=ProblemCode.NO_SUITABLE_SERIES,
            message=f"{opening}; nearest was {nearest.description}.",
        ),
        *(problem for problem in nearest.problems if problem.refuses),
    )


def _not_chosen(
    name: str, rule: str, problems: tuple[Problem, ...], series: tuple[SeriesVerdict, ...] = ()
) -> ModelMatch:
    return ModelMatch(
        model=name,
        rule=rule,
        reason=_why_not_read(problems),
        problems=problems,
        series=series,
        places={},
    )


def _why_not_read(problems: Sequence[Problem]) -> str:
    return f"Not read: {' '.join(problem.message for problem in problems[:2])}"


def _unknown(name: str, study: Study, rules: Sequence[Rule]) -> ModelMatch:
    rule = next((one for one in rules if name in one.models and list_candidates(study, one)), None)
    message = f"A rule names the model {name!r}, which is not registered: see `wetread models list`."
    problem = Problem(code=ProblemCode.UNKNOWN_MODEL, message=message)
    return _not_chosen(name, rule.name if rule else "", (problem,))


def _model_json(model: ModelMatch) -> dict[str, Any]:
    return {
        "name": model.model,
        "digest": model.digest,
        "chosen_series": model.series_instance_uid,
        "rule": model.rule,
        "reason": model.reason,
        "problems": [_problem_json(problem) for problem in model.problems],
        "series": [_series_json(verdict, model.places) for verdict in model.series],
    }


def _series_json(verdict: SeriesVerdict, places: Mapping[str, str]) -> dict[str, Any]:
    return {
        "series_instance_uid": verdict.series_instance_uid,
        "description": verdict.description,
        "reason": places.get(verdict.series_instance_uid, ""),
        "problems": [_problem_json(problem) for problem in verdict.problems],
    }


def _problem_json(problem: Problem) -> dict[str, Any]:
    return {"code": problem.code.value, "message": problem.message, "refuses": problem.refuses}
