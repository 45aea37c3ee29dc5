"""All networks of a run as one ONNX file.

In: a run.  Out: ``weights.onnx``: images in, probabilities out, any number at a time.
Never: preprocessing (the recipe is beside the weights, in ``model.toml``); a file that answers otherwise
than the networks do.

Input ``image`` (batch, channels, *patch), float32, after the recipe. Output by task:

- classification: ``probabilities`` (batch, classes), calibrated where there are two;
- regression: ``value`` (batch, 1);
- segmentation: ``probabilities`` (batch, classes, *patch);
- detection: what ``lab.detections`` reads: ``scores_and_sizes`` or ``scores_and_boxes``.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from wetread.errors import ParityLost
from wetread.lab.checkpoint import write_whole
from wetread.lab.networks.build import Shape, shape_of
from wetread.lab.operating import OperatingPoint
from wetread.lab.plan import NetworkKind, Plan, Task
from wetread.lab.run import Run, file_digest

OPSET = 20
#: Of probabilities, between torch and ONNX Runtime on the same input.
_TOLERANCE = 1e-3
#: Weights with fewer numbers stay as they are.
_LEAST_HALVED = 64


class Ensemble(nn.Module):
    """The mean of several networks, as probabilities."""

    def __init__(self, networks: Sequence[nn.Module], plan: Plan, point: OperatingPoint | None) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.task = plan.task
        self.is_heatmap = plan.network.kind is NetworkKind.HEATMAP
        self.axes = len(plan.input.patch)
        self.positive = plan.data.classes.index(plan.data.positive)
        self.point = point

    def forward(self, image: Tensor) -> Tensor:
        """Return the output that the module's docstring tells of."""
        said = [network(image) for network in self.networks]
        if self.task is Task.CLASSIFICATION:
            return self._classes(torch.stack(said).mean(dim=0))
        if self.task is Task.SEGMENTATION:
            return torch.stack([one.softmax(dim=1) for one in said]).mean(dim=0)
        return torch.stack(said).mean(dim=0)

    def _classes(self, said: Tensor) -> Tensor:
        if self.point is None:
            return said.softmax(dim=1)
        margin = said[:, self.positive] - said[:, 1 - self.positive]
        positive = torch.sigmoid(self.point.slope * margin + self.point.offset)
        pair = [1 - positive, positive] if self.positive == 1 else [positive, 1 - positive]
        return torch.stack(pair, dim=1)


def ensemble_of(run: Run) -> Ensemble:
    """Return a run's networks as one."""
    return Ensemble(run.networks(), run.plan, run.operating_point).eval()


def output_name(plan: Plan) -> str:
    """Return what the output is called."""
    if plan.task is Task.DETECTION:
        return "scores_and_sizes" if plan.network.kind is NetworkKind.HEATMAP else "scores_and_boxes"
    return "value" if plan.task is Task.REGRESSION else "probabilities"


def export_onnx(run: Run, path: Path, *, halved: bool = False) -> str:
    """Write a run as one ONNX file and compare it with the networks.

    Parameters
    ----------
    halved
        Store the weights in half precision, see ``halve_weights``.

    Returns
    -------
    str
        The sha256 of the file: the same run gives the same file with the same libraries.

    Raises
    ------
    ParityLost
        If ONNX Runtime answers otherwise than torch.
    """
    model = ensemble_of(run)
    shape = shape_of(run.plan)
    example = torch.zeros(2, shape.channels, *shape.patch)
    sizes = {0: torch.export.Dim("batch", min=1, max=4096)}
    network = trace(model, {"image": example}, sizes, output_name(run.plan))
    if halved:
        halve_weights(network)
    save_network(network, path)
    _compare(model, path, shape)
    return file_digest(path)


def trace(
    model: nn.Module, inputs: Mapping[str, Tensor], sizes: Mapping[int, Any], output: str
) -> onnx.ModelProto:
    """Return a network of one output as ONNX.

    Parameters
    ----------
    inputs
        An example of each, by name.
    sizes
        Axis of each input -> ``torch.export.Dim``, for those that are free.
    """
    # The exporter talks at length about what it leaves to itself.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            tuple(inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=tuple(dict(sizes) for _ in inputs),
            verbose=False,
        )
    if program is None:
        raise ParityLost("The networks cannot be written as ONNX.")
    proto: onnx.ModelProto = program.model_proto
    return proto


def save_network(model: onnx.ModelProto, path: Path) -> None:
    """Write a network whole, without what tells where it was made."""
    content = _strip(model)
    write_whole(path, lambda beside: beside.write_bytes(content))


def halve_weights(model: onnx.ModelProto) -> None:
    """Store weights in half precision; a cast in front of each use brings them back.

    Half the file, computed in single precision: processors without half precision are no slower.
    """
    graph, casts = model.graph, []
    for one in graph.initializer:
        values = numpy_helper.to_array(one)
        if values.dtype == np.float32 and values.size >= _LEAST_HALVED:
            name = one.name
            one.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _strip(model: onnx.ModelProto) -> bytes:
    """Leave out where in somebody's installation each node was written: paths, and half of the bytes."""
    del model.metadata_props[:]
    model.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.graph.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for function in model.functions:
        for node in function.node:
            node.doc_string = ""
            del node.metadata_props[:]
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _compare(model: Ensemble, path: Path, shape: Shape) -> None:
    """Refuse a file that says something else, of one image and of three."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    for count in (1, 3):
        image = torch.randn(count, shape.channels, *shape.patch, generator=generator)
        with torch.inference_mode():
            wanted = model(image).numpy()
        found = session.run(None, {"image": image.numpy()})[0]
        distance = float(np.abs(found - wanted).max())
        scale = max(1.0, float(np.abs(wanted).max()))
        if not distance <= _TOLERANCE * scale:
            raise ParityLost("ONNX Runtime answers otherwise than the networks.", distance=distance)
