"""Which attributes belong to which level, and which an answer has without being asked for them.

In: nothing.  Out: tables of tags.  Never: values.

References
----------
PS3.18 tables 10.6.3-3 to 10.6.3-5; PS3.3 C.7.1 to C.7.5.
"""

from __future__ import annotations

from pydicom.datadict import tag_for_keyword

from wetread.domain.query import Level

#: Names an attribute in DICOM JSON: eight hexadecimal digits.
Tag = str


def tag_of(keyword: str) -> Tag:
    """Return the tag of a keyword as DICOM JSON writes it, ``""`` of one that the Standard does not know."""
    tag = tag_for_keyword(keyword)
    return "" if tag is None else f"{tag:08X}"


def _tags(keywords: str) -> frozenset[Tag]:
    return frozenset(tag_of(keyword) for keyword in keywords.split())


CHARACTER_SET, RETRIEVE_URL, AVAILABILITY = "00080005", "00081190", "00080056"
STUDY_UID, SERIES_UID, INSTANCE_UID, CLASS_UID = "0020000D", "0020000E", "00080018", "00080016"
MODALITIES_IN_STUDY, STUDY_SERIES, STUDY_INSTANCES, SERIES_INSTANCES = (
    "00080061",
    "00201206",
    "00201208",
    "00201209",
)

#: Always part of an answer.
RETURNED: dict[Level, frozenset[Tag]] = {
    Level.STUDY: _tags(
        "SpecificCharacterSet StudyDate StudyTime AccessionNumber ReferringPhysicianName"
        " TimezoneOffsetFromUTC PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID StudyID"
    ),
    Level.SERIES: _tags(
        "SpecificCharacterSet Modality TimezoneOffsetFromUTC SeriesDescription SeriesInstanceUID SeriesNumber"
        " PerformedProcedureStepStartDate PerformedProcedureStepStartTime RequestAttributesSequence"
    ),
    Level.IMAGE: _tags(
        "SpecificCharacterSet SOPClassUID SOPInstanceUID TimezoneOffsetFromUTC InstanceNumber Rows Columns"
        " BitsAllocated NumberOfFrames"
    ),
}

#: What has one value for all objects of a study or series: only that can be said of the whole.
BELONGING: dict[Level, frozenset[Tag]] = {
    Level.STUDY: RETURNED[Level.STUDY]
    | _tags(
        "StudyDescription ProcedureCodeSequence NameOfPhysiciansReadingStudy PhysiciansOfRecord"
        " RequestingPhysician RequestingService ReferencedStudySequence AdmittingDiagnosesDescription"
        " PatientAge PatientSize PatientWeight Occupation AdditionalPatientHistory PatientComments"
        " OtherPatientIDs OtherPatientIDsSequence IssuerOfPatientID IssuerOfAccessionNumberSequence"
        " PatientBirthTime EthnicGroup PatientIdentityRemoved DeidentificationMethod ReasonForStudy"
        " AdmissionID InstitutionName"
    ),
    Level.SERIES: RETURNED[Level.SERIES]
    | _tags(
        "Laterality SeriesDate SeriesTime BodyPartExamined PatientPosition ProtocolName OperatorsName"
        " PerformingPhysicianName SeriesDescriptionCodeSequence PerformedProcedureStepID"
        " PerformedProcedureStepDescription Manufacturer InstitutionName StationName"
        " InstitutionalDepartmentName ManufacturerModelName DeviceSerialNumber SoftwareVersions"
        " FrameOfReferenceUID"
        " PositionReferenceIndicator AnatomicalOrientationType"
    ),
}

ABOVE: dict[Level, tuple[Level, ...]] = {
    Level.STUDY: (),
    Level.SERIES: (Level.STUDY,),
    Level.IMAGE: (Level.STUDY, Level.SERIES),
}
