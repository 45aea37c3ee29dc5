"""Read one series: files > volume > guard > reader > Reading.

In: a ReadJob.  Out: a Reading, and the volume it was made from.
Never: a reading of images that the guard refuses.
"""

from __future__ import annotations

from collections.abc import Callable

from wetread.domain.model import Model
from wetread.domain.problem import Problem, RefusedImages
from wetread.domain.reading import Reading
from wetread.domain.volume import Volume
from wetread.errors import InvalidOutput, InvalidPackage
from wetread.imaging.guard import check_pixels
from wetread.imaging.volume import read_volume
from wetread.infer.by_task import read_by_task
from wetread.infer.entry import load_entry
from wetread.infer.fault import find_fault
from wetread.infer.job import ReadJob, make_unread
from wetread.infer.peer_report import read_answer
from wetread.infer.request import ReadRequest
from wetread.measure.native import Acquisition, read_acquisition

Reader = Callable[[ReadRequest], Reading]


def read_job(job: ReadJob) -> tuple[Reading, Volume | None]:
    """Read the series of a job; what the images lack becomes a Reading that says so."""
    try:
        volume, problems = read_volume(job.series)
    except RefusedImages as error:
        return make_unread(job, *error.problems), None
    problems = (*problems, *check_pixels(volume, job.model.eligibility))
    return read_volume_with(job, volume, problems), volume


def read_volume_with(job: ReadJob, volume: Volume, problems: tuple[Problem, ...]) -> Reading:
    """Run the reader of a job's model on a volume, unless a problem refuses.

    Raises
    ------
    InvalidPackage, InvalidOutput
        If the package names no reader, or the reader gives no Reading.
    """
    if any(problem.refuses for problem in problems):
        return make_unread(job, *problems)
    request = ReadRequest(
        study_instance_uid=job.study_instance_uid,
        series_instance_uid=job.series.series_instance_uid,
        revision=job.revision,
        model=job.model,
        volume=volume,
        problems=problems,
        made_at=job.made_at,
        predecessor_digest=job.predecessor_digest,
        answers=job.answers,
        prior=job.prior,
        prior_problems=job.prior_problems,
        organs=job.organs,
        organ_problems=job.organ_problems,
        acquisition=read_acquisition(job.series) if job.organs else Acquisition(),
    )
    reading = load_reader(job.model)(request)
    if not isinstance(reading, Reading):
        raise InvalidOutput("The reader gave no Reading.", entry=job.model.runtime.entry)
    if reading.grid is not None and reading.grid != volume.grid:
        raise InvalidOutput("The Reading lies on another grid than the images.")
    fault = find_fault(reading)
    if fault:
        raise InvalidOutput(f"The Reading cannot be right: {fault}.")
    return reading


def load_reader(model: Model) -> Reader:
    """Return the reader that a package's entry point names, or the one for its task.

    Raises
    ------
    InvalidPackage
        If there is no such function, or the package is not what it was when it was registered.
    """
    if model.runtime.kind == "dicom-peer":
        return read_answer
    if not model.runtime.entry:
        if model.task is None or model.output is None:
            raise InvalidPackage(
                "The package names no reader of series: give it an entry, or [task] and [output]."
            )
        return read_by_task
    reader: Reader = load_entry(model, model.runtime.entry)
    return reader
