"""A report is written, never lost, signed with the password typed anew, and on its way when it is signed."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pydicom
import pytest
from fastapi.testclient import TestClient
from pydicom.dataset import Dataset, FileMetaDataset

from tests.domain.test_reading import make_reading
from tests.identity.conftest import PASSWORD, House
from tests.web.conftest import EVIL, NOW, ORIGIN, Ward, make_model
from wetread.compose.report_template import read_templates
from wetread.deliver.destination import Destination, DestinationKind
from wetread.dicom.header import read_instance
from wetread.domain.document import DocumentKind
from wetread.domain.progress import DeliveryState
from wetread.domain.report import ReportState, Section
from wetread.domain.study import study_key
from wetread.identity import Role
from wetread.steps.signing import Signing
from wetread.store.audit_rows import AuditRows
from wetread.store.intake import Arrived
from wetread.web import create_web

UID = "1.2.840.1"
PACS = Destination(name="archive", kind=DestinationKind.CSTORE, host="127.0.0.1", port=104, aet="PACS")
RIS = Destination(name="ris", kind=DestinationKind.MLLP, host="127.0.0.1", port=2575)
OLD_RIS = replace(RIS, name="old", kinds=(DocumentKind.ORU,))


def send(ward: Ward, number: int = 1, **more: str) -> str:
    """Send a real image: a report repeats its header."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = f"{UID}.1.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = UID, f"{UID}.1", "CT"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Doe^Jane", "PID1", "19620411", "F"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "20261123", "070000", "A1"
    ds.StudyDescription = "CT Thorax"
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    path = ward.store.intake.incoming / f"real{number}.part"
    ds.save_as(path, enforce_file_format=True)
    instance = read_instance(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    at = NOW - timedelta(hours=1)
    ward.store.intake.accept(
        Arrived(instance=instance, content_digest=digest, size=1, received_at=at, source="CT1")
    )
    return study_key(UID)


class Desk:
    """A reader at the study page."""

    def __init__(self, house: House, read: Callable[[Ward], object] = lambda ward: ward.read(UID)) -> None:
        self.house, self.store = house, house.store
        self.key = send(house.ward)
        read(house.ward)
        destinations = {one.name: one for one in (PACS, RIS, OLD_RIS)}
        signing = Signing(store=self.store, destinations=destinations, templates=read_templates())
        self.app = create_web(
            self.store, [make_model()], identity=house.identity, signing=signing, poll_s=0, now=house.clock
        )
        house.add("ana", display_name="Dr. Ana Ruiz")
        self.client = self.sign_in("ana")

    def sign_in(self, name: str) -> TestClient:
        client = TestClient(self.app, base_url=ORIGIN, follow_redirects=False)
        client.headers["Origin"] = ORIGIN
        assert client.post("/login", data={"name": name, "password": PASSWORD}).status_code == 303
        return client

    @property
    def page(self) -> str:
        return self.client.get(f"/studies/{self.key}").text

    @property
    def versions(self):
        return self.store.reports.list_for_study(UID)

    @property
    def seen(self) -> int:
        return self.versions[-1].id if self.versions else 0

    def write(self, impression: str, client: TestClient | None = None, **more: object):
        form = {"seen": self.seen, "revision": 1, "findings": "None.", "impression": impression, **more}
        return (client or self.client).post(f"/studies/{self.key}/draft", data=form)

    def sign(self, **more: object):
        form = {"seen": self.seen, "revision": 1, "impression": "Normal.", "password": PASSWORD, **more}
        return self.client.post(f"/studies/{self.key}/sign", data=form)

    def deliveries(self) -> set[tuple[str, str]]:
        kinds = {one.id: one.kind.value for one in self.store.readings.list_signed(UID)}
        rows = self.store.deliveries.list_for_study(UID)
        return {(one.destination, kinds[one.document_id]) for one in rows if one.document_id in kinds}


@pytest.fixture
def desk(ward: Ward) -> Desk:
    return Desk(House(ward))


def test_a_reader_begins_with_what_the_models_said(desk: Desk) -> None:
    assert "Proposed by the models above" in desk.page


def test_a_draft_is_kept_and_shown_again(desk: Desk) -> None:
    assert desk.write(f"No change. {EVIL}").status_code == 303
    page = desk.page
    assert "No change." in page
    assert EVIL not in page
    assert "Draft saved by ana" in page
    (draft,) = desk.versions
    assert (draft.state, draft.signed_by) == (ReportState.DRAFT, "")
    assert not desk.deliveries()


def test_a_page_saves_by_itself_and_hears_when_it_cannot(desk: Desk) -> None:
    url = f"/studies/{desk.key}/draft"
    headers = {"Accept": "application/json"}
    answer = desk.client.post(url, data={"seen": 0, "impression": "One."}, headers=headers)
    assert answer.json() == {"seen": desk.seen}
    answer = desk.client.post(url, data={"seen": 0, "impression": "Two."}, headers=headers)
    assert answer.status_code == 409
    assert "another version" in answer.json()["message"]
    desk.client.post("/logout")
    answer = desk.client.post(url, data={"seen": desk.seen, "impression": "Three."}, headers=headers)
    assert answer.status_code == 401
    assert [one.sections[Section.IMPRESSION] for one in desk.versions] == ["One."]


def test_who_is_behind_gets_their_own_text_back(desk: Desk) -> None:
    desk.house.add("bo")
    desk.write("From Bo.", client=desk.sign_in("bo"))
    answer = desk.write("From Ana.", seen=0)
    assert answer.status_code == 409
    assert "From Ana." in answer.text
    assert "copy what is yours" in answer.text
    assert [one.who for one in desk.versions] == ["bo"]


def test_a_signature_sends_the_report_and_ends_the_study(desk: Desk) -> None:
    desk.client.post(f"/studies/{desk.key}/claim")
    assert desk.sign(findings="Small scar.").status_code == 303
    report = desk.versions[-1]
    assert (report.state, report.who, report.signed_by) == (ReportState.FINAL, "ana", "Dr. Ana Ruiz")
    assert desk.store.studies.find(UID).reported_at == NOW.timestamp()
    assert desk.store.room.claims([UID]) == {}
    # Who takes preliminary messages only gets no final one.
    assert desk.deliveries() == {("archive", "report"), ("archive", "report-pdf"), ("ris", "result")}
    (sr,) = [one for one in desk.store.readings.list_signed(UID) if one.kind is DocumentKind.REPORT]
    ds = pydicom.dcmread(io.BytesIO(desk.store.readings.load_document(sr).data))
    assert (str(ds.PatientName), ds.AccessionNumber, ds.VerificationFlag) == ("Doe^Jane", "A1", "VERIFIED")
    page = desk.page
    assert "signed by Dr. Ana Ruiz" in page
    assert "Report signed by ana." in page
    [address] = re.findall(r'href="(/documents/\d+/pdf)">PDF</a></h3>', page)
    answer = desk.client.get(address)
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    [told] = desk.client.get(f"/api/v1/studies/{desk.key}").json()["reports"]
    assert (told["state"], told["signed_by"], told["sections"]) == (
        "final",
        "Dr. Ana Ruiz",
        {"findings": "Small scar.", "impression": "Normal."},
    )
    assert address == f"/documents/{told['pdf_document_id']}/pdf"
    entries = AuditRows(desk.store.engine).list_last(10, study=UID)
    assert any("Signed the report." in str(one.message) for one in entries)


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"password": "wrong"}, "password"),
        ({"password": ""}, "password"),
        ({"impression": "  "}, "impression is empty"),
        ({"revision": 7}, "More images came"),
        ({"seen": 99}, "another version"),
    ],
)
def test_what_is_not_signed(desk: Desk, form: dict[str, object], why: str) -> None:
    answer = desk.sign(findings="My own words.", **form)
    assert answer.status_code == 409
    assert why in answer.text
    assert "My own words." in answer.text
    assert PASSWORD not in answer.text
    assert not desk.versions
    assert not desk.deliveries()
    assert desk.store.studies.find(UID).reported_at is None


