"""A nodule's past, from sizes alone."""

import math

import pytest

from wetread.domain.comparison import PastSize, Status
from wetread.domain.model import ModelIdentity
from wetread.infer.chest_past import compare_sizes, find_known
from wetread.infer.prior import KnownFinding, PriorStudy
from wetread.measure.growth import Sized
from wetread.measure.outline import Texture
from wetread.measure.pairing import Match, Pair, Spot

PRIOR = PriorStudy(
    study_instance_uid="1.2.3",
    series=None,
    studied_on="2026-04-12",
    interval_days=91,
    known_by=ModelIdentity(name="chest-ct", version="1", digest="ab"),
)
PAIR = Pair(match=Match.SAME, current=(0,), prior=(0,), confidence=0.95)


def sized(volume_mm3):
    diameter = (6 * volume_mm3 / math.pi) ** (1 / 3)
    return Sized(
        volume_mm3=volume_mm3,
        mean_diameter_mm=diameter,
        mean_hu=20.0,
        texture=Texture.SOLID,
        attached=0.0,
        step_mm=1.25,
    )


def past(studied_on, volume_mm3):
    return PastSize(
        study_instance_uid=f"1.2.{studied_on}",
        studied_on=studied_on,
        volume_mm3=volume_mm3,
        mean_diameter_mm=8.0,
    )


def test_the_past_grows_by_one_visit_each_time():
    first = past("2026-01-12", 250.0)
    compared = compare_sizes(PRIOR, PAIR, ([sized(1000.0)], [sized(500.0)]), (first,))
    assert [one.studied_on for one in compared.history] == ["2026-01-12", "2026-04-12"]
    assert compared.history[-1].volume_mm3 == compared.volume_mm3 == 500.0
    assert compared.status is Status.GROWING
    assert compared.volume_change_percent == pytest.approx(100.0)
    assert compared.doubling_time_days == pytest.approx(91.0)
    # 90 and 91 days, and twice the volume each time.
    assert compared.overall_doubling_time_days == pytest.approx(90.5, abs=0.2)
    assert (compared.match, compared.match_confidence) == ("same", 0.95)


def test_two_visits_have_no_curve():
    compared = compare_sizes(PRIOR, PAIR, ([sized(500.0)], [sized(500.0)]), ())
    assert compared.overall_doubling_time_days is None
    assert compared.doubling_time_days is None
    assert compared.status is Status.STABLE


def test_a_split_nodule_is_compared_as_a_whole():
    pair = Pair(match=Match.SPLIT, current=(0, 1), prior=(0,), confidence=0.8)
    compared = compare_sizes(PRIOR, pair, ([sized(300.0), sized(200.0)], [sized(500.0)]), ())
    assert compared.volume_change_percent == pytest.approx(0.0)
    assert compared.match == "split"


def test_the_finding_of_the_prior_reading_is_the_one_at_the_place():
    known = [
        KnownFinding(
            tracking_uid=f"2.25.{k}", label="lung nodule", center_lps_mm=(x, 0.0, 0.0), measurements={}
        )
        for k, x in ((1, 0.0), (2, 10.0))
    ]

    def spot(x, diameter_mm=8.0):
        volume = math.pi / 6 * diameter_mm**3
        return Spot(center_lps_mm=(x, 0.0, 0.0), volume_mm3=volume, texture=Texture.SOLID)

    assert find_known(known, spot(9.0)).tracking_uid == "2.25.2"
    assert find_known(known, spot(20.0)) is None
    assert find_known(known, spot(20.0, diameter_mm=24.0)).tracking_uid == "2.25.2"
    assert find_known([], spot(0.0)) is None
