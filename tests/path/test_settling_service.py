"""A reader edits on the page and has done; whatever is killed, the PACS holds one new SR, and it is valid."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests.orthanc import Orthanc, requires_orthanc
from tests.path.returned_scene import FIRST, NOW, STUDY, make_scene
from tests.path.service import Service, await_true
from tests.path.test_path import pacs, results_at
from tests.ports import free_port
from wetread.domain.document import DICOM_KINDS, DocumentKind
from wetread.domain.study import study_key

pytestmark = requires_orthanc


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def post(service: Service, path: str, **form: object) -> int:
    origin = f"http://127.0.0.1:{service.http_port}"
    body = urllib.parse.urlencode(form).encode()
    request = urllib.request.Request(origin + path, body, {"Origin": origin}, method="POST")
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture
def service(tmp_path: Path, orthanc: Orthanc) -> Iterator[Service]:
    """A service whose data folder holds a study that a model read, on its way to the PACS."""
    folder = tmp_path / "service"
    folder.mkdir()
    scene = make_scene(folder)
    held = scene.store.readings.list_documents(scene.row_id)
    ids = [one.id for one in held if one.kind in DICOM_KINDS]
    scene.store.deliveries.plan(STUDY, 1, ids, "pacs", NOW)
    scene.store.close()
    made = Service(folder=folder, dicom_port=free_port(), http_port=free_port(), config=pacs(orthanc))
    made.start()
    yield made
    made.stop()


def test_an_edit_follows_over_kills_and_arrives_once(service: Service, orthanc: Orthanc) -> None:
    service.await_delivered(STUDY)
    before = results_at(orthanc, STUDY)
    assert {name: len(uids) for name, uids in before.items()} == {"SR": 1, "SEG": 1}
    with service.store() as store:
        (row,) = store.readings.list_current([STUDY])[STUDY]
    key = study_key(STUDY)
    edit = {"reading": row.digest, "finding": FIRST, "label": "granuloma", "long": "9.5", "short": "7"}
    assert post(service, f"/studies/{key}/edits", **edit) == 303
    # The moment after the study left the list: nothing has looked at it yet, or something is at it.
    assert post(service, f"/studies/{key}/report") == 303
    service.kill()
    service.start()

    def arrived() -> list[str]:
        return [one for one in results_at(orthanc, STUDY)["SR"] if one not in before["SR"]]

    [new] = await_true(arrived, 120, f"the new report ({service.log})")
    service.kill()
    service.start()
    with service.store() as store:
        await_true(lambda: store.settlings.list_open() == [], 60, "the end")
        reports = [one for one in store.readings.list_documents(row.id) if one.kind is DocumentKind.SR]
    service.await_delivered(STUDY)
    assert [one.sop_instance_uid for one in reports] == [*before["SR"], new]
    found = results_at(orthanc, STUDY)
    assert (set(found["SR"]), found["SEG"]) == ({*before["SR"], new}, before["SEG"])
    told = [one for one in service.events(STUDY) if "A new structured report" in one]
    assert len(told) == 1
    path = service.folder / "new.dcm"
    path.write_bytes(fetch(orthanc, new))
    said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False, timeout=60)
    assert [line for line in said.stderr.splitlines() if line.startswith("Error")] == []
    (series,) = pydicom.dcmread(path).PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == before["SR"][0]


def fetch(orthanc: Orthanc, uid: str) -> bytes:
    """Return an object as the PACS holds it."""
    held = orthanc.get("/instances?expand")
    [found] = [one for one in held if one["MainDicomTags"]["SOPInstanceUID"] == uid]
    return orthanc.get_bytes(f"/instances/{found['ID']}/file")
