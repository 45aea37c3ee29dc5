"""Documents listed as series, so that they are found like images.

In: the documents of a Reading.  Out: their headers as DICOM JSON, a row for each of their series.
Never: a document that is no DICOM object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert

from wetread.dicom.header import read_instance_bytes
from wetread.dicom.json_model import JsonModel
from wetread.domain.document import DICOM_KINDS, Document
from wetread.errors import InputError
from wetread.store import schema
from wetread.store.catalogued import pack_metadata, series_values


@dataclass(frozen=True, slots=True)
class Listing:
    """The series of one Reading's documents."""

    study_instance_uid: str
    reading_id: int
    _series: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, document: Document) -> dict[str, Any]:
        """Count a document for its series; returns what its row keeps of its header."""
        if document.kind not in DICOM_KINDS:
            return {"metadata": None}
        model = JsonModel()
        try:
            instance = read_instance_bytes(document.data, Path(), model=model)
        except InputError:
            return {"metadata": b""}
        series = self._series.setdefault(
            instance.series_instance_uid,
            {
                "study_instance_uid": self.study_instance_uid,
                "series_instance_uid": instance.series_instance_uid,
                "instance_count": 0,
                "head": instance.sop_instance_uid,
                "reading_id": self.reading_id,
            }
            | series_values(instance.header),
        )
        series["instance_count"] += 1
        return {"metadata": pack_metadata(model.encode())}

    def replace(self, connection: Connection) -> None:
        """Put the rows in the place of earlier ones: composing again gives the same."""
        table = schema.series
        connection.execute(delete(table).where(table.c.reading_id == self.reading_id))
        self.extend(connection)

    def extend(self, connection: Connection) -> None:
        """Add the rows to those of documents that were made before."""
        if self._series:
            connection.execute(insert(schema.series), list(self._series.values()))
