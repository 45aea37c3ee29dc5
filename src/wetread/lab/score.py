"""Scores of a model on labelled images, each with its interval.

In: ``Verdict`` of each sample.  Out: ``Scores``.
Never: a score without interval; samples taken for patients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from wetread.domain.model import Model
from wetread.errors import EmptyClass, LabelsDoNotFit
from wetread.lab.judge import Verdict
from wetread.lab.samples import SampleSet
from wetread.stats.agree import absolute_error_of, bland_altman, kappa, squared_error_of
from wetread.stats.classify import (
    brier_of,
    calibration_error_of,
    calibration_line_of,
    decision_rates,
    net_benefit_of,
)
from wetread.stats.compare import Subgroup, score_subgroups
from wetread.stats.detect import Detections, OperatingPoint, cpm, froc, sensitivity_of
from wetread.stats.interval import Interval, proportion
from wetread.stats.operating import CurvePoint
from wetread.stats.resample import Statistic, bootstrap, evaluate, mean_of
from wetread.stats.roc import auc_interval, auc_of, average_precision_of, roc_curve

Point = TypeVar("Point")
FloatArray = npt.NDArray[np.float64]
#: Of how many readers agree that a nodule is one.
MOST_READERS = 3
#: Probabilities from which a decision curve acts.
ACT_FROM = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
#: A column of the table with more values than this is no subgroup.
_MOST_GROUPS = 12
_CURVE_POINTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a model reached on one set."""

    samples: int
    patients: int
    intervals: Mapping[str, Interval]
    froc: tuple[OperatingPoint, ...] = ()
    #: Curve -> its points, (x, y).
    curves: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    #: Of a classification: threshold, sensitivity, specificity.
    operating: tuple[CurvePoint, ...] = ()
    #: Column -> its subgroups, scored by ``subgroup_metric``.
    subgroups: Mapping[str, tuple[Subgroup, ...]] = field(default_factory=dict)
    subgroup_metric: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labelled:
    """Samples with a class, as arrays of one length."""

    truth: npt.NDArray[np.bool_]
    probability: FloatArray
    patients: npt.NDArray[np.str_]
    verdicts: tuple[Verdict, ...]


def score(model: Model, samples: SampleSet, verdicts: Sequence[Verdict], seed: int = 0) -> Scores:
    """Return every score that model and truth allow."""
    intervals: dict[str, Interval] = {}
    curves: dict[str, tuple[tuple[float, float], ...]] = {}
    points: tuple[OperatingPoint, ...] = ()
    operating: tuple[CurvePoint, ...] = ()
    subgroups: dict[str, tuple[Subgroup, ...]] = {}
    metric = ""
    labelled = find_labelled(model, verdicts)
    if labelled is not None:
        intervals |= _classes(model, labelled, seed)
        curves |= _curves(labelled)
        operating = _operating(labelled)
        intervals |= _grades(model, labelled, seed)
        metric = "auc"
        statistic = auc_of(labelled.truth, labelled.probability)
        subgroups = _subgroups(labelled.verdicts, statistic, labelled.truth, seed)
    masks = [one for one in verdicts if one.mask is not None]
    if masks:
        intervals |= _masks(masks, seed)
        points = froc(find_detections(masks))
        intervals |= _detection(model, masks, seed)
        metric = metric or "dice"
        if metric == "dice":
            subgroups = _subgroups(masks, mean_of([_dice(one) for one in masks]), None, seed)
    valued = [one for one in verdicts if one.value is not None and one.sample.label is not None]
    if valued and labelled is None:
        intervals |= _values(valued, seed)
    return Scores(
        samples=len(verdicts),
        patients=len(samples.patients),
        intervals=intervals,
        froc=_thin(points),
        curves=curves,
        operating=operating,
        subgroups=subgroups,
        subgroup_metric=metric,
    )


def find_labelled(model: Model, verdicts: Sequence[Verdict]) -> Labelled | None:
    """Return the samples with a class and a probability, None where there are none.

    Raises
    ------
    EmptyClass
        If all are of one class: nothing can be told apart.
    """
    positive = positive_class(model)
    known = [one for one in verdicts if one.probabilities and one.sample.label is not None]
    if not known:
        return None
    truth = np.array([int(one.sample.label or 0) == positive for one in known])
    if truth.all() or not truth.any():
        raise EmptyClass(positive=int(truth.sum()), samples=len(truth))
    return Labelled(
        truth=truth,
        probability=np.array([one.probabilities[positive] for one in known]),
        patients=np.array([one.sample.patient for one in known]),
        verdicts=tuple(known),
    )


