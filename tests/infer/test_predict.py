"""Images judged by real networks: what serving runs and what validation scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.infer.networks import (
    brightness_classifier,
    not_a_number,
    threshold_segmenter,
    volume_of_logits,
    write_package,
)
from wetread.errors import InvalidOutput, InvalidPackage, NotFinite
from wetread.infer.predict import predict_array
from wetread.infer.runtimes import open_session
from wetread.registry import read_package

CLASSES = 'kind = "classification"\nclasses = ["dark", "bright"]\npositive = "bright"'
SEGMENTS = 'kind = "segmentation"'
BYTES = '[recipe]\nsteps = [{ kind = "window", low = 0, high = 255 }]'


def test_classes_by_the_recipe(tmp_path: Path) -> None:
    model = write_package(tmp_path / "p", brightness_classifier(), CLASSES, more=BYTES)
    image = np.full((1, 8, 8), 255, np.uint8)
    dark, bright = predict_array(model, image).probabilities
    assert bright == pytest.approx(1 / (1 + np.exp(-8)), abs=1e-4)
    assert dark + bright == pytest.approx(1)
    assert predict_array(model, np.zeros((1, 8, 8), np.uint8)).probabilities == pytest.approx((0.5, 0.5))


def test_masks_lie_on_the_grid_of_the_image(tmp_path: Path) -> None:
    model = write_package(tmp_path / "p", threshold_segmenter(), SEGMENTS)
    image = np.random.default_rng(0).normal(size=(20, 6, 8)).astype(np.float32)
    found = predict_array(model, image).probability_map
    assert found is not None
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-image)), atol=1e-5)


def test_a_slab_takes_neighbours_and_repeats_the_ends(tmp_path: Path) -> None:
    slab = 'arrangement = "slab"\nreach = 1'
    model = write_package(tmp_path / "p", threshold_segmenter(channels=3), SEGMENTS, runtime=slab)
    image = np.arange(18, dtype=np.float32)[:, None, None] * np.ones((1, 4, 4), np.float32)
    found = predict_array(model, image).probability_map
    assert found is not None
    padded = np.pad(np.arange(18.0), 1, mode="edge")
    means = np.convolve(padded, [1 / 3] * 3, mode="valid")
    np.testing.assert_allclose(found[:, 0, 0], 1 / (1 + np.exp(-means)), atol=1e-5)


def test_numbers_that_are_none_are_refused_on_both_sides(tmp_path: Path) -> None:
    model = write_package(tmp_path / "p", not_a_number(), SEGMENTS)
    with pytest.raises(InvalidOutput):
        predict_array(model, np.ones((1, 4, 4), np.float32))
    with pytest.raises(NotFinite):
        predict_array(model, np.full((1, 4, 4), np.nan, np.float32))


def test_another_shape_than_the_task_has_is_refused(tmp_path: Path) -> None:
    model = write_package(tmp_path / "p", brightness_classifier(), SEGMENTS)
    with pytest.raises(InvalidOutput, match="another grid"):
        predict_array(model, np.ones((1, 4, 4), np.float32))
    three = CLASSES.replace('"dark"', '"dark", "grey"')
    model = write_package(tmp_path / "q", brightness_classifier(), three)
    with pytest.raises(InvalidOutput, match="classes"):
        predict_array(model, np.ones((1, 4, 4), np.float32))


def test_an_image_of_another_kind_is_refused(tmp_path: Path) -> None:
    model = write_package(tmp_path / "p", threshold_segmenter(channels=3), SEGMENTS)
    with pytest.raises(InvalidOutput, match="does not take"):
        predict_array(model, np.ones((1, 4, 4), np.float32))
    with pytest.raises(InvalidOutput, match="planes, rows and columns"):
        predict_array(model, np.ones((4, 4), np.float32))


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path / "p", threshold_segmenter(), SEGMENTS)
    (tmp_path / "p" / "model.onnx").write_bytes(b"no network")
    model = read_package(tmp_path / "p")
    with pytest.raises(InvalidPackage, match="ONNX"):
        open_session(model)


def test_changed_weights_are_opened_anew(tmp_path: Path) -> None:
    image = np.full((1, 4, 4), 1.0, np.float32)
    for scale in (1.0, 2.0):
        model = write_package(tmp_path / "p", brightness_classifier(scale), CLASSES)
        assert predict_array(model, image).probabilities[1] == pytest.approx(1 / (1 + np.exp(-2 * scale)))


def test_masks_come_back_through_the_geometry_of_the_recipe(tmp_path: Path) -> None:
    resample = '{ kind = "resample", spacing_mm = [2.0, 2.0, 2.0] }'
    steps = f'[{resample}, {{ kind = "crop-pad", shape = [0, 10, 20] }}]'
    model = write_package(tmp_path / "p", threshold_segmenter(), SEGMENTS, more=f"[recipe]\nsteps = {steps}")
    planes, rows, columns = np.mgrid[:20, :30, :30]
    ball = (planes - 10.0) ** 2 + (rows - 14.0) ** 2 + (columns - 17.0) ** 2 < 36
    image = np.where(ball, 10, -10).astype(np.float32)
    found = predict_array(model, image, (1.0, 1.0, 1.0)).probability_map
    assert found is not None
    marked = found >= 0.5
    assert 2 * (marked & ball).sum() / (marked.sum() + ball.sum()) > 0.9
    np.testing.assert_allclose(np.argwhere(marked).mean(axis=0), [10, 14, 17], atol=0.3)
    assert not found[:, :4].any()  # cut off
    assert found[:, 4].all()


def test_a_volume_in_tiles_gives_what_it_gives_whole(tmp_path: Path) -> None:
    image = np.random.default_rng(1).normal(size=(21, 6, 9)).astype(np.float32)
    tiles = 'arrangement = "volume"\nwindow = [8, 8, 4]\noverlap = 0.5\nactivation = "sigmoid"'
    model = write_package(tmp_path / "p", volume_of_logits(), SEGMENTS, runtime=tiles)
    found = predict_array(model, image).probability_map
    assert found is not None
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-image)), atol=1e-5)
