"""Several real processes share one queue on a real PostgreSQL; one dies: nothing is lost or done twice."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from tests.orthanc import Orthanc, requires_orthanc
from tests.postgres import requires_postgresql
from tests.workers.pool import WETREAD, Pool

requires_storescu = pytest.mark.skipif(
    shutil.which("storescu") is None, reason="storescu is not installed (apt install dcmtk)."
)
pytestmark = [requires_postgresql, requires_orthanc, requires_storescu]

PLANNED = """
SELECT document.sop_instance_uid FROM delivery
JOIN document ON document.id = delivery.document_id
JOIN reading ON reading.id = document.reading_id
WHERE reading.study_instance_uid = %s
"""
#: How long each reading took, in s.
READING_S = """
SELECT infer.at - match.at FROM event infer
JOIN event match ON match.study_instance_uid = infer.study_instance_uid AND match.stage = 'match'
WHERE infer.stage = 'infer'
"""
URGENCIES = ("routine", "urgent", "stat")


def config(orthanc: Orthanc) -> str:
    rules = "".join(
        f'[[rules]]\nname = "{one}"\nmodels = ["chest-ct"]\nurgency = "{one}"\ndescription = "{one}"\n'
        for one in URGENCIES
    )
    to = f'[[destinations]]\nname = "pacs"\nto = "{orthanc.aet}@127.0.0.1:{orthanc.dicom_port}"\n'
    return f"{rules}{to}[study]\nquiet_s = 1\n"


def scan(files: list[Path], folder: Path, pool: Pool, urgency: str) -> str:
    """Send the files as a new study of an urgency; returns its UID."""
    study, series = generate_uid(), generate_uid()
    folder.mkdir()
    for number, path in enumerate(files):
        ds = pydicom.dcmread(path)
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = study, series, generate_uid()
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.StudyDescription = urgency
        ds.save_as(folder / f"{number}.dcm")
    address = ["-aec", "WETREAD", "127.0.0.1", str(pool.dicom_port)]
    subprocess.run(["storescu", "+sd", *address, str(folder)], check=True, capture_output=True)
    return study


def test_one_of_three_is_killed_for_good(make_pool, orthanc: Orthanc, visits, tmp_path: Path) -> None:
    pool: Pool = make_pool(config(orthanc))
    pool.start("serve", "--readings", "0")
    studies = [scan(visits[0], tmp_path / one, pool, one) for one in ("routine", "urgent", "stat")]
    queued = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'ENQUEUED' AND name = 'read_study'"
    pool.await_true(lambda: pool.ask(queued) == [(3,)], 60, "three queued readings")
    first = pool.start("worker")
    [key] = pool.await_true(lambda: pool.running(first), 60, "a reading")
    assert studies[2] in key, "the most urgent begins first"
    others = [pool.start("worker"), pool.start("worker")]
    pool.await_true(lambda: "reading" in pool.states() or "read" in pool.states(), 60, "a reading")
    killed_at = time.monotonic()
    first.send_signal(signal.SIGKILL)
    pool.await_true(lambda: pool.states() == ["read"] * 3, 240, "all three readings after the kill")
    delivered = "SELECT count(*) FROM delivery WHERE state NOT IN ('sent', 'verified')"
    pool.await_true(lambda: pool.ask(delivered) == [(0,)], 60, "all deliveries")
    # 60 s in all where a reading takes 10 s; on a busy machine that is what takes longer.
    assert time.monotonic() - killed_at < 40 + 2 * max(seconds for (seconds,) in pool.ask(READING_S))
    assert all(process.poll() is None for process in others)
    began = [
        row[0] for row in pool.ask("SELECT study_instance_uid FROM event WHERE stage = 'match' ORDER BY id")
    ]
    assert began[0] == studies[2]
    assert Counter(row[0] for row in pool.ask("SELECT study_instance_uid FROM reading")) == Counter(studies)
    assert all(row == (1,) for row in pool.ask("SELECT attempts FROM delivery"))
    for study in studies:
        planned = [row[0] for row in pool.ask(PLANNED, study)]
        there = orthanc.get(f"/dicom-web/instances?StudyInstanceUID={study}&limit=1000")
        assert sorted(one["00080018"]["Value"][0] for one in there) == sorted(planned)
    [(code,)] = pool.ask("SELECT code FROM event WHERE stage = 'work'")
    assert code == "worker-lost"


def test_who_was_taken_for_dead_and_wakes_up_ends(make_pool) -> None:
    pool: Pool = make_pool()
    stopped, watching = pool.start("worker"), pool.start("worker")
    name = pool.worker_id(stopped)
    stopped.send_signal(signal.SIGSTOP)
    # As if it had stood still for a minute.
    pool.ask("UPDATE worker SET beat_at = beat_at - 60 WHERE id = %s RETURNING 1", name)
    pool.await_true(lambda: name not in pool.workers(), 30, "the burial")
    stopped.send_signal(signal.SIGCONT)
    assert stopped.wait(30) == 75
    assert watching.poll() is None


def test_what_is_stopped_leaves_at_once(make_pool) -> None:
    pool: Pool = make_pool()
    process = pool.start("worker")
    process.terminate()
    assert process.wait(60) == 0
    assert pool.workers() == []


def test_a_worker_without_a_shared_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wetread.toml").write_text('data = "data"\n')
    command = [WETREAD, "worker", "--config", str(tmp_path / "wetread.toml")]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert outcome.returncode == 1
    assert "store.database" in outcome.stderr
    assert not (tmp_path / "data").exists()