def test_images_that_came_while_it_was_written_are_read_first(desk: Desk) -> None:
    send(desk.house.ward, 2)
    answer = desk.sign()
    assert answer.status_code == 409
    assert "More images came" in answer.text


def test_a_signed_report_stands_though_the_study_is_read_anew(desk: Desk) -> None:
    desk.sign()
    send(desk.house.ward, 2)
    desk.house.ward.read(UID)
    waiting = desk.store.deliveries.list_unsettled([], 4)
    assert {one.destination for one in waiting if one.state is DeliveryState.WAITING} == {"archive", "ris"}
    # The next revision's documents are planned with it: it is not superseded.
    newest = desk.store.readings.list_current([UID])[UID]
    ids = [document.id for row in newest for document in desk.store.readings.list_documents(row.id)]
    signed = [one.id for one in desk.store.readings.list_signed(UID) if one.kind is DocumentKind.REPORT]
    desk.store.deliveries.plan(UID, 2, [*ids, *signed], "archive", NOW)
    assert ("archive", "report") in desk.deliveries()
    assert "signed by Dr. Ana Ruiz" in desk.page
    answer = desk.client.get(f"/dicom-web/studies/{UID}/series", headers={"Accept": "application/dicom+json"})
    modalities = [one["00080060"]["Value"][0] for one in answer.json()]
    assert "SR" in modalities


