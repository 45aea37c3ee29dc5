"""Small matrices that were counted by hand, most of them in the reference manual of the IBSI."""

import numpy as np
import pytest

from tests.measure.texture.phantom import volume_of
from wetread.domain.mask import Mask
from wetread.measure.texture import TextureSettings
from wetread.measure.texture.glcm import count_pairs, measure_matrix
from wetread.measure.texture.glrlm import count_runs
from wetread.measure.texture.glszm import count_zones
from wetread.measure.texture.mesh import count_cells, find_outermost, measure_surface
from wetread.measure.texture.neighbours import DIRECTIONS, sum_around
from wetread.measure.texture.ngldm import count_dependences
from wetread.measure.texture.ngtdm import sum_differences
from wetread.measure.texture.region import cut_region

#: The grey levels of the manual's examples (sections on GLSZM, NGTDM).
EXAMPLE = [[1, 2, 2, 3], [1, 2, 3, 3], [4, 2, 4, 1], [4, 1, 2, 3]]


def region_of(levels, inside=None):
    array = np.array(levels)
    array = array[None] if array.ndim == 2 else array
    mask = array > 0 if inside is None else inside
    return cut_region(volume_of(array), Mask.from_array(mask), TextureSettings(bin_width=1.0))


def as_dict(counts) -> dict[tuple[int, int], int]:
    rows = zip(counts.level, counts.size, counts.number, strict=True)
    return {(int(level), int(size)): int(number) for level, size, number in rows}


def test_there_are_13_directions_none_the_opposite_of_another() -> None:
    assert len(set(DIRECTIONS)) == 13
    assert not {tuple(-step for step in one) for one in DIRECTIONS} & set(DIRECTIONS)


def test_pairs_along_rows_as_in_the_manual() -> None:
    # Section on GLCM, the matrix of m = (1, 0) of its example.
    matrix = count_pairs(region_of(EXAMPLE), (0, 0, 1))
    assert matrix.tolist() == [[0, 3, 0, 2], [3, 2, 3, 2], [0, 3, 2, 0], [2, 2, 0, 0]]


def test_two_levels_as_likely_as_each_other() -> None:
    values = measure_matrix(np.array([[1.0, 1.0], [1.0, 1.0]]))
    assert values["joint_entropy"] == pytest.approx(2)
    assert values["correlation"] == pytest.approx(0)
    assert values["information_correlation_1"] == pytest.approx(0)
    assert values["sum_entropy"] == pytest.approx(1.5)
    assert values["contrast"] == pytest.approx(0.5)
    assert values["normalised_inverse_difference"] == pytest.approx(0.5 + 0.5 / 1.5)
    assert values["cluster_prominence"] == pytest.approx(0.5)


def test_runs_counted_by_hand() -> None:
    region = region_of(EXAMPLE)
    assert as_dict(count_runs(region, (0, 0, 1))) == {
        **{(1, 1): 4, (2, 1): 3, (2, 2): 1, (3, 1): 2, (3, 2): 1, (4, 1): 3},
    }
    assert as_dict(count_runs(region, (0, 1, 0))) == {
        **{(1, 1): 2, (1, 2): 1, (2, 1): 2, (2, 3): 1, (3, 1): 2, (3, 2): 1, (4, 1): 1, (4, 2): 1},
    }


def test_every_voxel_is_in_one_run_of_each_direction() -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 3, (5, 6, 7))
    region = region_of(levels)
    for direction in DIRECTIONS:
        counts = count_runs(region, direction)
        assert counts.size @ counts.number == np.count_nonzero(levels)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_runs_are_those_that_a_walk_finds(direction) -> None:
    levels = np.random.default_rng(1).integers(0, 3, (4, 5, 4))
    found: dict[tuple[int, int], int] = {}

    def at(place):
        inside = all(0 <= one < size for one, size in zip(place, levels.shape, strict=True))
        return int(levels[tuple(place)]) if inside else 0

    for start in np.argwhere(levels > 0):
        if at(start - direction) == at(start):
            continue
        length = 1
        while at(start + length * np.array(direction)) == at(start):
            length += 1
        key = (at(start), length)
        found[key] = found.get(key, 0) + 1
    assert as_dict(count_runs(region_of(levels), direction)) == found