def positive_class(model: Model) -> int:
    """Return the number of the class that is looked for: the last one where the package names none."""
    task = model.task
    if task is None or not task.classes:
        return 1
    return task.classes.index(task.positive) if task.positive else len(task.classes) - 1


def find_detections(verdicts: Sequence[Verdict]) -> Detections:
    """Return the candidates of all samples as arrays."""
    first = np.cumsum([0, *(one.lesions for one in verdicts)])
    rows = [
        (part.score, number, first[number] + part.lesion if part.lesion >= 0 else -1)
        for number, one in enumerate(verdicts)
        for part in one.candidates
    ]
    scores, images, lesions = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(
        scores=np.array(scores, dtype=np.float64),
        images=np.array(images, dtype=np.int64),
        lesions=np.array(lesions, dtype=np.int64),
        lesion_counts=np.array([one.lesions for one in verdicts]),
        patients=np.array([one.sample.patient for one in verdicts]),
    )


def _classes(model: Model, labelled: Labelled, seed: int) -> dict[str, Interval]:
    truth, said, who = labelled.truth, labelled.probability, labelled.patients

    def drawn(statistic: Statistic) -> Interval:
        return bootstrap(statistic, who, seed=seed)

    threshold = model.task.threshold if model.task else 0.5
    line = calibration_line_of(truth, said)
    return {
        "auc": auc_interval(truth, said, who),
        "average_precision": drawn(average_precision_of(truth, said)),
        **decision_rates(truth, said >= threshold, who, seed=seed),
        "brier": drawn(brier_of(truth, said)),
        "calibration_error": drawn(calibration_error_of(truth, said)),
        "calibration_in_the_large": drawn(lambda weights: line(weights)[:, 0]),
        "calibration_slope": drawn(lambda weights: line(weights)[:, 1]),
    }


def _grades(model: Model, labelled: Labelled, seed: int) -> dict[str, Interval]:
    """Return how near the likeliest grade comes to the true one, where the classes are grades."""
    task = model.task
    if task is None or not task.ordered:
        return {}
    grades, who = len(task.classes), labelled.patients
    true = np.array([int(one.sample.label or 0) for one in labelled.verdicts])
    if true.min() < 0 or true.max() >= grades:
        raise LabelsDoNotFit(f"A label is none of the grades 0 to {grades - 1}", grades=grades)
    said = np.array([int(np.argmax(one.probabilities)) for one in labelled.verdicts])
    apart = np.abs(said - true)
    return {
        "kappa_quadratic": kappa(true, said, grades, who, seed=seed),
        "kappa_linear": kappa(true, said, grades, who, "linear", seed=seed),
        "grade_error": bootstrap(mean_of(apart), who, seed=seed),
        "exact_grade": proportion(apart == 0, who),
        "within_one_grade": proportion(apart <= 1, who),
    }


def _curves(labelled: Labelled) -> dict[str, tuple[tuple[float, float], ...]]:
    truth, said = labelled.truth, labelled.probability
    false_rate, true_rate, _ = roc_curve(truth, said)
    benefit = evaluate(net_benefit_of(truth, said, ACT_FROM), len(truth))
    on_all = evaluate(net_benefit_of(truth, np.ones(len(truth)), ACT_FROM), len(truth))
    return {
        "roc": tuple(zip(false_rate.tolist(), true_rate.tolist(), strict=True)),
        "calibration": _reliability(truth, said),
        "net_benefit": tuple(zip(ACT_FROM, benefit.tolist(), strict=True)),
        "net_benefit_of_all": tuple(zip(ACT_FROM, on_all.tolist(), strict=True)),
    }


def _operating(labelled: Labelled) -> tuple[CurvePoint, ...]:
    """Return what each threshold gives, highest first; of very many, the ends and some hundred between."""
    false_rate, true_rate, thresholds = roc_curve(labelled.truth, labelled.probability)
    # From infinity on nothing is positive: no threshold that could be set.
    rows = zip(thresholds[1:].tolist(), true_rate[1:].tolist(), false_rate[1:].tolist(), strict=True)
    return _thin([CurvePoint(threshold=t, sensitivity=hit, specificity=1 - alarm) for t, hit, alarm in rows])


