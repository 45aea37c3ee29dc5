"""Two models, subgroups, another place."""

import numpy as np
import pytest
from scipy import stats

from wetread.stats.compare import (
    compare_statistics,
    drop,
    is_non_inferior,
    mcnemar,
    score_subgroups,
)
from wetread.stats.interval import Interval, wilson
from wetread.stats.resample import mean_of
from wetread.stats.roc import auc_of, compare_auc

RNG = np.random.default_rng(0)


def test_the_paired_bootstrap_and_delong_agree() -> None:
    labels = np.arange(200) < 80
    shared = RNG.normal(0, 1, 200) + labels
    one, other = shared + RNG.normal(0, 1.0, 200), shared + RNG.normal(0, 0.3, 200)
    drawn = compare_statistics(auc_of(labels, one), auc_of(labels, other), np.arange(200))
    analytic = compare_auc(labels, one, other, np.arange(200))
    assert drawn.difference.value == pytest.approx(analytic.difference.value)
    assert drawn.difference.low == pytest.approx(analytic.difference.low, abs=0.01)
    assert drawn.p_value == pytest.approx(analytic.p_value, abs=0.03)


def test_mcnemar_by_hand() -> None:
    # 59 and 6 discordant pairs of McNemar's kind: the exact binomial.
    one = np.repeat([True, True, False, False], [101, 59, 33, 6])
    other = np.repeat([True, False, True, False], [101, 59, 33, 6])
    found = mcnemar(one, other, np.arange(199))
    assert found == pytest.approx(stats.binomtest(33, 92).pvalue)
    assert mcnemar(one, one, np.arange(199)) == 1.0
    # Durkalski with one sample a patient would be McNemar's chi squared without correction.
    doubled = mcnemar(np.repeat(one, 2), np.repeat(other, 2), np.repeat(np.arange(199), 2))
    assert doubled == pytest.approx(stats.chi2.sf((59 - 33) ** 2 / (59 + 33), 1))


def test_the_bootstrap_errs_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    found = 0
    for seed in range(200):
        one, other = rng.normal(0, 1, (2, 60))
        compared = compare_statistics(mean_of(one), mean_of(other), np.arange(60), draws=400, seed=seed)
        found += compared.p_value < 0.05
    assert 0.02 <= found / 200 <= 0.1


def test_not_worse_than_by_the_margin() -> None:
    assert is_non_inferior(Interval(value=0.0, low=-0.02, high=0.02), 0.03)
    assert not is_non_inferior(Interval(value=0.05, low=-0.04, high=0.1), 0.03)
    with pytest.raises(ValueError, match="margin"):
        is_non_inferior(Interval(value=0.0, low=0.0, high=0.0), 0.0)


def test_the_drop_elsewhere_as_newcombe_has_it() -> None:
    # Newcombe 1998, example (a): 56/70 against 48/80, method 10: 0.0524 to 0.3339.
    found = drop(wilson(56, 70), wilson(48, 80))
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_subgroups_with_few_patients_have_no_score() -> None:
    values = RNG.normal(0.8, 0.1, 60)
    groups = ["a"] * 40 + ["b"] * 12 + ["c"] * 8
    patients = np.arange(60)
    found = {one.name: one for one in score_subgroups(mean_of(values), groups, patients)}
    assert found["a"].score.value == pytest.approx(values[:40].mean())
    assert found["c"].score is None
    assert (found["c"].samples, found["c"].patients) == (8, 8)
    # Twelve samples of three patients are three.
    patients[40:52] = np.repeat([90, 91, 92], 4)
    assert {one.name: one.score for one in score_subgroups(mean_of(values), groups, patients)}["b"] is None


def test_a_subgroup_needs_both_classes() -> None:
    labels = np.array([0, 1] * 30 + [0] * 30)
    scores = RNG.normal(0, 1, 90) + labels
    groups = ["a"] * 60 + ["b"] * 30
    found = score_subgroups(auc_of(labels, scores), groups, np.arange(90), classes=labels)
    assert found[0].score is not None
    assert found[1].score is None


def test_intervals_of_many_subgroups_are_wider() -> None:
    values = RNG.normal(0, 1, 100)
    (alone,) = score_subgroups(mean_of(values), ["a"] * 100, np.arange(100))
    among = score_subgroups(mean_of(values), ["a"] * 60 + ["b"] * 40, np.arange(100))
    one = among[0].score
    assert one.high - one.low > (alone.score.high - alone.score.low) * np.sqrt(100 / 60)
