"""The threshold that a version reads a study with: chosen on a validation's curve, by place, with history.

In: a report's curve and a wish; the points that were set; a study's header.
Out: a point; the version that reads with it; what it would have done.
Never: a threshold that no curve stands behind; a Reading of before changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from wetread.domain.model import Model
from wetread.domain.reading import Outcome, Reading
from wetread.domain.study import Header, header_text
from wetread.errors import NoCurve, StateRefused
from wetread.registry.promotion import Decision
from wetread.registry.report import Report
from wetread.stats.operating import Aim, CurvePoint, FrocPoint, Wish, choose_parts_point, choose_point
from wetread.store import Store
from wetread.store.operating_points import OperatingPoint, Scope

#: Attribute that says where a study was made.
KEYWORDS: Mapping[Scope, str] = {
    Scope.DEVICE: "StationName",
    Scope.DEPARTMENT: "InstitutionalDepartmentName",
    Scope.SITE: "InstitutionName",
}
CURVE, FROC = "operating_curve", "froc"
#: Tasks whose findings are parts, each with a probability of its own.
_OF_PARTS = frozenset({"segmentation", "detection"})
#: Aims that a curve of parts, or of whole images, can tell of.
_AIMS_OF_PARTS = frozenset({Aim.SENSITIVITY, Aim.FALSE_POSITIVES, Aim.ALERTS})
_AIMS_OF_IMAGES = frozenset(Aim) - {Aim.FALSE_POSITIVES}
#: More true things than this no study has on average.
_MOST_THINGS = 100.0
#: Probabilities of findings are kept to four decimals.
_ROUNDED = 5e-5
#: Name of the measurement that keeps what a classifier said.
PROBABILITY = "finding_probability_percent"
#: Past Readings that an effect is shown on, the newest.
MOST_READINGS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a point would have done with past Readings of this version at its place."""

    readings: int
    #: Findings that there were none of.
    appear: int
    #: Findings that there would have been none of.
    vanish: int
    #: Readings of which that is not all: made before the probability was kept; of parts, from a higher
    #: threshold than the point's, below which nothing is kept.
    unknown: int


def choose(
    model: Model,
    report: Report,
    wish: Wish,
    decision: Decision,
    *,
    scope: Scope = Scope.EVERYWHERE,
    place: str = "",
) -> tuple[OperatingPoint, CurvePoint | FrocPoint]:
    """Choose the point that fulfils a wish; it is not kept.

    Raises
    ------
    NoCurve
        If the model has a reader of its own or is another vendor's, or the report has no curve about this
        very package.
    StateRefused
        If no threshold fulfils the wish, or the wish is none.
    """
    found: CurvePoint | FrocPoint | None
    if is_of_parts(model):
        _check_wish(wish, _AIMS_OF_PARTS)
        found = choose_parts_point(read_froc(model, report), wish)
    else:
        _check_wish(wish, _AIMS_OF_IMAGES)
        found = choose_point(read_curve(model, report), wish)
    if found is None:
        raise StateRefused(f"No threshold of the curve gives {wish.title}.", model=model.identity.name)
    return _point(model, wish.title, found.threshold, decision, scope, place, report.digest), found


def is_of_parts(model: Model) -> bool:
    """Tell whether a point of a model is the least probability of a part, not of an image."""
    return model.task is not None and model.task.kind in _OF_PARTS


def as_packaged(
    model: Model, decision: Decision, *, scope: Scope = Scope.EVERYWHERE, place: str = ""
) -> OperatingPoint:
    """Return the package's own threshold as a point, to go back to."""
    _check_task(model)
    return _point(model, model.operating_point, _packaged(model), decision, scope, place, "")


def _packaged(model: Model) -> float:
    """Return the threshold of a package: no part of a map is less probable than its voxels' own."""
    if model.task is None:
        return 0.5
    return 0.0 if is_of_parts(model) and model.task.decision == "highest" else model.task.threshold


def read_froc(model: Model, report: Report) -> tuple[FrocPoint, ...]:
    """Return the curve of parts of a report about a package; raises ``NoCurve`` as ``choose`` does."""
    return tuple(
        FrocPoint(threshold=threshold, sensitivity=sensitivity, false_positives=false_positives)
        for threshold, sensitivity, false_positives in _rows(
            model, report, FROC, ("threshold", "sensitivity", "false_positives")
        )
    )


def read_curve(model: Model, report: Report) -> tuple[CurvePoint, ...]:
    """Return the curve of a report about a package; raises ``NoCurve`` as ``choose`` does."""
    return tuple(
        CurvePoint(threshold=threshold, sensitivity=sensitivity, specificity=specificity)
        for threshold, sensitivity, specificity in _rows(
            model, report, CURVE, ("threshold", "sensitivity", "specificity")
        )
    )


def _rows(
    model: Model, report: Report, curve: str, names: tuple[str, str, str]
) -> list[tuple[float, float, float]]:
    _check_task(model)
    if report.model_digest != model.identity.digest:
        raise NoCurve("The report is about another package.", report=report.model_digest[:64])
    rows = report.metrics.get(curve)
    read = [_numbers(row, names) for row in rows] if isinstance(rows, list) else []
    if not read or None in read:
        raise NoCurve(model=model.identity.name)
    return [one for one in read if one is not None]


