"""Try a network out before it is taken in: on an image of nothing, in a process of its own.

In: a package.  Out: what came of it.  Never: a network run in this process; a patient's image.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np

from wetread.domain.jsonable import from_jsonable, to_jsonable
from wetread.domain.model import Model
from wetread.errors import InvalidOutput, InvalidPackage, ModelTimeout, WetreadError
from wetread.infer.limits import limit_process
from wetread.infer.predict import predict_array

#: Kinds whose network is a file of the package.
TRIED_KINDS = frozenset({"onnx", "openvino"})
_TIMEOUT_S = 300
_MOST_ANSWER = 4096
#: Of an image whose package does not say how large it is cut.
_SHAPE = (32, 64, 64)


def try_model(model: Model) -> str:
    """Run the network of a package once.

    Returns
    -------
    str
        What came of it; ``""`` for packages that hold no network.

    Raises
    ------
    InvalidPackage, InvalidOutput
        If it cannot be opened, or its answer does not fit its task.
    """
    if model.runtime.kind not in TRIED_KINDS or model.runtime.sample_entry or model.task is None:
        return ""
    environment = {key: one for key, one in os.environ.items() if key in {"PATH", "LANG", "LC_ALL", "HOME"}}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "wetread.infer.trial"],
            input=json.dumps(to_jsonable(model)).encode(),
            env=environment,
            timeout=_TIMEOUT_S,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelTimeout(
            "The network did not answer for an image of nothing.", limit_s=_TIMEOUT_S
        ) from error
    if done.returncode:
        raise _failure(done.stdout[:_MOST_ANSWER], done.returncode)
    return "network: opened and run once on an image of nothing, its answer fits its task"


def _failure(told: bytes, returncode: int) -> WetreadError:
    try:
        read = json.loads(told)
        kind = {one.code: one for one in (InvalidPackage, InvalidOutput)}[str(read["code"])]
        return kind(str(read["message"])[:300])
    except (ValueError, LookupError, TypeError):
        return InvalidOutput("The network broke when it was tried out.", status=returncode)


def main() -> int:
    """Try the model that stands on standard input; returns the exit status."""
    model = from_jsonable(Model, json.load(sys.stdin))
    limit_process(model.runtime.memory_mb)
    shape = model.runtime.window or _SHAPE
    try:
        predict_array(model, np.zeros(shape, dtype=np.float32), (1.0, 1.0, 1.0))
    except WetreadError as error:
        sys.stdout.write(json.dumps({"code": error.code, "message": error.message}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
