"""Small real networks as ONNX, and packages around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from wetread.domain.model import Model
from wetread.registry import read_package

_HEAD = """
name = "{name}"
version = "1.0.0"
title = "A test"
intended_use = "Testing."
state = "{state}"
operating_point = "default"
[eligibility]
modalities = ["CT"]
[runtime]
kind = "{kind}"
file = "model.onnx"
{runtime}
[task]
{task}
{more}
"""


def write_package(
    folder: Path,
    network: onnx.ModelProto,
    task: str,
    *,
    runtime: str = "",
    more: str = "",
    name: str = "my-model",
    state: str = "draft",
    kind: str = "onnx",
) -> Model:
    """Write a package around a network and read it."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(network, folder / "model.onnx")
    text = _HEAD.format(name=name, state=state, kind=kind, runtime=runtime, task=task, more=more)
    (folder / "model.toml").write_text(text)
    return read_package(folder)


def brightness_classifier(scale: float = 4.0) -> onnx.ModelProto:
    """Two classes, dark and bright: softmax of (-s, s), s the mean grey level times ``scale``."""
    weights = numpy_helper.from_array(np.array([[-scale, scale]], np.float32), "weights")
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    return _model(nodes, [weights], [None, 2], channels=1)


def grade_classifier(grades: int = 4, scale: float = 40.0) -> onnx.ModelProto:
    """Grades from 0: the likeliest is the mean grey level (0 to 1) times the highest grade, rounded."""
    steps = np.arange(grades, dtype=np.float32)
    weights = numpy_helper.from_array(scale * (grades - 1) * steps[None], "weights")
    bias = numpy_helper.from_array(-scale * steps**2 / 2, "bias")
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    return _model(nodes, [weights, bias], [None, grades], channels=1)


def threshold_segmenter(channels: int = 1, shape: list[object] | None = None) -> onnx.ModelProto:
    """Sigmoid of the mean over the channels, (batch, 1, r, c)."""
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=1),
        helper.make_node("Sigmoid", ["mean"], ["probabilities"]),
    ]
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    return _model(nodes, [axes], shape or [None, 1, None, None], channels=channels)


def corner_segmenter(*, volume: bool = False) -> onnx.ModelProto:
    """Marks one corner of every 8 x 8 plane (last row, last column): left and back, seen the right way up.

    As a volume it takes axes to the right, the front and the head, and marks left, back and head.
    """
    place = np.full((1, 1, 8, 8, 8) if volume else (1, 1, 8, 8), -8, np.float32)
    place[(..., slice(0, 2), slice(0, 2), slice(6, 8)) if volume else (..., slice(6, 8), slice(6, 8))] = 8
    nodes = [
        helper.make_node("Add", ["image", "place"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["probabilities"]),
    ]
    axes = 3 if volume else 2
    return _model(nodes, [numpy_helper.from_array(place, "place")], [None, 1] + [None] * axes, 1, axes)


def box_finder(blocks: float = 27.0) -> onnx.ModelProto:
    """Answers with the box around all that is above 0.5; its score is how many of 27 voxels that are."""
    nodes = [
        helper.make_node("Greater", ["image", "half"], ["is_bright"]),
        helper.make_node("Cast", ["is_bright"], ["bright"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["bright"], ["count"], keepdims=0),
        helper.make_node("Div", ["count", "full"], ["share"]),
        helper.make_node("Min", ["share", "one"], ["score"]),
        helper.make_node("Reshape", ["score", "single"], ["scores"]),
    ]
    weights = {
        "half": np.array(0.5, np.float32),
        "full": np.array(blocks, np.float32),
        "one": np.array(1.0, np.float32),
        "single": np.array([1], np.int64),
        "row": np.array([1, 6], np.int64),
        "edges": np.array([-0.5] * 3 + [0.5] * 3, np.float32),
    }
    for axis in (2, 3, 4):
        weights[f"others{axis}"] = np.array([one for one in range(5) if one != axis], np.int64)
        nodes.append(helper.make_node("ReduceMax", ["bright", f"others{axis}"], [f"along{axis}"], keepdims=0))
        for last, name in enumerate(("low", "high")):
            nodes.append(
                helper.make_node(
                    "ArgMax", [f"along{axis}"], [f"{name}{axis}"], axis=0, select_last_index=last
                )
            )
    ends = [f"{name}{axis}" for name in ("low", "high") for axis in (2, 3, 4)]
    nodes += [
        helper.make_node("Concat", ends, ["whole"], axis=0),
        helper.make_node("Cast", ["whole"], ["ends"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["ends", "edges"], ["corners"]),
        helper.make_node("Reshape", ["corners", "row"], ["boxes"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, 1, None, None, None])
    answers = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [None, 6]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None]),
    ]
    initial = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "test", [image], answers, initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def volume_of_logits() -> onnx.ModelProto:
    """Answers a volume with itself."""
    return _model(
        [helper.make_node("Identity", ["image"], ["probabilities"])], [], [None, 1] + [None] * 3, 1, 3
    )


def not_a_number() -> onnx.ModelProto:
    """Answers 0 / 0."""
    zero = numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    nodes = [
        helper.make_node("Mul", ["image", "zero"], ["nothing"]),
        helper.make_node("Div", ["nothing", "nothing"], ["probabilities"]),
    ]
    return _model(nodes, [zero], [None, 1, None, None], channels=1)


def _model(
    nodes: list[onnx.NodeProto],
    weights: list[onnx.TensorProto],
    shape: list[object],
    channels: int,
    axes: int = 2,
) -> onnx.ModelProto:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, channels] + [None] * axes)
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "test", [image], [answer], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model
