"""Have images judged one after the other in a process of its own, with the limits that reading has.

In: a model, images.  Out: ``Prediction`` of each.
Never: a model's code in this process; an answer believed that is none; one image blamed for another.

Opening a network takes longer than most images, so the process stays for some images. What a reading's is
(``infer.process``), it is: environment, memory, and time for one image, its start included. Where it breaks
at an image that is not its first, a new one is asked again: a reading has a new one too.
"""

from __future__ import annotations

import io
import json
import math
import os
import select
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from wetread.domain.jsonable import from_jsonable, to_jsonable
from wetread.domain.model import Model
from wetread.domain.prediction import Box, Prediction
from wetread.domain.volume import Triple
from wetread.errors import InvalidOutput, InvalidPackage, ModelCrashed, ModelError, ModelTimeout
from wetread.infer.process import end_session, model_environment
from wetread.passing import open_passing, read_passing

#: Images that one process judges.
IMAGES_A_PROCESS = 64
#: Of a probability map, parts and a mask, for each voxel; and of all the rest.
_BYTES_A_VOXEL, _BYTES_BESIDE = 9, 16 << 20
_ARRAYS = {"probability_map": np.float32, "mask": np.bool_, "parts": np.int32}
_TOLD: dict[str, type[ModelError]] = {
    one.code: one for one in (InvalidOutput, InvalidPackage, ModelTimeout, ModelCrashed)
}


