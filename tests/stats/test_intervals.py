"""Intervals: against closed forms, against others, and by how often they hold the truth."""

import math

import numpy as np
import pytest
from scipy import stats

from wetread.stats.interval import Interval, proportion, wilson
from wetread.stats.resample import bootstrap, difference, draw_weights, evaluate, mean_of, resample, within


def test_wilson_as_others_have_it() -> None:
    found = wilson(7, 20)
    expected = stats.binomtest(7, 20).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert wilson(10, 10).high == 1.0
    assert wilson(10, 10).low == pytest.approx(0.7225, abs=1e-4)
    assert not wilson(0, 0).is_defined


def test_one_sample_a_patient_is_plain_wilson() -> None:
    hits = np.array([1, 1, 0, 1, 0, 1, 1, 1])
    assert proportion(hits, np.arange(8)) == wilson(6, 8)


def test_repeats_of_a_patient_are_worth_nothing() -> None:
    rng = np.random.default_rng(0)
    hits = rng.random(40) < 0.7
    alone = proportion(hits, np.arange(40))
    repeated = proportion(np.repeat(hits, 5), np.repeat(np.arange(40), 5))
    assert repeated.value == pytest.approx(alone.value)
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=0.03)
    everybody = proportion(np.ones(200), np.repeat(np.arange(40), 5))
    assert everybody.low == pytest.approx(wilson(40, 40).low)


def test_a_rate_with_its_patients_holds_the_truth() -> None:
    """Patients differ: the plain interval is too narrow, ours is not."""
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(60), 4)
    ours = plain = 0
    for _ in range(400):
        rates = rng.beta(4, 1, 60)
        hits = rng.random(240) < np.repeat(rates, 4)
        ours += _holds(proportion(hits, patients), 0.8)
        plain += _holds(wilson(hits.sum(), 240), 0.8)
    assert 0.92 <= ours / 400 <= 0.985
    assert plain < ours


def test_the_bootstrap_holds_the_truth() -> None:
    rng = np.random.default_rng(2)
    patients = np.repeat(np.arange(50), 3)
    held = 0
    for seed in range(300):
        values = np.repeat(rng.normal(0, 1, 50), 3) + rng.normal(0, 0.5, 150)
        held += _holds(bootstrap(mean_of(values), patients, draws=400, seed=seed), 0.0)
    assert 0.91 <= held / 300 <= 0.98


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def test_patients_are_drawn_whole_and_again_the_same() -> None:
    patients = np.array(["a", "b", "a", "c"])
    weights = np.concatenate(list(draw_weights(patients, 500, seed=3)))
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert weights[:, 1].mean() == pytest.approx(1, abs=0.1)
    assert (weights == np.concatenate(list(draw_weights(patients, 500, seed=3)))).all()


def test_blocks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    patients = np.arange(30)
    whole = resample(mean_of(np.arange(30.0)), patients, 64, seed=5)
    monkeypatch.setattr("wetread.stats.resample._BLOCK", 300)
    assert (resample(mean_of(np.arange(30.0)), patients, 64, seed=5) == whole).all()


def test_statistics_of_parts_and_differences() -> None:
    values = np.array([1.0, 2.0, 3.0, np.nan])
    assert evaluate(mean_of(values), 4) == 2.0
    assert evaluate(within(mean_of(values), [True, False, True, True]), 4) == 2.0
    assert evaluate(difference(mean_of(values), mean_of(values)), 4) == 0.0
    assert math.isnan(evaluate(within(mean_of(values), [False] * 4), 4))


def test_an_interval_of_lucky_draws_is_none() -> None:
    rare = within(mean_of([1.0, 0.0, 0.0, 0.0]), [True, False, False, False])
    found = bootstrap(rare, np.arange(4), draws=200)
    assert found.value == 1.0
    assert math.isnan(found.low)
