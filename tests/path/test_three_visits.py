"""Three visits of one patient, end to end: one history, one tracking UID, a curve with three points.

The smallest phantom whose lungs are still read and registered: 50 slices of 128 x 128.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.path.service import Service, await_true
from wetread.domain.jsonable import to_jsonable
from wetread.domain.progress import StudyState
from wetread.domain.reading import Reading
from wetread.domain.study import study_key
from wetread.phantom import NoduleOptions, PhantomOptions, ScannerOptions, Side, VisitOptions, write_phantom
from wetread.phantom.options import PatientOptions

WETREAD = str(Path(sys.executable).parent / "wetread")
#: Volume doubles in 106 days: 90 days from visit to visit.
GROWTH = 1.8
DOUBLING_DAYS = 106.1
DAYS = (date(2026, 1, 12), date(2026, 4, 12), date(2026, 7, 11))
OPTIONS = PhantomOptions(
    seed=42,
    patient=PatientOptions(scale=0.8, vessel_ends=100),
    scanner=ScannerOptions(
        matrix=128, spacing_mm=2.6, step_mm=3.0, thickness_mm=3.0, length_mm=150.0, table=False
    ),
    nodules=(NoduleOptions(diameter_mm=12.0, side=Side.RIGHT),),
    visits=(
        VisitOptions(date=DAYS[0]),
        VisitOptions(date=DAYS[1], shift_mm=(3.0, -2.0, 4.0), growth={"n1": GROWTH}),
        VisitOptions(date=DAYS[2], shift_mm=(-2.0, 3.0, -3.0), growth={"n1": GROWTH**2}),
    ),
)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The folder of the patient, and what is true of each visit."""
    folder = tmp_path_factory.mktemp("patient")
    write_phantom(OPTIONS, folder)
    truth: list[dict[str, Any]] = json.loads((folder / "truth.json").read_text())["visits"]
    return folder, truth


def check_history(prior: dict[str, Any], volume_mm3: float, truth: list[dict[str, Any]]) -> None:
    """Hold what is said of the third visit's nodule against what is true."""
    true = [visit["nodules"][0]["volume_mm3"] for visit in truth]
    history = prior["history"]
    assert [one["studied_on"] for one in history] == [str(day) for day in DAYS[:2]]
    assert [one["study_instance_uid"] for one in history] == [one["study_instance_uid"] for one in truth[:2]]
    measured = [*(one["volume_mm3"] for one in history), volume_mm3]
    assert measured == pytest.approx(true, rel=0.12)
    assert prior["interval_days"] == 90
    assert prior["volume_change_percent"] == pytest.approx(100 * (GROWTH - 1), abs=15)
    assert prior["doubling_time_days"] == pytest.approx(DOUBLING_DAYS, rel=0.2)
    assert prior["overall_doubling_time_days"] == pytest.approx(DOUBLING_DAYS, rel=0.15)


def test_analyze_reads_a_folder_with_three_visits(
    patient: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, truth = patient
    command = [WETREAD, "analyze", str(folder), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    entries = json.loads((tmp_path / "findings.json").read_text())
    assert [one["study_instance_uid"] for one in entries] == [one["study_instance_uid"] for one in truth]
    found = [entry["findings"] for entry in entries]
    assert [len(one) for one in found] == [1, 1, 1]
    assert len({one["tracking_uid"] for (one,) in found}) == 1
    assert [one.get("status") for (one,) in found] == [None, "growing", "growing"]
    (last,) = found[2]
    check_history(last["prior"], last["measurements"]["volume_mm3"], truth)
    assert entries[2]["comparison"]["study_instance_uid"] == truth[1]["study_instance_uid"]
    # What a guideline is asked with has all of them.
    (nodule,) = entries[2]["exam"]["nodules"]
    assert [one["date"] for one in nodule["history"]] == [str(day) for day in DAYS[:2]]


def test_the_service_follows_over_three_visits_the_second_of_which_comes_last(
    make_service: Any, patient: tuple[Path, list[dict[str, Any]]]
) -> None:
    folder, truth = patient
    studies = [one["study_instance_uid"] for one in truth]
    service: Service = make_service("[study]\nquiet_s = 1")
    for number in (1, 3, 2):
        send(folder / f"visit{number}", service)
        service.await_state(studies[number - 1], StudyState.READ)
    # The third was compared with the first. The second has come since: it is read again with that.
    service.await_state(studies[2], StudyState.READ, revision=2)
    with service.store() as store:
        standing = {}
        for uid in studies:
            (row,) = store.readings.list_current([uid])[uid]
            standing[uid] = store.readings.load(row.digest)
        earlier = [
            store.readings.load(row.digest)
            for row in store.readings.list_for_study(studies[2])
            if row.superseded
        ]
        cause = store.studies.get_revision(studies[2], 2).cause
    first, second, third = (standing[uid] for uid in studies)
    assert cause == "an earlier study came after the reading (90 days before)"
    assert [one.comparison.study_instance_uid for one in earlier if one.comparison] == [studies[0]]
    assert compared_with(second) == studies[0]
    assert compared_with(third) == studies[1]
    assert len({one.findings[0].tracking_uid for one in (first, second, third, *earlier)}) == 1
    (finding,) = third.findings
    assert finding.prior is not None
    check_history(to_jsonable(finding.prior), finding.measurements["volume_mm3"], truth)
    page = get_page(service, studies[2])
    (curve,) = re.findall(r'<figure class="curve">.*?</figure>', page, re.DOTALL)
    assert curve.count("<circle ") == 3
    assert "over 3 visits" in curve
    assert all(str(day) in curve for day in DAYS)
    points = [tuple(map(float, one.split(","))) for one in line_of(curve)]
    # Grown alike over like intervals: a straight line upwards.
    assert points[0][1] > points[1][1] > points[2][1]
    assert points[0][1] - points[1][1] == pytest.approx(points[1][1] - points[2][1], rel=0.35)
    assert "doubles in" in curve
    assert cause in page


def compared_with(reading: Reading) -> str:
    assert reading.comparison is not None
    return reading.comparison.study_instance_uid


def line_of(curve: str) -> list[str]:
    (line,) = re.findall(r'<polyline class="volume" points="([^"]*)"', curve)
    return str(line).split()


def send(visit: Path, service: Service) -> None:
    command = [WETREAD, "send", str(visit), f"WETREAD@127.0.0.1:{service.dicom_port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def get_page(service: Service, study: str) -> str:
    """Return the study page as a browser gets it."""
    url = f"http://127.0.0.1:{service.http_port}/studies/{study_key(study)}"

    def ask() -> str:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return str(answer.read().decode())

    return str(await_true(ask, 30, "the page"))