def test_after_the_signature_only_an_addendum(desk: Desk) -> None:
    desk.sign()
    assert desk.write("Changed my mind.").status_code == 409
    assert desk.sign(impression="Changed.", addendum=" ").status_code == 409
    assert desk.sign(addendum="Seen with the prior: no change.").status_code == 303
    assert [one.state for one in desk.versions] == [ReportState.FINAL, ReportState.ADDENDUM]
    assert desk.versions[1].sections == {Section.ADDENDUM: "Seen with the prior: no change."}
    documents = desk.store.readings.list_signed(UID)
    assert [one.title for one in documents if one.kind is DocumentKind.REPORT] == ["Report", "Addendum"]
    assert "Seen with the prior" in desk.page


def test_a_crash_while_signing_leaves_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(type(desk.store.audit), "record_in", fail)
    client = TestClient(desk.app, base_url=ORIGIN, raise_server_exceptions=False)
    client.cookies = desk.client.cookies
    form = {"seen": 0, "revision": 1, "impression": "Normal.", "password": PASSWORD}
    answer = client.post(f"/studies/{desk.key}/sign", data=form, headers={"Origin": ORIGIN})
    assert answer.status_code == 500
    assert not desk.versions
    assert not desk.store.readings.list_signed(UID)
    assert desk.store.studies.find(UID).reported_at is None


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.DATA_SCIENTIST])
def test_who_may_not_report_sees_no_form_and_signs_nothing(desk: Desk, role: Role) -> None:
    desk.house.add("eve", role)
    client = desk.sign_in("eve")
    desk.sign(impression="Known to Dr. Jones.")
    page = client.get(f"/studies/{desk.key}").text
    assert 'id="report-form"' not in page
    # Free text may name anybody.
    assert "Dr. Jones" not in page
    for what in ("draft", "sign"):
        form = {"impression": "x", "password": PASSWORD, "revision": 1}
        assert client.post(f"/studies/{desk.key}/{what}", data=form).status_code == 403
    assert len(desk.versions) == 1


def test_without_accounts_nobody_signs(ward: Ward) -> None:
    key = send(ward)
    ward.read(UID)
    signing = Signing(store=ward.store, destinations={})
    app = create_web(ward.store, [make_model()], signing=signing, poll_s=0, now=lambda: NOW)
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        assert "To sign needs an account" in client.get(f"/studies/{key}").text
        form = {"seen": 0, "revision": 1, "impression": "Normal."}
        answer = client.post(f"/studies/{key}/sign", data=form, headers={"Origin": ORIGIN})
    assert answer.status_code == 409
    assert "needs an account" in answer.text
    assert not ward.store.reports.list_for_study(UID)


def test_what_was_rejected_is_not_proposed_and_is_named_where_it_stands(desk: Desk) -> None:
    finding = make_reading().findings[0].tracking_uid
    (row,) = desk.store.readings.list_current([UID])[UID]
    name = desk.store.readings.load(row.digest).finding_names[0]
    desk.write("Seen.", findings=f"{name}: solid, 8 mm.")
    form = {"reading": row.digest, "finding": finding, "verdict": "rejected", "reason": "vessel", "seen": 0}
    desk.client.post(f"/studies/{desk.key}/findings", data=form)
    assert f"Rejected, and still in the text: {name}." in desk.page


def test_a_report_begins_with_the_template_of_its_exam_and_empty_headings_are_not_signed(desk: Desk) -> None:
    [begun] = re.findall(r'<textarea id="section-findings"[^>]*>([^<]*)<', desk.page)
    assert "\nPleura:\n" in begun
    findings = begun.replace("Pleura:", "Pleura: small effusion on the left.")
    assert desk.sign(findings=findings).status_code == 303
    assert desk.versions[-1].sections[Section.FINDINGS].endswith("Pleura: small effusion on the left.")
    assert "Airways:" not in desk.versions[-1].sections[Section.FINDINGS]


def test_the_signed_sr_carries_the_codes_of_its_template(desk: Desk) -> None:
    """What was written under a heading names its site; a heading with nothing behind it is gone."""
    desk.sign(findings="Lungs: emphysema.\nPleura:\nUpper abdomen: a cyst.")
    [document] = [one for one in desk.store.readings.list_signed(UID) if one.kind is DocumentKind.REPORT]
    ds = pydicom.dcmread(io.BytesIO(desk.store.readings.load_document(document).data))
    [findings] = [
        one for one in ds.ContentSequence if one.ConceptNameCodeSequence[0].CodeMeaning == "Findings"
    ]
    [same] = findings.ConceptNameCodeSequence[0].EquivalentCodeSequence
    assert (same.CodingSchemeDesignator, same.CodeValue) == ("RADLEX", "RID28486")
    told = [
        (one.TextValue, one.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning)
        for one in findings.ContentSequence
    ]
    assert told == [("Lungs: emphysema.", "Lung"), ("Upper abdomen: a cyst.", "Upper abdomen")]