@dataclass(slots=True)
class Judge:
    """Judges images by one model; a context manager that ends its process."""

    model: Model
    #: Images that one process judges before it makes room for a new one.
    images_a_process: int = IMAGES_A_PROCESS
    _process: subprocess.Popen[bytes] | None = None
    _question: int = -1
    _answer: int = -1
    _judged: int = 0
    _files: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Judge:
        self._question = self._files.enter_context(open_passing())
        self._answer = self._files.enter_context(open_passing())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._files.close()

    def __call__(self, voxels: npt.NDArray[Any], spacing_mm: Triple | None = None) -> Prediction:
        """Return what the model says of an image; see ``predict.predict_array``.

        Raises
        ------
        ModelTimeout
            If it takes longer than ``runtime.timeout_s``.
        ModelCrashed
            If its process ended, or needed more than ``runtime.memory_mb``.
        InvalidOutput, InvalidPackage
            As ``predict_array``, or if what came is no answer.
        """
        if self._judged >= self.images_a_process:
            self._end()
        was_used = self._judged > 0
        try:
            return self._ask(voxels, spacing_mm)
        except ModelCrashed:
            if not was_used:
                raise
            # What it had left of the images before is not this one's fault.
            return self._ask(voxels, spacing_mm)

    def _ask(self, voxels: npt.NDArray[Any], spacing_mm: Triple | None) -> Prediction:
        deadline = time.monotonic() + self.model.runtime.timeout_s
        _write(self._question, pack_question(voxels, spacing_mm))
        _write(self._answer, b"")
        try:
            process = self._process or self._begin()
            told = self._exchange(process, deadline)
            prediction = self._read(told, voxels.shape)
        except BaseException:
            # Whatever it was: an answer that comes now would be taken for that of the next image.
            self._end()
            raise
        self._judged += 1
        return prediction

    def _begin(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-m", "wetread.infer.judging_child"]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            [*command, str(self._question), str(self._answer), str(os.getpid())],
            env=model_environment(),
            pass_fds=(self._question, self._answer),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._send(self._process, json.dumps(to_jsonable(self.model)).encode() + b"\n")
        return self._process

    def _exchange(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        """Return the byte that the process answers with: what it left in the file."""
        self._send(process, b"?\n")
        if process.stdout is None:
            raise ModelCrashed
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            limit_s = self.model.runtime.timeout_s
            raise ModelTimeout(f"The model was stopped after its limit of {limit_s:g} s.", limit_s=limit_s)
        return os.read(process.stdout.fileno(), 1)

    def _send(self, process: subprocess.Popen[bytes], line: bytes) -> None:
        # Smaller than a pipe holds: it never waits for the process.
        if process.stdin is None:
            raise ModelCrashed
        try:
            process.stdin.write(line)
            process.stdin.flush()
        except BrokenPipeError as error:
            raise self._ended(process) from error

    def _read(self, told: bytes, shape: tuple[int, ...]) -> Prediction:
        try:
            data = read_passing(self._answer, _BYTES_A_VOXEL * math.prod(shape) + _BYTES_BESIDE)
        except ValueError as error:
            raise InvalidOutput("The answer is larger than any real one.") from error
        if told == b"+":
            return unpack_answer(data, shape)
        if told == b"-":
            raise _failure(data, self.model.runtime.memory_mb)
        raise self._ended(self._process)

    def _ended(self, process: subprocess.Popen[bytes] | None) -> ModelCrashed:
        code = None if process is None else process.wait()
        reason = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        return ModelCrashed(f"The model's process ended with {reason}.", reason=reason)

    def _end(self) -> None:
        process, self._process, self._judged = self._process, None, 0
        if process is None:
            return
        end_session(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close(pipe)


@contextmanager
def open_judge(model: Model) -> Iterator[Judge]:
    """Open a judge; its process begins with the first image."""
    with Judge(model) as judge:
        yield judge


def pack_question(voxels: npt.NDArray[Any], spacing_mm: Triple | None) -> bytes:
    """Return an image as bytes."""
    file = io.BytesIO()
    arrays = {"voxels": np.ascontiguousarray(voxels)}
    if spacing_mm is not None:
        arrays["spacing_mm"] = np.array(spacing_mm)
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def pack_answer(said: Prediction) -> bytes:
    """Return a prediction as bytes."""
    file = io.BytesIO()
    plain = {
        "probabilities": list(map(float, said.probabilities)),
        "part_scores": list(map(float, said.part_scores)),
        "value": None if said.value is None else float(said.value),
        "interval": None if said.interval is None else list(map(float, said.interval)),
        "reasons": {name: float(value) for name, value in said.reasons.items()},
        "boxes": None if said.boxes is None else to_jsonable(said.boxes),
    }
    arrays = {name: one for name in _ARRAYS if (one := getattr(said, name)) is not None}
    text = np.frombuffer(json.dumps(plain).encode(), np.uint8)
    np.savez(file, allow_pickle=False, plain=text, **arrays)
    return file.getvalue()


def unpack_answer(data: bytes, shape: tuple[int, ...]) -> Prediction:
    """Return the prediction of an image of this shape; raises InvalidOutput where it is none."""
    try:
        _require_plain(data)
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            plain = json.loads(held["plain"].tobytes())
            arrays = {name: held[name] for name in _ARRAYS if name in held.files}
        fits = all(one.shape == shape and one.dtype == _ARRAYS[name] for name, one in arrays.items())
        numbers = [*plain["probabilities"], *plain["part_scores"], *plain["reasons"].values()]
        numbers += [*(plain["interval"] or ()), *([] if plain["value"] is None else [plain["value"]])]
        if not fits or not np.isfinite(np.array(numbers, dtype=float)).all():
            raise InvalidOutput("The model answers with another grid than that of the image, or no numbers.")
        boxes = plain["boxes"]
        return Prediction(
            probabilities=tuple(plain["probabilities"]),
            part_scores=tuple(plain["part_scores"]),
            value=plain["value"],
            interval=None if plain["interval"] is None else (plain["interval"][0], plain["interval"][1]),
            reasons=dict(plain["reasons"]),
            boxes=None if boxes is None else from_jsonable(tuple[Box, ...], boxes),
            **arrays,
        )
    except _NO_ANSWER as error:
        raise InvalidOutput("What the model's process left is no answer.") from error


#: What zip, numpy and JSON raise on bytes that another process made up.
_NO_ANSWER = (
    *(AttributeError, EOFError, LookupError, MemoryError, OSError, RecursionError, TypeError, ValueError),
    *(NotImplementedError, RuntimeError, zipfile.BadZipFile),
)


def _require_plain(data: bytes) -> None:
    """Refuse what would become more than it is."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
            raise InvalidOutput("What the model's process left is no answer.")


def _failure(data: bytes, memory_mb: int) -> ModelError:
    try:
        told = json.loads(data[:4096])
        kind, code, where = (str(told[one])[:160] for one in ("type", "code", "where"))
    except (ValueError, LookupError, TypeError, RecursionError):
        return ModelCrashed("The model's process broke and did not say how.")
    if kind == "MemoryError":
        return ModelCrashed(f"The model needed more than its limit of {memory_mb} MB.", limit_mb=memory_mb)
    return _TOLD.get(code, ModelCrashed)(f"The model stopped with {kind} at {where}.", where=where)


def _write(descriptor: int, data: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _close(pipe: io.BufferedWriter | io.BufferedReader | Any) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return
