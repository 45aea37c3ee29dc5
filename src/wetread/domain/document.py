"""A document: one object made from a Reading, ready to leave.

In: bytes and what they are.  Out: the same.  Never: where it goes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class DocumentKind(StrEnum):
    """What kinds of document are composed."""

    SR = "sr"  # Comprehensive 3D SR, TID 1500
    SEG = "seg"  # Segmentation
    REG = "reg"  # Spatial Registration of the prior study, affine and deformable
    PR = "pr"  # Grayscale Softcopy Presentation State
    SC = "sc"  # Secondary Capture: key image
    PNG = "png"  # the key image for pages
    PDF = "pdf"  # Encapsulated PDF
    TEXT = "text"  # structured text report
    ORU = "oru"  # HL7 v2 ORU^R01, preliminary
    REPORT = "report"  # Basic Text SR that a reader signed, TID 2000
    REPORT_PDF = "report-pdf"  # the same for people, Encapsulated PDF
    RESULT = "result"  # the same as HL7 v2 ORU^R01, final


#: Kinds that are DICOM objects and go by C-STORE.
DICOM_KINDS = frozenset(
    {
        *(DocumentKind.SR, DocumentKind.SEG, DocumentKind.PR, DocumentKind.SC, DocumentKind.PDF),
        *(DocumentKind.REG, DocumentKind.REPORT, DocumentKind.REPORT_PDF),
    }
)
#: Messages.
HL7_KINDS = frozenset({DocumentKind.ORU, DocumentKind.RESULT})
#: What a reader signed: it stands whatever models read later.
SIGNED_KINDS = frozenset({DocumentKind.REPORT, DocumentKind.REPORT_PDF, DocumentKind.RESULT})
#: What is composed from a Reading.
READING_KINDS = tuple(kind for kind in DocumentKind if kind not in SIGNED_KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One composed object."""

    kind: DocumentKind
    #: From 1, within the kind (several key images).
    ordinal: int
    #: For DICOM kinds the SOP Instance UID, else the derived UID that names the message.
    sop_instance_uid: str
    #: ``""`` for kinds that are not DICOM.
    sop_class_uid: str
    series_instance_uid: str
    #: For people, e.g. ``"Key image: nodule 1"``.
    title: str
    #: A Part 10 file for DICOM kinds; PNG, UTF-8 text or an HL7 message otherwise.
    data: bytes = field(repr=False)
