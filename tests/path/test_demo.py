"""`make demo ARGS=--once` does what the README says."""

import json
import subprocess
import sys
from pathlib import Path

import pydicom

from wetread.store import open_store

WETREAD = str(Path(sys.executable).parent / "wetread")


def test_the_demo_reads_both_visits_and_ends(tmp_path: Path) -> None:
    command = [WETREAD, "demo", "--once", "--small", "--data", str(tmp_path), "--http-port", "0"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    assert "Reading list: http://127.0.0.1:" in outcome.stderr
    assert "2 ORU messages received" in outcome.stderr
    store = open_store(tmp_path / "data")
    studies = [row.study_instance_uid for row in store.studies.list_newest()]
    truth = json.loads((tmp_path / "phantom" / "truth.json").read_text())["visits"]
    assert sorted(studies) == sorted(visit["study_instance_uid"] for visit in truth)
    rows = [store.readings.list_current(studies)[visit["study_instance_uid"]][0] for visit in truth]
    first, second = (store.readings.load(row.digest) for row in rows)
    assert first.comparison is None
    assert second.comparison is not None
    assert second.comparison.study_instance_uid == first.study_instance_uid
    followed = {finding.tracking_uid for finding in first.findings}
    compared = [finding for finding in second.findings if finding.prior is not None]
    assert compared
    assert {finding.tracking_uid for finding in compared} <= followed
    priorities = [row.priority for row in rows]
    assert priorities[1] == "stat"
    assert priorities[0] != "stat"
    stored = [pydicom.dcmread(path, stop_before_pixels=True) for path in store.intake.instances.iter_paths()]
    store.close()
    assert {"CT", "SR", "SEG", "PR", "OT", "DOC"} <= {ds.Modality for ds in stored}


def test_explain_makes_no_folder_of_its_own(tmp_path: Path) -> None:
    nowhere = tmp_path / "nothing"
    command = [WETREAD, "explain", "1.2.3", "--data", str(nowhere)]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == 1
    assert "name it with --data" in " ".join(outcome.stderr.split())
    assert not nowhere.exists()
