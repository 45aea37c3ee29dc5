"""Judge a series by a container: its image in, its map or answer out, and nothing else.

In: a ``Volume``, a package of kind ``container``.  Out: a ``Prediction`` on the volume's own grid.
Never: a network; a file it may write beside ``/out`` and ``/tmp``; more time than it has; an image pulled.

The container finds ``/in/image.nii`` (modality values, RAS) and ``/in/task.json`` (kind and classes). By its
task it leaves ``/out/probabilities.nii`` or ``/out/mask.nii`` (also ``.nii.gz``) on the same grid, or
``/out/answer.json``: ``{"probabilities": [...]}`` or ``{"value": ...}``. It ends with status 0.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wetread.domain.model import Model, Runtime
from wetread.domain.prediction import Prediction
from wetread.domain.volume import Grid, Volume
from wetread.errors import (
    InputError,
    InvalidOutput,
    InvalidPackage,
    ModelCrashed,
    ModelTimeout,
)
from wetread.imaging.nifti import read_nifti_map, write_nifti_volume
from wetread.infer.entry import check_unchanged
from wetread.infer.limits import age_s

#: Who it runs as where we are root: nobody.
_NOBODY = 65534
_RESERVE_S = 2.0
_LOOK_S = 0.2
_MOST_OUT_BYTES = 4 << 30
_MOST_ANSWER_BYTES = 1 << 20
_KILLED = 137


def engine_command(
    engine: str, runtime: Runtime, *, name: str, folder_in: Path, folder_out: Path, user: tuple[int, int]
) -> list[str]:
    """Return the command line that runs a package's container; docker and podman take the same.

    Parameters
    ----------
    engine
        The engine's program.
    name
        What the container is called, to stop it by.
    user
        User and group that it runs as; root becomes nobody.
    """
    own, group = (one or _NOBODY for one in user)
    memory = f"{runtime.memory_mb}m"
    return [
        engine, "run", "--rm", "--name", name, "--pull", "never", "--label", "wetread=model",
        "--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
        "--user", f"{own}:{group}", "--pids-limit", "512", "--memory", memory, "--memory-swap", memory,
        "--cpus", f"{runtime.cpus:g}", "--ulimit", f"fsize={_MOST_OUT_BYTES}", "--ulimit", "core=0",
        "--log-driver", "none", "--tmpfs", "/tmp:rw,nosuid,nodev,size=512m",  # noqa: S108 - inside of it
        "--mount", f"type=bind,source={folder_in},target=/in,readonly",
        "--mount", f"type=bind,source={folder_out},target=/out",
        runtime.image,
    ]  # fmt: skip


def judge_in_container(model: Model, volume: Volume) -> Prediction:
    """Run a package's container on a volume.

    Raises
    ------
    InvalidPackage
        If its engine is not installed here.
    ModelCrashed, ModelTimeout
        If it ended otherwise than with 0, or did not end.
    InvalidOutput
        If what it left does not fit image and task.
    """
    check_unchanged(model)
    engine = shutil.which(model.runtime.engine)
    if engine is None:
        raise InvalidPackage(
            f"This package runs in a container: install {model.runtime.engine} where it shall run.",
            engine=model.runtime.engine,
        )
    with tempfile.TemporaryDirectory(prefix="wetread-") as work:
        # The engine mounts by this name: no link in it.
        folder_in, folder_out = (Path(work).resolve() / one for one in ("in", "out"))
        folder_in.mkdir()
        folder_out.mkdir()
        write_nifti_volume(volume, folder_in / "image.nii")
        (folder_in / "task.json").write_text(json.dumps(_task(model)))
        # It may run as somebody else; nobody else gets into the folder around them.
        folder_out.chmod(0o777)
        name = f"wetread-{uuid.uuid4().hex}"
        command = engine_command(
            engine,
            model.runtime,
            name=name,
            folder_in=folder_in,
            folder_out=folder_out,
            user=(os.getuid(), os.getgid()),
        )
        # The rest is for stopping it: if this process were stopped first, the container would go on.
        limit_s = max(1.0, min(0.9 * model.runtime.timeout_s, model.runtime.timeout_s - _RESERVE_S) - age_s())
        _run(command, [engine, "kill", name], folder_out, limit_s)
        return _collect(model, folder_out, volume.grid)


def _task(model: Model) -> dict[str, Any]:
    task = model.task
    return {"kind": task.kind, "classes": list(task.classes)} if task else {}


def _run(command: Sequence[str], kill: Sequence[str], out: Path, limit_s: float) -> None:
    process = subprocess.Popen(  # noqa: S603 - an engine of the machine, no shell
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + limit_s
    try:
        while process.poll() is None:
            if time.monotonic() > until:
                raise ModelTimeout(limit_s=limit_s)
            if _bytes_in(out) > _MOST_OUT_BYTES:
                raise InvalidOutput("The container leaves more than any real answer.", limit=_MOST_OUT_BYTES)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_S)
    finally:
        if process.poll() is None:
            with contextlib.suppress(subprocess.SubprocessError, OSError):
                subprocess.run(kill, timeout=30, capture_output=True, check=False)  # noqa: S603 - as above
            process.kill()
            process.wait()
    if process.returncode == _KILLED:
        raise ModelCrashed("The container was killed: it needed more than its memory_mb, most likely.")
    if process.returncode:
        raise ModelCrashed("The container ended with a failure.", status=process.returncode)


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size
    return total


def _collect(model: Model, out: Path, grid: Grid) -> Prediction:
    kind = model.task.kind if model.task else ""
    if kind in ("classification", "regression"):
        return _read_answer(model, _plain_file(out, "answer.json"))
    for name in ("probabilities.nii", "probabilities.nii.gz", "mask.nii", "mask.nii.gz"):
        if (out / name).exists():
            try:
                found = read_nifti_map(_plain_file(out, name), grid)
            except InputError as error:
                raise InvalidOutput("The container's map does not lie on the grid of the image.") from error
            if not (found.min() >= 0 and found.max() <= 1):  # neither of them is NaN
                raise InvalidOutput("The container's map holds something else than 0 to 1.")
            return Prediction(probability_map=found)
    raise InvalidOutput("The container left no map: /out/probabilities.nii or /out/mask.nii.")


def _plain_file(out: Path, name: str) -> Path:
    path = out / name
    if path.is_symlink() or not path.is_file():
        raise InvalidOutput(f"The container left no {name}.")
    return path


def _read_answer(model: Model, path: Path) -> Prediction:
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(_MOST_ANSWER_BYTES))
        if model.task is not None and model.task.kind == "regression":
            value = float(told["value"])
            if not math.isfinite(value):
                raise ValueError("no number")
            return Prediction(value=value)
        probabilities = tuple(float(one) for one in told["probabilities"])
    except (ValueError, LookupError, TypeError, RecursionError, OverflowError) as error:
        raise InvalidOutput("The container's answer.json does not hold what its task asks for.") from error
    classes = model.task.classes if model.task else ()
    if len(probabilities) != len(classes) or not all(0 <= one <= 1 for one in probabilities):
        raise InvalidOutput("The container's answer is no probability of each class.")
    if abs(sum(probabilities) - 1) > 1e-3:
        raise InvalidOutput("The container's probabilities do not sum to 1.")
    return Prediction(probabilities=probabilities)
