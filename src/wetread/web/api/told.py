"""Rows and Readings in the words of the API.

In: rows of the store.  Out: values of ``wetread.contract``.  Never: who the patient is, for who may not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from wetread.contract.answers import ProblemSaid
from wetread.contract.deliveries import DeliveryLine
from wetread.contract.queue import ModelPace, QueuedStudy, ReadingQueue
from wetread.contract.readings import ModelSaid, ReadingLine
from wetread.contract.studies import (
    EventSaid,
    ModelDecision,
    PatientSaid,
    RevisionSaid,
    SeriesDecision,
    SignedReport,
    StudyLine,
)
from wetread.domain.document import DocumentKind
from wetread.domain.reading import Priority
from wetread.domain.report import Section
from wetread.steps.queueing import QueueLine, QueueNow
from wetread.store import Store
from wetread.store.deliveries import DeliveryRow
from wetread.store.history import Event
from wetread.store.readings import ReadingRow
from wetread.store.studies import RevisionRow, StudyRow
from wetread.telling import moment, tell_delivery
from wetread.web import words
from wetread.web.listing import Line, make_lines
from wetread.web.match_view import ModelMatch
from wetread.web.pseudonym import hide_words, identity_pattern

Said = TypeVar("Said")


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Tells rows to somebody who may know who the patient is, or may not."""

    store: Store
    now: Callable[[], datetime]
    knows_names: bool

    def studies(self, rows: Sequence[StudyRow]) -> tuple[StudyLine, ...]:
        """Return studies in the order in which they are given."""
        lines = {line.key: line for line in make_lines(self.store, rows, self.now())}
        return tuple(self._study(row, lines[row.key]) for row in rows)

    def ranked(self, rows: Sequence[StudyRow]) -> tuple[StudyLine, ...]:
        """Return studies most urgent first."""
        by_key = {row.key: row for row in rows}
        return tuple(self._study(by_key[one.key], one) for one in make_lines(self.store, rows, self.now()))

    def reports(self, study_instance_uid: str) -> tuple[SignedReport, ...]:
        """Return what readers signed of a study, oldest first."""
        if not self.knows_names:
            return ()
        pdfs = self.store.readings.find_report_pdfs(study_instance_uid)
        versions = self.store.reports.list_for_study(study_instance_uid)
        return tuple(
            SignedReport(
                state=one.state,
                sections={section: one.sections[section] for section in Section if section in one.sections},
                signed_by=one.signed_by,
                signed_at=moment(one.at),
                pdf_document_id=pdfs.get(one.id),
            )
            for one in versions
            if one.is_signed
        )

    def readings(
        self, rows: Sequence[ReadingRow], studies: Mapping[str, StudyRow]
    ) -> tuple[ReadingLine, ...]:
        """Return Readings; those of studies that are gone are left out."""
        told = ((row, studies.get(row.study_instance_uid)) for row in rows)
        return tuple(self.reading(row, study) for row, study in told if study is not None)

    def reading(self, row: ReadingRow, study: StudyRow) -> ReadingLine:
        """Return one Reading."""
        line = ReadingLine(
            id=row.id,
            study_key=study.key,
            study_instance_uid=row.study_instance_uid if self.knows_names else "",
            revision=row.revision,
            model=ModelSaid(name=row.model_name, version=row.model_version),
            outcome=row.outcome,
            priority=row.priority,
            score=row.score,
            reasons=row.reasons,
            problems=tuple(_problem(one) for one in row.problems),
            finding_count=row.finding_count,
            made_at=moment(row.made_at),
            superseded=row.superseded,
        )
        return self.hide(line, study)

    def deliveries(
        self, rows: Sequence[DeliveryRow], studies: Mapping[str, StudyRow]
    ) -> tuple[DeliveryLine, ...]:
        """Return deliveries; those of studies that are gone are left out."""
        kinds = self.store.pages.kinds_of({row.document_id for row in rows})
        told = ((row, studies.get(row.study_instance_uid)) for row in rows)
        return tuple(
            self._delivery(row, study, kinds[row.document_id])
            for row, study in told
            if study is not None and row.document_id in kinds
        )

    def queue(self, line: QueueNow) -> ReadingQueue:
        """Return the queue of readings."""
        return ReadingQueue(
            arriving=tuple(map(self.queued, line.arriving)),
            waiting=tuple(map(self.queued, line.waiting)),
            reading=tuple(map(self.queued, line.reading)),
            stuck=tuple(map(self.queued, line.stuck)),
            failed=tuple(map(self.queued, line.failed)),
            paces=tuple(ModelPace(**asdict(one)) for one in line.paces),
        )

    def queued(self, line: QueueLine) -> QueuedStudy:
        """Return one study of the queue."""
        told = _queued(line)
        return told if self.knows_names else self.hide(replace(told, study_instance_uid=""), line.study)

    def hide(self, value: Said, study: StudyRow) -> Said:
        """Return a value without the words that say who the patient is, where they must not be known."""
        return value if self.knows_names else hide_words(value, identity_pattern(study))

    def _delivery(self, row: DeliveryRow, study: StudyRow, kind: DocumentKind) -> DeliveryLine:
        line = tell_delivery(row, study, kind)
        return line if self.knows_names else self.hide(replace(line, study_instance_uid=""), study)

    def _study(self, row: StudyRow, line: Line) -> StudyLine:
        told = StudyLine(
            key=row.key,
            study_instance_uid=row.study_instance_uid,
            patient=PatientSaid(
                name=row.patient_name,
                id=row.patient_id,
                birth_date=words.parse_date(row.patient_birth_date),
                sex=row.patient_sex,
            ),
            accession_number=row.accession_number,
            study_date=words.parse_date(row.study_date),
            description=row.study_description,
            modalities=row.modalities,
            instance_count=row.instance_count,
            revision=row.revision,
            state=row.state,
            state_words=line.state_words,
            priority=Priority(line.priority),
            is_triaged=line.is_triaged,
            reasons=line.clinical_reasons,
            finding_count=line.finding_count,
            purpose=row.purpose,
            received_at=moment(row.first_received_at),
            last_received_at=moment(row.last_received_at),
            reported_at=moment(row.reported_at) if row.reported_at is not None else None,
        )
        return told if self.knows_names else self.hide(_without_patient(told, row), row)


