"""A signed report as a verified Basic Text SR (TID 2000, PS3.16), as pages and as a final ORU^R01.

In: a draft of the Reading that it was written from, the report.  Out: all three, the same bytes every time.
Never: a report that nobody signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from wetread import hl7
from wetread.compose import header
from wetread.compose.draft import Draft
from wetread.compose.oru import observation, patient_segment, request_segment
from wetread.compose.report_codes import RADLEX_SECTIONS, Part, split_text
from wetread.compose.report_pdf import compose_report_pdf, contribution
from wetread.compose.report_template import ReportTemplate
from wetread.compose.source import DocumentReference
from wetread.domain.code import Code
from wetread.domain.document import Document, DocumentKind
from wetread.domain.report import Report, ReportState, Section

BASIC_TEXT_SR_STORAGE = "1.2.840.10008.5.1.4.1.1.88.11"
_TITLE = Code(value="18748-4", scheme="LN", meaning="Diagnostic Imaging Report")
_STUDY_UID = Code(value="110180", scheme="DCM", meaning="Study Instance UID")
_LANGUAGE = Code(value="121049", scheme="DCM", meaning="Language of Content Item and Descendants")
_ENGLISH = Code(value="en", scheme="RFC5646", meaning="English")
_OBSERVER_TYPE = Code(value="121005", scheme="DCM", meaning="Observer Type")
_PERSON = Code(value="121006", scheme="DCM", meaning="Person")
_FINDING_SITE = Code(value="363698007", scheme="SCT", meaning="Finding Site")
_PERSON_NAME = Code(value="121008", scheme="DCM", meaning="Person Observer Name")


def _dcm(value: str, meaning: str) -> Code:
    return Code(value=value, scheme="DCM", meaning=meaning)


def _ln(value: str, meaning: str) -> Code:
    return Code(value=value, scheme="LN", meaning=meaning)


#: Heading (CID 7001), element (CID 7002), and what HL7 calls it.
_CODES: Mapping[Section, tuple[Code, Code, Code]] = {
    Section.INDICATION: (
        _dcm("121060", "History"),
        _dcm("121060", "History"),
        _ln("18785-6", "Indications for Procedure"),
    ),
    Section.TECHNIQUE: (
        _dcm("121064", "Current Procedure Descriptions"),
        _dcm("121065", "Procedure Description"),
        _ln("55111-9", "Current Procedure Descriptions"),
    ),
    Section.COMPARISON: (
        _dcm("121068", "Previous Findings"),
        _dcm("121069", "Previous Finding"),
        _ln("18834-2", "Previous Findings"),
    ),
    Section.FINDINGS: (
        _dcm("121070", "Findings"),
        _dcm("121071", "Finding"),
        _ln("59776-5", "Findings"),
    ),
    Section.IMPRESSION: (
        _dcm("121072", "Impressions"),
        _dcm("121073", "Impression"),
        _ln("19005-8", "Impressions"),
    ),
    Section.ADDENDUM: (
        _dcm("121078", "Addendum"),
        _dcm("121071", "Finding"),
        _ln("55107-7", "Addendum"),
    ),
}
# HL7 table 0085: final; a correction, which an addendum is to who has the first.
_STATUS = {ReportState.FINAL: "F", ReportState.ADDENDUM: "C"}


def compose_report(
    draft: Draft, report: Report, template: ReportTemplate | None = None
) -> tuple[Document, ...]:
    """Return the SR, the PDF and the message of a signed report.

    Parameters
    ----------
    draft
        Of the Reading that it was written from; its source names as predecessors the reports that this one
        adds to.
    template
        That it was begun with, for the codes of its headings.

    Raises
    ------
    ValueError
        If nobody signed it, or it is of another study.
    """
    if not report.is_signed:
        raise ValueError("a report that nobody signed does not leave")
    if report.study_instance_uid != draft.reading.study_instance_uid:
        raise ValueError("the report is of another study")
    signed_at = datetime.fromtimestamp(report.at, UTC)
    own = replace(
        draft,
        reading=replace(draft.reading, made_at=signed_at),
        digest=hashlib.sha256(f"{draft.digest} {report.digest}".encode()).hexdigest(),
    )
    return _sr(own, report, template), compose_report_pdf(own, report), _message(own, report)


def _sr(draft: Draft, report: Report, template: ReportTemplate | None) -> Document:
    ds = header.new_dataset(draft, DocumentKind.REPORT, report.id, BASIC_TEXT_SR_STORAGE)
    ds.SeriesDescription = "Radiology report"
    ds.ContributingEquipmentSequence[0].ContributionDescription = contribution(draft)
    ds.ReferencedPerformedProcedureStepSequence = Sequence()
    ds.PerformedProcedureCodeSequence = Sequence()
    ds.CompletionFlag = "COMPLETE"
    ds.PreliminaryFlag = "FINAL"
    ds.VerificationFlag = "VERIFIED"
    ds.VerifyingObserverSequence = Sequence([_verifier(draft, report)])
    _add_predecessors(ds, draft)
    ds.ValueType = "CONTAINER"
    ds.ConceptNameCodeSequence = header.code_sequence(_TITLE)
    ds.ContinuityOfContent = "SEPARATE"
    ds.ContentTemplateSequence = Sequence([_template()])
    ds.ContentSequence = Sequence(
        [
            _coded("HAS CONCEPT MOD", _LANGUAGE, _ENGLISH),
            _coded("HAS OBS CONTEXT", _OBSERVER_TYPE, _PERSON),
            _observer(report),
            *(_heading(section, text, template) for section, text in _said(report)),
        ]
    )
    title = "Addendum" if report.state is ReportState.ADDENDUM else "Report"
    return header.finish(ds, DocumentKind.REPORT, title)


def _said(report: Report) -> list[tuple[Section, str]]:
    return [(one, report.sections[one]) for one in Section if report.sections.get(one, "").strip()]


def _verifier(draft: Draft, report: Report) -> Dataset:
    item = Dataset()
    item.VerifyingObserverName = header.person_name(report.signed_by)
    item.VerifyingOrganization = header.long_string(draft.source.text("InstitutionName")) or "unknown"
    item.VerificationDateTime = header.local_time(draft).strftime("%Y%m%d%H%M%S%z")
    item.VerifyingObserverIdentificationCodeSequence = Sequence()
    return item


def _add_predecessors(ds: Dataset, draft: Draft) -> None:
    mine = [one for one in draft.source.predecessors if one.kind is DocumentKind.REPORT]
    if not mine:
        return
    study = Dataset()
    study.StudyInstanceUID = draft.reading.study_instance_uid
    study.ReferencedSeriesSequence = Sequence([_series_item(one) for one in mine])
    ds.PredecessorDocumentsSequence = Sequence([study])


def _series_item(one: DocumentReference) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = one.series_instance_uid
    series.ReferencedSOPSequence = Sequence([header.reference_item(one.sop_class_uid, one.sop_instance_uid)])
    return series


def _template() -> Dataset:
    item = Dataset()
    item.MappingResource = "DCMR"
    item.TemplateIdentifier = "2000"
    return item


def _item(relationship: str, value_type: str, concept: Code) -> Dataset:
    item = Dataset()
    item.RelationshipType = relationship
    item.ValueType = value_type
    item.ConceptNameCodeSequence = header.code_sequence(concept)
    return item


def _coded(relationship: str, concept: Code, value: Code, *equivalent: Code) -> Dataset:
    item = _item(relationship, "CODE", concept)
    item.ConceptCodeSequence = header.code_sequence(value, *equivalent)
    return item


def _observer(report: Report) -> Dataset:
    item = _item("HAS OBS CONTEXT", "PNAME", _PERSON_NAME)
    item.PersonName = header.person_name(report.signed_by)
    return item


def _heading(section: Section, text: str, template: ReportTemplate | None) -> Dataset:
    heading, element, _ = _CODES[section]
    item = _item("CONTAINS", "CONTAINER", heading)
    if section in RADLEX_SECTIONS:
        item.ConceptNameCodeSequence = header.code_sequence(heading, RADLEX_SECTIONS[section])
    item.ContinuityOfContent = "SEPARATE"
    # What is technique or comparison is about no site.
    is_coded = template is not None and section in (Section.FINDINGS, Section.IMPRESSION)
    sites, headings = (template.codes, template.headings()) if template and is_coded else ({}, ())
    item.ContentSequence = Sequence([_part(element, one) for one in split_text(text, sites, headings)])
    return item


def _part(element: Code, part: Part) -> Dataset:
    item = _item("CONTAINS", "TEXT", element)
    item.TextValue = "\r\n".join(part.text.splitlines())
    sites = [_coded("HAS CONCEPT MOD", _FINDING_SITE, *codes) for codes in part.sites]
    if sites:
        item.ContentSequence = Sequence(sites)
    return item


def _message(draft: Draft, report: Report) -> Document:
    status = _STATUS[report.state]
    head = hl7.MessageHead(
        message_type=("ORU", "R01", "ORU_R01"),
        control_id=f"W{draft.digest[:19]}",
        made_at=header.local_time(draft),
    )
    lines = [
        (_CODES[section][2], line or " ") for section, text in _said(report) for line in text.splitlines()
    ]
    text = hl7.message(
        hl7.header_segment(head),
        patient_segment(draft),
        request_segment(draft, status, interpreter=report.signed_by),
        hl7.segment("OBX", 1, *observation("ST", _STUDY_UID, report.study_instance_uid, status)),
        *(
            hl7.segment("OBX", number, *observation("TX", concept, line, status))
            for number, (concept, line) in enumerate(lines, start=2)
        ),
    )
    return draft.plain_document(DocumentKind.RESULT, report.id, "HL7 final result", text.encode())
