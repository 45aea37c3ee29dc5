"""Run a model in a process of its own.

In: a ReadJob.  Out: a Reading, also when the process crashed, hung or ate memory.
Never: model code in this process; pickle between the two.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from wetread.domain.jsonable import to_jsonable
from wetread.domain.packing import unpack_reading
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.reading import Reading
from wetread.errors import ModelInterrupted
from wetread.infer.job import ReadJob, make_unread

#: Names of the files that the two processes share.
JOB, RESULT, FAILURE = "job.json", "reading.zip", "failure.json"
#: Signals that tell a process to end, not that it failed.
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_job(job: ReadJob, work: Path | None = None) -> Reading:
    """Read a series in a new process; what the model does wrong becomes a Reading that says so.

    Parameters
    ----------
    work
        Folder for the files that pass between the processes (they hold the images' headers); None:
        the system's.

    Raises
    ------
    ModelInterrupted
        If somebody ended the process, as a machine does that shuts down: nothing is known of the study.
    """
    with tempfile.TemporaryDirectory(prefix="wetread-", dir=work) as name:
        folder = Path(name)
        (folder / JOB).write_text(json.dumps(to_jsonable(job)))
        try:
            code = _run(folder, job)
        except subprocess.TimeoutExpired:
            return make_unread(job, _timeout(job))
        if -code in _STOPPING:
            raise ModelInterrupted(model=job.model.identity.name)
        return _collect(folder, job, code)


def _run(folder: Path, job: ReadJob) -> int:
    command = [sys.executable, "-I", "-m", "wetread.infer.child", str(folder)]
    # PATH and locale only: no token or password of the server reaches a model.
    environment = {
        key: value
        for key, value in os.environ.items()
        if key in {"PATH", "LANG", "LC_ALL", "TMPDIR", "HOME"}
        or key.startswith(("OMP_", "OPENBLAS_", "MKL_"))
    }
    finished = subprocess.run(  # noqa: S603 - our own interpreter and module, no shell
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=job.model.runtime.timeout_s,
        # Ctrl-C at our terminal is for us; we let the reading end or be taken up again.
        start_new_session=True,
        check=False,
    )
    return finished.returncode


def _collect(folder: Path, job: ReadJob, returncode: int) -> Reading:
    result = folder / RESULT
    if returncode == 0 and result.exists():
        try:
            reading = unpack_reading(result.read_bytes())
        except (ValueError, KeyError, TypeError, zipfile.BadZipFile):
            return make_unread(job, _problem(ProblemCode.INVALID_OUTPUT, job, "gave no valid reading"))
        return reading if _belongs(reading, job) else make_unread(job, _foreign(job))
    return make_unread(job, _crash(folder, job, returncode))


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


def _crash(folder: Path, job: ReadJob, returncode: int) -> Problem:
    failure = folder / FAILURE
    if failure.exists():
        what = json.loads(failure.read_text())
        memory_mb = job.model.runtime.memory_mb
        if what["type"] == "MemoryError":
            return _problem(ProblemCode.MODEL_CRASHED, job, f"needed more than its limit of {memory_mb} MB")
        known = what["code"] in {ProblemCode.INVALID_OUTPUT, ProblemCode.INVALID_PACKAGE}
        code = ProblemCode(what["code"]) if known else ProblemCode.MODEL_CRASHED
        return _problem(code, job, f"stopped with {what['type']} at {what['where']}")
    reason = f"signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
    return _problem(ProblemCode.MODEL_CRASHED, job, f"ended with {reason}")
