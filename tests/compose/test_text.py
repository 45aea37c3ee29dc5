"""The text report: what it says, and what it does not."""

from __future__ import annotations

import dataclasses

import pytest

from tests.compose.conftest import Composed
from wetread.compose import compose
from wetread.compose.wording import finding_line
from wetread.domain.comparison import Comparison, GoneFinding, PriorComparison, Status
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
        "COMPARISON\nSince the prior study of 2026-08-22, 90 days before: 1 new, 1 grown, 1 gone, 1 stable.",
        "Nodule 1: grown: volume +42% since the prior study of 2026-08-22 (95% CI +18 to +70%)",
        "doubling time 178 days.",
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
    reading = dataclasses.replace(composed.reading, findings=findings, comparison=None)
    (document,) = compose(reading, composed.source, (DocumentKind.TEXT,))
    assert "COMPARISON" not in document.data.decode()


def _compared(composed: Composed, *statuses: Status | None, gone: tuple[GoneFinding, ...] = ()) -> str:
    """Return the report of a study whose nodules have become this since the prior one."""
    findings, new = [], []
    for finding, status in zip(composed.reading.findings, (None, *statuses), strict=True):
        if status is Status.NEW:
            new.append(finding.tracking_uid)
        prior = PriorComparison(
            study_instance_uid="1.2.3",
            volume_change_percent=42.0 if status is Status.GROWING else 2.0,
            volume_change_ci95=(18.0, 70.0) if status is Status.GROWING else (-14.0, 21.0),
            doubling_time_days=180.0 if status is Status.GROWING else None,
            status=status,
            studied_on="2026-01-12",
            volume_mm3=500.0,
            mean_diameter_change_mm=0.3,
        )
        is_compared = finding is not composed.reading.findings[0] and status is not Status.NEW
        findings.append(dataclasses.replace(finding, prior=prior if is_compared else None))
    comparison = Comparison(
        study_instance_uid="1.2.3",
        studied_on="2026-01-12",
        interval_days=90,
        lung_overlap=1.0,
        vessel_likeness=0.9,
        new=tuple(new),
        gone=gone,
    )
    reading = dataclasses.replace(composed.reading, findings=tuple(findings), comparison=comparison)
    return compose(reading, composed.source, (DocumentKind.TEXT,))[0].data.decode()


def test_no_change_is_said_as_plainly_as_growth(composed: Composed) -> None:
    text = _compared(composed, Status.STABLE, Status.STABLE)
    assert "No change since the prior study of 2026-01-12 (2 stable).\n" in text.split("EXAMINATION")[0]
    assert "Nodule 1: no change: volume +2% since the prior study of 2026-01-12 (95% CI -14 to +21%)" in text
    text = _compared(composed, Status.STABLE, Status.GROWING)
    assert "Since the prior study of 2026-01-12: 1 grown, 1 stable.\n" in text.split("EXAMINATION")[0]
    comparison = text.split("COMPARISON\n")[1]
    assert comparison.index("Nodule 2: grown: volume +42%") < comparison.index("Nodule 1: no change")


def test_what_is_new_and_what_is_gone(composed: Composed) -> None:
    gone = GoneFinding(
        tracking_uid="2.25.9",
        label="lung nodule",
        status=Status.RESOLVED,
        center_lps_mm=(0.0, 0.0, 0.0),
        volume_mm3=180.0,
        mean_diameter_mm=7.0,
    )
    text = _compared(composed, Status.NEW, Status.STABLE, gone=(gone,))
    assert "Since the prior study of 2026-01-12: 1 new, 1 gone, 1 stable.\n" in text
    assert "Nodule 1: new, not there in the prior study.\n" in text
    assert "A lung nodule of 7.0 mm then: not there any more.\n" in text


def test_what_could_not_be_judged_is_never_called_no_change(composed: Composed) -> None:
    text = _compared(composed, None, Status.STABLE)
    assert "No change" not in text
    assert "Since the prior study of 2026-01-12: 1 not judged, 1 stable.\n" in text


@pytest.mark.parametrize(
    ("height", "third"),
    [(0.0, "lower"), (33.0, "lower"), (34.0, "middle"), (66.0, "middle"), (67.0, "upper")],
)
def test_the_third_of_the_lung_is_named_where_its_height_is_known(
    height: float, third: str, composed: Composed
) -> None:
    nodule = composed.reading.findings[1]
    assert "third" not in finding_line("Nodule 1", nodule)
    known = dataclasses.replace(nodule, measurements={**nodule.measurements, "lung_height_percent": height})
    assert f"right lung, {third} third, 18.0" in finding_line("Nodule 1", known)
