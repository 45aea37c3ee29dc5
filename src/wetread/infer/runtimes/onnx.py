"""Networks as ONNX, by ONNX Runtime.

In: a file.  Out: a ``Session`` on the quickest hardware there is.
Never: a custom operator's library loaded; telemetry.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import onnxruntime

from wetread.errors import InvalidOutput, InvalidPackage
from wetread.infer.runtimes.session import Tensors, check_finite

#: Quickest first; those that this installation lacks are passed over.
PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
_MOST_THREADS = 8
_ONLY_ERRORS = 3


@dataclass(frozen=True, slots=True)
class OnnxSession:
    """An open ONNX network."""

    network: onnxruntime.InferenceSession

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what it takes."""
        return tuple(one.name for one in self.network.get_inputs())

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what it gives."""
        return tuple(one.name for one in self.network.get_outputs())

    def run(self, tensors: Tensors) -> Tensors:
        """Return the outputs; see ``Session``."""
        try:
            values = self.network.run(list(self.outputs), dict(tensors))
        except Exception as error:  # onnxruntime's own errors have no common class but Exception
            raise InvalidOutput(
                "The network does not take this image.", reason=type(error).__name__
            ) from error
        return check_finite(dict(zip(self.outputs, map(np.asarray, values), strict=True)))


def open_onnx(path: str) -> OnnxSession:
    """Open a file.

    Raises
    ------
    InvalidPackage
        If it is not there, or no network.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(len(os.sched_getaffinity(0)), _MOST_THREADS)
    options.inter_op_num_threads = 1
    options.log_severity_level = _ONLY_ERRORS
    there = onnxruntime.get_available_providers()
    providers = [one for one in PROVIDERS if one in there]
    try:
        return OnnxSession(onnxruntime.InferenceSession(path, options, providers=providers))
    except Exception as error:  # as above
        raise InvalidPackage("The weights cannot be opened as ONNX.", reason=type(error).__name__) from error
