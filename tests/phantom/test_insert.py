"""Nodules put into a CT: where they are wanted, as large as they say."""

from __future__ import annotations

import numpy as np
import pytest

from wetread.domain.volume import Grid, Volume
from wetread.errors import ConfigError
from wetread.phantom.insert import InsertSettings, insert_at, insert_nodules
from wetread.phantom.options import NoduleKind, NoduleOptions, Shape

GRID = Grid(
    shape=(60, 96, 96),
    spacing_mm=(1.0, 0.8, 0.8),
    origin_lps_mm=(-38.0, -38.0, 0.0),
    directions=((0, 0, 1), (0, 1, 0), (1, 0, 0)),
)
QUIET = InsertSettings(noise_hu=0.0)


@pytest.fixture(scope="module")
def scan() -> tuple[Volume, np.ndarray]:
    lungs = np.zeros(GRID.shape, bool)
    lungs[:, 10:86, 10:50] = True
    hu = np.where(lungs, -850, 40).astype(np.int16)
    # Bowel gas: as dark as lung, and not lung.
    hu[:, 10:86, 60:90] = -900
    return Volume(voxels=hu, grid=GRID), lungs


@pytest.mark.parametrize("kind", [NoduleKind.SOLID, NoduleKind.GROUND_GLASS])
@pytest.mark.parametrize("shape", [Shape.ROUND, Shape.LOBULATED])
def test_the_signal_put_in_is_that_of_the_volume(scan, kind: NoduleKind, shape: Shape) -> None:
    volume, lungs = scan
    wish = NoduleOptions(diameter_mm=9.0, kind=kind, shape=shape)
    changed, (truth,) = insert_nodules(volume, lungs, [wish], seed=3, settings=QUIET)
    wanted = QUIET.solid_hu if kind is NoduleKind.SOLID else QUIET.glass_hu
    added = changed.voxels.astype(float) - volume.voxels
    measured = added.sum() * GRID.voxel_volume_mm3 / (wanted + 850)
    assert truth.volume_mm3 == pytest.approx(np.pi / 6 * 9.0**3, rel=1e-3)
    assert measured == pytest.approx(truth.volume_mm3, rel=0.03)


def test_only_the_lungs_are_changed_and_nodules_keep_apart(scan) -> None:
    volume, lungs = scan
    wishes = [NoduleOptions(diameter_mm=6.0) for _ in range(6)]
    changed, truths = insert_nodules(volume, lungs, wishes, seed=7)
    touched = np.abs(changed.voxels.astype(int) - volume.voxels) > 100
    assert touched.any()
    assert not touched[~lungs].any()
    centers = np.array([one.center_lps_mm for one in truths])
    gaps = np.linalg.norm(centers[:, None] - centers, axis=-1)[np.triu_indices(6, 1)]
    assert gaps.min() > 6.0 + 4.0
    np.testing.assert_allclose(GRID.to_index(centers), [one.center for one in truths])


def test_a_seed_gives_the_same_scan_and_the_given_one_stays(scan) -> None:
    volume, lungs = scan
    before = volume.voxels.copy()
    first, second, other = (
        insert_nodules(volume, lungs, [NoduleOptions(diameter_mm=8.0)], seed=one)[0].voxels
        for one in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    np.testing.assert_array_equal(volume.voxels, before)


def test_what_fits_nowhere_is_refused(scan) -> None:
    volume, lungs = scan
    with pytest.raises(ConfigError, match="No room"):
        insert_nodules(volume, lungs, [NoduleOptions(diameter_mm=50.0)], seed=1)
    with pytest.raises(ConfigError, match="Only solid"):
        insert_nodules(volume, lungs, [NoduleOptions(diameter_mm=8.0, kind=NoduleKind.PART_SOLID)], seed=1)


def test_a_nodule_grows_in_its_place_and_keeps_its_shape(scan) -> None:
    volume, _ = scan
    place = (30.4, 48.2, 29.7)
    small, large = (
        insert_at(
            volume, NoduleOptions(diameter_mm=one, shape=Shape.LOBULATED), place, seed=5, settings=QUIET
        )
        for one in (8.0, 10.0)
    )
    assert large[1].volume_mm3 / small[1].volume_mm3 == pytest.approx(1.25**3, rel=1e-3)
    assert small[1].center == large[1].center == pytest.approx(place)
    added = [one[0].voxels.astype(float) - volume.voxels for one in (small, large)]
    centers = [np.average(np.argwhere(one > 1), axis=0, weights=one[one > 1]) for one in added]
    np.testing.assert_allclose(*centers, atol=0.15)
    # As wide in each direction, in proportion.
    spreads = [np.sqrt(np.cov(np.argwhere(one > 1).T, aweights=one[one > 1])[0, 0]) for one in added]
    assert spreads[1] / spreads[0] == pytest.approx(1.25, rel=0.06)


def test_nothing_is_put_beside_the_images(scan) -> None:
    with pytest.raises(ConfigError, match="room"):
        insert_at(scan[0], NoduleOptions(diameter_mm=8.0), (400.0, 10.0, 10.0), seed=1)
