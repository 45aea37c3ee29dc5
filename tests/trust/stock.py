"""A data folder as a busy site leaves it, written straight into the tables.

In: how many instances and studies.  Out: rows and files.  Never: a pixel: starting opens none of them.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.data import get_testdata_file
from sqlalchemy import insert

from wetread.dicom.header import read_instance
from wetread.domain.progress import DeliveryState, StudyState
from wetread.domain.study import Instance, study_key
from wetread.store import Store, schema

#: Of a hundred studies: images that no revision covers, revisions begun and not ended, results not delivered.
DUE, UNFINISHED, UNDELIVERED = 10, 5, 10
_BATCH = 2000


@dataclass(frozen=True, kw_only=True)
class Stock:
    """What lies there."""

    instances: int
    studies: int

    @property
    def images(self) -> int:
        """Images of each study."""
        return self.instances // self.studies


def fill(store: Store, stock: Stock, destination: str) -> None:
    """Fill an empty store: all studies wait on the reading list; most are read, the rest see above."""
    template = read_instance(Path(str(get_testdata_file("CT_small.dcm"))))
    numbers = range(stock.studies)
    store.intake.prepare()
    with store.engine.begin() as connection:
        connection.execute(insert(schema.study), [_study(number, stock) for number in numbers])
        begun = [number for number in numbers if number % 100 >= DUE]
        connection.execute(insert(schema.revision), [_revision(number, stock) for number in begun])
        rows: list[dict[str, Any]] = []
        for row in _instances(template, stock):
            rows.append(row)
            if len(rows) == _BATCH:
                connection.execute(insert(schema.instance), rows)
                rows.clear()
        if rows:
            connection.execute(insert(schema.instance), rows)
        undelivered = [n for n in begun if n % 100 >= 100 - UNDELIVERED]
        for table, values in _results(store, undelivered, destination).items():
            connection.execute(insert(schema.metadata.tables[table]), values)
    for row in _instances(template, stock):
        store.intake.instances.path(row["sop_instance_uid"]).write_bytes(b"not opened")


def study_uid(number: int) -> str:
    return f"2.25.{10**12 + number}"


def instance_uid(study: int, image: int) -> str:
    return f"{study_uid(study)}.{image}"


def _state(number: int) -> StudyState:
    place = number % 100
    if place < DUE:
        return StudyState.ARRIVING
    return StudyState.READING if place < DUE + UNFINISHED else StudyState.READ


def _study(number: int, stock: Stock) -> dict[str, Any]:
    uid, at, is_due = study_uid(number), time.time() - 60 * number, _state(number) is StudyState.ARRIVING
    return {
        "study_instance_uid": uid,
        "key": study_key(uid),
        "patient_id": f"P{number}",
        "patient_name": f"Phantom^{number}",
        "patient_birth_date": "19500101",
        "study_date": "20261123",
        "modalities": ["CT"],
        "instance_count": stock.images,
        "first_received_at": at,
        "last_received_at": at,
        "revision": 0 if is_due else 1,
        "covered_count": 0 if is_due else stock.images,
        "state": _state(number).value,
    }


def _revision(number: int, stock: Stock) -> dict[str, Any]:
    return {
        "study_instance_uid": study_uid(number),
        "revision": 1,
        "instance_count": stock.images,
        "cause": "quiet",
        "begun_at": time.time(),
        "finished_at": None if _state(number) is StudyState.READING else time.time(),
    }


def _instances(template: Instance, stock: Stock) -> Iterator[dict[str, Any]]:
    for number in range(stock.studies):
        for image in range(stock.images):
            uid, study = instance_uid(number, image), study_uid(number)
            uids = {"SOPInstanceUID": uid, "StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.0.1"}
            yield {
                "sop_instance_uid": uid,
                "study_instance_uid": study,
                "series_instance_uid": uids["SeriesInstanceUID"],
                "sop_class_uid": template.sop_class_uid,
                "transfer_syntax_uid": template.transfer_syntax_uid,
                "content_digest": hashlib.sha256(uid.encode()).hexdigest(),
                "size": 500_000,
                "header": dict(template.header) | uids,
                "received_at": time.time(),
                "arrival": image + 1,
                "source": "CT01",
            }


def _results(store: Store, numbers: list[int], destination: str) -> dict[str, list[dict[str, Any]]]:
    """One Reading, one document and one waiting delivery for each of these studies."""
    content = os.urandom(1024)
    digest = hashlib.sha256(content).hexdigest()
    store.readings.documents.write(digest, content)
    readings, documents, deliveries = [], [], []
    for number in numbers:
        one = {"study_instance_uid": study_uid(number), "revision": 1}
        readings.append(
            one
            | {"id": number + 1, "model_name": "chest-ct", "model_version": "1", "digest": f"{number}"}
            | {"outcome": "read", "priority": "routine", "score": 0.0, "reasons": [], "problems": []}
            | {"finding_count": 0, "made_at": time.time()}
        )
        documents.append(
            {"id": number + 1, "reading_id": number + 1, "kind": "sr", "ordinal": 0, "title": ""}
            | {"sop_instance_uid": f"2.25.9{number}", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.33"}
            | {"series_instance_uid": "2.25.8", "content_digest": digest}
        )
        deliveries.append(
            one
            | {"document_id": number + 1, "destination": destination}
            | {"state": DeliveryState.WAITING.value, "updated_at": time.time()}
        )
    found = {"reading": readings, "document": documents, "delivery": deliveries}
    return {table: rows for table, rows in found.items() if rows}
