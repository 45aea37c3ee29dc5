"""A real store with studies in every state, behind the real application."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset

from tests.domain.test_reading import make_reading
from tests.stores import open_store
from wetread.domain.document import Document, DocumentKind
from wetread.domain.model import Eligibility, Model, ModelIdentity, Runtime
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.progress import StudyState
from wetread.domain.reading import Outcome, Priority, Triage
from wetread.domain.study import Instance, study_key
from wetread.store import Store
from wetread.store.history import Event
from wetread.store.intake import Arrived
from wetread.store.readings import ReadingRow
from wetread.web import create_web

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
EVIL = "<img src=x onerror=alert(1)>"
ORIGIN = "http://127.0.0.1"
PDF = b"%PDF-1.4 wet read"


@dataclass
class Ward:
    """Sends studies into a store and reads them, as the service would."""

    store: Store
    count: int = 0

    def send(
        self, uid: str, name: str = "Doe^Jane", waiting: timedelta = timedelta(hours=1), source: str = "CT1",
        **header,
    ) -> str:  # fmt: skip
        self.count += 1
        path = self.store.intake.incoming / f"{self.count}.part"
        content = str(self.count).encode()
        path.write_bytes(content)
        values = {
            "Modality": "CT",
            "PatientName": name,
            "PatientID": f"PID{uid[-1]}",
            "PatientBirthDate": "19620411",
            "PatientSex": "F",
            "AccessionNumber": f"A{uid[-1]}",
            "StudyDate": "20261123",
            "StudyDescription": "CT Thorax",
        }
        instance = Instance(
            sop_instance_uid=f"{uid}.1.{self.count}",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            series_instance_uid=f"{uid}.1",
            study_instance_uid=uid,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            header=values | header,
            path=path,
        )
        digest = hashlib.sha256(content).hexdigest()
        arrived = Arrived(
            instance=instance, content_digest=digest, size=1, received_at=NOW - waiting, source=source
        )
        self.store.intake.accept(arrived)
        return study_key(uid)

    def begin(self, uid: str) -> int:
        row = self.store.studies.begin_revision(uid, "quiet for 10 s", NOW)
        assert row is not None
        self.note(uid, "assemble", "1 image taken as complete.")
        return row.revision

    def read(self, uid: str, triage: Triage | None = None, **changes) -> ReadingRow:
        revision = self.begin(uid)
        self.store.studies.save_match(uid, revision, make_match(uid))
        reading = replace(
            make_reading(), study_instance_uid=uid, revision=revision, triage=triage or Triage(), **changes
        )
        row = self.store.readings.save(reading)
        if reading.outcome is Outcome.READ:
            self.store.readings.save_documents(row.id, make_documents(uid, revision))
        state = StudyState.READ if reading.outcome is Outcome.READ else StudyState.NOT_READ
        self.store.studies.finish_revision(uid, revision, state, NOW)
        self.note(uid, "infer", "Read in 20 s.")
        return row

    def refuse(self, uid: str) -> ReadingRow:
        problem = Problem(code=ProblemCode.SLICE_GAP, message="Slices 3 to 5 are missing.")
        return self.read(
            uid, outcome=Outcome.NOT_READ, problems=(problem,), findings=(), segments=(), regions=(),
            measurements={}, grid=None,
        )  # fmt: skip

    def plan(self, uid: str, row: ReadingRow, destination: str = "PACS") -> list[int]:
        ids = [one.id for one in self.store.readings.list_documents(row.id)]
        self.store.deliveries.plan(uid, row.revision, ids, destination, NOW)
        return [one.id for one in self.store.deliveries.list_for(uid, row.revision, destination)]

    def note(self, uid: str, stage: str, message: str, level: str = "info") -> None:
        self.store.history.add(
            Event(study_instance_uid=uid, at=NOW, stage=stage, message=message, level=level)
        )


def make_match(uid: str) -> dict:
    series = [
        {"series_instance_uid": f"{uid}.1", "description": "CHEST 1.25", "problems": []},
        {
            "series_instance_uid": f"{uid}.2",
            "description": "SCOUT",
            "problems": [{"code": "localizer", "message": "A localizer is no volume."}],
        },
    ]
    model = {"name": "chest-ct", "chosen_series": f"{uid}.1", "reason": "Thinnest axial.", "series": series}
    return {"models": [model]}


def make_documents(uid: str, revision: int) -> tuple[Document, ...]:
    data = {
        DocumentKind.SR: b"DICM",
        DocumentKind.PNG: make_png(),
        DocumentKind.TEXT: f"NODULE <b>1</b> {EVIL}".encode(),
        DocumentKind.PDF: make_pdf_object(),
    }
    return tuple(
        Document(
            kind=kind,
            ordinal=1,
            sop_instance_uid=f"{uid}.9.{revision}.{number}",
            sop_class_uid="1.2",
            series_instance_uid="2.25.8",
            title=f"{kind.value} of {EVIL}",
            data=content,
        )
        for number, (kind, content) in enumerate(data.items())
    )


def make_png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 90).save(buffer, "PNG")
    return buffer.getvalue()


def make_pdf_object() -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.EncapsulatedPDFStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    dataset.EncapsulatedDocument = PDF + b"\0" * (len(PDF) % 2)
    dataset.EncapsulatedDocumentLength = len(PDF)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def make_model() -> Model:
    return Model(
        identity=ModelIdentity(name="chest-ct", version="1.0.0", digest="ab"),
        title="Chest CT wet read",
        intended_use="",
        state="live",
        eligibility=Eligibility(modalities=("CT",)),
        runtime=Runtime(kind="python", entry="a:b"),
        operating_point="default",
    )


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    store = open_store(tmp_path / "data")
    yield Ward(store)
    store.close()


@pytest.fixture
def client(ward: Ward) -> Iterator[TestClient]:
    app = create_web(
        ward.store, [make_model()], on_retry=lambda: None,
        allowed_hosts=("reader.example",), poll_s=0, now=lambda: NOW,
    )  # fmt: skip
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as one:
        yield one


@pytest.fixture
def stat() -> Triage:
    return Triage(priority=Priority.STAT, score=0.8, reasons=("Pneumothorax, right, 180 ml",))
