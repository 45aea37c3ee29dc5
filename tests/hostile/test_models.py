"""H63, what a hostile model does in its process: the study gets a Reading that says so, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.dicom.small_ct import SmallCt, read_series
from tests.path.service import await_true
from wetread.domain.model import Eligibility, Model, ModelIdentity, Runtime
from wetread.domain.problem import ProblemCode
from wetread.domain.reading import Outcome
from wetread.infer.job import ReadJob
from wetread.infer.process import run_job
from wetread.registry import package_digest

READERS = r"""
import os, sys, time
import numpy as np
from dataclasses import replace
from wetread.domain.code import Code
from wetread.domain.finding import Finding, Segment
from wetread.domain.mask import Mask
from wetread.domain.reading import Outcome, Reading


def nothing_found(request):
    return Reading(
        study_instance_uid=request.study_instance_uid,
        series_instance_uid=request.series_instance_uid,
        revision=request.revision,
        model=request.model.identity,
        operating_point="default",
        outcome=Outcome.READ,
        grid=request.volume.grid,
        made_at=request.made_at,
    )


def finds(request, **changes):
    point = tuple(float(one) for one in request.volume.grid.to_lps_mm((2, 30, 30)))
    values = {
        "tracking_uid": "2.25.1", "label": "lung nodule", "code": Code(value="1", scheme="99X", meaning="x"),
        "center_lps_mm": point, "box_lps_mm": (point, point), "key_plane": 2,
    }
    return replace(nothing_found(request), findings=(Finding(**(values | changes)),))


def says_not_a_number(request):
    return finds(request, center_lps_mm=(float("nan"), 0.0, 0.0))


def points_outside(request):
    return finds(request, center_lps_mm=(9000.0, 0.0, 0.0))


def shows_another_plane(request):
    return finds(request, key_plane=10_000)


def names_no_text(request):
    return finds(request, label=7)


def segments_another_shape(request):
    mask = Mask.from_array(np.ones((2, 2, 2), dtype=bool))
    code = Code(value="1", scheme="99X", meaning="x")
    segment = Segment(number=1, label="x", category=code, type=code, mask=mask)
    return replace(nothing_found(request), segments=(segment,))


def moves_the_patient(request):
    grid = replace(request.volume.grid, origin_lps_mm=(0.0, 0.0, 0.0))
    return replace(nothing_found(request), grid=grid)


def writes_ten_gigabytes(request):
    with open("large", "wb") as file:
        while True:
            file.seek(1 << 28, 1)
            file.write(b"x")


# The argument names the descriptor that the answer is written to.


def answers_with_a_large_file(request):
    os.truncate(int(sys.argv[1]), 1 << 30)
    os._exit(0)


def answers_elsewhere(request):
    os.dup2(os.open("/etc/passwd", os.O_RDONLY), int(sys.argv[1]))
    os._exit(0)


def answers_with_a_bomb(request):
    import zipfile

    with open(int(sys.argv[1]), "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("reading.json", "w", force_zip64=True) as member:
            for _ in range(300):
                member.write(bytes(1 << 20))
    os._exit(0)


def tells_a_story(request):
    import json

    with open(int(sys.argv[1]), "w") as file:
        json.dump({"type": "<script>", "code": "x\n\x1b[31m", "where": "y" * 1000}, file)
    os._exit(1)


def leaves_a_child(request):
    child = os.fork()
    if child == 0:
        time.sleep(600)
    with open(request.model.card["pid_file"], "w") as file:
        file.write(str(child))
    return nothing_found(request)
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> ReadJob:
    package = tmp_path_factory.mktemp("package")
    (package / "hostile_readers.py").write_text(READERS)
    series = read_series(tmp_path_factory.mktemp("series"), SmallCt(shape=(5, 40, 40)))
    model = Model(
        identity=ModelIdentity(name="test", version="1", digest=package_digest(package)),
        title="test",
        intended_use="test",
        state="live",
        eligibility=Eligibility(modalities=("CT",), pixel_range=(-2000, 40_000)),
        runtime=Runtime(kind="python", entry="", timeout_s=60, memory_mb=1024),
        operating_point="default",
        folder=str(package),
    )
    return ReadJob(
        study_instance_uid=series.instances[0].study_instance_uid,
        revision=1,
        series=series,
        model=model,
        made_at=datetime(2026, 11, 23, tzinfo=UTC),
    )


def with_reader(job: ReadJob, name: str) -> ReadJob:
    runtime = replace(job.model.runtime, entry=f"hostile_readers:{name}")
    return replace(job, model=replace(job.model, runtime=runtime))


@pytest.mark.parametrize(
    ("reader", "code", "word"),
    [
        ("says_not_a_number", ProblemCode.INVALID_OUTPUT, "InvalidOutput"),
        ("points_outside", ProblemCode.INVALID_OUTPUT, "InvalidOutput"),
        ("shows_another_plane", ProblemCode.INVALID_OUTPUT, "InvalidOutput"),
        ("names_no_text", ProblemCode.INVALID_OUTPUT, "no valid reading"),
        ("segments_another_shape", ProblemCode.INVALID_OUTPUT, "InvalidOutput"),
        ("moves_the_patient", ProblemCode.INVALID_OUTPUT, "InvalidOutput"),
        ("writes_ten_gigabytes", ProblemCode.MODEL_CRASHED, "OSError"),
        ("answers_with_a_large_file", ProblemCode.INVALID_OUTPUT, "no valid reading"),
        ("answers_elsewhere", ProblemCode.MODEL_CRASHED, "exit status 0"),
        ("answers_with_a_bomb", ProblemCode.INVALID_OUTPUT, "no valid reading"),
        ("tells_a_story", ProblemCode.MODEL_CRASHED, "exit status 1"),
    ],
    ids=lambda value: f"H63-{value}" if str(value).islower() and "_" in str(value) else "",
)
def test_what_goes_wrong_is_a_coded_problem(job: ReadJob, reader: str, code: ProblemCode, word: str) -> None:
    reading = run_job(with_reader(job, reader))
    assert reading.outcome is Outcome.NOT_READ
    (problem,) = reading.problems
    assert problem.code is code
    assert word in problem.message


def test_a_finding_inside_the_images_is_taken(job: ReadJob) -> None:
    assert len(run_job(with_reader(job, "finds")).findings) == 1


def test_nothing_that_a_model_started_outlives_it(job: ReadJob, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    job = replace(job, model=replace(job.model, card={"pid_file": str(pid_file)}))
    assert run_job(with_reader(job, "leaves_a_child")).outcome is Outcome.READ
    child = int(pid_file.read_text())
    await_true(lambda: not is_running(child), 10, "the end of the model's child")


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
