"""TorchScript as ONNX, in a process of its own.

In: a file by anybody.  Out: an ONNX file that answers as it does, compared on noise.
Never: ``torch.load``; TorchScript in the process that asks: operators of torch may open files.

``python -I -m wetread.lab.torchscript SOURCE TARGET LENGTHS...`` limits itself and converts; ``to_onnx``
starts that. The service never needs torch.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from wetread.errors import InvalidCheckpoint, ModelTimeout

_TIMEOUT_S = 900
_MEMORY_BYTES = 24 << 30
_LARGEST_FILE_BYTES = 4 << 30
_OPSET = 17
#: Where the network takes any size; a multiple of what networks halve five times.
_ANY_SIZE = (64, 64, 64)
_TOLERANCE = 1e-3
#: Exit statuses.
_NO_NETWORK, _OTHER_ANSWERS = 3, 4
_REASONS = {
    _NO_NETWORK: "torch cannot open it as TorchScript, run it on one channel, or write it as ONNX",
    _OTHER_ANSWERS: "as ONNX it answers otherwise",
}


def to_onnx(source: Path, target: Path, shape: tuple[int, ...]) -> None:
    """Write a TorchScript network as ONNX.

    Parameters
    ----------
    shape
        Along the tensor's axes; (): any.

    Raises
    ------
    InvalidCheckpoint
        If torch is not installed here, or the file is no network that can be converted.
    ModelTimeout
        If it takes too long.
    """
    if importlib.util.find_spec("torch") is None:
        raise InvalidCheckpoint(
            "The weights are TorchScript: add the bundle where wetread[lab] is installed (the service that"
            " reads with it needs no torch), or write them as ONNX by `python -m monai.bundle onnx_export`."
        )
    with tempfile.TemporaryDirectory(prefix="wetread-") as work:
        command = [sys.executable, "-I", "-m", "wetread.lab.torchscript"]
        command += [str(source.resolve()), str(target.resolve()), *map(str, shape)]
        environment = {key: one for key, one in os.environ.items() if key in {"PATH", "LANG", "LC_ALL"}}
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and module, no shell
                command,
                env=environment | {"HOME": work},
                cwd=work,
                timeout=_TIMEOUT_S,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ModelTimeout(
                "Converting the weights took too long: write them as ONNX yourself."
            ) from error
    if done.returncode:
        reason = _REASONS.get(done.returncode, f"exit status {done.returncode}")
        raise InvalidCheckpoint(
            "The weights cannot be converted to ONNX: write them so yourself.", reason=reason
        )


def _convert(source: Path, target: Path, shape: tuple[int, ...]) -> int:
    import numpy as np
    import onnxruntime
    import torch

    free = {} if shape else {"image": {2: "first", 3: "second", 4: "third"}}
    image = torch.randn(1, 1, *(shape or _ANY_SIZE), generator=torch.Generator().manual_seed(0))
    try:
        network = torch.jit.load(str(source), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        with torch.inference_mode():
            wanted = network(image)
        wanted = wanted[0] if isinstance(wanted, tuple | list) else wanted
        torch.onnx.export(
            network,
            (image,),
            str(target),
            input_names=["image"],
            output_names=["answer"],
            opset_version=_OPSET,
            dynamic_axes=free,
            # The other exporter takes no TorchScript.
            dynamo=False,
        )
    except Exception:  # noqa: BLE001 - whatever is wrong with a file by anybody, it cannot be converted
        return _NO_NETWORK
    found = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"]).run(
        None, {"image": image.numpy()}
    )[0]
    scale = max(1.0, float(np.abs(wanted.numpy()).max()))
    is_same = (
        found.shape == tuple(wanted.shape)
        and float(np.abs(found - wanted.numpy()).max()) <= _TOLERANCE * scale
    )
    return 0 if is_same else _OTHER_ANSWERS


def main(arguments: list[str]) -> int:
    """Convert within limits; returns the exit status."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE_BYTES, _LARGEST_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    source, target, *shape = arguments
    return _convert(Path(source), Path(target), tuple(map(int, shape)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
