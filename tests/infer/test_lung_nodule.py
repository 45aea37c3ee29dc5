"""The shipped nodule networks on made-up and on real crops."""

from __future__ import annotations

import numpy as np

from tests.dicom.small_ct import data_folder
from wetread.infer.predict import predict_array
from wetread.registry import read_models


def lung_with_ball(
    at: tuple[int, int], radius: float, shape: tuple[int, int, int] = (7, 96, 100)
) -> np.ndarray:
    chance = np.random.default_rng(1)
    hu = chance.normal(-850, 25, shape)
    planes, rows, columns = np.indices(shape)
    hu[:, :, :20] = chance.normal(30, 15, (*shape[:2], 20))
    far = np.sqrt(((planes - 3) * 1.5) ** 2 + (rows - at[0]) ** 2 + (columns - at[1]) ** 2)
    return np.asarray(np.where(far <= radius, 20.0 + chance.normal(0, 15, shape), hu), dtype=np.float32)


def test_a_ball_anywhere_in_the_crop_is_found() -> None:
    model = read_models()["lung-nodule"]
    for at in ((30, 60), (70, 75)):
        said = predict_array(model, lung_with_ball(at, 6.0))
        assert said.mask is not None
        assert said.mask.shape == (7, 96, 100)
        rows, columns = np.nonzero(said.mask[3])
        assert abs(rows.mean() - at[0]) < 2
        assert abs(columns.mean() - at[1]) < 2
        assert 0.5 < said.mask[3].sum() / (np.pi * 36) < 1.8


def test_the_stretch_of_grey_levels_changes_little() -> None:
    model = read_models()["lung-nodule"]
    image = lung_with_ball((48, 60), 6.0)
    first, second = (predict_array(model, one).probability_map for one in (image, image * 0.07 + 90))
    assert first is not None
    assert second is not None
    assert np.abs(first - second).max() < 0.05


def test_real_nodules_are_outlined() -> None:
    # These patients are known to two of the three networks: a test of the way, not of the quality.
    model = read_models()["lung-nodule"]
    dice = []
    with np.load(data_folder("lidc") / "nodule_crops.npz") as crops:
        for name in [one for one in crops.files if one.endswith("_img")][40:52]:
            votes = crops[name.replace("_img", "_votes")]
            true = votes >= min(2, votes.max())
            mask = predict_array(model, crops[name]).mask
            assert mask is not None
            dice.append(2 * (mask & true).sum() / (mask.sum() + true.sum()))
    assert np.mean(dice) > 0.6
