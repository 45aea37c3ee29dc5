"""Run a model in a process of its own.

In: a ReadJob.  Out: a Reading, also when the process crashed, hung or ate memory.
Never: model code in this process; pickle between the two.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from wetread.domain.jsonable import to_jsonable
from wetread.domain.packing import unpack_reading
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.reading import Reading
from wetread.errors import ModelInterrupted
from wetread.infer.fault import find_fault
from wetread.infer.job import ReadJob, make_unread
from wetread.passing import open_passing, read_passing

#: Packed; some dozen masks of a large series are a few MiB.
_LARGEST_ANSWER_BYTES = 256 << 20
_LARGEST_FAILURE_BYTES = 4096
#: What a process may say of its end; everything else is a crash.
_TOLD = frozenset(
    {
        ProblemCode.INVALID_OUTPUT,
        ProblemCode.INVALID_PACKAGE,
        ProblemCode.MODEL_TIMEOUT,
        ProblemCode.PEER_UNREACHABLE,
    }
)
_PLACE = re.compile(r"[\w.:<> -]{0,160}")
#: Signals that tell a process to end, not that it failed.
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True, eq=False)
class Leash:
    """Ends one reading from outside."""

    is_pulled: bool = False
    _process: subprocess.Popen[bytes] | None = None
    _signal: int = signal.SIGKILL
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def pull(self) -> None:
        """End the reading, or keep it from beginning."""
        with self._lock:
            self.is_pulled = True
            if self._process is not None:
                self._process.send_signal(self._signal)

    def hold(self, process: subprocess.Popen[bytes], job: ReadJob) -> None:
        """Take hold of the model's process."""
        with self._lock:
            self._process = process
            if job.model.runtime.kind == "container":
                # Our own code waits for it, and ends it when told; nothing of the model's runs there.
                self._signal = signal.SIGTERM
            if self.is_pulled:
                process.send_signal(self._signal)


def run_job(job: ReadJob, work: Path | None = None, leash: Leash | None = None) -> Reading:
    """Read a series in a new process; what the model does wrong becomes a Reading that says so.

    The two talk through a pipe and a file in memory: a job holds headers and, where the store is encrypted,
    the keys of its files. The process gets these and not the store's key, so that a model can open the study
    that it reads and no other.

    Parameters
    ----------
    work
        Where the process has its working folder, removed afterwards; None: the system's.
    leash
        Who holds it may end the reading; None: nobody does.

    Raises
    ------
    ModelInterrupted
        If somebody ended the process, as a machine does that shuts down: nothing is known of the study.
    """
    with tempfile.TemporaryDirectory(prefix="wetread-", dir=work) as folder, open_passing() as answer:
        try:
            code = _run(Path(folder), job, answer, leash)
        except subprocess.TimeoutExpired:
            return make_unread(job, _timeout(job))
        if -code in _STOPPING or (code and leash is not None and leash.is_pulled):
            raise ModelInterrupted(model=job.model.identity.name)
        return _collect(answer, job, code)


def _run(folder: Path, job: ReadJob, answer: int, leash: Leash | None) -> int:
    command = [sys.executable, "-I", "-m", "wetread.infer.child", str(answer), str(os.getpid())]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
        command,
        env=model_environment(),
        cwd=folder,
        pass_fds=(answer,),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C at our terminal is for us; we let the reading end or be taken up again.
        start_new_session=True,
    )
    if leash is not None:
        leash.hold(process, job)
    try:
        process.communicate(json.dumps(to_jsonable(job)).encode(), job.model.runtime.timeout_s)
        return process.returncode
    finally:
        end_session(process)


def model_environment() -> dict[str, str]:
    """Return what a model's process gets of our environment."""
    # PATH and locale only: no token or password of the server reaches a model. A reader's matrices are too
    # small to share: threads that wait for their part take a third of its CPU time.
    return {"OPENBLAS_NUM_THREADS": "1"} | {
        key: value
        for key, value in os.environ.items()
        if key in {"PATH", "LANG", "LC_ALL", "TMPDIR", "HOME"}
        or key.startswith(("OMP_", "OPENBLAS_", "MKL_"))
    }


def end_session(process: subprocess.Popen[bytes]) -> None:
    """End what the model started beside itself: nothing of it outlives its turn."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _collect(answer: int, job: ReadJob, returncode: int) -> Reading:
    try:
        told = read_passing(answer, _LARGEST_ANSWER_BYTES)
        if returncode or not told:
            return make_unread(job, _crash(told, job, returncode))
        reading = unpack_reading(told)
    except ValueError:
        return make_unread(job, _problem(ProblemCode.INVALID_OUTPUT, job, "gave no valid reading"))
    if not _belongs(reading, job):
        return make_unread(job, _foreign(job))
    fault = find_fault(reading)
    if fault:
        return make_unread(job, _problem(ProblemCode.INVALID_OUTPUT, job, f"gave no valid reading: {fault}"))
    return reading


def _belongs(reading: Reading, job: ReadJob) -> bool:
    """Tell whether a Reading is about what was asked: never a result on the wrong study."""
    uids = {instance.sop_instance_uid for instance in job.series.instances}
    return (
        reading.study_instance_uid == job.study_instance_uid
        and reading.series_instance_uid == job.series.series_instance_uid
        and reading.revision == job.revision
        and reading.model == job.model.identity
        and (reading.grid is None or set(reading.grid.sop_instance_uids) <= uids)
    )


def _problem(code: ProblemCode, job: ReadJob, what: str) -> Problem:
    name = f"{job.model.identity.name} {job.model.identity.version}"
    return Problem(code=code, message=f"The model {name} {what}.")


def _timeout(job: ReadJob) -> Problem:
    limit_s = job.model.runtime.timeout_s
    return _problem(ProblemCode.MODEL_TIMEOUT, job, f"was stopped after its limit of {limit_s:g} s")


def _foreign(job: ReadJob) -> Problem:
    return _problem(
        ProblemCode.INVALID_OUTPUT, job, "answered for another study; its reading was thrown away"
    )


def _crash(told: bytes, job: ReadJob, returncode: int) -> Problem:
    failure = _read_failure(told)
    if returncode == 1 and failure is not None:
        memory_mb = job.model.runtime.memory_mb
        if failure["type"] == "MemoryError":
            return _problem(ProblemCode.MODEL_CRASHED, job, f"needed more than its limit of {memory_mb} MB")
        known = failure["code"] in _TOLD
        code = ProblemCode(failure["code"]) if known else ProblemCode.MODEL_CRASHED
        return _problem(code, job, f"stopped with {failure['type']} at {failure['where']}")
    reason = f"signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
    return _problem(ProblemCode.MODEL_CRASHED, job, f"ended with {reason}")


def _read_failure(told: bytes) -> dict[str, str] | None:
    """Return what the process said of its end; None where it said nothing, or nothing to be believed."""
    try:
        read = json.loads(told[:_LARGEST_FAILURE_BYTES])
        failure = {key: str(read[key]) for key in ("type", "code", "where")}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    # The process chose these words: nothing in them may act on a page or a terminal, or tell a story.
    return failure if all(_PLACE.fullmatch(text) for text in failure.values()) else None
