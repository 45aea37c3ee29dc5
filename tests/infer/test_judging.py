"""Images judged in a process of its own: the same answers, and what a hang, a crash, much memory become."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.infer.networks import brightness_classifier, threshold_segmenter, write_package
from tests.lab.test_validate import BYTES
from wetread.domain.model import Model
from wetread.domain.prediction import Box, Prediction
from wetread.errors import InvalidOutput, ModelCrashed, ModelTimeout
from wetread.infer.judging import Judge, open_judge, pack_answer, unpack_answer
from wetread.infer.predict import predict_array
from wetread.registry import read_package

IMAGE = np.random.default_rng(0).integers(0, 255, (2, 8, 8)).astype(np.uint8)
TOML = """
name = "odd"
version = "1.0.0"
title = "Odd"
intended_use = "Testing."
state = "draft"
operating_point = "default"
[eligibility]
modalities = ["CT"]
[runtime]
kind = "python"
sample_entry = "odd:judge"
timeout_s = 60
memory_mb = 1024
[task]
kind = "classification"
classes = ["no", "yes"]
positive = "yes"
"""
HEAD = """
import os, sys, time
import numpy as np
from wetread.domain.prediction import Prediction
SEEN = []
def judge(model, voxels, spacing_mm=None):
    SEEN.append(1)
    first = int(voxels.flat[0])
"""


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Model]:
    def make_odd(body: str, **runtime: object) -> Model:
        (tmp_path / "model.toml").write_text(TOML)
        (tmp_path / "odd.py").write_text(HEAD + "".join(f"    {line}\n" for line in body.splitlines()))
        model = read_package(tmp_path)
        return replace(model, runtime=replace(model.runtime, **runtime))  # type: ignore[arg-type]

    return make_odd


def image(first: int) -> np.ndarray:
    return np.full((1, 2, 2), first, np.uint8)


def test_answers_are_those_of_this_process(tmp_path: Path) -> None:
    segments = 'kind = "segmentation"\nthreshold = 0.65'
    classes = 'kind = "classification"\nclasses = ["dark", "bright"]\npositive = "bright"'
    for network, task in ((threshold_segmenter(), segments), (brightness_classifier(), classes)):
        model = write_package(tmp_path / task[8:12], network, task, more=BYTES)
        with open_judge(model) as judge:
            for _ in range(2):
                found, wanted = judge(IMAGE, (1.0, 1.0, 1.0)), predict_array(model, IMAGE, (1.0, 1.0, 1.0))
                assert found.probabilities == pytest.approx(wanted.probabilities)
                assert (found.probability_map is None) == (wanted.probability_map is None)
                if wanted.probability_map is not None:
                    np.testing.assert_array_equal(found.probability_map, wanted.probability_map)


def test_one_that_hangs_is_stopped_and_the_next_image_judged(make: Callable[..., Model]) -> None:
    model = make(
        "while first == 7: time.sleep(0.01)\nreturn Prediction(probabilities=(0.25, 0.75))", timeout_s=20.0
    )
    with open_judge(model) as judge:
        assert judge(image(1)).probabilities == (0.25, 0.75)
        judge.model = replace(model, runtime=replace(model.runtime, timeout_s=1.0))
        with pytest.raises(ModelTimeout, match="limit of 1 s"):
            judge(image(7))
        judge.model = model
        assert judge(image(2)).probabilities == (0.25, 0.75)


def test_one_that_eats_memory_is_a_coded_failure(make: Callable[..., Model]) -> None:
    model = make("held = np.ones(3 << 30, np.uint8)\nreturn Prediction(probabilities=(0.5, 0.5))")
    with open_judge(model) as judge, pytest.raises(ModelCrashed, match="limit of 1024 MB"):
        judge(image(1))


def test_one_that_grows_with_each_image_is_judged_as_readings_would_be(make: Callable[..., Model]) -> None:
    body = "SEEN.append(np.ones(400 << 20, np.uint8))\nreturn Prediction(probabilities=(0.5, 0.5))"
    # Two or three images fill a process; each alone fits, and a reading has a process of its own.
    with open_judge(make(body)) as judge:
        for number in range(4):
            assert judge(image(number)).probabilities == (0.5, 0.5)


@pytest.mark.parametrize(
    ("body", "error", "told"),
    [
        ("os._exit(3)", ModelCrashed, "exit status 3"),
        ("os.kill(os.getpid(), 9)", ModelCrashed, "signal 9"),
        ("raise ValueError('Mrs Doe')", ModelCrashed, "ValueError at odd.py"),
        ("return Prediction(probabilities=(float('nan'), 1.0))", InvalidOutput, "no number"),
        ("return Prediction(mask=np.ones((9, 9, 9), bool))", InvalidOutput, "grid"),
    ],
)
def test_what_breaks_has_its_code_and_no_words_of_its_own(
    make: Callable[..., Model], body: str, error: type[Exception], told: str
) -> None:
    with open_judge(make(body)) as judge, pytest.raises(error, match=told) as caught:
        judge(image(1))
    assert "Doe" not in str(caught.value)


def test_what_a_model_prints_is_no_answer(make: Callable[..., Model]) -> None:
    body = "print('+' * 100, flush=True)\nos.write(1, b'+')\nreturn Prediction(probabilities=(0.5, 0.5))"
    with open_judge(make(body)) as judge:
        assert judge(image(1)).probabilities == (0.5, 0.5)


def test_a_process_makes_room_for_a_new_one(make: Callable[..., Model]) -> None:
    share = "return Prediction(probabilities=(1 - len(SEEN) / 10, len(SEEN) / 10))"
    with Judge(make(share), images_a_process=2) as judge:
        assert [judge(image(1)).probabilities[1] for _ in range(3)] == [0.1, 0.2, 0.1]


def test_every_part_of_an_answer_travels() -> None:
    shape = (2, 3, 4)
    said = Prediction(
        probabilities=(0.2, 0.8),
        probability_map=np.linspace(0, 1, 24, dtype=np.float32).reshape(shape),
        mask=np.ones(shape, bool),
        parts=np.ones(shape, np.int32),
        part_scores=(0.9,),
        boxes=(Box(low=(0.0, 0.0, 0.0), high=(1.0, 1.0, 1.0), score=0.5),),
        value=2.5,
        interval=(1.0, 3.0),
        reasons={"size": 1.5},
    )
    found = unpack_answer(pack_answer(said), shape)
    assert (found.probabilities, found.part_scores, found.boxes) == ((0.2, 0.8), (0.9,), said.boxes)
    assert (found.value, found.interval, found.reasons) == (2.5, (1.0, 3.0), {"size": 1.5})
    for name in ("probability_map", "mask", "parts"):
        np.testing.assert_array_equal(getattr(found, name), getattr(said, name))


def test_an_answer_that_would_become_more_than_it_is_is_refused() -> None:
    file = io.BytesIO()
    np.savez_compressed(file, plain=np.zeros(1 << 20, np.uint8))
    with pytest.raises(InvalidOutput):
        unpack_answer(file.getvalue(), (1, 2, 2))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x93NUMPY", b"{}"])
def test_bytes_that_are_no_answer_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidOutput):
        unpack_answer(data, (1, 2, 2))
