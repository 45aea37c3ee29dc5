"""Make the weights of ``nodule-malignancy`` again (``models/nodule-malignancy/make.py``).

In: crops, their ratings, outlines by networks that never saw the patient.  Out: curves, scores, intervals.
Never: an outline by a reader; a patient on both sides; a choice made on what is scored.

Curves are fitted to all ratings (1 to 5) by ridge regression, then brought to the log odds of 4 or 5
against 1 or 2. How stiff they are is chosen inside the training part of each fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from wetread.infer.nodule_malignancy import Slabs, cut_slabs
from wetread.lab.appearance import measure_looks
from wetread.lab.nodule_net import FOLDS, NoduleNet, fold_of, normalise
from wetread.lab.nodule_score import read_folds
from wetread.lab.read import read_samples
from wetread.measure.additive import TERMS, Curves, spread_terms
from wetread.measure.nodule_traits import TRAITS, describe_nodule
from wetread.measure.parts import choose_central_part

Array = npt.NDArray[np.float64]
STIFFNESS = (3.0, 10.0, 30.0, 100.0)
#: Log odds that a point of the rating is worth where appearance tells it: about what it is in the curves.
WORTH = 3.0
LINE_STIFFNESS = (300.0, 1000.0, 3000.0, 10000.0)
#: What the estimate must beat: all that is known of the size.
SIZE = ("log_volume", "log_area", "log_slices")
_FOLDS = 10
_INNER = 5
#: Draws of patients for the interval.
DRAWS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Rated:
    """Nodules with a rating."""

    patients: npt.NDArray[np.str_]
    #: 1 to 5, the mean of the readers.
    rating: Array
    #: (nodules, traits).
    traits: Array
    names: tuple[str, ...]
    #: What each outlining network sees inside of the outlines, (nodules, nets, features); none: not looked.
    looks: Array = field(default_factory=lambda: np.zeros((0, 0, 0)))
    #: What networks trained on others' ratings say of each, above the middle; none: they were not asked.
    judged: Array = field(default_factory=lambda: np.zeros(0))

    def take(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Rated:
        """Return some of them."""
        return replace(
            self,
            patients=self.patients[chosen],
            rating=self.rating[chosen],
            traits=self.traits[chosen],
            looks=self.looks[chosen] if self.looks.size else self.looks,
            judged=self.judged[chosen] if self.judged.size else self.judged,
        )

    def only(self, names: tuple[str, ...]) -> Rated:
        """Return them with some traits."""
        return replace(self, names=names, traits=self.traits[:, [self.names.index(one) for one in names]])

    @property
    def is_extreme(self) -> npt.NDArray[np.bool_]:
        """Rated 4 or more, or 2 or less."""
        return (self.rating >= 4) | (self.rating <= 2)


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """A rated nodule with its automatic outline."""

    patient: str
    #: 1 to 5, the mean of the readers.
    rating: float
    #: How many marked it.
    readers: int
    #: (slices, rows, columns), all of them; grey levels normalised.
    grey: npt.NDArray[np.float32]
    probability: npt.NDArray[np.float32]
    outline: npt.NDArray[np.bool_]


def read_rated(data: Path, labels: Path, run: Path) -> Iterator[Outlined]:
    """Yield every rated nodule, outlined by a network that never saw its patient; in one order always."""
    samples = read_samples(data, labels=labels)
    known = {one.id: one for one in samples.samples}
    for name, probability in read_folds(run):
        one = known[name]
        rating = one.groups.get("malignancy", "")
        if rating:
            grey = normalise(samples.load(one).voxels)
            outline = choose_central_part(probability)
            yield Outlined(one.patient, float(rating), one.readers, grey, probability, outline)


def measure_rated(data: Path, labels: Path, run: Path, nets: Sequence[NoduleNet] = ()) -> Rated:
    """Measure every rated nodule from its automatic outline, and look at it with networks."""
    rows: list[tuple[str, float, list[float]]] = []
    slabs: list[Slabs] = []
    for one in read_rated(data, labels, run):
        traits = describe_nodule(one.grey, one.probability, one.outline)
        if nets:
            slabs.append(cut_slabs(one.grey, one.outline))
        rows.append((one.patient, one.rating, [traits[name] for name in TRAITS]))
    who, ratings, measured = zip(*rows, strict=True)
    rated = Rated(np.array(who), np.array(ratings), np.array(measured), TRAITS)
    looks = [measure_looks(net, slabs) for net in nets]
    return replace(rated, looks=np.stack(looks, axis=1)) if looks else rated


def fit(rated: Rated, stiffness: float, draws: int = 0) -> Curves:
    """Fit curves to all, and to draws of the patients."""
    low, high = np.percentile(rated.traits, [1, 99], axis=0)
    curves = Curves(
        traits=rated.names,
        middle=np.median(rated.traits, axis=0),
        scale=np.maximum(rated.traits.std(axis=0), 1e-6),
        lowest=low,
        highest=high,
        weights=np.zeros((1, len(rated.names), TERMS)),
        intercept=np.zeros(1),
    )
    terms = spread_terms(curves, rated.traits).reshape(len(rated.rating), -1)
    chance = np.random.default_rng(0)
    people, number = np.unique(rated.patients, return_inverse=True)
    counts = [np.ones(len(people)), *(_draw(len(people), chance) for _ in range(draws))]
    fits = [_fit(terms, rated, one[number], stiffness) for one in counts]
    weights = np.stack([one for one, _ in fits]).reshape(-1, len(rated.names), TERMS)
    return replace(curves, weights=weights, intercept=np.array([one for _, one in fits]))


def _draw(people: int, chance: np.random.Generator) -> Array:
    return np.bincount(chance.integers(0, people, people), minlength=people).astype(float)


def _fit(terms: Array, rated: Rated, weight: Array, stiffness: float) -> tuple[Array, float]:
    middle = np.average(terms, axis=0, weights=weight)
    spread = np.sqrt(np.average((terms - middle) ** 2, axis=0, weights=weight)) + 1e-9
    scaled = (terms - middle) / spread
    mean = np.average(rated.rating, weights=weight)
    square = (scaled * weight[:, None]).T @ scaled + stiffness * np.eye(scaled.shape[1])
    slope = np.linalg.solve(square, (scaled * weight[:, None]).T @ (rated.rating - mean))
    chosen = rated.is_extreme & (weight > 0)
    gain, shift = _to_odds((scaled @ slope)[chosen], rated.rating[chosen] >= 4, weight[chosen])
    return gain * slope / spread, float(shift - gain * (middle / spread) @ slope)


def _to_odds(score: Array, truth: npt.NDArray[np.bool_], weight: Array) -> tuple[float, float]:
    def loss(line: Array) -> float:
        odds = line[0] * score + line[1]
        return float((weight * (np.logaddexp(0, odds) - truth * odds)).sum())

    gain, shift = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return float(gain), float(shift)


def odds(curves: Curves, traits: Array) -> Array:
    """Return the log odds by the first draw, (nodules,)."""
    return np.asarray(
        (spread_terms(curves, traits) * curves.weights[0]).sum(axis=(-1, -2)) + curves.intercept[0]
    )


def _folds(rated: Rated, folds: int, salt: str) -> npt.NDArray[np.int64]:
    return np.array([fold_of(one, folds, salt) for one in rated.patients])


def cross_validate(rated: Rated) -> Array:
    """Return the log odds of each nodule by curves that never saw its patient."""
    said = np.zeros(len(rated.rating))
    own = _folds(rated, _FOLDS, "outer")
    for fold in range(_FOLDS):
        part = rated.take(own != fold)
        said[own == fold] = odds(fit(part, choose_stiffness(part)), rated.traits[own == fold])
    return said


def choose_stiffness(rated: Rated) -> float:
    """Return the stiffness whose ratings were nearest, across folds of these patients."""
    own = _folds(rated, _INNER, "inner")
    losses = []
    for stiffness in STIFFNESS:
        said = np.zeros(len(rated.rating))
        for fold in range(_INNER):
            said[own == fold] = odds(fit(rated.take(own != fold), stiffness), rated.traits[own == fold])
        truth, extreme = rated.rating >= 4, rated.is_extreme
        losses.append(float((np.logaddexp(0, said) - truth * said)[extreme].mean()))
    return STIFFNESS[int(np.argmin(losses))]


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line through what a network sees: log odds are ``looks @ slope + offset``."""

    slope: Array
    offset: float

    def __call__(self, looks: Array) -> Array:
        """Return the score of nodules, (nodules,)."""
        return np.asarray(looks @ self.slope + self.offset)


