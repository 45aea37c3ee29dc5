"""A study that no model read is reported like any other: template, signature, documents, off the list."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import pydicom
import pytest

from tests.identity.conftest import House
from tests.web.conftest import NOW, Ward
from tests.web.test_report import UID, Desk, send
from wetread.domain.audit import AuditAction, AuditEvent, AuditEventType
from wetread.domain.document import DocumentKind
from wetread.domain.progress import DeliveryState, StudyState
from wetread.domain.report import ReportState, Section
from wetread.store.erasure import delete_study


def without_rule(ward: Ward) -> None:
    """No rule sends it to a model: there is no Reading of it."""
    revision = ward.begin(UID)
    ward.store.studies.save_match(UID, revision, {"models": []})
    ward.store.studies.finish_revision(UID, revision, StudyState.NOT_READ, NOW)


def refused(ward: Ward) -> None:
    """A model looked at it and read nothing."""
    ward.refuse(UID)


WAYS = {"no rule": without_rule, "refused by its model": refused}


@pytest.fixture(params=sorted(WAYS))
def desk(ward: Ward, request: pytest.FixtureRequest) -> Desk:
    return Desk(House(ward), WAYS[request.param])


def documents(desk: Desk) -> dict[DocumentKind, bytes]:
    return {
        one.kind: desk.store.readings.load_document(one).data for one in desk.store.readings.list_signed(UID)
    }


def test_it_begins_with_the_template_of_its_exam(desk: Desk) -> None:
    page = desk.page
    [findings] = re.findall(r'<textarea id="section-findings"[^>]*>([^<]*)<', page)
    assert findings.splitlines()[0] == "Lungs:"
    [impression] = re.findall(r'<textarea id="section-impression"[^>]*>([^<]*)<', page)
    assert impression == "", "why a model did not read it is no impression"
    assert "every word is yours" in page


def test_a_draft_is_kept_and_signed(desk: Desk, tmp_path: Path) -> None:
    assert desk.write("Pneumonia.", findings="Lungs: consolidation.").status_code == 303
    assert "consolidation" in desk.page
    assert desk.sign(findings="Lungs: consolidation.", impression="Pneumonia.").status_code == 303
    report = desk.versions[-1]
    assert (report.state, report.signed_by) == (ReportState.FINAL, "Dr. Ana Ruiz")
    assert desk.store.studies.find(UID).reported_at == NOW.timestamp()
    assert desk.deliveries() == {("archive", "report"), ("archive", "report-pdf"), ("ris", "result")}
    made = documents(desk)
    ds = pydicom.dcmread(io.BytesIO(made[DocumentKind.REPORT]))
    assert (str(ds.PatientName), ds.AccessionNumber, ds.VerificationFlag) == ("Doe^Jane", "A1", "VERIFIED")
    assert ds.ManufacturerModelName == "Wetread"
    assert "person" in ds.ContributingEquipmentSequence[0].ContributionDescription
    assert "Proposed" not in ds.ContributingEquipmentSequence[0].ContributionDescription
    message = made[DocumentKind.RESULT].decode()
    assert "Pneumonia." in message
    assert "|F|" in message
    path = tmp_path / "report.dcm"
    path.write_bytes(made[DocumentKind.REPORT])
    said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False, timeout=60)
    assert [line for line in said.stderr.splitlines() if line.startswith("Error")] == []


def test_its_pdf_says_that_no_model_read_it(desk: Desk, tmp_path: Path) -> None:
    desk.sign()
    ds = pydicom.dcmread(io.BytesIO(documents(desk)[DocumentKind.REPORT_PDF]))
    path = tmp_path / "report.pdf"
    path.write_bytes(ds.EncapsulatedDocument)
    text = subprocess.run(
        ["pdftotext", path, "-"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "No model read this study." in text
    assert "Words of models" not in text


def test_it_is_shown_handed_out_and_counted(desk: Desk) -> None:
    before = len(desk.store.readings.list_for_study(UID))
    desk.sign()
    page = desk.page
    assert "signed by Dr. Ana Ruiz" in page
    assert "Addendum" in page
    # Deliveries by their titles, not by their kinds alone.
    assert "Radiology report (PDF)" in page
    [address] = re.findall(r'href="(/documents/\d+/pdf)">PDF</a></h3>', page)
    assert desk.client.get(address).content.startswith(b"%PDF-")
    answer = desk.client.get(f"/dicom-web/studies/{UID}/series", headers={"Accept": "application/dicom+json"})
    assert sorted(one["00080060"]["Value"][0] for one in answer.json()) == ["CT", "DOC", "SR"]
    [told] = desk.client.get(f"/api/v1/studies/{desk.key}").json()["reports"]
    assert told["state"] == "final"
    (turnaround,) = desk.store.turnarounds.list_since(0)
    assert (turnaround.reported_at, turnaround.read_at) == (NOW.timestamp(), None)
    # What it stands with is nobody's reading.
    assert len(desk.store.readings.list_for_study(UID)) == before
    readings = desk.client.get("/api/v1/readings").json()["items"]
    assert len(readings) == before
    number = desk.store.readings.list_signed(UID)[0].reading_id
    assert desk.client.get(f"/api/v1/readings/{number}").status_code == 404


def test_an_addendum_names_the_first(desk: Desk) -> None:
    desk.sign()
    assert desk.sign(addendum="Seen with the prior.").status_code == 303
    first, second = (one for one in desk.store.readings.list_signed(UID) if one.kind is DocumentKind.REPORT)
    assert first.reading_id == second.reading_id
    ds = pydicom.dcmread(io.BytesIO(desk.store.readings.load_document(second).data))
    (series,) = ds.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.sop_instance_uid


def test_two_signatures_are_one_report(desk: Desk) -> None:
    seen = desk.seen
    assert desk.sign(seen=seen).status_code == 303
    assert desk.sign(seen=seen, addendum="Again.").status_code == 409
    assert len(desk.versions) == 1
    rows = desk.store.deliveries.list_for_study(UID)
    assert len({(one.document_id, one.destination) for one in rows}) == len(rows) == 3


def test_it_stands_when_a_model_reads_more_images(desk: Desk) -> None:
    desk.sign()
    send(desk.house.ward, 2)
    desk.house.ward.read(UID)
    assert "signed by Dr. Ana Ruiz" in desk.page
    waiting = desk.store.deliveries.list_unsettled([], 4)
    assert {one.destination for one in waiting if one.state is DeliveryState.WAITING} == {"archive", "ris"}
    # The addendum stands with what the model read.
    assert desk.sign(addendum="Now read as well.", revision=2).status_code == 303
    assert len(desk.store.readings.list_signed(UID)) == 6


def test_images_that_came_meanwhile_are_looked_at_first(desk: Desk) -> None:
    send(desk.house.ward, 2)
    answer = desk.sign(findings="My own words.")
    assert answer.status_code == 409
    assert "More images came" in answer.text
    assert "My own words." in answer.text
    assert not desk.store.readings.list_signed(UID)


def test_a_study_of_two_patients_is_nobodys_report(ward: Ward) -> None:
    def two_patients(ward: Ward) -> None:
        send(ward, 2, PatientID="PID2")
        without_rule(ward)

    desk = Desk(House(ward), two_patients)
    answer = desk.sign(findings="My own words.")
    assert answer.status_code == 409
    assert "name different patients" in answer.text
    assert "My own words." in answer.text
    assert not desk.versions


def test_while_a_model_is_at_it_everybody_writes_and_nobody_signs(ward: Ward) -> None:
    desk = Desk(House(ward), lambda ward: ward.begin(UID))
    assert "It can be signed when the study is complete and read" in desk.page
    assert desk.write("Known pneumonia.").status_code == 303
    assert "Known pneumonia." in desk.page
    answer = desk.sign()
    assert answer.status_code == 409
    assert "being read at this moment" in answer.text


def test_without_a_readable_image_it_is_said(desk: Desk) -> None:
    for path in desk.store.intake.instances.iter_paths():
        path.unlink()
    answer = desk.sign(findings="My own words.")
    assert answer.status_code == 409
    assert "No image of this study can be read" in answer.text
    assert "My own words." in answer.text
    assert not desk.versions


def test_another_series_speaks_for_a_study_whose_first_file_is_broken(desk: Desk) -> None:
    send(desk.house.ward, 3, SeriesInstanceUID=f"{UID}.0", SOPInstanceUID=f"{UID}.0.3")
    without_rule(desk.house.ward)
    desk.store.intake.instances.path(f"{UID}.1.1").unlink()
    assert desk.sign(revision=2).status_code == 303


def test_it_goes_with_the_study(desk: Desk) -> None:
    desk.sign()
    event = AuditEvent(
        type=AuditEventType.STUDY_DELETED,
        action=AuditAction.DELETE,
        at=NOW,
        studies=(UID,),
        description="Test.",
    )
    assert delete_study(desk.store, UID, event=event, keep=lambda *_: "", why="test") == ""
    for blobs in (desk.store.readings.blobs, desk.store.readings.documents):
        assert list(blobs.iter_paths()) == []


def test_what_it_stands_with_can_be_loaded(desk: Desk) -> None:
    desk.sign()
    assert desk.versions[-1].sections[Section.IMPRESSION] == "Normal."
    (number,) = {one.reading_id for one in desk.store.readings.list_signed(UID)}
    base = desk.store.readings.get(number)
    reading = desk.store.readings.load(base.digest)
    assert (reading.model.name, base.superseded) == ("", True)
