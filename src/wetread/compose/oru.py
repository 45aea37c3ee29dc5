"""The result as an HL7 v2.5.1 message, ORU^R01 (HL7 v2.5.1 7.3.1).

In: a draft.  Out: one UTF-8 message, preliminary.  Never: a result for a study that was not read.

Receiving application and facility are the deliverer's to set (``hl7.set_receiver``).
"""

from __future__ import annotations

from collections.abc import Iterator

from wetread import hl7
from wetread.compose import header
from wetread.compose.draft import Draft
from wetread.compose.text import report_lines
from wetread.compose.wording import impression_lines
from wetread.domain import code
from wetread.domain.code import Code
from wetread.domain.document import Document, DocumentKind
from wetread.domain.finding import Finding
from wetread.domain.measurement import MEASUREMENTS
from wetread.domain.reading import Outcome, Priority

_CT_CHEST = Code(value="24627-2", scheme="LN", meaning="CT Chest")
_REPORT = Code(value="18748-4", scheme="LN", meaning="Diagnostic imaging study")
_IMPRESSION = Code(value="19005-8", scheme="LN", meaning="Radiology Imaging study [Impression]")
_STUDY_UID = Code(value="110180", scheme="DCM", meaning="Study Instance UID")
_FINDING = Code(value="121071", scheme="DCM", meaning="Finding")
_FINDING_SITE = Code(value="363698007", scheme="SCT", meaning="Finding Site")
_LATERALITY = Code(value="272741003", scheme="SCT", meaning="Laterality")
_TRACKING_UID = Code(value="112040", scheme="DCM", meaning="Tracking Unique Identifier")
_PROBABILITY = Code(value="122157", scheme="DCM", meaning="Probability")
_PRIORITY = Code(value="triage-priority", scheme="99WETREAD", meaning="Triage Priority")

# HL7 tables 0485 (priority) and 0078 (abnormal flags).
_TQ1_PRIORITIES = {Priority.STAT: "S", Priority.URGENT: "A", Priority.ROUTINE: "R"}
_ABNORMAL_FLAGS = {Priority.STAT: "AA", Priority.URGENT: "A", Priority.ROUTINE: ""}
_PRELIMINARY = "P"
_SEXES = {"M": "M", "F": "F", "O": "O"}


def compose_oru(draft: Draft) -> tuple[Document, ...]:
    """Return the message: of a study that was not read it says only that, and why."""
    head = hl7.MessageHead(
        message_type=("ORU", "R01", "ORU_R01"),
        control_id=f"W{draft.digest[:19]}",
        made_at=header.local_time(draft),
    )
    text = hl7.message(
        hl7.header_segment(head),
        patient_segment(draft),
        request_segment(draft, _PRELIMINARY),
        hl7.segment("NTE", 1, "", "NOT FOR CLINICAL USE. An automatic reading; no physician has checked it."),
        hl7.segment("TQ1", 1, *[""] * 7, _TQ1_PRIORITIES[draft.reading.triage.priority]),
        *(hl7.segment("OBX", number, *fields) for number, fields in enumerate(_observations(draft), start=1)),
    )
    return (draft.plain_document(DocumentKind.ORU, 1, "HL7 result message", text.encode()),)


def patient_segment(draft: Draft) -> str:
    """Return PID."""
    source = draft.source
    issuer = source.text("IssuerOfPatientID")
    return hl7.segment(
        "PID",
        1,
        "",
        hl7.components(source.text("PatientID"), "", "", issuer),
        "",
        _person_name(source.text("PatientName")),
        "",
        source.text("PatientBirthDate"),
        _SEXES.get(source.text("PatientSex"), "U"),
    )


def _person_name(name: str) -> hl7.Escaped:
    """Return a DICOM name as XPN: its first group that says something; prefix and suffix change places."""
    group = next((one for one in name.split("=") if one.strip("^ ")), "")
    family, given, middle, prefix, suffix = (group.split("^") + [""] * 5)[:5]
    return hl7.components(family, given, middle, suffix, prefix)


def request_segment(draft: Draft, status: str, *, interpreter: str = "") -> str:
    """Return OBR.

    Parameters
    ----------
    status
        HL7 table 0123.
    interpreter
        Who signed; ``""``: nobody.
    """
    source = draft.source
    studied_at = source.text("StudyDate") + source.text("StudyTime").split(".")[0]
    fields = {
        1: "1",
        3: source.text("AccessionNumber"),
        4: code_field(_procedure(draft)),
        7: studied_at if source.text("StudyDate") else "",
        16: _provider(source.text("ReferringPhysicianName")),
        18: source.text("AccessionNumber"),
        22: hl7.timestamp(header.local_time(draft)),
        24: source.text("Modality"),
        25: status,
        # NDL: a name within one component, its family part first.
        32: hl7.Escaped(f"{hl7.SUBCOMPONENT}{hl7.components(interpreter)}") if interpreter else "",
    }
    return hl7.segment("OBR", *(fields.get(index, "") for index in range(1, 33)))