def fit_line(rated: Rated, net: int) -> Line:
    """Fit a line through what one network sees to the ratings (ridge); how stiff is chosen inside."""
    looks, own = rated.looks[:, net], _folds(rated, _INNER, "line")
    losses = []
    for stiffness in LINE_STIFFNESS:
        said = np.zeros(len(rated.rating))
        for fold in range(_INNER):
            said[own == fold] = _ridge(looks[own != fold], rated.rating[own != fold], stiffness)(
                looks[own == fold]
            )
        losses.append(float(((said - rated.rating) ** 2).mean()))
    return _ridge(looks, rated.rating, LINE_STIFFNESS[int(np.argmin(losses))])


def _ridge(looks: Array, rating: Array, stiffness: float) -> Line:
    middle, spread = looks.mean(axis=0), looks.std(axis=0) + 1e-6
    scaled = (looks - middle) / spread
    square = scaled.T @ scaled + stiffness * np.eye(scaled.shape[1])
    slope = np.linalg.solve(square, scaled.T @ (rating - rating.mean())) / spread
    # Above the middle of the ratings: what is said of a nodule in doubt is 0.
    return Line(slope, float(rating.mean() - 3 - middle @ slope))


def cross_validate_both(rated: Rated) -> Array:
    """Return the sum of curves and appearance for each nodule.

    It is judged by curves, by a line and by networks that never saw its patient.
    """
    said = cross_validate(rated)
    if rated.judged.size:
        said += WORTH * rated.judged
    own, nets = _folds(rated, _FOLDS, "outer"), _folds(rated, FOLDS, "")
    for fold in range(_FOLDS):
        part = rated.take(own != fold)
        for net in range(FOLDS):
            there = (own == fold) & (nets == net)
            said[there] += WORTH * fit_line(part, net)(rated.looks[there, net])
    return said


