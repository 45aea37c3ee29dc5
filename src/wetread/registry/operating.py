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
from wetread.stats.operating import Aim, CurvePoint, Wish, choose_point
from wetread.store import Store
from wetread.store.operating_points import OperatingPoint, Scope

#: Attribute that says where a study was made.
KEYWORDS: Mapping[Scope, str] = {
    Scope.DEVICE: "StationName",
    Scope.DEPARTMENT: "InstitutionalDepartmentName",
    Scope.SITE: "InstitutionName",
}
CURVE = "operating_curve"
#: Name of the measurement that keeps what a classifier said.
PROBABILITY = "finding_probability_percent"
#: Past Readings that an effect is shown on, the newest.
MOST_READINGS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a point would have done with past Readings of this version at its place."""

    readings: int
    #: Nothing was found, something would have been.
    appear: int
    #: Something was found, nothing would have been.
    vanish: int
    #: Made before the probability was kept.
    unknown: int


def choose(
    model: Model,
    report: Report,
    wish: Wish,
    decision: Decision,
    *,
    scope: Scope = Scope.EVERYWHERE,
    place: str = "",
) -> tuple[OperatingPoint, CurvePoint]:
    """Choose the point that fulfils a wish; it is not kept.

    Raises
    ------
    NoCurve
        If the model judges no images as a whole, or the report has no curve about this very package.
    StateRefused
        If no threshold fulfils the wish, or the wish is none.
    """
    _check_wish(wish)
    found = choose_point(read_curve(model, report), wish)
    if found is None:
        raise StateRefused(f"No threshold of the curve gives {wish.title}.", model=model.identity.name)
    return _point(model, wish.title, found.threshold, decision, scope, place, report.digest), found


def as_packaged(
    model: Model, decision: Decision, *, scope: Scope = Scope.EVERYWHERE, place: str = ""
) -> OperatingPoint:
    """Return the package's own threshold as a point, to go back to."""
    _check_task(model)
    threshold = model.task.threshold if model.task else 0.5
    return _point(model, model.operating_point, threshold, decision, scope, place, "")


def read_curve(model: Model, report: Report) -> tuple[CurvePoint, ...]:
    """Return the curve of a report about a package; raises ``NoCurve`` as ``choose`` does."""
    _check_task(model)
    if report.model_digest != model.identity.digest:
        raise NoCurve("The report is about another package.", report=report.model_digest[:64])
    rows = report.metrics.get(CURVE)
    points = [_curve_point(row) for row in rows] if isinstance(rows, list) else []
    if not points or None in points:
        raise NoCurve(model=model.identity.name)
    return tuple(one for one in points if one is not None)


def apply(model: Model, points: Iterable[OperatingPoint], header: Header) -> Model:
    """Return a version with the threshold that counts for a study; the narrowest place goes first."""
    mine = [one for one in points if one.digest == model.identity.digest]
    for scope in Scope:
        fitting = [one for one in mine if one.scope is scope and is_at(one, header)]
        if fitting and model.task is not None:
            point = fitting[-1]
            task = replace(model.task, threshold=point.threshold)
            return replace(model, task=task, operating_point=point.title)
    return model


def is_at(point: OperatingPoint, header: Header) -> bool:
    """Tell whether a study with this header was made where a point holds."""
    keyword = KEYWORDS.get(point.scope)
    return keyword is None or header_text(header, keyword).strip() == point.place


def show_effect(store: Store, point: OperatingPoint) -> Effect:
    """Return what a point would have done with the newest past Readings of its version, at its place."""
    words = [
        _change(reading, point.threshold)
        for row in store.readings.list_of_model(point.model_name, point.version, MOST_READINGS)
        if row.outcome is Outcome.READ and _is_of(store, reading := store.readings.load(row.digest), point)
    ]
    return Effect(
        readings=len(words),
        appear=words.count("appear"),
        vanish=words.count("vanish"),
        unknown=words.count("unknown"),
    )


def _is_of(store: Store, reading: Reading, point: OperatingPoint) -> bool:
    """Tell whether a Reading was made by a point's version, where it holds."""
    if reading.model.digest != point.digest:
        return False
    study = store.studies.load_heads(reading.study_instance_uid)
    series = study.series if study is not None else ()
    return any(
        one.series_instance_uid == reading.series_instance_uid and is_at(point, one.header) for one in series
    )


def _change(reading: Reading, threshold: float) -> str:
    said = reading.measurements.get(PROBABILITY)
    if said is None:
        return "unknown"
    was, would = bool(reading.findings), said / 100 >= threshold
    return "" if was is would else "appear" if would else "vanish"


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
    # Of a mask the threshold cuts voxels, and curves are about parts: no curve says what it would do.
    if model.task is None or model.task.kind != "classification" or model.runtime.entry:
        raise NoCurve(model=model.identity.name)


def _check_wish(wish: Wish) -> None:
    needs_prevalence = wish.aim in (Aim.PPV, Aim.ALERTS)
    is_share = wish.aim is not Aim.ALERTS
    if (is_share and not 0 < wish.value <= 1) or wish.value < 0:
        raise StateRefused("Sensitivity, specificity and PPV lie between 0 and 1.", given=wish.value)
    if needs_prevalence and not 0 < wish.prevalence < 1:
        raise StateRefused("Say how frequent it is: --prevalence between 0 and 1.")
    if wish.aim is Aim.ALERTS and wish.studies_a_day <= 0:
        raise StateRefused("Say how many studies it reads: --studies-per-day.")


def _curve_point(row: Any) -> CurvePoint | None:
    try:
        numbers = [float(row[name]) for name in ("threshold", "sensitivity", "specificity")]
    except (KeyError, TypeError, ValueError):
        return None
    if not all(math.isfinite(one) and 0 <= one <= 1 for one in numbers):
        return None
    return CurvePoint(threshold=numbers[0], sensitivity=numbers[1], specificity=numbers[2])
