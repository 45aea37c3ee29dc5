import numpy as np
import pytest

from wetread.domain.volume import Grid, Volume
from wetread.measure.orientation import to_upright

AXES = {
    "supine": ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    "feet first": ((0, 0, -1), (0, 1, 0), (-1, 0, 0)),
    "prone": ((0, 0, 1), (0, -1, 0), (-1, 0, 0)),
    "coronal": ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
}


def _volume(directions, shape=(4, 5, 6)) -> Volume:
    voxels = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    grid = Grid(shape=shape, spacing_mm=(1.5, 0.7, 0.8), origin_lps_mm=(10, -20, 30), directions=directions)
    return Volume(voxels=voxels, grid=grid)


@pytest.mark.parametrize("name", AXES)
def test_planes_go_up_rows_go_back_columns_go_left(name):
    upright, _ = to_upright(_volume(AXES[name]))
    assert np.allclose(upright.grid.directions, ((0, 0, 1), (0, 1, 0), (1, 0, 0)))


@pytest.mark.parametrize("name", AXES)
def test_every_voxel_keeps_its_place(name):
    volume = _volume(AXES[name])
    upright, _ = to_upright(volume)
    for index in ((0, 0, 0), (1, 2, 3)):
        own = np.rint(volume.grid.to_index(upright.grid.to_lps_mm(index))).astype(int)
        assert upright.voxels[index] == volume.voxels[tuple(own)]


@pytest.mark.parametrize("name", AXES)
def test_undo_gives_the_array_back(name):
    volume = _volume(AXES[name])
    upright, turn = to_upright(volume)
    assert np.array_equal(turn.undo(upright.voxels), volume.voxels)


def test_oblique_planes_take_the_nearest_axis():
    tilt = np.deg2rad(20)
    directions = (
        (0.0, -np.sin(tilt), np.cos(tilt)),
        (0.0, np.cos(tilt), np.sin(tilt)),
        (1.0, 0.0, 0.0),
    )
    _, turn = to_upright(_volume(directions))
    assert turn.order == (0, 1, 2)
    assert turn.flipped == (False, False, False)
