"""Studies in every state that retention and erasure must tell apart, made without reading anything."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.domain.test_reading import make_reading
from wetread.domain.document import Document, DocumentKind
from wetread.domain.progress import Acceptance, DeliveryState, StudyState
from wetread.domain.study import Instance
from wetread.store import Store
from wetread.store.blobs import write_file
from wetread.store.intake import Arrived
from wetread.store.retention import Policy, RetentionSettings

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
OLD = NOW - timedelta(days=100)


def policy(
    *, days: int | None = None, disk_percent: float | None = None, keep_unreported: bool = False
) -> Policy:
    settings = RetentionSettings(days=days, disk_percent=disk_percent, keep_unreported=keep_unreported)
    return Policy(settings=settings, asked_destinations=frozenset({"asked"}))


def send(
    store: Store, study: int, number: int, *, patient: str = "P1", content: bytes = b"", at: datetime = OLD
) -> Acceptance:
    """Hand in one image; it is no DICOM file, its header says what matters."""
    content = content or f"pixels {study} {number} {patient} Secret^Name".encode()
    path = store.intake.incoming / f"{study}-{number}.part"
    write_file(path, [content], store.vault.seal(path))
    header = {"Modality": "CT", "PatientID": patient, "PatientName": "Secret^Name", "StudyDate": "20260801"}
    instance = Instance(
        sop_instance_uid=f"1.2.{study}.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=f"1.2.{study}.0",
        study_instance_uid=f"1.2.{study}",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        header=header,
        path=path,
    )
    digest = hashlib.sha256(content).hexdigest()
    return store.intake.accept(
        Arrived(instance=instance, content_digest=digest, size=len(content), received_at=at, source="TEST")
    )


def read(store: Store, study: int, *, picture: bytes = b"picture") -> list[int]:
    """Let a study be read: two documents, one of them the same bytes in every study."""
    uid = f"1.2.{study}"
    begun = store.studies.begin_revision(uid, "quiet", OLD)
    assert begun is not None
    row = store.readings.save(replace(make_reading(), study_instance_uid=uid, revision=begun.revision))
    documents = tuple(
        Document(
            kind=kind,
            ordinal=1,
            sop_instance_uid=f"2.25.{study}.{begun.revision}" if kind is DocumentKind.SR else "",
            sop_class_uid="1.2",
            series_instance_uid="2.25.8",
            title="report",
            data=data,
        )
        for kind, data in ((DocumentKind.SR, f"report of {uid}".encode()), (DocumentKind.PNG, picture))
    )
    store.readings.save_documents(row.id, documents)
    store.studies.finish_revision(uid, begun.revision, StudyState.READ, OLD)
    return [one.id for one in store.readings.list_documents(row.id)]


def deliver(
    store: Store, study: int, documents: list[int], state: DeliveryState, destination: str = "pacs"
) -> None:
    store.deliveries.plan(f"1.2.{study}", 1, documents, destination, OLD)
    for row in store.deliveries.list_for_study(f"1.2.{study}"):
        store.deliveries.record(row.id, state, OLD)


def make_study(store: Store, study: int, *, patient: str = "P1") -> None:
    """Make one that may go: received, read, delivered long ago."""
    for number in (1, 2):
        send(store, study, number, patient=patient)
    deliver(store, study, read(store, study), DeliveryState.SENT)


def files(store: Store) -> set[str]:
    return {
        str(path.relative_to(store.data))
        for name in ("instances", "conflicts", "readings", "documents", "shadows", "scratch", "incoming")
        for path in (store.data / name).rglob("*")
        if path.is_file()
    }
