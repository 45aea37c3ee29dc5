"""The PDF can be read, and says what the Reading says."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pydicom

from tests.compose.conftest import Composed, text_of
from wetread.compose import compose
from wetread.domain.document import DocumentKind


def _pdf(data: bytes) -> bytes:
    ds = pydicom.dcmread(io.BytesIO(data))
    pdf: bytes = ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength]
    return pdf


def test_it_says_what_was_found(composed: Composed, tmp_path: Path) -> None:
    pdf = _pdf(composed.of(DocumentKind.PDF)[0].data)
    assert pdf.startswith(b"%PDF-")
    text = text_of(pdf, tmp_path)
    for words in (
        "Müller Zoë",
        "NOT FOR CLINICAL USE",
        "Nodule 1",
        "18.0 × 14.0 mm",
        "STAT",
        "chest-ct 1.0.0",
    ):
        assert words in text


def test_markup_in_names_is_inert(composed: Composed, tmp_path: Path) -> None:
    header = composed.source.header
    hostile = pydicom.Dataset()
    hostile.update(header)
    hostile.PatientName = "<img src>&amp;<font>^</para>"
    hostile.StudyDescription = "胸部 <b>CT"
    source = dataclasses.replace(composed.source, header=hostile)
    (document,) = compose(composed.reading, source, (DocumentKind.PDF,))
    text = text_of(_pdf(document.data), tmp_path)
    assert "<img src>&amp;<font> </para>" in text
    assert "<b>CT" in text


def test_many_findings_flow_over_pages(composed: Composed, tmp_path: Path) -> None:
    reading = dataclasses.replace(composed.reading, findings=composed.reading.findings[1:] * 40)
    (document,) = compose(reading, composed.source, (DocumentKind.PDF,))
    assert "page 3" in text_of(_pdf(document.data), tmp_path)
