"""Features of spots, however small: one that cannot be told ends in numbers, never in an error."""

from __future__ import annotations

import dataclasses
import math
import warnings

import numpy as np
import pytest

from wetread.measure.likeness import measure_features
from wetread.measure.outline import Outline, Texture
from wetread.measure.patch import Patch

SIDE = 15
MIDDLE = (7, 7, 7)


def make(mask: np.ndarray) -> tuple[Patch, Outline]:
    hu = np.where(mask, 40.0, -850.0).astype(np.float32)
    everywhere = np.ones(mask.shape, bool)
    patch = Patch(
        hu=hu,
        lung=everywhere,
        known=everywhere,
        spacing_mm=0.7,
        center=MIDDLE,
        volume_spacing_mm=(1.0, 0.7, 0.7),
    )
    outline = Outline(
        mask=mask, attached=np.zeros_like(mask), inner_hu=40.0, outer_hu=-850.0, texture=Texture.SOLID
    )
    return patch, outline


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_spot_of_few_voxels_has_features(count: int) -> None:
    mask = np.zeros((SIDE, SIDE, SIDE), bool)
    mask[7, 7, 7 : 7 + count] = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = measure_features(*make(mask), 60.0, count * 0.343)
    assert all(math.isfinite(one) for one in dataclasses.astuple(features))
    # Longer in one direction only.
    assert features.flatness == pytest.approx(1.0)
    assert (features.elongation > 1.5) == (count > 1)


def test_a_ball_is_round_and_a_rod_is_not() -> None:
    away = np.linalg.norm(np.indices((SIDE, SIDE, SIDE)) - 7, axis=0)
    ball = measure_features(*make(away <= 4), 60.0, 90.0)
    assert ball.elongation == pytest.approx(1.0, abs=0.02)
    # Of voxels it is never 1.
    assert ball.compactness > 0.6
    rod = np.zeros((SIDE, SIDE, SIDE), bool)
    rod[1:14, 7, 7] = True
    long = measure_features(*make(rod), 60.0, 4.0)
    assert long.elongation > 5
    assert long.compactness < 0.1
