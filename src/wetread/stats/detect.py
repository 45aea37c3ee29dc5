"""How many lesions are found, at how many false alarms.

In: candidates with scores, which lesion each hits, how many lesions an image has.
Out: the FROC curve, its operating points and the CPM, with intervals by patient.
Never: a second candidate on a found lesion counted, as hit or as alarm.

References
----------
A. A. A. Setio et al., Med Image Anal 42 (2017) 1, doi:10.1016/j.media.2017.06.015 (CPM, LUNA16).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wetread.stats.interval import FloatArray, IntArray, Interval
from wetread.stats.resample import Statistic, bootstrap, ratio

#: False alarms an image at which the CPM takes the sensitivity.
CPM_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """The candidates of all images, and what there was to find."""

    #: Shape (candidates,).
    scores: FloatArray
    #: Index of the image of each candidate.
    images: IntArray
    #: Index of the lesion that each hits, -1 for none; lesions are numbered through all images.
    lesions: IntArray
    #: How many lesions each image has, shape (images,).
    lesion_counts: IntArray
    #: Who the patient of each image is, shape (images,).
    patients: npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """Sensitivity and false alarms from one score on."""

    threshold: float
    sensitivity: float
    false_positives: float


def froc(detections: Detections) -> tuple[OperatingPoint, ...]:
    """Return the curve, from the highest score to the lowest."""
    order, is_hit, is_alarm = _sorted(detections)
    scores = detections.scores[order]
    last = np.flatnonzero(np.append(np.diff(scores) != 0, True)) if len(scores) else np.zeros(0, int)
    hits, alarms = np.cumsum(is_hit), np.cumsum(is_alarm)
    lesions, images = max(1, int(detections.lesion_counts.sum())), len(detections.lesion_counts)
    return tuple(
        OperatingPoint(
            threshold=float(scores[at]),
            sensitivity=float(hits[at] / lesions),
            false_positives=float(alarms[at] / images),
        )
        for at in last
    )


def cpm(
    detections: Detections, rates: tuple[float, ...] = CPM_RATES, *, draws: int = 1000, seed: int = 0
) -> Interval:
    """Return the mean sensitivity at the given false alarms an image, images of a patient drawn together."""
    return bootstrap(cpm_of(detections, rates), detections.patients, draws=draws, seed=seed)


def cpm_of(detections: Detections, rates: tuple[float, ...] = CPM_RATES) -> Statistic:
    """Return the statistic of images: the mean sensitivity at the given rates."""
    at_rates = sensitivity_of(detections, rates)
    return lambda weights: np.asarray(at_rates(weights).mean(axis=1))


def sensitivity_of(detections: Detections, rates: tuple[float, ...]) -> Statistic:
    """Return the statistic of images: sensitivity at each rate of false alarms, one value a rate.

    Between two scores the curve is a step: the rate is never exceeded.
    """
    order, is_hit, is_alarm = _sorted(detections)
    images, scores = detections.images[order], detections.scores[order]
    # Equal scores pass a threshold together.
    ends = np.flatnonzero(np.append(np.diff(scores) != 0, True)) if len(scores) else np.zeros(0, int)
    lesion_counts = detections.lesion_counts.astype(float)
    limits = np.asarray(rates, dtype=float)

    def at_rates(weights: FloatArray) -> FloatArray:
        lesions, total = weights @ lesion_counts, weights.sum(axis=1)
        drawn = weights[:, images]
        hits = np.cumsum(drawn * is_hit, axis=1)[:, ends]
        alarms = np.cumsum(drawn * is_alarm, axis=1)[:, ends]
        found = np.zeros((len(weights), len(limits)))
        for row in range(len(weights)):
            passed = np.searchsorted(alarms[row], limits * total[row] + 1e-9, side="right")
            found[row] = np.where(passed > 0, np.append(0.0, hits[row])[passed], 0.0)
        return ratio(found, np.broadcast_to(lesions[:, np.newaxis], found.shape))

    return at_rates


def match_centers(
    candidates_mm: FloatArray, scores: FloatArray, lesions_mm: FloatArray, radii_mm: FloatArray
) -> IntArray:
    """Return which lesion each candidate of one image hits: the nearest whose radius reaches it, -1 for none.

    Parameters
    ----------
    candidates_mm, lesions_mm
        Centres, shape (n, 3).
    radii_mm
        Of the lesions, shape (n,).
    """
    if len(candidates_mm) != len(scores):
        raise ValueError("one score for each candidate")
    if not len(candidates_mm) or not len(lesions_mm):
        return np.full(len(candidates_mm), -1, dtype=np.int64)
    apart = np.linalg.norm(candidates_mm[:, np.newaxis] - lesions_mm[np.newaxis], axis=2)
    inside = np.where(apart <= radii_mm, apart, np.inf)
    nearest = np.argmin(inside, axis=1)
    return np.where(np.isfinite(inside.min(axis=1)), nearest, -1).astype(np.int64)


def _sorted(detections: Detections) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the order by falling score, and which candidates are first hits and false alarms in it."""
    order = np.argsort(-detections.scores, kind="stable")
    lesions = detections.lesions[order]
    first = np.zeros(len(order))
    _, firsts = np.unique(lesions, return_index=True)
    first[firsts] = 1.0
    return order, first * (lesions >= 0), (lesions < 0).astype(float)
