"""The model's process: read the files, run the reader, write the Reading, end.

In: a ReadJob on standard input.  Out: a packed Reading, or the error's type and place as JSON, written to
the descriptor that the first argument names; the second is the process that started this one.
Never: network, store, engine; error texts (they may hold patient data); a key that opens another study.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import signal
import sys
import traceback
from dataclasses import replace
from functools import partial
from pathlib import Path

from wetread.domain.jsonable import from_jsonable
from wetread.domain.packing import pack_reading
from wetread.domain.study import Instance, Series
from wetread.infer.job import OrganSource, ReadJob
from wetread.infer.limits import limit_process
from wetread.infer.read import read_job
from wetread.infer.scratch import write_voxels
from wetread.sealed import open_sealed

#: linux/prctl.h
_PR_SET_PDEATHSIG = 1


class _Told(BaseException):
    """Somebody ends this process."""


def main(answer: int, parent: int) -> int:
    """Run the job; returns the exit status: 0 after a Reading, 1 after a failure that was told."""
    end_with(parent)
    job: ReadJob = _with_openers(from_jsonable(ReadJob, json.load(sys.stdin)))
    limit_process(job.model.runtime.memory_mb)
    if job.model.runtime.kind == "container":
        # Its container would go on without us: what was begun is ended on the way out.
        signal.signal(signal.SIGTERM, _leave)
    try:
        data = _read(job)
    except _Told:
        # As the signal itself would have: a told end is no result.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
        return 1
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


def _leave(*_: object) -> None:
    raise _Told


def _with_openers(job: ReadJob) -> ReadJob:
    """Return the job with instances that open by their own keys."""
    job = replace(job, answers=_with_keys(job.answers, job.answer_keys), answer_keys=())
    if any(one.key for one in job.organs):
        job = replace(job, organs=tuple(map(_opened_source, job.organs)))
    if job.prior is not None:
        job = replace(
            job, prior=replace(job.prior, series=_opened(job.prior.series, job.prior.keys), keys=())
        )
    return replace(job, series=_opened(job.series, job.keys), keys=())


def _opened_source(source: OrganSource) -> OrganSource:
    if not source.key:
        return source
    opener = partial(open_sealed, key=bytes.fromhex(source.key))
    return replace(source, instance=replace(source.instance, opener=opener), key="")


def _opened(series: Series, keys: tuple[str, ...]) -> Series:
    return replace(series, instances=_with_keys(series.instances, keys))


def _with_keys(instances: tuple[Instance, ...], keys: tuple[str, ...]) -> tuple[Instance, ...]:
    if not keys:
        return instances
    return tuple(
        replace(one, opener=partial(open_sealed, key=bytes.fromhex(key))) if key else one
        for one, key in zip(instances, keys, strict=True)
    )


def _read(job: ReadJob) -> bytes:
    reading, volume = read_job(job)
    data = pack_reading(reading)
    if job.volume_path is not None and volume is not None:
        write_voxels(job.volume_path, volume, job.volume_seal)
    return data


def _write(answer: int, data: bytes) -> None:
    with io.BufferedWriter(io.FileIO(answer, "w")) as file:
        file.write(data)


def end_with(parent: int) -> None:
    """End this process with the one that started it: a killed service leaves nothing behind."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It was killed while this one started: nobody would tell.
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
