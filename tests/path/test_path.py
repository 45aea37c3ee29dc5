"""A study goes the whole way, with real parts: our service, DCMTK as scanner, Orthanc as PACS."""

import io
import json
import random
import shutil
import subprocess
import threading
import urllib.request
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from tests.orthanc import Orthanc, requires_orthanc
from tests.path.service import PAUSE, Service
from wetread.domain.progress import StudyState
from wetread.receive.mllp import MllpOptions, start_mllp_listener

QUIET_S = 2

requires_storescu = pytest.mark.skipif(
    shutil.which("storescu") is None, reason="storescu is not installed (apt install dcmtk)."
)
pytestmark = [requires_orthanc, requires_storescu]


def pacs(orthanc: Orthanc, more: str = "") -> str:
    return f"""
[[destinations]]
name = "pacs"
to = "{orthanc.aet}@127.0.0.1:{orthanc.dicom_port}"
verify = "qido"
qido_url = "{orthanc.dicomweb_url}"
{more}
[study]
quiet_s = {QUIET_S}
"""


def scan(files: list[Path], service: Service, *, check: bool = True) -> int:
    command = ["storescu", "-aet", "SCANNER", "-aec", "WETREAD", "127.0.0.1", str(service.dicom_port)]
    return subprocess.run([*command, *map(str, files)], check=check, capture_output=True).returncode


def uid_of(files: list[Path]) -> str:
    return str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)


def results_at(orthanc: Orthanc, study: str) -> dict[str, list[str]]:
    """SOP Instance UIDs by modality, as QIDO tells."""
    found: dict[str, list[str]] = {}
    for one in orthanc.get(f"/dicom-web/instances?StudyInstanceUID={study}&includefield=00080060&limit=1000"):
        found.setdefault(one["00080060"]["Value"][0], []).append(one["00080018"]["Value"][0])
    return found


def test_a_study_goes_the_whole_way(make_service, orthanc: Orthanc, visits) -> None:
    messages: list[str] = []
    listener = start_mllp_listener(MllpOptions(port=0), messages.append)
    ris = f'[[destinations]]\nname = "ris"\nkind = "mllp"\nhost = "127.0.0.1"\nport = {listener.port}\n'
    service = make_service(pacs(orthanc, ris))
    first, second = (uid_of(files) for files in visits)
    for study, files in zip((first, second), visits, strict=True):
        scan(files, service)
        service.await_delivered(study)
    found = results_at(orthanc, second)
    assert set(found) >= {"SR", "SEG", "PR", "OT", "DOC"}, found
    assert len(found["SEG"]) == 1
    listener.stop()
    assert len(messages) == 2
    assert all("ORU^R01" in message for message in messages)
    ranked = service.get("/api/v1/reading-list")["items"]
    assert [one["study_instance_uid"] for one in ranked] == [second, first]
    assert ranked[0]["priority"] == "stat"
    assert "neumothorax" in str(ranked[0])
    assert "read, nothing found" not in str(ranked[0])


def test_the_same_study_again_is_no_second_job(make_service, orthanc: Orthanc, visits) -> None:
    service = make_service(pacs(orthanc))
    study = uid_of(visits[0])
    scan(visits[0], service)
    service.await_delivered(study)
    before = results_at(orthanc, study)
    scan(visits[0], service)
    PAUSE.wait(QUIET_S + 1.5)
    with service.store() as store:
        assert len(store.studies.list_revisions(study)) == 1
    assert results_at(orthanc, study) == before


def test_late_slices_make_a_revision_that_supersedes(make_service, orthanc: Orthanc, visits) -> None:
    service = make_service(pacs(orthanc))
    study, files = uid_of(visits[0]), visits[0]
    scan(files[:-8], service)
    service.await_delivered(study)
    (first,) = _reports(results_at(orthanc, study), service, study, revision=1)
    scan(files[-8:], service)
    service.await_delivered(study, revision=2)
    (second,) = _reports(results_at(orthanc, study), service, study, revision=2)
    report = _object(orthanc, second)
    named = str(report.PredecessorDocumentsSequence)
    assert first in named
    with service.store() as store:
        (current,) = store.readings.list_current([study])[study]
        assert current.revision == 2


