"""The area under the ROC curve: DeLong's variance by its definition, and how often the interval holds."""

import math

import numpy as np
import pytest
from scipy import stats

from wetread.stats.interval import Interval
from wetread.stats.resample import bootstrap, evaluate
from wetread.stats.roc import (
    auc,
    auc_interval,
    auc_of,
    average_precision_of,
    compare_auc,
    roc_curve,
)

metrics = pytest.importorskip("sklearn.metrics")


def draw(seed: int, count: int = 120, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and scores, rounded so that there are ties."""
    rng = np.random.default_rng(seed)
    labels = rng.random(count) < 0.4
    return labels, np.round(rng.normal(0, 1, count) + shift * labels, 1)


@pytest.mark.parametrize("seed", range(5))
def test_areas_as_scikit_learn_has_them(seed: int) -> None:
    labels, scores = draw(seed)
    area = metrics.roc_auc_score(labels, scores)
    assert auc(labels, scores) == pytest.approx(area)
    assert evaluate(auc_of(labels, scores), len(labels)) == pytest.approx(area)
    precision = metrics.average_precision_score(labels, scores)
    assert evaluate(average_precision_of(labels, scores), len(labels)) == pytest.approx(precision)
    false_rate, sensitivity, _ = roc_curve(labels, scores)
    expected = metrics.roc_curve(labels, scores, drop_intermediate=False)
    assert false_rate == pytest.approx(expected[0])
    assert sensitivity == pytest.approx(expected[1])


def test_weights_are_repetitions() -> None:
    labels, scores = draw(7)
    weights = np.random.default_rng(0).integers(0, 4, (3, len(labels))).astype(float)
    for row, area, precision in zip(
        weights,
        auc_of(labels, scores)(weights),
        average_precision_of(labels, scores)(weights),
        strict=True,
    ):
        assert area == pytest.approx(metrics.roc_auc_score(labels, scores, sample_weight=row))
        assert precision == pytest.approx(metrics.average_precision_score(labels, scores, sample_weight=row))


def delong_by_definition(labels: np.ndarray, *scores: np.ndarray) -> np.ndarray:
    """Return the covariance of the areas, from the matrix of all pairs."""
    rows, columns = [], []
    for one in scores:
        above = one[labels][:, None]
        below = one[~labels][None, :]
        pairs = (above > below) + 0.5 * (above == below)
        rows.append(pairs.mean(axis=1))
        columns.append(pairs.mean(axis=0))
    return np.cov(rows) / labels.sum() + np.cov(columns) / (~labels).sum()


def test_delong_by_its_definition() -> None:
    labels, scores = draw(3)
    _, others = draw(3, shift=0.6)
    covariance = delong_by_definition(labels, scores, others)
    found = auc_interval(labels, scores, np.arange(len(labels)))
    half = stats.norm.ppf(0.975) * math.sqrt(covariance[0, 0]) / (found.value * (1 - found.value))
    middle = math.log(found.value / (1 - found.value))
    assert found.low == pytest.approx(1 / (1 + math.exp(half - middle)))
    assert found.high == pytest.approx(1 / (1 + math.exp(-half - middle)))

    compared = compare_auc(labels, scores, others, np.arange(len(labels)))
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert compared.p_value == pytest.approx(2 * stats.norm.sf(abs(compared.difference.value) / error))
    assert compared.difference.value == pytest.approx(auc(labels, others) - auc(labels, scores))


def test_repeats_of_a_patient_add_nothing() -> None:
    labels, scores = draw(4)
    alone = auc_interval(labels, scores, np.arange(len(labels)))
    thrice = auc_interval(np.repeat(labels, 3), np.repeat(scores, 3), np.repeat(np.arange(len(labels)), 3))
    assert (thrice.low, thrice.high) == pytest.approx((alone.low, alone.high), abs=2e-3)


def test_delong_and_the_bootstrap_agree_on_patients_with_several_samples() -> None:
    rng = np.random.default_rng(5)
    patients = np.repeat(np.arange(80), 4)
    labels = rng.random(320) < 0.4
    scores = np.repeat(rng.normal(0, 1, 80), 4) + rng.normal(0, 0.5, 320) + labels
    analytic = auc_interval(labels, scores, patients)
    drawn = bootstrap(auc_of(labels, scores), patients, draws=2000)
    assert (analytic.low, analytic.high) == pytest.approx((drawn.low, drawn.high), abs=0.012)


def test_the_interval_holds_the_truth() -> None:
    """Also where the area is high and the positives are few."""
    truth = stats.norm.cdf(1.8 / math.sqrt(2))
    rng = np.random.default_rng(6)
    labels = np.arange(90) < 25
    held = sum(
        _holds(auc_interval(labels, rng.normal(0, 1, 90) + 1.8 * labels, np.arange(90)), truth)
        for _ in range(500)
    )
    assert 0.925 <= held / 500 <= 0.985


def test_the_comparison_errs_as_often_as_it_says() -> None:
    rng = np.random.default_rng(8)
    labels = np.arange(100) < 40
    found = 0
    for _ in range(400):
        shared = rng.normal(0, 1, 100) + labels
        one, other = (shared + rng.normal(0, 0.7, 100) for _ in range(2))
        found += compare_auc(labels, one, other, np.arange(100)).p_value < 0.05
    assert 0.02 <= found / 400 <= 0.08


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def test_a_perfect_area_has_an_honest_interval() -> None:
    labels = np.arange(60) < 20
    found = auc_interval(labels, labels.astype(float), np.arange(60))
    assert found.value == found.high == 1.0
    assert 0.85 < found.low < 0.97
    turned = auc_interval(labels, -labels.astype(float), np.arange(60))
    assert (turned.value, turned.low) == (0.0, 0.0)
    assert turned.high == pytest.approx(1 - found.low)


def test_an_empty_class_has_no_area() -> None:
    nobody = np.zeros(5, bool)
    assert math.isnan(auc(nobody, np.arange(5.0)))
    assert not auc_interval(nobody, np.arange(5.0), np.arange(5)).is_defined
    with pytest.raises(ValueError, match="finite"):
        auc([0, 1], [0.1, np.nan])


def test_a_model_against_itself() -> None:
    labels, scores = draw(1)
    found = compare_auc(labels, scores, scores, np.arange(len(labels)))
    assert (found.difference.low, found.difference.high, found.p_value) == (0.0, 0.0, 1.0)