def _procedure(draft: Draft) -> Code:
    for item in draft.source.header.get("ProcedureCodeSequence") or ():
        if item.get("CodeValue"):
            return Code(
                value=str(item.CodeValue),
                scheme=str(item.get("CodingSchemeDesignator") or "L"),
                meaning=str(item.get("CodeMeaning") or ""),
            )
    return _CT_CHEST


def _provider(name: str) -> hl7.Escaped:
    """Return a DICOM name as XCN: without an id, so that the name begins at the second component."""
    person = _person_name(name)
    return hl7.Escaped(f"{hl7.COMPONENT}{person}") if person else person


def _observations(draft: Draft) -> Iterator[tuple[str | int, ...]]:
    """Yield the fields of each OBX from OBX-2 on."""
    priority = draft.reading.triage.priority
    yield _observation("ST", _STUDY_UID, "", draft.reading.study_instance_uid)
    if draft.reading.outcome is Outcome.READ:
        urgency = Code(value=priority.value, scheme="99WETREAD", meaning=priority.value)
        yield _observation("CWE", _PRIORITY, "", code_field(urgency), flag=_ABNORMAL_FLAGS[priority])
        yield from _measured(draft)
    for line in impression_lines(draft):
        yield _observation("TX", _IMPRESSION, "", line, flag=_ABNORMAL_FLAGS[priority])
    for line in report_lines(draft):
        yield _observation("TX", _REPORT, "", line or " ")


def _measured(draft: Draft) -> Iterator[tuple[str | int, ...]]:
    """Yield findings, then regions, then the whole; OBX-4 holds together what belongs together."""
    group = 0
    for name, finding in draft.named_findings:
        group += 1
        yield from _finding_observations(str(group), name, finding)
    for region in draft.reading.regions:
        group += 1
        yield _observation("CWE", _FINDING_SITE, str(group), code_field(region.code, region.label))
        if region.laterality is not None:
            yield _observation("CWE", _LATERALITY, str(group), code_field(region.laterality))
        for name, value in region.measurements.items():
            yield _measurement(name, value, str(group))
    for name, value in draft.reading.measurements.items():
        yield _measurement(name, value, str(group + 1))


def _finding_observations(group: str, name: str, finding: Finding) -> Iterator[tuple[str | int, ...]]:
    yield _observation("CWE", _FINDING, group, code_field(finding.code, name), flag="A")
    yield _observation("ST", _TRACKING_UID, group, finding.tracking_uid)
    if finding.site is not None:
        yield _observation("CWE", _FINDING_SITE, group, code_field(finding.site))
    if finding.laterality is not None:
        yield _observation("CWE", _LATERALITY, group, code_field(finding.laterality))
    for key, value in finding.measurements.items():
        yield _measurement(key, value, group)
    if finding.probability is not None:
        unit = code_field(code.NO_UNITS)
        yield _observation("NM", _PROBABILITY, group, f"{finding.probability:.3f}", unit=unit)


def _measurement(name: str, value: float, group: str) -> tuple[str | int, ...]:
    quantity = MEASUREMENTS[name]
    number = f"{value + 0.0:.{quantity.decimals + 1}f}"
    return _observation("NM", quantity.concept, group, number, unit=code_field(quantity.unit))


def _observation(
    value_type: str, concept: Code, group: str, value: str, *, unit: str = "", flag: str = ""
) -> tuple[str | int, ...]:
    """Return OBX-2 to OBX-11."""
    return (value_type, code_field(concept), group, value, unit, "", flag, "", "", _PRELIMINARY)


def observation(value_type: str, concept: Code, value: str, status: str) -> tuple[str | int, ...]:
    """Return OBX-2 to OBX-11 of something that belongs to no group."""
    return (value_type, code_field(concept), "", value, "", "", "", "", "", status)


def code_field(value: Code, original: str = "") -> hl7.Escaped:
    """Return a code as CWE; the original text is CWE-9."""
    return hl7.components(
        value.value, value.meaning, value.scheme, *([""] * 5 + [original] if original else [])
    )
