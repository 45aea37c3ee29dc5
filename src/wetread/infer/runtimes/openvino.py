"""Networks as OpenVINO IR (or ONNX), by OpenVINO: quicker on some processors. The extra ``openvino``.

In: a file.  Out: a ``Session`` on the processor.
Never: telemetry; an extension's library loaded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from wetread.errors import InvalidOutput, InvalidPackage
from wetread.infer.runtimes.session import Tensors, check_finite

_MOST_THREADS = 8


@dataclass(frozen=True, slots=True)
class OpenvinoSession:
    """An open OpenVINO network."""

    #: ``openvino.CompiledModel``.
    network: Any

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what it takes."""
        return tuple(one.get_any_name() for one in self.network.inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what it gives."""
        return tuple(one.get_any_name() for one in self.network.outputs)

    def run(self, tensors: Tensors) -> Tensors:
        """Return the outputs; see ``Session``."""
        try:
            values = self.network.create_infer_request().infer(dict(tensors))
            found = {name: np.array(values[place]) for place, name in enumerate(self.outputs)}
        except Exception as error:  # OpenVINO's own errors have no common class but Exception
            raise InvalidOutput(
                "The network does not take this image.", reason=type(error).__name__
            ) from error
        return check_finite(found)


def open_openvino(path: str) -> OpenvinoSession:
    """Open a file.

    Raises
    ------
    InvalidPackage
        If OpenVINO is not installed, the file is not there, or no network.
    """
    try:
        import openvino
    except ImportError as error:
        raise InvalidPackage(
            "This package needs OpenVINO: pip install 'wetread[openvino]' where it shall run."
        ) from error
    threads = min(len(os.sched_getaffinity(0)), _MOST_THREADS)
    # f32: some processors would otherwise calculate in bf16 and give other results than the validation did.
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        return OpenvinoSession(openvino.Core().compile_model(path, "CPU", settings))
    except Exception as error:  # as above
        raise InvalidPackage(
            "The weights cannot be opened as OpenVINO.", reason=type(error).__name__
        ) from error
