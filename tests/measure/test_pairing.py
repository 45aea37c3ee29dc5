import numpy as np
import pytest

from wetread.domain.volume import Grid
from wetread.measure.outline import Texture
from wetread.measure.pairing import Match, Spot, confirm, is_shown, pair_spots
from wetread.measure.registration import Fit, Registration

SHIFT_MM = np.array([5.0, -3.0, 12.0])


@pytest.fixture
def registration():
    """The prior patient lay elsewhere by ``SHIFT_MM``."""
    return Registration(
        matrix=np.eye(3),
        shift=SHIFT_MM,
        bend=np.zeros((4, 4, 4, 3), dtype=np.float32),
        bend_origin_lps_mm=(-100.0, -100.0, -100.0),
        bend_spacing_mm=28.0,
        fit=Fit(overlap=1.0, dice=1.0, likeness=1.0),
    )


def spot(center, diameter_mm, texture=Texture.SOLID):
    x, y, z = (float(one) for one in center)
    return Spot(center_lps_mm=(x, y, z), volume_mm3=np.pi / 6 * diameter_mm**3, texture=texture)


def moved(center, by=(0.0, 0.0, 0.0)):
    return np.asarray(center) + SHIFT_MM + by


def by_match(pairs):
    return {match: [(one.current, one.prior) for one in pairs if one.match is match] for match in Match}


def test_each_nodule_finds_itself_again(registration):
    places = [(0, 0, 0), (40, 0, 0), (0, 50, 20), (-30, 10, 5)]
    current = [spot(one, 8.0) for one in places]
    prior = [spot(moved(one, (1.0, -0.5, 0.8)), 8.0) for one in reversed(places)]
    pairs = pair_spots(current, prior, registration)
    assert sorted((one.current[0], one.prior[0]) for one in pairs) == [(0, 3), (1, 2), (2, 1), (3, 0)]
    assert all(one.match is Match.SAME and one.confidence > 0.9 for one in pairs)
    assert pairs[0].apart_mm == pytest.approx(np.linalg.norm((1.0, -0.5, 0.8)))


def test_neighbours_are_told_apart_by_place_and_size(registration):
    current = [spot((0, 0, 0), 6.0), spot((7, 0, 0), 11.0)]
    prior = [spot(moved((7, 0, 0), (-1.5, 0, 0)), 10.0), spot(moved((0, 0, 0), (1.5, 0, 0)), 6.0)]
    pairs = pair_spots(current, prior, registration)
    assert sorted((one.current[0], one.prior[0]) for one in pairs) == [(0, 1), (1, 0)]
    # Two that could be each other are less sure than one alone.
    alone = pair_spots(current[:1], prior[1:], registration)
    assert pairs[0].confidence < alone[0].confidence


def test_what_is_far_away_is_new_or_gone(registration):
    pairs = by_match(pair_spots([spot((0, 0, 0), 8.0)], [spot(moved((0, 0, 15)), 8.0)], registration))
    assert pairs[Match.NEW] == [((0,), ())]
    assert pairs[Match.RESOLVED] == [((), (0,))]
    assert not pairs[Match.SAME]


def test_nothing_to_pair(registration):
    assert pair_spots([], [], registration) == ()
    assert pair_spots([spot((0, 0, 0), 8.0)], [], registration)[0].match is Match.NEW


def test_a_nodule_that_falls_apart_and_two_that_grow_together(registration):
    whole, parts = spot((0, 0, 0), 14.0), [spot((-3, 0, 0), 9.0), spot((5, 0, 0), 7.0)]
    split = pair_spots(parts, [spot(moved((0, 0, 0)), 14.0)], registration)
    assert [(one.match, one.current, one.prior) for one in split] == [(Match.SPLIT, (0, 1), (0,))]
    before = [spot(moved(one.center_lps_mm), 2 * one.radius_mm) for one in parts]
    merged = pair_spots([whole], before, registration)
    assert [(one.match, one.current, one.prior) for one in merged] == [(Match.MERGED, (0,), (0, 1))]


def test_a_large_nodule_may_grow_in_one_direction(registration):
    pairs = pair_spots([spot((6, 0, 0), 26.0)], [spot(moved((0, 0, 0)), 20.0)], registration)
    assert pairs[0].match is Match.SAME


def test_what_is_looked_for_must_fit_better():
    wanted = spot((0, 0, 0), 8.0)
    assert confirm(wanted, spot((1.0, 0, 0), 7.0), (0.0, 0.0, 0.0)).confidence > 0.8
    assert confirm(wanted, spot((1.0, 0, 0), 2.7), (0.0, 0.0, 0.0)) is None
    assert confirm(wanted, spot((6.5, 0, 0), 7.0), (0.0, 0.0, 0.0)) is None


def test_the_ends_of_a_scan_show_nothing():
    grid = Grid(
        shape=(50, 100, 100),
        spacing_mm=(2.0, 1.0, 1.0),
        origin_lps_mm=(0.0, 0.0, 0.0),
        directions=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    )
    assert is_shown(grid, (50.0, 50.0, 50.0))
    assert not is_shown(grid, (50.0, 50.0, 0.0))
    assert not is_shown(grid, (50.0, 50.0, 120.0))