def test_zones_as_in_the_manual() -> None:
    assert as_dict(count_zones(region_of(EXAMPLE))) == {
        **{(1, 1): 2, (1, 2): 1, (2, 5): 1, (3, 1): 1, (3, 3): 1, (4, 1): 1, (4, 2): 1},
    }


def test_tone_differences_of_the_middle_of_the_manuals_example() -> None:
    # The manual takes the middle voxels only: n = 0, 2, 1, 1 and s = 0, 1, 0.625, 1.875.
    levels = np.array([EXAMPLE])
    own = levels[:, 1:3, 1:3].ravel()
    mean = ((sum_around(levels, 0) - levels)[:, 1:3, 1:3] / 8).ravel()
    found = [float(np.abs(own - mean)[own == level].sum()) for level in (1, 2, 3, 4)]
    assert found == [0, 1, 0.625, 1.875]


def test_tone_differences_at_the_edge() -> None:
    # 1 beside 3 beside 5: their neighbours' means are 3, 3 and 3.
    tones = sum_differences(region_of([[1, 3, 5]]))
    assert tones.number.tolist() == [1, 0, 1, 0, 1]
    assert tones.difference.tolist() == [2, 0, 0, 0, 2]


def test_dependences_counted_by_hand() -> None:
    assert as_dict(count_dependences(region_of([[1, 1, 2], [1, 2, 2]]))) == {(1, 3): 3, (2, 3): 3}


def test_the_surface_of_a_block() -> None:
    # Between the centres a block of 2 x 3 x 4; on its faces plates half a voxel thick, along its edges
    # prisms, on its corners tetrahedra with legs of half a voxel.
    area, volume = measure_surface(np.ones((3, 4, 5), bool), (1.0, 1.0, 1.0))
    flat, edges = 2 * (2 * 3 + 2 * 4 + 3 * 4), 4 * (2 + 3 + 4)
    assert volume == pytest.approx(2 * 3 * 4 + flat / 2 + edges / 8 + 8 / 48)
    assert area == pytest.approx(flat + edges * np.sqrt(0.5) + 8 * np.sqrt(3) / 8)


def test_a_large_ball_has_the_surface_of_a_ball_but_for_steps() -> None:
    radius = 20
    place = np.arange(-radius - 1, radius + 2)
    ball = place[:, None, None] ** 2 + place[:, None] ** 2 + place**2 <= radius**2
    area, volume = measure_surface(ball, (1.0, 1.0, 1.0))
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.01)
    assert area == pytest.approx(4 * np.pi * radius**2, rel=0.1)
    assert area > 4 * np.pi * radius**2


@pytest.mark.parametrize("seed", range(3))
def test_the_surface_is_closed(seed: int) -> None:
    """Where it lies does not change the volume: that holds of closed surfaces only."""
    mask = np.random.default_rng(seed).random((6, 7, 8)) < 0.5
    _, volume = measure_surface(mask, (1.5, 0.7, 0.6))
    moved = np.concatenate([np.zeros((5, 7, 8), bool), mask])
    assert measure_surface(moved, (1.5, 0.7, 0.6))[1] == pytest.approx(volume)
    turned = np.transpose(mask, (2, 0, 1))[:, ::-1]
    assert measure_surface(turned, (0.6, 1.5, 0.7)) == pytest.approx(measure_surface(mask, (1.5, 0.7, 0.6)))


def test_cells_are_counted_once() -> None:
    mask = np.random.default_rng(0).random((3, 4, 5)) < 0.5
    counts = count_cells(mask)
    assert counts.sum() == 4 * 5 * 6
    corners = sum(counts[:, kind].sum() * bin(kind).count("1") for kind in range(256))
    assert corners == 8 * mask.sum()


def test_the_outermost_points_of_one_voxel() -> None:
    points = find_outermost(np.ones((1, 1, 1), bool), (2.0, 4.0, 6.0))
    assert sorted(map(tuple, points.tolist())) == sorted(
        [(-1, 0, 0), (1, 0, 0), (0, -2, 0), (0, 2, 0), (0, 0, -3), (0, 0, 3)]
    )