def cross_validate_stack(rated: Rated) -> Array:
    """Return the score of each nodule by a logistic stack of curves, line and rating networks.

    Fitted on the folds of the outlining networks that the patient is not in: it decides how much each is
    worth, where ``cross_validate_both`` has it fixed.
    """
    curves = cross_validate(rated)
    line = cross_validate_both(replace(rated, judged=np.zeros(0))) - curves
    columns = np.stack([curves, line, *([rated.judged] if rated.judged.size else [])], axis=1)
    own, said = _folds(rated, FOLDS, ""), np.zeros(len(rated.rating))
    for fold in range(FOLDS):
        others = rated.is_extreme & (own != fold)
        middle, spread = columns[others].mean(axis=0), columns[others].std(axis=0)
        scaled = (columns - middle) / spread
        weights = _fit_logistic(scaled[others], rated.rating[others] >= 4)
        said[own == fold] = scaled[own == fold] @ weights[1:] + weights[0]
    return said


def _fit_logistic(columns: Array, truth: npt.NDArray[np.bool_]) -> Array:
    """Return intercept and weights, these held near 0."""

    def loss(weights: Array) -> float:
        odds = columns @ weights[1:] + weights[0]
        return float((np.logaddexp(0, odds) - truth * odds).sum() + 0.5 * (weights[1:] ** 2).sum())

    return np.asarray(minimize(loss, np.zeros(columns.shape[1] + 1)).x)


def calibrate(rated: Rated, said: Array) -> tuple[float, float]:
    """Return gain and shift that make log odds of scores of nodules that were not seen."""
    chosen = rated.is_extreme
    truth = rated.rating[chosen] >= 4
    return _to_odds(said[chosen], truth, np.ones(len(truth)))
