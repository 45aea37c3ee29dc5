"""The text report: what it says, and what it does not."""

from __future__ import annotations

import dataclasses

from tests.compose.conftest import Composed
from wetread.compose import compose
from wetread.domain.document import DocumentKind


def test_it_has_all_sections(composed: Composed) -> None:
    text = composed.of(DocumentKind.TEXT)[0].data.decode()
    for words in (
        "WET READ\nNOT FOR CLINICAL USE\n",
        "IMPRESSION\nRight pneumothorax, ",
        "Triage: stat because of: Pneumothorax on the right, 60 ml.",
        "Nodule 1: solid lung nodule, right lung, 18.0 × 14.0 mm, volume",
        "LUNGS\nRight lung: ",
        "LAA-950 1.2%",
        "COMPARISON\nNodule 1: volume +42% since the prior study (95% CI +18 to +70%)",
        "doubling time 180 days.",
        "LIMITS\nContrast agent was given.",
        "chest-ct 1.0.0 (digest abababababab), operating point default, revision 1",
        "no physician has checked it",
    ):
        assert words in text


def test_it_has_no_patient(composed: Composed) -> None:
    text = composed.of(DocumentKind.TEXT)[0].data.decode()
    assert "Müller" not in text
    assert "P-1" not in text


def test_without_a_prior_nothing_is_compared(composed: Composed) -> None:
    findings = tuple(dataclasses.replace(finding, prior=None) for finding in composed.reading.findings)
    reading = dataclasses.replace(composed.reading, findings=findings)
    (document,) = compose(reading, composed.source, (DocumentKind.TEXT,))
    assert "COMPARISON" not in document.data.decode()
