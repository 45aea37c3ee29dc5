"""Pixels that are none of the modality's are refused."""

import numpy as np
import pytest

from wetread.domain.model import Eligibility
from wetread.domain.volume import Grid, Volume
from wetread.imaging.guard import check_pixels

CHEST = Eligibility(modalities=("CT",), pixel_range=(-1100, 3100))


def volume_of(voxels: np.ndarray) -> Volume:
    grid = Grid(
        shape=voxels.shape,
        spacing_mm=(1.0, 1.0, 1.0),
        origin_lps_mm=(0.0, 0.0, 0.0),
        directions=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    )
    return Volume(voxels=voxels, grid=grid)


def make_voxels() -> np.ndarray:
    return np.random.default_rng(0).normal(-500, 300, (4, 50, 50)).clip(-1024, 3000).astype(np.float32)


def codes(voxels: np.ndarray) -> list[str]:
    return [problem.code.value for problem in check_pixels(volume_of(voxels), CHEST)]


def test_good_pixels_pass() -> None:
    assert codes(make_voxels()) == []
    assert codes(make_voxels().astype(np.int16)) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(value: float) -> None:
    voxels = make_voxels()
    voxels[2, 3, 4] = value
    assert codes(voxels) == ["nan-pixels"]


@pytest.mark.parametrize("shift", [5000, -20000])
def test_a_wrong_rescale(shift: int) -> None:
    assert codes((make_voxels() + shift).astype(np.int16)) == ["pixel-range"]


def test_some_metal_and_padding_pass() -> None:
    voxels = make_voxels()
    voxels[0, :5] = 20000
    assert codes(voxels) == []


def test_a_blank_image() -> None:
    assert codes(np.full((4, 50, 50), -1000, np.int16)) == ["pixel-range"]
