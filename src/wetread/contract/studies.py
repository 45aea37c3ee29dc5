"""Studies as the API tells them.

In: nothing.  Out: values.  Never: who the patient is, for who may not know: those fields are empty then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from wetread.contract.answers import Page, ProblemSaid
from wetread.contract.deliveries import DeliveryLine
from wetread.contract.readings import ReadingLine
from wetread.domain.fetching import Purpose
from wetread.domain.progress import StudyState
from wetread.domain.reading import Priority
from wetread.domain.report import ReportState, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientSaid:
    """Who the patient is, in DICOM's words."""

    #: PN, e.g. ``Doe^Jane``.
    name: str
    id: str
    birth_date: date | None
    sex: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyLine:
    """One study of a list."""

    #: Names the study in addresses.
    key: str
    study_instance_uid: str
    patient: PatientSaid
    accession_number: str
    study_date: date | None
    description: str
    modalities: tuple[str, ...]
    instance_count: int
    #: Highest revision begun, 0 before the first.
    revision: int
    state: StudyState
    #: For people, e.g. ``read, 1 finding``.
    state_words: str
    #: What it is here for: to be read at once, as a prior of another, or when nothing live waits.
    purpose: Purpose
    #: Of what models found and rules say, the most urgent.
    priority: Priority
    #: False: no model has read it and no rule says more, so that its urgency is not known.
    is_triaged: bool
    #: Why it is urgent, most important first.
    reasons: tuple[str, ...]
    finding_count: int
    received_at: datetime
    last_received_at: datetime
    #: When somebody took it off the reading list; null while it waits.
    reported_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPage(Page):
    """A page of studies."""

    items: tuple[StudyLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingList:
    """The studies that wait, most urgent first."""

    items: tuple[StudyLine, ...]
    #: How many wait, shown or not.
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesDecision:
    """What was said about one series."""

    description: str
    is_chosen: bool
    reason: str
    problems: tuple[ProblemSaid, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDecision:
    """Why one model reads a study or does not."""

    model: str
    is_chosen: bool
    #: Name of the rule that asked for it; empty where none did.
    rule: str
    reason: str
    problems: tuple[ProblemSaid, ...]
    series: tuple[SeriesDecision, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionSaid:
    """One time that a study was taken as complete."""

    revision: int
    instance_count: int
    cause: str
    begun_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSaid:
    """One step of a study's history."""

    at: datetime
    revision: int
    stage: str
    level: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReport:
    """A report or an addendum that somebody signed."""

    state: ReportState
    #: Those with text, in the order of a report.
    sections: Mapping[Section, str]
    signed_by: str
    signed_at: datetime
    #: Of its PDF among the documents; null where an earlier version signed it.
    pdf_document_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyDetail:
    """Everything about one study."""

    study: StudyLine
    #: Superseded ones too, oldest revision first.
    readings: tuple[ReadingLine, ...]
    #: Of the newest revision that models were asked for.
    decisions: tuple[ModelDecision, ...]
    deliveries: tuple[DeliveryLine, ...]
    #: Oldest first; none for who may not know names, since whom a text names nobody can know.
    reports: tuple[SignedReport, ...]
    revisions: tuple[RevisionSaid, ...]
    events: tuple[EventSaid, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Which models ran on a study or did not, and why, in words."""

    study_key: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A revision that was begun because somebody asked."""

    study_key: str
    revision: int
