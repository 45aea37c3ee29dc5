"""Two models on the same images.

In: what each said of every sample.  Out: differences with intervals, and whether one is not worse.
Never: two intervals held against each other; a margin chosen after the scores were seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wetread.domain.model import Model
from wetread.lab.judge import Verdict
from wetread.lab.score import Labelled, find_labelled
from wetread.stats.compare import compare_statistics, is_non_inferior, mcnemar
from wetread.stats.interval import Interval
from wetread.stats.resample import mean_of
from wetread.stats.roc import Difference, compare_auc


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One score of both; more is better."""

    #: The other model minus this one.
    difference: Interval
    p_value: float
    #: Whether this model is surely worse by less than the margin; None where no margin was given.
    is_not_inferior: bool | None = None


def compare_models(
    first: tuple[Model, Sequence[Verdict]],
    second: tuple[Model, Sequence[Verdict]],
    *,
    margin: float | None = None,
    seed: int = 0,
) -> Mapping[str, Beside]:
    """Compare two models on the same samples.

    Parameters
    ----------
    first, second
        This model and the other, each with its verdicts in the same order.
    margin
        By how much this one may be worse at most and still count as not inferior; above 0.

    Returns
    -------
    Mapping
        Score -> comparison: ``auc`` by DeLong, ``accuracy`` with McNemar's p-value, ``dice`` by paired
        bootstrap; those that both models and the truth allow.
    """
    found: dict[str, Difference] = {}
    one, two = find_labelled(*first), find_labelled(*second)
    if one is not None and two is not None and len(one.truth) == len(two.truth):
        found["auc"] = compare_auc(one.truth, one.probability, two.probability, one.patients)
        found["accuracy"] = _compare_accuracy((first[0], one), (second[0], two), seed)
    pairs = [
        (ours.mask.dice, theirs.mask.dice, ours.sample.patient)
        for ours, theirs in zip(first[1], second[1], strict=True)
        if ours.mask and theirs.mask
    ]
    if pairs:
        mine, others, who = zip(*pairs, strict=True)
        found["dice"] = compare_statistics(mean_of(mine), mean_of(others), who, seed=seed)
    return {name: _judge(difference, margin) for name, difference in found.items()}


def _compare_accuracy(first: tuple[Model, Labelled], second: tuple[Model, Labelled], seed: int) -> Difference:
    right = [
        (labelled.probability >= (model.task.threshold if model.task else 0.5)) == labelled.truth
        for model, labelled in (first, second)
    ]
    patients = first[1].patients
    paired = compare_statistics(mean_of(right[0]), mean_of(right[1]), patients, seed=seed)
    return Difference(difference=paired.difference, p_value=mcnemar(right[0], right[1], patients))


def _judge(found: Difference, margin: float | None) -> Beside:
    other = found.difference
    ours = Interval(value=-other.value, low=-other.high, high=-other.low)
    return Beside(
        difference=other,
        p_value=found.p_value,
        is_not_inferior=None if margin is None else is_non_inferior(ours, margin),
    )
