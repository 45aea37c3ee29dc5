"""What every runtime of networks holds to, whatever the format: one suite for all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.infer.networks import not_a_number, threshold_segmenter, write_package
from wetread.errors import InvalidOutput, InvalidPackage
from wetread.infer.runtimes import open_session
from wetread.registry import read_package

SEGMENTS = 'kind = "segmentation"'


@pytest.fixture(params=["onnx", "openvino"])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "openvino":
        pytest.importorskip("openvino")
    return str(request.param)


def test_it_answers_by_name_and_always_the_same(tmp_path: Path, kind: str) -> None:
    session = open_session(write_package(tmp_path, threshold_segmenter(), SEGMENTS, kind=kind))
    assert session.inputs == ("image",)
    assert session.outputs == ("probabilities",)
    image = np.random.default_rng(0).normal(size=(3, 1, 16, 8)).astype(np.float32)
    answer = session.run({"image": image})["probabilities"]
    np.testing.assert_allclose(answer, 1 / (1 + np.exp(-image)), atol=1e-5)
    for _ in range(3):
        np.testing.assert_array_equal(session.run({"image": image})["probabilities"], answer)
    # What it gave stays what it was.
    kept = answer.copy()
    session.run({"image": image + 1})
    np.testing.assert_array_equal(answer, kept)


def test_another_shape_is_refused_and_the_next_image_runs(tmp_path: Path, kind: str) -> None:
    session = open_session(write_package(tmp_path, threshold_segmenter(), SEGMENTS, kind=kind))
    with pytest.raises(InvalidOutput, match="does not take"):
        session.run({"image": np.zeros((1, 2, 8, 8), np.float32)})
    with pytest.raises(InvalidOutput, match="does not take"):
        session.run({"picture": np.zeros((1, 1, 8, 8), np.float32)})
    assert session.run({"image": np.zeros((1, 1, 8, 8), np.float32)})["probabilities"].max() == 0.5


def test_numbers_that_are_none_are_refused(tmp_path: Path, kind: str) -> None:
    session = open_session(write_package(tmp_path, not_a_number(), SEGMENTS, kind=kind))
    with pytest.raises(InvalidOutput, match="numbers that are none"):
        session.run({"image": np.ones((1, 1, 4, 4), np.float32)})


def test_what_is_no_network_is_refused(tmp_path: Path, kind: str) -> None:
    write_package(tmp_path, threshold_segmenter(), SEGMENTS, kind=kind)
    (tmp_path / "model.onnx").write_bytes(b"no network")
    with pytest.raises(InvalidPackage, match="cannot be opened"):
        open_session(read_package(tmp_path))


def test_weights_that_changed_since_they_were_registered_are_refused(tmp_path: Path, kind: str) -> None:
    model = write_package(tmp_path, threshold_segmenter(), SEGMENTS, kind=kind)
    (tmp_path / "notes.txt").write_text("more")
    with pytest.raises(InvalidPackage, match="changed"):
        open_session(model)