def test_an_unrelated_image_that_comes_while_reading_costs_no_result(
    make_service, orthanc: Orthanc, visits, tmp_path: Path
) -> None:
    service = make_service(pacs(orthanc))
    study, files = uid_of(visits[0]), visits[0]
    scan(files, service)
    service.await_state(study, StudyState.READING)
    late = pydicom.dcmread(files[0])
    late.SeriesInstanceUID, late.SOPInstanceUID = generate_uid(), generate_uid()
    late.file_meta.MediaStorageSOPInstanceUID = late.SOPInstanceUID
    late.save_as(tmp_path / "late.dcm")
    scan([tmp_path / "late.dcm"], service)
    service.await_state(study, StudyState.READ, revision=2)
    service.await_delivered(study, revision=2)
    with service.store() as store:
        (current,) = store.readings.list_current([study])[study]
    assert current.revision == 1
    assert len(results_at(orthanc, study)["SR"]) == 1


def test_half_a_study_is_refused_with_a_reason_and_read_when_whole(make_service, orthanc, visits) -> None:
    service = make_service(pacs(orthanc))
    study, files = uid_of(visits[0]), visits[0]
    hole = files[: len(files) // 3] + files[len(files) // 2 :]
    scan(hole, service)
    service.await_state(study, StudyState.NOT_READ)
    (line,) = service.get("/api/v1/reading-list")["items"]
    assert line["state_words"].startswith("not read, because")
    assert "slice-gap" in str(service.get(f"/api/v1/studies/{line['key']}"))
    assert results_at(orthanc, study) == {}
    scan(files, service)
    service.await_delivered(study, revision=2)


def test_an_unknown_calling_aet_is_rejected_and_noted(make_service, visits) -> None:
    service = make_service("", dicom='allowed_aets = ["CT1"]')
    assert scan(visits[0][:2], service, check=False) != 0
    with service.store() as store:
        assert store.studies.list_newest() == []
        (event,) = [event for event in store.history.list_newest() if event.level == "problem"]
    assert "SCANNER" in event.message


def _reports(found: dict[str, list[str]], service: Service, study: str, revision: int) -> list[str]:
    with service.store() as store:
        rows = [row for row in store.readings.list_for_study(study) if row.revision == revision]
        mine = [
            document.sop_instance_uid
            for row in rows
            for document in store.readings.list_documents(row.id)
            if document.kind.value == "sr" and document.ordinal == 1
        ]
    assert set(mine) <= set(found["SR"])
    return mine


def _object(orthanc: Orthanc, sop_instance_uid: str) -> pydicom.Dataset:
    query = json.dumps({"Level": "Instance", "Query": {"SOPInstanceUID": sop_instance_uid}}).encode()
    with urllib.request.urlopen(orthanc.url + "/tools/find", data=query) as answer:
        (instance,) = json.loads(answer.read())
    return pydicom.dcmread(io.BytesIO(orthanc.get_bytes(f"/instances/{instance}/file")))


@pytest.mark.timeout(900)
def test_killed_at_any_moment_every_study_is_read_and_delivered_once(make_service, orthanc, visits) -> None:
    """Kill -9 at random moments while two studies go their way; then exactly one set stands at the PACS."""
    service = make_service(pacs(orthanc))
    dice = random.Random(2)
    done = threading.Event()

    def send_until_acknowledged() -> None:
        for files in visits:
            while not done.is_set() and scan(files, service, check=False):
                PAUSE.wait(0.3)

    sender = threading.Thread(target=send_until_acknowledged)
    sender.start()
    try:
        for _ in range(8):
            PAUSE.wait(dice.uniform(0.5, 6.0))
            service.kill()
            service.start()
        sender.join(120)
        for files in visits:
            study = uid_of(files)
            service.await_state(study, StudyState.READ, timeout_s=240)
            with service.store() as store:
                row = store.studies.find(study)
                assert row is not None
                assert row.instance_count == len(files)
                revision = row.revision
            service.await_delivered(study, revision=revision, timeout_s=240)
            _assert_exactly_what_was_composed(orthanc, service, study)
    finally:
        done.set()
        sender.join()


def _assert_exactly_what_was_composed(orthanc: Orthanc, service: Service, study: str) -> None:
    """Nothing twice, nothing half, nothing foreign: what stands there is what the index says was sent."""
    with service.store() as store:
        rows = store.deliveries.list_for_study(study)
        sent = [
            store.readings.get_document(row.document_id).sop_instance_uid
            for row in rows
            if row.state.value in ("sent", "verified")
        ]
        per_revision = {row.revision for row in rows}
        readings = store.readings.list_for_study(study)
    assert len(sent) == len(set(sent))
    assert len(readings) == len({row.revision for row in readings})
    assert per_revision
    found = [uid for uids in results_at(orthanc, study).values() for uid in uids]
    assert sorted(found) == sorted(sent)
