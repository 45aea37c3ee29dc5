"""The network is asked about weak spots: it sees them whatever pixel and step a CT has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wetread.domain.volume import Grid, Volume
from wetread.errors import InvalidPackage
from wetread.infer.nodule_second import CARD, cut_planes, second_reader
from wetread.registry import read_models

PLACE_MM = (30.0, 52.0, 47.0)


def model():
    return read_models()["chest-ct"]


def ground_glass(spacing_mm: tuple[float, float, float], radius_mm: float = 5.0) -> Volume:
    """Return lung with noise and a faint ball at ``PLACE_MM``, a wall of soft tissue at the back."""
    shape = tuple(round(length / size) for length, size in zip((60.0, 100.0, 100.0), spacing_mm, strict=True))
    at = [np.arange(count) * size for count, size in zip(shape, spacing_mm, strict=True)]
    z, y, x = np.ix_(*at)
    away = np.sqrt((z - PLACE_MM[0]) ** 2 + (y - PLACE_MM[1]) ** 2 + (x - PLACE_MM[2]) ** 2)
    hu = -860 + 330 / (1 + np.exp((away - radius_mm) / 0.5))
    hu = np.where(y > 88, 40.0, hu) + np.random.default_rng(0).normal(0, 20, shape)
    grid = Grid(
        shape=shape,
        spacing_mm=spacing_mm,
        origin_lps_mm=(0, 0, 0),
        directions=((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    )
    return Volume(voxels=hu.astype(np.int16), grid=grid)


@pytest.mark.parametrize("spacing_mm", [(1.0, 0.7, 0.7), (2.5, 0.9, 0.9), (0.6, 0.5, 0.5)])
def test_it_sees_a_faint_nodule_and_none_in_clear_lung(spacing_mm: tuple[float, float, float]) -> None:
    volume = ground_glass(spacing_mm)
    agrees = second_reader(model(), volume)
    index = [at / size for at, size in zip(PLACE_MM, spacing_mm, strict=True)]
    assert agrees((index[0], index[1], index[2]), 5.0)
    assert not agrees((index[0], index[1] / 2, index[2]), 5.0)


def test_what_it_sees_is_the_place_in_the_pixels_of_its_training() -> None:
    volume = ground_glass((1.0, 0.5, 1.0))
    planes = cut_planes(volume, (30.0, 104.0, 47.0))
    assert planes.shape == (7, 128, 128)
    bright = np.argwhere(planes[3][30:98, 30:98] > -690) + 30
    # In the middle, and round though the pixels are not.
    assert np.abs(bright.mean(axis=0) - 63.5).max() < 1.0
    extent = np.ptp(bright, axis=0) * 0.7
    assert extent == pytest.approx([10.0, 10.0], abs=1.5)


@pytest.mark.parametrize("place", [(0.0, 0.0, 0.0), (59.0, 142.0, 142.0), (30.0, -3.0, 150.0)])
def test_at_the_edge_it_answers_too(place: tuple[float, float, float]) -> None:
    assert not second_reader(model(), ground_glass((1.0, 0.7, 0.7)))(place, 4.0)


def test_another_network_than_the_one_that_was_checked_is_refused() -> None:
    changed = model()
    changed = replace(changed, card={**changed.card, CARD: "0" * 64})
    with pytest.raises(InvalidPackage):
        second_reader(changed, ground_glass((1.0, 0.7, 0.7)))((30.0, 70.0, 70.0), 4.0)


def test_the_card_names_the_network_that_is_shipped() -> None:
    models = read_models()
    assert models["chest-ct"].card[CARD] == models["lung-nodule"].identity.digest
