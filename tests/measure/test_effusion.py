"""Pleural fluid: found where it is, told from what is as dense, never where there is none."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wetread.domain.study import group_instances
from wetread.domain.volume import Grid, Volume
from wetread.imaging.volume import read_volume
from wetread.measure.coarse import shrink
from wetread.measure.effusion import find_effusions, to_fine_mask
from wetread.measure.orientation import to_upright
from wetread.measure.thorax import LEFT, RIGHT, find_thorax
from wetread.phantom import (
    PhantomOptions,
    PleuralOptions,
    ScannerOptions,
    Side,
    VisitOptions,
    make_patient,
    make_visit,
)
from wetread.receive.folder import read_folder

DATA = Path(os.environ.get("WETREAD_DATA", Path(__file__).parents[3] / "shared/data"))
LEAST_ML = 25.0
UPRIGHT = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
#: LPS mm: centre and half axes of each side's cavity.
CAVITIES = {RIGHT: ((-66.0, 5.0, 0.0), (52.0, 78.0, 115.0)), LEFT: ((66.0, 5.0, 0.0), (50.0, 76.0, 115.0))}
SPACING_MM = (3.0, 2.2, 2.2)
SHAPE = (88, 112, 152)


def inside(points, center, half):
    return (((points - np.asarray(center)) / np.asarray(half)) ** 2).sum(axis=-1) <= 1.0


def tilted(degrees):
    """Directions of planes that are tilted about x."""
    turn = np.deg2rad(degrees)
    planes, rows = (0.0, -np.sin(turn), np.cos(turn)), (0.0, np.cos(turn), np.sin(turn))
    return (tuple(map(float, planes)), tuple(map(float, rows)), (1.0, 0.0, 0.0))


def chest(fluid_mm, directions=UPRIGHT, noise_hu=10.0, fluid_hu=8.0, gravity=1, wall_hu=50.0):
    """A chest with a level of fluid, so many mm deep, in some cavities; and the true volumes, ml."""
    half = (np.array(SHAPE) - 1) / 2 * np.array(SPACING_MM)
    origin = -np.array(directions).T @ half
    grid = Grid(
        shape=SHAPE, spacing_mm=SPACING_MM, origin_lps_mm=tuple(origin.tolist()), directions=directions
    )
    index = np.stack(np.meshgrid(*[np.arange(size) for size in SHAPE], indexing="ij"), axis=-1)
    lps = grid.to_lps_mm(index)
    hu = np.full(SHAPE, -1000.0)
    hu[inside(lps, (0, 0, 0), (158.0, 112.0, 400.0))] = -100.0
    hu[inside(lps, (0, 0, 0), (146.0, 102.0, 400.0))] = wall_hu
    # Ribs: shells of bone about each cavity, every 24 mm.
    rib = np.abs((lps[..., 2] + 0.3 * lps[..., 1]) % 24.0 - 12.0) < 4.0
    volumes = {}
    for center, axes in CAVITIES.values():
        shell = inside(lps, center, np.add(axes, 10.0)) & ~inside(lps, center, np.add(axes, 3.0))
        hu[shell & rib & (np.abs(lps[..., 0]) > 30.0)] = 350.0
    for side, (center, axes) in CAVITIES.items():
        cavity = inside(lps, center, axes)
        # Denser below, as lungs are.
        hu[cavity] = -870.0 + gravity * 0.35 * lps[..., 1][cavity]
        depth = fluid_mm.get(side, 0.0)
        deep = center[1] + gravity * (axes[1] - depth)
        fluid = cavity & (gravity * (lps[..., 1] - deep) > 0) & (depth > 0)
        hu[fluid] = fluid_hu
        volumes[side] = float(fluid.sum()) * grid.voxel_volume_mm3 / 1000.0
    # The liver's dome: lung in front of it and behind.
    hu[inside(lps, (-66.0, -5.0, -105.0), (44.0, 60.0, 45.0))] = 58.0
    hu += np.random.default_rng(0).normal(0.0, noise_hu, SHAPE)
    return Volume(voxels=np.rint(hu).astype(np.int16), grid=grid), volumes


def look(volume, least_ml=LEAST_ML):
    upright, _ = to_upright(volume)
    coarse = shrink(upright, 2.0)
    return find_effusions(coarse, find_thorax(coarse), least_ml), coarse


@pytest.mark.parametrize("directions", [UPRIGHT, tilted(12.0)], ids=["straight", "tilted"])
@pytest.mark.parametrize("sides", [(), (RIGHT,), (LEFT,), (RIGHT, LEFT)])
def test_it_is_found_on_its_side_and_nowhere_else(sides, directions) -> None:
    volume, true = chest(dict.fromkeys(sides, 30.0), directions)
    found, _ = look(volume)
    assert {one.side for one in found} == set(sides)
    for one in found:
        assert one.volume_ml == pytest.approx(true[one.side], rel=0.25)
        assert -5.0 < one.mean_hu < 20.0


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_it_does_not_matter_how_the_images_lie(axes) -> None:
    volume, true = chest({RIGHT: 30.0})
    voxels = np.flip(volume.voxels, axes).copy()
    corner = [SHAPE[axis] - 1 if axis in axes else 0 for axis in range(3)]
    flipped = [-1.0 if axis in axes else 1.0 for axis in range(3)]
    grid = replace(
        volume.grid,
        origin_lps_mm=tuple(volume.grid.to_lps_mm(corner).tolist()),
        directions=tuple(
            tuple(sign * one for one in row) for sign, row in zip(flipped, UPRIGHT, strict=True)
        ),
    )
    (one,), _ = look(Volume(voxels=voxels, grid=grid))
    assert one.side == RIGHT
    assert one.volume_ml == pytest.approx(true[RIGHT], rel=0.25)


def test_of_who_lies_on_the_front_it_is_found_in_front() -> None:
    volume, true = chest({LEFT: 30.0}, gravity=-1)
    (one,), _ = look(volume)
    assert one.side == LEFT
    assert one.volume_ml == pytest.approx(true[LEFT], rel=0.25)


def test_who_lies_on_the_side_is_not_guessed() -> None:
    volume, _ = chest({LEFT: 30.0}, gravity=1)
    voxels = volume.voxels.astype(float)
    lung = voxels < -700.0
    rows = np.arange(SHAPE[1])[None, :, None] * SPACING_MM[1]
    # As dense in front as behind, and a little more.
    voxels = np.where(lung & (voxels > -990.0), voxels - 0.52 * (rows - 120.0), voxels)
    found, _ = look(Volume(voxels=np.rint(voxels).astype(np.int16), grid=volume.grid))
    assert found is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"fluid_hu": 48.0}, "atelectasis, blood, muscle"),
        ({"fluid_hu": -100.0}, "fat"),
        ({"wall_hu": 20.0}, "a wall of oedema around both lungs, and no fluid"),
        ({"noise_hu": 45.0}, "noise"),
    ],
)
def test_what_is_no_fluid_is_not_called_so(changes, why) -> None:
    depth = {RIGHT: 30.0} if "fluid_hu" in changes else {}
    volume, _ = chest(depth, **changes)
    found, _ = look(volume)
    assert found == (), why


def test_a_little_is_not_told() -> None:
    volume, true = chest({RIGHT: 12.0})
    assert true[RIGHT] < 60.0
    found, _ = look(volume, least_ml=60.0)
    assert found == ()


def test_the_mask_is_what_was_measured() -> None:
    volume, _ = chest({LEFT: 30.0})
    (one,), coarse = look(volume)
    mask = to_fine_mask(one, coarse)
    assert mask.shape == SHAPE
    assert mask.voxel_count * volume.grid.voxel_volume_mm3 / 1000.0 == pytest.approx(one.volume_ml, rel=0.02)
    assert float(np.median(volume.voxels[mask.to_array()])) == pytest.approx(8.0, abs=6.0)


@pytest.fixture(scope="module")
def halves():
    """Two visits of one phantom: fluid on the right, fluid on the left; everything else is the same."""
    scanner = ScannerOptions(matrix=160, spacing_mm=2.2, step_mm=3.0, thickness_mm=3.0)
    visits = tuple(
        VisitOptions(effusion=PleuralOptions(side=side, volume_ml=200.0)) for side in (Side.RIGHT, Side.LEFT)
    )
    options = PhantomOptions(seed=1, nodules=(), scanner=scanner, visits=visits)
    patient = make_patient(options)
    return tuple(make_visit(options, number, patient=patient).volume for number in (1, 2))


@pytest.mark.parametrize("sides", [(), (RIGHT,), (LEFT,), (RIGHT, LEFT)])
def test_phantoms_with_vessels_and_organs(halves, sides) -> None:
    with_right, with_left = halves
    middle = with_right.grid.shape[2] // 2
    right = (with_right if RIGHT in sides else with_left).voxels[:, :, :middle]
    left = (with_left if LEFT in sides else with_right).voxels[:, :, middle:]
    volume = Volume(voxels=np.concatenate([right, left], axis=2), grid=with_right.grid)
    found, _ = look(volume)
    assert {one.side for one in found} == set(sides)
    for one in found:
        assert one.volume_ml == pytest.approx(200.0, rel=0.3)


def test_a_real_chest_without_fluid(tmp_path) -> None:
    folder = DATA / "ct_chest_series"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not here: set WETREAD_DATA")
    instances, _ = read_folder(folder, tmp_path)
    volume, _ = read_volume(group_instances(instances)[0].series[0])
    found, _ = look(volume)
    assert found == ()
