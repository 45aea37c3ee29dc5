"""The process that judges images: see ``judging``.

In: a model and questions by lines on standard input, images in a file.  Out: answers in another, a byte each.
Never: standard output for anything else; error texts (they may hold patient data).
"""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from pathlib import Path

import numpy as np

from wetread.domain.jsonable import from_jsonable
from wetread.domain.model import Model
from wetread.domain.volume import Triple
from wetread.infer.child import end_with
from wetread.infer.judging import pack_answer
from wetread.infer.limits import limit_process
from wetread.infer.predict import predict_array


def main(question: int, answer: int, parent: int) -> int:
    """Answer until standard input ends; returns the exit status."""
    end_with(parent)
    told = os.dup(sys.stdout.fileno())
    # What a model prints must not be taken for an answer.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    lines = sys.stdin.buffer
    model: Model = from_jsonable(Model, json.loads(lines.readline()))
    limit_process(model.runtime.memory_mb)
    while lines.readline():
        try:
            data, sign = _judge(model, question), b"+"
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a model raises becomes a coded failure
            data, sign = _failure(error), b"-"
        _write(answer, data)
        os.write(told, sign)
    return 0


def _judge(model: Model, question: int) -> bytes:
    os.lseek(question, 0, os.SEEK_SET)
    with io.FileIO(os.dup(question)) as file, np.load(io.BytesIO(file.readall()), allow_pickle=False) as held:
        voxels = held["voxels"]
        spacing: Triple | None = None
        if "spacing_mm" in held.files:
            plane, row, column = (float(one) for one in held["spacing_mm"])
            spacing = (plane, row, column)
    return pack_answer(predict_array(model, voxels, spacing))


def _failure(error: Exception) -> bytes:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    failure = {
        "type": type(error).__name__,
        "code": str(getattr(error, "code", "")),
        "where": f"{Path(frame.filename).name}:{frame.lineno}",
    }
    return json.dumps(failure).encode()


def _write(answer: int, data: bytes) -> None:
    os.lseek(answer, 0, os.SEEK_SET)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(answer, rest) :]


if __name__ == "__main__":
    sys.exit(main(*(int(one) for one in sys.argv[1:4])))