def _reliability(truth: npt.NDArray[np.bool_], said: FloatArray) -> tuple[tuple[float, float], ...]:
    order = np.argsort(said, kind="stable")
    parts = [one for one in np.array_split(order, min(10, len(order))) if len(one)]
    return tuple((float(said[one].mean()), float(truth[one].mean())) for one in parts)


def _masks(verdicts: Sequence[Verdict], seed: int) -> dict[str, Interval]:
    who = [one.sample.patient for one in verdicts]
    values = {
        "dice": [_dice(one) for one in verdicts],
        "iou": [_of(one, "iou") for one in verdicts],
        "volume_bias": [_of(one, "volume_bias") for one in verdicts],
        "hausdorff_mm": [_of(one, "hausdorff_mm") for one in verdicts],
        "hausdorff95_mm": [_of(one, "hausdorff95_mm") for one in verdicts],
        "surface_dice": [_of(one, "surface_dice") for one in verdicts],
    }
    # Without a spacing nothing is known in mm: what was not measured is not named.
    measured = {name: some for name, some in values.items() if np.isfinite(some).any()}
    found = {name: bootstrap(mean_of(some), who, seed=seed) for name, some in measured.items()}
    agreed = [one for one in verdicts if one.sample.readers >= MOST_READERS]
    if agreed:
        names = [one.sample.patient for one in agreed]
        found["dice_3_readers"] = bootstrap(mean_of([_dice(one) for one in agreed]), names, seed=seed)
    return found


def _detection(model: Model, verdicts: Sequence[Verdict], seed: int) -> dict[str, Interval]:
    """Return sensitivity and false positives at the threshold of the package, and the CPM."""
    detections = find_detections(verdicts)
    if not detections.lesion_counts.sum():
        return {}
    threshold = model.task.threshold if model.task else 0.5
    who = [one.sample.patient for one in verdicts]
    alarms = [sum(c.lesion < 0 and c.score >= threshold for c in one.candidates) for one in verdicts]
    found = [
        len({c.lesion for c in one.candidates if c.lesion >= 0 and c.score >= threshold}) / one.lesions
        if one.lesions
        else np.nan
        for one in verdicts
    ]
    at_rates = sensitivity_of(detections, (1.0,))
    return {
        "lesion_sensitivity": bootstrap(mean_of(found), who, seed=seed),
        "false_positives": bootstrap(mean_of(alarms), who, seed=seed),
        "sensitivity_at_1_false_positive": bootstrap(lambda weights: at_rates(weights)[:, 0], who, seed=seed),
        "cpm": cpm(detections, seed=seed),
    }


def _values(verdicts: Sequence[Verdict], seed: int) -> dict[str, Interval]:
    true = np.array([one.sample.label for one in verdicts], dtype=float)
    said = np.array([one.value for one in verdicts], dtype=float)
    who = [one.sample.patient for one in verdicts]
    agreement = bland_altman(true, said, who, seed=seed)
    return {
        "mean_absolute_error": bootstrap(absolute_error_of(true, said), who, seed=seed),
        "root_mean_squared_error": bootstrap(squared_error_of(true, said), who, seed=seed),
        "bias": agreement.bias,
        "lower_limit_of_agreement": agreement.low,
        "upper_limit_of_agreement": agreement.high,
    }


def _subgroups(
    verdicts: Sequence[Verdict], statistic: Statistic, classes: npt.ArrayLike | None, seed: int
) -> dict[str, tuple[Subgroup, ...]]:
    who = [one.sample.patient for one in verdicts]
    names = sorted({name for one in verdicts for name in one.sample.groups})
    found = {}
    for name in names:
        values = [one.sample.groups.get(name, "") for one in verdicts]
        if 1 < len(set(values)) <= _MOST_GROUPS:
            found[name] = score_subgroups(statistic, values, who, classes=classes, seed=seed)
    return found


def _dice(one: Verdict) -> float:
    return _of(one, "dice")


def _of(one: Verdict, name: str) -> float:
    value = float(getattr(one.mask, name))
    # What is infinitely far was not marked at all: it counts for Dice, and not for a mean of lengths.
    return value if np.isfinite(value) else float("nan")


def _thin(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return at most some hundred points of a curve, its ends among them."""
    if len(points) <= _CURVE_POINTS:
        return tuple(points)
    chosen = np.unique(np.linspace(0, len(points) - 1, _CURVE_POINTS).round().astype(int))
    return tuple(points[one] for one in chosen)