def _without_patient(told: StudyLine, row: StudyRow) -> StudyLine:
    return replace(
        told,
        # Typed by people, be it one word.
        description=identity_pattern(row).sub("", told.description),
        study_instance_uid="",
        patient=PatientSaid(name="", id="", birth_date=None, sex=told.patient.sex),
        accession_number="",
        study_date=None,
    )


def _queued(line: QueueLine) -> QueuedStudy:
    return QueuedStudy(
        study_key=line.study.key,
        study_instance_uid=line.study.study_instance_uid,
        revision=line.revision,
        stage=line.stage,
        urgency=line.urgency,
        purpose=line.study.purpose,
        since=moment(line.since),
        position=line.position,
        worker=line.worker,
        models=line.models,
        usual_s=line.usual_s,
        code=line.code,
        message=line.message,
        advice=line.advice,
    )


def tell_decision(one: ModelMatch) -> ModelDecision:
    """Return why a model reads a study or does not."""
    return ModelDecision(
        model=one.name,
        is_chosen=one.is_chosen,
        rule=one.rule,
        reason=one.reason,
        problems=_problems(one.problems),
        series=tuple(
            SeriesDecision(
                description=series.description,
                is_chosen=series.is_chosen,
                reason=series.reason,
                problems=_problems(series.problems),
            )
            for series in one.series
        ),
    )


def tell_revision(row: RevisionRow) -> RevisionSaid:
    """Return one revision."""
    return RevisionSaid(
        revision=row.revision,
        instance_count=row.instance_count,
        cause=row.cause,
        begun_at=moment(row.begun_at),
        finished_at=moment(row.finished_at) if row.finished_at is not None else None,
    )


def tell_event(event: Event) -> EventSaid:
    """Return one step of the history."""
    return EventSaid(
        at=event.at,
        revision=event.revision,
        stage=event.stage,
        level=event.level,
        code=event.code,
        message=event.message,
    )


def _problem(plain: Mapping[str, Any]) -> ProblemSaid:
    return ProblemSaid(
        code=str(plain.get("code", "")),
        message=str(plain.get("message", "")),
        refuses=bool(plain.get("refuses", True)),
    )


def _problems(told: Iterable[tuple[str, str]]) -> tuple[ProblemSaid, ...]:
    return tuple(ProblemSaid(code=code, message=message) for code, message in told)
