import numpy as np

from wetread.domain.volume import Grid, Volume
from wetread.measure.coarse import bring_to, find_window, iter_fine_planes, shrink


def _volume(voxels) -> Volume:
    grid = Grid(
        shape=voxels.shape,
        spacing_mm=(1.0, 0.7, 0.7),
        origin_lps_mm=(0, 0, 0),
        directions=((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    )
    return Volume(voxels=voxels, grid=grid)


def test_blocks_hold_the_mean_and_the_rest_at_the_edge_too():
    voxels = np.random.default_rng(0).integers(-1000, 100, (5, 7, 8)).astype(np.int16)
    coarse = shrink(_volume(voxels), 2.0)
    assert coarse.factors == (2, 3, 3)
    assert coarse.voxels.shape == (3, 3, 3)
    assert np.isclose(coarse.voxels[0, 0, 0], voxels[:2, :3, :3].mean())
    assert np.isclose(coarse.voxels[2, 2, 2], voxels[4:, 6:, 6:].mean())


def test_thick_slices_stay_as_they_are():
    volume = _volume(np.zeros((3, 6, 6), dtype=np.int16))
    assert shrink(volume, 0.5).factors == (1, 1, 1)


def test_a_ramp_survives_the_way_there_and_back():
    ramp = np.broadcast_to(np.arange(24.0, dtype=np.float32), (8, 24, 24)).copy()
    coarse = shrink(_volume(ramp), 2.1)
    planes = np.stack(list(iter_fine_planes(coarse.voxels, coarse)))
    assert planes.shape == ramp.shape
    assert np.allclose(planes[:, :, 1:-1], ramp[:, :, 1:-1], atol=1e-4)


def test_a_mask_goes_from_one_grid_to_another():
    volume = _volume(np.zeros((24, 48, 48), dtype=np.int16))
    coarse, fine = shrink(volume, 2.8), shrink(volume, 1.4)
    mask = np.zeros(coarse.voxels.shape, dtype=bool)
    mask[2:5, 3:8, 4:9] = True
    window = find_window(mask, coarse, fine)
    brought = bring_to(mask, coarse, fine, window)
    covered_mm3 = np.count_nonzero(brought) * np.prod(fine.spacing_mm)
    assert np.isclose(covered_mm3, np.count_nonzero(mask) * np.prod(coarse.spacing_mm), rtol=0.2)