def apply(model: Model, points: Iterable[OperatingPoint], header: Header) -> Model:
    """Return a version with the threshold that counts for a study; the narrowest place goes first."""
    mine = [one for one in points if one.digest == model.identity.digest]
    for scope in Scope:
        fitting = [one for one in mine if one.scope is scope and is_at(one, header)]
        if fitting and model.task is not None:
            point = fitting[-1]
            task = (
                replace(model.task, part_threshold=point.threshold)
                if is_of_parts(model)
                else replace(model.task, threshold=point.threshold)
            )
            return replace(model, task=task, operating_point=point.title)
    return model


def is_at(point: OperatingPoint, header: Header) -> bool:
    """Tell whether a study with this header was made where a point holds."""
    keyword = KEYWORDS.get(point.scope)
    return keyword is None or header_text(header, keyword).strip() == point.place


def show_effect(store: Store, model: Model, point: OperatingPoint) -> Effect:
    """Return what a point would have done with the newest past Readings of its version, at its place."""
    held = store.operating_points.list_all(point.model_name)
    words = [
        _change_of_parts(reading, point.threshold, _made_from(model, reading, held))
        if is_of_parts(model)
        else _change(reading, point.threshold)
        for row in store.readings.list_of_model(point.model_name, point.version, MOST_READINGS)
        if row.outcome is Outcome.READ and _is_of(store, reading := store.readings.load(row.digest), point)
    ]
    appear, vanish, unknown = (sum(column) for column in zip(*words, strict=True)) if words else (0, 0, 0)
    return Effect(readings=len(words), appear=appear, vanish=vanish, unknown=unknown)


def _made_from(model: Model, reading: Reading, points: Iterable[OperatingPoint]) -> float:
    """Return the least probability that a part of a Reading could have."""
    named = [
        one.threshold
        for one in points
        if one.digest == reading.model.digest and one.title == reading.operating_point
    ]
    return max(named[-1] if named else 0.0, _packaged(model))


def _change_of_parts(reading: Reading, threshold: float, made_from: float) -> tuple[int, int, int]:
    """Return how many findings appear and vanish; 1 where more may, as what was less probable is not kept."""
    said = [one.probability for one in reading.findings]
    known = [one for one in said if one is not None]
    near = any(abs(one - threshold) <= _ROUNDED for one in known)
    is_unknown = threshold < made_from - _ROUNDED or near or len(known) < len(said)
    return 0, sum(one < threshold - _ROUNDED for one in known), int(is_unknown)


def _is_of(store: Store, reading: Reading, point: OperatingPoint) -> bool:
    """Tell whether a Reading was made by a point's version, where it holds."""
    if reading.model.digest != point.digest:
        return False
    study = store.studies.load_heads(reading.study_instance_uid)
    series = study.series if study is not None else ()
    return any(
        one.series_instance_uid == reading.series_instance_uid and is_at(point, one.header) for one in series
    )


def _change(reading: Reading, threshold: float) -> tuple[int, int, int]:
    said = reading.measurements.get(PROBABILITY)
    if said is None:
        return 0, 0, 1
    was, would = bool(reading.findings), said / 100 >= threshold
    return int(would and not was), int(was and not would), 0


def _point(
    model: Model, name: str, threshold: float, decision: Decision, scope: Scope, place: str, report: str
) -> OperatingPoint:
    if (scope is Scope.EVERYWHERE) is bool(place.strip()):
        raise StateRefused("Name the device, department or site, or none for everywhere.")
    one = model.identity
    return OperatingPoint(
        model_name=one.name,
        version=one.version,
        digest=one.digest,
        name=name,
        threshold=threshold,
        scope=scope,
        place=place.strip(),
        report_digest=report,
        at=decision.at.timestamp(),
        who=decision.actor.user_id,
        why=decision.why.strip(),
    )


def _check_task(model: Model) -> None:
    # A reader of its own names its numbers as it likes; another vendor's threshold lies with the vendor.
    is_ours = not model.runtime.entry and model.runtime.kind != "dicom-peer"
    if is_of_parts(model) and model.runtime.sample_entry:
        # It scores its parts in its own way, not as they are read (``infer.by_task``).
        is_ours = False
    if model.task is None or not is_ours or model.task.kind not in {"classification", *_OF_PARTS}:
        raise NoCurve(model=model.identity.name)


def _check_wish(wish: Wish, aims: frozenset[Aim]) -> None:
    if wish.aim not in aims:
        raise StateRefused(f"The curve of this model says nothing of {wish.aim.value}.")
    needs_prevalence = wish.aim in (Aim.PPV, Aim.ALERTS)
    is_share = wish.aim not in (Aim.ALERTS, Aim.FALSE_POSITIVES)
    if (is_share and not 0 < wish.value <= 1) or wish.value < 0:
        raise StateRefused("Sensitivity, specificity and PPV lie between 0 and 1.", given=wish.value)
    most = _MOST_THINGS if aims is _AIMS_OF_PARTS else 1.0
    if needs_prevalence and not 0 < wish.prevalence < most:
        what = "how many a study has on average" if aims is _AIMS_OF_PARTS else "how frequent it is"
        raise StateRefused(f"Say {what}: --prevalence between 0 and {most:g}.")
    if wish.aim is Aim.ALERTS and wish.studies_a_day <= 0:
        raise StateRefused("Say how many studies it reads: --studies-per-day.")


def _numbers(row: Any, names: tuple[str, str, str]) -> tuple[float, float, float] | None:
    try:
        first, second, third = (float(row[name]) for name in names)
    except (KeyError, TypeError, ValueError):
        return None
    shares = (first, second) if "false_positives" in names else (first, second, third)
    if not all(math.isfinite(one) and 0 <= one <= 1 for one in shares):
        return None
    return (first, second, third) if math.isfinite(third) and third >= 0 else None
