"""Thresholds chosen on a curve, against a search through all of them."""

import numpy as np
import pytest

from wetread.stats.operating import Aim, CurvePoint, Wish, choose_point

PREVALENCE, STUDIES = 0.1, 200.0


def curve(seed: int = 0) -> tuple[list[CurvePoint], np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    truth = chance.random(300) < 0.4
    said = np.clip(chance.normal(0.4 + 0.25 * truth, 0.15), 0, 1)
    points = [
        CurvePoint(
            threshold=float(one),
            sensitivity=float((said[truth] >= one).mean()),
            specificity=float((said[~truth] < one).mean()),
        )
        for one in np.unique(said)
    ]
    return points, truth, said


@pytest.mark.parametrize("value", [0.5, 0.8, 0.95, 1.0])
def test_a_sensitivity_is_reached_and_nothing_given_away(value: float) -> None:
    points, truth, said = curve()
    found = choose_point(points, Wish(aim=Aim.SENSITIVITY, value=value))
    assert found is not None
    needed = int(np.ceil(value * truth.sum()))
    assert found.threshold == pytest.approx(np.sort(said[truth])[::-1][needed - 1])


@pytest.mark.parametrize("value", [0.5, 0.9, 0.99])
def test_a_specificity_is_reached_by_the_lowest_threshold(value: float) -> None:
    points, truth, said = curve()
    found = choose_point(points, Wish(aim=Aim.SPECIFICITY, value=value))
    assert found is not None
    assert (said[~truth] < found.threshold).mean() >= value
    lower = [one for one in points if one.threshold < found.threshold]
    assert not any(one.specificity >= value and one.sensitivity > found.sensitivity for one in lower)


def test_alerts_a_day_and_ppv_are_counted_at_the_prevalence_of_the_site() -> None:
    points, truth, said = curve()
    for most in (10.0, 40.0):
        wish = Wish(aim=Aim.ALERTS, value=most, prevalence=PREVALENCE, studies_a_day=STUDIES)
        found = choose_point(points, wish)
        assert found is not None
        hits, alarms = (said[truth] >= found.threshold).mean(), (said[~truth] >= found.threshold).mean()
        assert STUDIES * (PREVALENCE * hits + (1 - PREVALENCE) * alarms) <= most
    wish = Wish(aim=Aim.PPV, value=0.5, prevalence=PREVALENCE)
    found = choose_point(points, wish)
    assert found is not None
    hits, alarms = (said[truth] >= found.threshold).mean(), (said[~truth] >= found.threshold).mean()
    assert PREVALENCE * hits / (PREVALENCE * hits + (1 - PREVALENCE) * alarms) >= 0.5
    assert not any(one.sensitivity > found.sensitivity and one.ppv(PREVALENCE) >= 0.5 for one in points)


def test_what_no_threshold_gives_is_not_given() -> None:
    points, _, _ = curve()
    weak = [one for one in points if one.sensitivity < 0.9]
    assert choose_point(weak, Wish(aim=Aim.SENSITIVITY, value=0.95)) is None
    assert choose_point([], Wish(aim=Aim.SPECIFICITY, value=0.5)) is None
    assert CurvePoint(threshold=1, sensitivity=0, specificity=1).ppv(0.5) == 0.0
