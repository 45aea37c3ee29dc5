"""The same distances as scipy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from wetread.measure.distance import find_deep, measure_distance


@given(
    shape=st.tuples(*[st.integers(1, 24)] * 3),
    seed=st.integers(0, 2**32 - 1),
    level=st.sampled_from([-1.0, 0.0, 0.5, 2.0]),
)
def test_distances_are_those_of_scipy(shape, seed, level):
    noise = np.random.default_rng(seed)
    mask = noise.normal(size=shape) > level
    mask[tuple(noise.integers(0, shape))] = False
    assert np.array_equal(measure_distance(mask), ndimage.distance_transform_edt(mask))


@pytest.mark.parametrize("side", [90, 91, 130])
def test_the_longest_way_fits(side):
    mask = np.ones((side, side, side), dtype=bool)
    mask[0, 0, 0] = False
    assert measure_distance(mask)[-1, -1, -1] == pytest.approx(np.sqrt(3) * (side - 1), rel=1e-12)


@given(seed=st.integers(0, 2**32 - 1), limit=st.floats(0.5, 12.0))
def test_up_to_a_limit_nothing_changes(seed, limit):
    mask = np.random.default_rng(seed).normal(size=(20, 17, 23)) > -2.5
    mask[3, 4, 5] = False
    limited, whole = measure_distance(mask, limit), measure_distance(mask)
    near = whole <= limit
    assert np.array_equal(limited[near], whole[near])
    assert (limited[~near] > limit).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    reach_mm=st.floats(0.3, 15.0),
    spacing_mm=st.tuples(*[st.floats(0.4, 6.0)] * 3),
)
def test_what_is_deep_is_so_by_scipy(seed, reach_mm, spacing_mm):
    mask = np.random.default_rng(seed).normal(size=(14, 23, 19)) > -2.2
    mask[3, 4, 5] = False
    depth_mm = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    deep, edge_mm = find_deep(mask, reach_mm, spacing_mm), 1e-4 * reach_mm
    assert deep[depth_mm > reach_mm + edge_mm].all()
    assert not deep[depth_mm < reach_mm - edge_mm].any()


def test_a_whole_step_is_no_more_than_a_reach():
    mask = np.ones((1, 1, 9), dtype=bool)
    mask[..., 0] = False
    assert np.flatnonzero(find_deep(mask, 10.0, (1.0, 1.0, 2.5))).tolist() == [5, 6, 7, 8]


def test_the_edge_of_the_array_is_not_the_edge_of_the_mask():
    assert find_deep(np.ones((5, 5, 5), dtype=bool), 3.0, (1.0, 1.0, 1.0)).all()
