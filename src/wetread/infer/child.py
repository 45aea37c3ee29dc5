"""The model's process: read the files, run the reader, write the Reading, end.

In: a folder with ``job.json``.  Out: ``reading.zip``, or ``failure.json`` with the error's type and place.
Never: network, store, engine; error texts (they may hold patient data).
"""

from __future__ import annotations

import ctypes
import json
import resource
import signal
import sys
import traceback
from pathlib import Path

from wetread.domain.jsonable import from_jsonable
from wetread.domain.packing import pack_reading
from wetread.infer.job import ReadJob
from wetread.infer.process import FAILURE, JOB, RESULT
from wetread.infer.read import read_job
from wetread.infer.scratch import write_voxels

#: ``imaging.volume.MAX_VOXELS`` as float32, and a header.
_LARGEST_FILE_BYTES = (2 << 30) + (1 << 20)
#: linux/prctl.h
_PR_SET_PDEATHSIG = 1


def main(folder: Path) -> int:
    """Run the job in ``folder``; returns the exit status."""
    job: ReadJob = from_jsonable(ReadJob, json.loads((folder / JOB).read_text()))
    _end_with_parent()
    _limit(job.model.runtime.memory_mb)
    try:
        _answer(job, folder)
    except Exception as error:  # noqa: BLE001 - the boundary: whatever a model raises becomes a coded problem
        frame = traceback.extract_tb(error.__traceback__)[-1]
        failure = {
            "type": type(error).__name__,
            "code": getattr(error, "code", ""),
            "where": f"{Path(frame.filename).name}:{frame.lineno}",
        }
        (folder / FAILURE).write_text(json.dumps(failure, default=str))
        return 1
    return 0


def _answer(job: ReadJob, folder: Path) -> None:
    reading, volume = read_job(job)
    data = pack_reading(reading)
    if job.volume_path is not None and volume is not None:
        write_voxels(job.volume_path, volume)
    part = folder / f"{RESULT}.part"
    part.write_bytes(data)
    part.replace(folder / RESULT)


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
    sys.exit(main(Path(sys.argv[1])))
