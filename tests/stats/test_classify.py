"""Scores of probabilities and decisions, against scikit-learn and worked examples."""

import numpy as np
import pytest

from wetread.stats.classify import (
    brier_of,
    calibration_error_of,
    calibration_line_of,
    count_decisions,
    decision_rates,
    f1_of,
    net_benefit_of,
)
from wetread.stats.resample import bootstrap, evaluate, resample

metrics = pytest.importorskip("sklearn.metrics")
linear_model = pytest.importorskip("sklearn.linear_model")

RNG = np.random.default_rng(0)
PROBABILITIES = RNG.random(400)
LABELS = RNG.random(400) < PROBABILITIES
DECISIONS = PROBABILITIES >= 0.6
WEIGHTS = RNG.integers(0, 4, (4, 400)).astype(float)


def test_counts_and_rates() -> None:
    counts = count_decisions(LABELS, DECISIONS)
    (tn, fp), (fn, tp) = metrics.confusion_matrix(LABELS, DECISIONS)
    assert (counts.true_positives, counts.false_positives) == (tp, fp)
    assert (counts.true_negatives, counts.false_negatives) == (tn, fn)
    rates = decision_rates(LABELS, DECISIONS, np.arange(400))
    assert rates["accuracy"].value == pytest.approx(metrics.accuracy_score(LABELS, DECISIONS))
    assert rates["sensitivity"].value == pytest.approx(metrics.recall_score(LABELS, DECISIONS))
    assert rates["specificity"].value == pytest.approx(tn / (tn + fp))
    assert rates["ppv"].value == pytest.approx(metrics.precision_score(LABELS, DECISIONS))
    assert rates["npv"].value == pytest.approx(tn / (tn + fn))
    assert rates["f1"].value == pytest.approx(metrics.f1_score(LABELS, DECISIONS))
    assert all(one.low < one.value < one.high for one in rates.values())


def test_weights_are_repetitions() -> None:
    for row, f1, brier in zip(
        WEIGHTS,
        f1_of(LABELS, DECISIONS)(WEIGHTS),
        brier_of(LABELS, PROBABILITIES)(WEIGHTS),
        strict=True,
    ):
        assert f1 == pytest.approx(metrics.f1_score(LABELS, DECISIONS, sample_weight=row))
        expected = metrics.brier_score_loss(LABELS, PROBABILITIES, sample_weight=row)
        assert brier == pytest.approx(expected)


def test_calibration_error() -> None:
    # Two bins: 10 samples said 0.2 of which 4 happen, 30 said 0.9 of which 24 do.
    said = np.repeat([0.2, 0.9], [10, 30])
    happened = np.concatenate([np.arange(10) < 4, np.arange(30) < 24])
    expected = (10 * 0.2 + 30 * 0.1) / 40
    assert evaluate(calibration_error_of(happened, said), 40) == pytest.approx(expected)
    assert evaluate(calibration_error_of([1, 0], [1.0, 0.0]), 2) == 0


def test_the_calibration_line_is_that_of_logistic_regression() -> None:
    clipped = np.clip(PROBABILITIES, 1e-6, 1 - 1e-6)
    logit = np.log(clipped / (1 - clipped))
    lines = calibration_line_of(LABELS, PROBABILITIES)(WEIGHTS)
    for row, line in zip(WEIGHTS, lines, strict=True):
        fitted = linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        fitted.fit(logit[:, None], LABELS, sample_weight=row)
        assert line[1] == pytest.approx(fitted.coef_[0, 0], rel=1e-4)
        # With slope 1, the expected number is the number seen.
        expected = 1 / (1 + np.exp(-(logit + line[0])))
        assert row @ expected == pytest.approx(row @ LABELS)


def test_calibration_is_seen() -> None:
    sharp = PROBABILITIES**2 / (PROBABILITIES**2 + (1 - PROBABILITIES) ** 2)  # logit doubled
    slope = bootstrap(lambda w: calibration_line_of(LABELS, sharp)(w)[:, 1], np.arange(400), draws=200)
    assert slope.low < 0.5 < slope.high
    assert slope.high < 0.8


def test_classes_that_are_apart_have_no_slope() -> None:
    said = np.concatenate([np.linspace(0.1, 0.3, 20), np.linspace(0.7, 0.9, 20)])
    line = evaluate(calibration_line_of(said > 0.5, said), 40)
    assert np.isnan(line[1])
    assert np.isnan(evaluate(calibration_line_of(np.zeros(40), said), 40)).all()


def test_net_benefit() -> None:
    # Vickers and Elkin: true positives / n - false positives / n * odds.
    benefit = evaluate(net_benefit_of(LABELS, PROBABILITIES, [0.2, 0.5]), 400)
    for value, edge in zip(benefit, (0.2, 0.5), strict=True):
        counts = count_decisions(LABELS, edge <= PROBABILITIES)
        odds = edge / (1 - edge)
        assert value == pytest.approx((counts.true_positives - counts.false_positives * odds) / 400)
    everybody = evaluate(net_benefit_of(LABELS, np.ones(400), [0.0]), 400)
    assert everybody[0] == pytest.approx(LABELS.mean())
    assert resample(net_benefit_of(LABELS, PROBABILITIES, [0.2, 0.5]), np.arange(400), 50).shape == (50, 2)
