"""The model's process: read the files, run the reader, write the Reading, end.

In: a ReadJob on standard input.  Out: a packed Reading, or the error's type and place as JSON, written to
the descriptor that the argument names.
Never: network, store, engine; error texts (they may hold patient data); a key that opens another study.
"""

from __future__ import annotations

import ctypes
import io
import json
import resource
import signal
import sys
import traceback
from dataclasses import replace
from functools import partial
from pathlib import Path

from wetread.domain.jsonable import from_jsonable
from wetread.domain.packing import pack_reading
from wetread.infer.job import ReadJob
from wetread.infer.read import read_job
from wetread.infer.scratch import write_voxels
from wetread.sealed import open_sealed

#: ``imaging.volume.MAX_VOXELS`` as float32, and a header.
_LARGEST_FILE_BYTES = (2 << 30) + (1 << 20)
#: linux/prctl.h
_PR_SET_PDEATHSIG = 1


def main(answer: int) -> int:
    """Run the job; returns the exit status: 0 after a Reading, 1 after a failure that was told."""
    job: ReadJob = _with_openers(from_jsonable(ReadJob, json.load(sys.stdin)))
    _end_with_parent()
    _limit(job.model.runtime.memory_mb)
    try:
        data = _read(job)
    except Exception as error:  # noqa: BLE001 - the boundary: whatever a model raises becomes a coded problem
        frame = traceback.extract_tb(error.__traceback__)[-1]
        failure = {
            "type": type(error).__name__,
            "code": getattr(error, "code", ""),
            "where": f"{Path(frame.filename).name}:{frame.lineno}",
        }
        _write(answer, json.dumps(failure, default=str).encode())
        return 1
    _write(answer, data)
    return 0


def _with_openers(job: ReadJob) -> ReadJob:
    """Return the job with instances that open by their own keys."""
    if not job.keys:
        return job
    instances = tuple(
        replace(one, opener=partial(open_sealed, key=bytes.fromhex(key))) if key else one
        for one, key in zip(job.series.instances, job.keys, strict=True)
    )
    return replace(job, series=replace(job.series, instances=instances), keys=())


def _read(job: ReadJob) -> bytes:
    reading, volume = read_job(job)
    data = pack_reading(reading)
    if job.volume_path is not None and volume is not None:
        write_voxels(job.volume_path, volume, job.volume_seal)
    return data


def _write(answer: int, data: bytes) -> None:
    with io.BufferedWriter(io.FileIO(answer, "w")) as file:
        file.write(data)


def _end_with_parent() -> None:
    """Ask Linux to end this process with the one that started it: a killed service leaves nothing behind."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit(memory_mb: int) -> None:
    limit = memory_mb * 1024 * 1024
    # RLIMIT_DATA and not RLIMIT_AS: thread pools reserve address space that they never use.
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    # No file beyond the largest volume, and no memory image of a patient left on the disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE_BYTES, _LARGEST_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
