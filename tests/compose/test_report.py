"""A signed report leaves as a verified SR and a final message, and says what was signed."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import hl7
import pydicom
import pytest

from tests.compose.conftest import Composed, text_of
from wetread.compose.draft import Draft
from wetread.compose.prefill import prefill
from wetread.compose.report import compose_report
from wetread.compose.report_template import choose_template, read_templates
from wetread.compose.source import DocumentReference
from wetread.compose.wording import NOT_FOR_CLINICAL_USE
from wetread.domain.document import Document, DocumentKind
from wetread.domain.reading import digest
from wetread.domain.report import Report, ReportState, Section

SAID = {
    Section.TECHNIQUE: "Low-dose CT of the chest.",
    Section.FINDINGS: "Nodule 1: right upper lobe, 8 mm.\nNo effusion | no ^ air & more.",
    Section.IMPRESSION: "Lung-RADS 4A. Kontrolle in 3 Monaten, süß.",
}


def make_report(study: str, **changes: object) -> Report:
    plain = Report(
        id=3, study_instance_uid=study, revision=1, state=ReportState.FINAL, sections=SAID,
        who="ana", signed_by="Dr. Ana Ruiz", at=1_790_000_000.0,
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


@pytest.fixture
def draft(composed: Composed) -> Draft:
    return Draft(reading=composed.reading, source=composed.source, digest=digest(composed.reading))


def test_the_sr_is_verified_and_valid(
    draft: Draft, tmp_path: Path, check_iod: Callable[[Path], list[str]]
) -> None:
    document, _, _ = compose_report(draft, make_report(draft.reading.study_instance_uid))
    path = tmp_path / "report.dcm"
    path.write_bytes(document.data)
    assert check_iod(path) == []
    ds = pydicom.dcmread(io.BytesIO(document.data))
    assert (ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag) == ("COMPLETE", "VERIFIED", "FINAL")
    assert str(ds.VerifyingObserverSequence[0].VerifyingObserverName) == "Dr. Ana Ruiz"
    assert ds.PatientID == draft.source.text("PatientID")
    texts = {
        item.ConceptNameCodeSequence[0].CodeMeaning: item.ContentSequence[0].TextValue
        for item in ds.ContentSequence
        if item.ValueType == "CONTAINER"
    }
    assert list(texts) == ["Current Procedure Descriptions", "Findings", "Impressions"]
    assert texts["Findings"].splitlines() == SAID[Section.FINDINGS].splitlines()
    assert texts["Impressions"] == SAID[Section.IMPRESSION]


def test_sections_and_headings_carry_their_codes(
    draft: Draft, tmp_path: Path, check_iod: Callable[[Path], list[str]]
) -> None:
    template = choose_template(read_templates(), ("CT",), "Chest")
    first = "Nodule 1: 8 mm.\nLungs: emphysema.\nMediastinum and hila:"
    findings = f"{first}\nNo mass.\nHeart and great vessels: normal."
    said = {**SAID, Section.INDICATION: "Cough.", Section.COMPARISON: "None.", Section.FINDINGS: findings}
    report = make_report(draft.reading.study_instance_uid, sections=said)
    document, pages, message = compose_report(draft, report, template)
    path = tmp_path / "report.dcm"
    path.write_bytes(document.data)
    assert check_iod(path) == []
    ds = pydicom.dcmread(io.BytesIO(document.data))
    sections = [item for item in ds.ContentSequence if item.ValueType == "CONTAINER"]
    named = [item.ConceptNameCodeSequence[0] for item in sections]
    assert [(one.CodingSchemeDesignator, one.CodeValue) for one in named] == [
        ("DCM", "121060"), ("DCM", "121064"), ("DCM", "121068"), ("DCM", "121070"), ("DCM", "121072"),
    ]  # fmt: skip
    same = [one.EquivalentCodeSequence[0] for one in named]
    assert {one.CodingSchemeDesignator for one in same} == {"RADLEX"}
    assert [one.CodeValue for one in same] == ["RID13166", "RID28482", "RID28483", "RID28486", "RID13170"]
    parts = sections[3].ContentSequence
    assert "\n".join("\n".join(one.TextValue.splitlines()) for one in parts) == findings
    sites = [
        [
            (site.ConceptNameCodeSequence[0].CodeValue, site.ConceptCodeSequence[0].CodeMeaning)
            for site in one.get("ContentSequence", ())
        ]
        for one in parts
    ]
    assert sites == [
        [],
        [("363698007", "Lung")],
        [("363698007", "Mediastinum"), ("363698007", "Hilum of lung")],
        [("363698007", "Heart")],
    ]
    lungs = parts[1].ContentSequence[0].ConceptCodeSequence[0].EquivalentCodeSequence[0]
    assert (lungs.CodingSchemeDesignator, lungs.CodeValue, lungs.CodeMeaning) == (
        "RADLEX",
        "RID13437",
        "lungs",
    )
    # Without a template the same words stand in one item; pages and message are the same.
    plain, *others = compose_report(draft, report)
    assert others == [pages, message]
    [whole] = pydicom.dcmread(io.BytesIO(plain.data)).ContentSequence[-2].ContentSequence
    assert whole.TextValue.splitlines() == findings.splitlines()


def read_pages(document: Document, folder: Path) -> str:
    ds = pydicom.dcmread(io.BytesIO(document.data))
    return text_of(ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength], folder)


def test_the_pages_say_what_was_signed_and_by_whom(
    draft: Draft, tmp_path: Path, check_iod: Callable[[Path], list[str]]
) -> None:
    report = make_report(draft.reading.study_instance_uid)
    _, document, _ = compose_report(draft, report)
    path = tmp_path / "report.dcm"
    path.write_bytes(document.data)
    assert check_iod(path) == []
    text = read_pages(document, tmp_path)
    for line in ("\n".join(SAID.values())).splitlines():
        assert line in text
    assert "Signed by Dr. Ana Ruiz, 20" in text
    assert draft.source.text("PatientID") in text
    # It is a person's report: the sentence of models' own documents would be wrong on it.
    assert NOT_FOR_CLINICAL_USE not in text


def test_the_message_is_final_and_names_who_signed(draft: Draft) -> None:
    _, _, document = compose_report(draft, make_report(draft.reading.study_instance_uid))
    message = hl7.parse(document.data.decode())
    request = message.segment("OBR")
    assert str(request[25]) == "F"
    assert str(request[3]) == draft.source.text("AccessionNumber")
    assert str(request[32]) == "&Dr. Ana Ruiz"
    observations = message.segments("OBX")
    assert {str(one[11]) for one in observations} == {"F"}
    assert [message.unescape(str(one[5])) for one in observations if str(one[2]) == "TX"] == [
        line for section in Section for line in SAID.get(section, "").splitlines()
    ]
    # Preliminary messages of models say that nobody has checked; this one was.
    assert "no physician" not in document.data.decode()


def test_an_addendum_is_a_correction_and_names_what_it_adds_to(
    draft: Draft, tmp_path: Path, check_iod: Callable[[Path], list[str]]
) -> None:
    first, _, _ = compose_report(draft, make_report(draft.reading.study_instance_uid))
    earlier = DocumentReference(
        kind=DocumentKind.REPORT,
        sop_class_uid=first.sop_class_uid,
        sop_instance_uid=first.sop_instance_uid,
        series_instance_uid=first.series_instance_uid,
    )
    later = dataclasses.replace(draft, source=dataclasses.replace(draft.source, predecessors=(earlier,)))
    addendum = make_report(
        draft.reading.study_instance_uid,
        id=4, state=ReportState.ADDENDUM, sections={Section.ADDENDUM: "The nodule is known since 2019."},
    )  # fmt: skip
    document, pages, message = compose_report(later, addendum)
    path = tmp_path / "addendum.dcm"
    path.write_bytes(document.data)
    assert check_iod(path) == []
    ds = pydicom.dcmread(io.BytesIO(document.data))
    (series,) = ds.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.sop_instance_uid
    assert str(hl7.parse(message.data.decode()).segment("OBR")[25]) == "C"
    assert document.sop_instance_uid != first.sop_instance_uid
    assert "The nodule is known since 2019." in read_pages(pages, tmp_path)


def test_the_same_report_gives_the_same_bytes_and_another_signer_others(draft: Draft) -> None:
    report = make_report(draft.reading.study_instance_uid)
    assert compose_report(draft, report) == compose_report(draft, report)
    other = compose_report(draft, dataclasses.replace(report, signed_by="Dr. Bo Lind"))
    uids = {one.sop_instance_uid for one in (*other, *compose_report(draft, report))}
    assert len(uids) == 6


def test_nothing_leaves_that_nobody_signed(draft: Draft) -> None:
    study = draft.reading.study_instance_uid
    with pytest.raises(ValueError, match="nobody signed"):
        compose_report(draft, make_report(study, state=ReportState.DRAFT, signed_by=""))
    with pytest.raises(ValueError, match="another study"):
        compose_report(draft, make_report("1.2.3.999"))
    for changes in ({"signed_by": ""}, {"sections": {Section.FINDINGS: "x"}}):
        with pytest.raises(ValueError):
            make_report(study, **changes)


def test_a_reader_begins_with_what_models_said_without_what_was_rejected(composed: Composed) -> None:
    text = composed.of(DocumentKind.TEXT)[0].data.decode()
    whole = prefill([text])
    names = [name for name, _ in zip(composed.reading.finding_names, composed.reading.findings, strict=True)]
    assert all(f"{name}:" in whole[Section.FINDINGS] for name in names)
    assert "Triage" not in whole[Section.IMPRESSION]
    assert not any("no physician" in one for one in whole.values())
    less = prefill([text], {names[0]})
    assert f"{names[0]}:" not in less[Section.FINDINGS]
    assert f"{names[0]}," not in less[Section.IMPRESSION]
    assert all(f"{name}:" in less[Section.FINDINGS] for name in names[1:])
