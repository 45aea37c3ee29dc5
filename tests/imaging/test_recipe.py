"""One preprocessing for training and serving."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from wetread.errors import ConfigError, NotFinite
from wetread.imaging.recipe import apply_recipe, recipe_from_table, recipe_to_table, to_source_grid

EVERY: list[dict[str, Any]] = [
    {"kind": "window", "low": -1000.0, "high": 400.0},
    {"kind": "percentile", "low": 1.0, "high": 99.0},
    {"kind": "z-score"},
    {"kind": "z-score", "mean": 40.0, "deviation": 20.0},
    {"kind": "otsu", "by_plane": True},
    {"kind": "histogram", "quantiles": [0.0, 0.2, 1.0]},
    {"kind": "resample", "spacing_mm": [1.0, 1.0, 1.0]},
    {"kind": "resize", "shape": [0, 32, 32]},
    {"kind": "denoise", "size": 3},
    {"kind": "z-score", "above": -900.0},
    {"kind": "min-max"},
    {"kind": "crop-pad", "shape": [0, 32, 32], "fill": -1000.0},
    {"kind": "smooth", "sigma": 1.5},
]


def apply(step: dict[str, Any], voxels: Any, spacing_mm: Any = None) -> Any:
    return apply_recipe(recipe_from_table({"steps": [step]}), voxels, spacing_mm)


def test_a_recipe_is_data() -> None:
    recipe = recipe_from_table({"steps": EVERY})
    assert recipe_from_table(recipe_to_table(recipe)) == recipe


@pytest.mark.parametrize(
    ("step", "word"),
    [
        ({"kind": "windw", "low": 0, "high": 1}, "window"),
        ({"kind": "window", "lo": 0, "high": 1}, "low"),
        ({"kind": "window", "low": 1, "high": 0}, "below"),
        ({"kind": "window", "low": 1}, "high"),
        ({"kind": "resize", "shape": [1, 2]}, "three"),
        ({"kind": "resize", "shape": [0, 99999, 1]}, "three"),
        ({"kind": "denoise", "size": 4}, "odd"),
        ({"kind": "z-score", "mean": 1.0}, "together"),
        ({"kind": "smooth", "sigma": 0}, "sigma"),
        ({"kind": "crop-pad", "shape": [0, 1, -1]}, "three"),
        ({"kind": "resample", "spacing_mm": [1, 0, 1]}, "positive"),
    ],
)
def test_a_mistake_is_named(step: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        recipe_from_table({"steps": [step]})


def test_window_and_scores() -> None:
    voxels = np.array([[[-2000, -1000, -300, 400, 3000]]], np.int16)
    np.testing.assert_allclose(apply(EVERY[0], voxels).voxels[0, 0], [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(apply(EVERY[3], np.full((1, 1, 2), 60)).voxels, 1)
    scored = apply(EVERY[2], np.random.default_rng(0).normal(5, 3, (2, 9, 9))).voxels
    assert (scored.mean(), scored.std()) == pytest.approx((0, 1), abs=1e-5)


@given(gain=st.floats(0.2, 5), shift=st.floats(-100, 100))
def test_otsu_undoes_a_stretch_of_grey_levels(gain: float, shift: float) -> None:
    chance = np.random.default_rng(0)
    dark, bright = chance.normal(0, 5, (2, 16, 8)), chance.normal(100, 5, (2, 16, 8))
    voxels = np.concatenate([dark, bright], axis=2)
    plain = apply({"kind": "otsu"}, voxels).voxels
    np.testing.assert_allclose(apply({"kind": "otsu"}, voxels * gain + shift).voxels, plain, atol=2e-2)
    assert plain[:, :, :8].mean() == pytest.approx(0, abs=0.02)
    assert plain[:, :, 8:].mean() == pytest.approx(1, abs=0.02)


def test_resampling_keeps_the_extent_and_says_the_spacing() -> None:
    ramp = np.arange(20, dtype=np.float32)[:, None, None] * np.ones((1, 4, 4), np.float32)
    prepared = apply({"kind": "resample", "spacing_mm": [1.0, 0.5, 0.5]}, ramp, (2.0, 0.5, 0.5))
    assert prepared.voxels.shape == (40, 4, 4)
    assert prepared.spacing_mm == (1.0, 0.5, 0.5)
    # The centre of the new plane n lies at n / 2 - 1 / 4 old ones.
    np.testing.assert_allclose(prepared.voxels[1:-1, 0, 0], np.arange(1, 39) / 2 - 0.25, atol=1e-4)


@pytest.mark.parametrize("step", EVERY, ids=lambda step: step["kind"])
@given(voxels=arrays.arrays(np.int16, arrays.array_shapes(min_dims=3, max_dims=3, max_side=9)))
def test_any_image_gives_numbers(step: dict[str, Any], voxels: Any) -> None:
    before = voxels.copy()
    prepared = apply(step, voxels, (1.0, 1.0, 1.0))
    assert np.isfinite(prepared.voxels).all()
    assert prepared.voxels.dtype == np.float32
    np.testing.assert_array_equal(voxels, before)


def test_only_the_body_makes_the_mean() -> None:
    voxels = np.array([[[-1000, -1000, 10, 30]]])
    np.testing.assert_allclose(apply({"kind": "z-score", "above": -900}, voxels).voxels[0, 0, 2:], [-1, 1])
    np.testing.assert_allclose(apply({"kind": "min-max"}, voxels).voxels[0, 0, ::3], [0, 1])


def test_smoothing_stays_within_a_plane() -> None:
    voxels = np.zeros((3, 9, 9))
    voxels[1, 4, 4] = 1
    smooth = apply({"kind": "smooth", "sigma": 1.0}, voxels).voxels
    assert 0 < smooth[1, 4, 4] < 0.2
    assert smooth.sum() == pytest.approx(1, abs=1e-3)
    assert not smooth[[0, 2]].any()


@given(planes=st.integers(1, 7), rows=st.integers(1, 9), wanted=st.tuples(*[st.integers(0, 12)] * 3))
def test_what_was_cut_and_padded_goes_back_where_it_was(
    planes: int, rows: int, wanted: tuple[int, int, int]
) -> None:
    voxels = np.random.default_rng(0).normal(size=(planes, rows, 8)).astype(np.float32)
    prepared = apply({"kind": "crop-pad", "shape": list(wanted)}, voxels)
    back = to_source_grid(prepared, prepared.voxels)
    kept = back != 0
    assert prepared.voxels.shape == tuple(new or old for new, old in zip(wanted, voxels.shape, strict=True))
    np.testing.assert_allclose(back[kept], voxels[kept], atol=1e-6)
    assert kept.sum() == np.prod([min(new or 99, old) for new, old in zip(wanted, voxels.shape, strict=True)])


def test_a_voxel_that_is_no_number_is_refused() -> None:
    with pytest.raises(NotFinite):
        apply({"kind": "min-max"}, np.array([[[np.nan]]]))
