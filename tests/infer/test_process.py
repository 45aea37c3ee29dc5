"""Whatever a model does in its process, the study gets a Reading that says so."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.infer.networks import not_a_number, threshold_segmenter, write_package
from wetread.dicom.header import read_instance
from wetread.domain.model import Eligibility, Model, ModelIdentity, Runtime
from wetread.domain.problem import ProblemCode
from wetread.domain.reading import Outcome
from wetread.domain.study import group_instances
from wetread.errors import ModelInterrupted
from wetread.infer.job import ReadJob
from wetread.infer.process import run_job
from wetread.infer.scratch import find_volume
from wetread.phantom import PhantomPlan, ScannerOptions, plan_options, write_phantom
from wetread.registry import package_digest

READERS = """
import ctypes, os, signal, time
import numpy as np
from dataclasses import replace
from wetread.domain.reading import Outcome, Reading


def nothing_found(request):
    return Reading(
        study_instance_uid=request.study_instance_uid,
        series_instance_uid=request.series_instance_uid,
        revision=request.revision,
        model=request.model.identity,
        operating_point="default",
        outcome=Outcome.READ,
        problems=request.problems,
        grid=request.volume.grid,
        made_at=request.made_at,
    )


def raises(request):
    raise ValueError("the patient is DOE^JOHN")


def hangs(request):
    time.sleep(600)


def crashes(request):
    ctypes.string_at(0)


def is_told_to_end(request):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def eats_memory(request):
    return np.ones(2**33, dtype=np.uint8)


def answers_for_another(request):
    return replace(nothing_found(request), study_instance_uid="1.2.3")


def answers_nonsense(request):
    return None


def looks_around(request):
    assert "WETREAD_SECRET" not in os.environ
    return nothing_found(request)
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> ReadJob:
    folder = tmp_path_factory.mktemp("series")
    scanner = ScannerOptions(matrix=64, spacing_mm=5.0, thickness_mm=5, step_mm=5, length_mm=40)
    write_phantom(plan_options(PhantomPlan(healthy=True, scanner=scanner)), folder)
    package = tmp_path_factory.mktemp("package")
    (package / "readers_for_tests.py").write_text(READERS)
    files = sorted((folder / "visit1").glob("*.dcm"))
    (study,) = group_instances([read_instance(path) for path in files])
    model = Model(
        identity=ModelIdentity(name="test", version="1", digest=package_digest(package)),
        title="test",
        intended_use="test",
        state="live",
        eligibility=Eligibility(modalities=("CT",)),
        runtime=Runtime(kind="python", entry="", timeout_s=60, memory_mb=2048),
        operating_point="default",
        folder=str(package),
    )
    return ReadJob(
        study_instance_uid=study.study_instance_uid,
        revision=3,
        series=study.series[0],
        model=model,
        made_at=datetime(2026, 11, 23, tzinfo=UTC),
    )


def with_reader(job: ReadJob, name: str, timeout_s: float = 60) -> ReadJob:
    runtime = replace(job.model.runtime, entry=f"readers_for_tests:{name}", timeout_s=timeout_s)
    return replace(job, model=replace(job.model, runtime=runtime))


def test_a_reading_comes_back_with_its_volume(job: ReadJob, tmp_path: Path) -> None:
    voxels = tmp_path / "new" / "voxels.npy"
    reading = run_job(replace(with_reader(job, "nothing_found"), volume_path=voxels))
    assert reading.outcome is Outcome.READ
    assert reading.grid is not None
    assert set(reading.grid.sop_instance_uids) == {one.sop_instance_uid for one in job.series.instances}
    kept = find_volume(reading, job.series, voxels)
    voxels.unlink()
    again = find_volume(reading, job.series, voxels)
    assert kept is not None
    assert again is not None
    assert (kept.voxels == again.voxels).all()


@pytest.mark.parametrize(
    ("reader", "code", "word"),
    [
        ("raises", ProblemCode.MODEL_CRASHED, "ValueError at readers_for_tests.py"),
        ("crashes", ProblemCode.MODEL_CRASHED, "signal 11"),
        ("eats_memory", ProblemCode.MODEL_CRASHED, "2048 MB"),
        ("hangs", ProblemCode.MODEL_TIMEOUT, "limit of 8 s"),
        ("answers_for_another", ProblemCode.INVALID_OUTPUT, "another study"),
        ("answers_nonsense", ProblemCode.INVALID_OUTPUT, "InvalidOutput"),
        ("is_not_there", ProblemCode.INVALID_PACKAGE, "InvalidPackage"),
    ],
)
def test_what_goes_wrong_is_a_coded_problem(job: ReadJob, reader: str, code: ProblemCode, word: str) -> None:
    reading = run_job(with_reader(job, reader, timeout_s=8 if reader == "hangs" else 60))
    assert reading.outcome is Outcome.NOT_READ
    (problem,) = reading.problems
    assert problem.code is code
    assert word in problem.message
    assert "DOE" not in problem.message
    assert reading.revision == 3


def test_a_model_gets_nothing_of_our_environment(job: ReadJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WETREAD_SECRET", "token")
    assert run_job(with_reader(job, "looks_around")).outcome is Outcome.READ


def test_a_process_that_was_told_to_end_says_nothing_about_the_study(job: ReadJob) -> None:
    with pytest.raises(ModelInterrupted):
        run_job(with_reader(job, "is_told_to_end"))


def test_a_package_without_code_reads_a_series(job: ReadJob, tmp_path: Path) -> None:
    # HU above 150: the bones of the phantom.
    more = """
[output]
label = "bone"
code = "272673000"
scheme = "SCT"
meaning = "Bone"
least_volume_mm3 = 1000
[recipe]
steps = [{ kind = "z-score", mean = 150.0, deviation = 10.0 }]
"""
    model = write_package(tmp_path, threshold_segmenter(), 'kind = "segmentation"', more=more)
    reading = run_job(replace(job, model=model))
    assert reading.outcome is Outcome.READ
    assert not [one for one in reading.problems if one.refuses]
    assert reading.findings
    assert all(one.measurements["volume_mm3"] >= 1000 for one in reading.findings)
    (tmp_path / "more.txt").write_text("changed since")
    changed = run_job(replace(job, model=model))
    assert [one.code for one in changed.problems] == [ProblemCode.INVALID_PACKAGE]


def test_a_network_that_answers_nonsense_leaves_a_coded_problem(job: ReadJob, tmp_path: Path) -> None:
    more = '[output]\nlabel = "bone"\ncode = "272673000"\nscheme = "SCT"\nmeaning = "Bone"\n'
    model = write_package(tmp_path, not_a_number(), 'kind = "segmentation"', more=more)
    reading = run_job(replace(job, model=model))
    assert [one.code for one in reading.problems] == [ProblemCode.INVALID_OUTPUT]


def test_it_ends_where_the_process_that_started_it_is_gone() -> None:
    """Killed while the model's process started: nothing tells it, so it looks."""
    nobody = 1 << 22
    command = [sys.executable, "-I", "-m", "wetread.infer.child", "1", str(nobody)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        # Its job never comes.
        assert process.wait(60) == 1
