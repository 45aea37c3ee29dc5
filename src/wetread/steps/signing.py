"""Sign a report: its documents are made, kept and addressed in one transaction.

In: a report, what its writer saw.  Out: the signed report; deliveries that wait.
Never: a signature on images that came later, or of two patients; a signed report that is not on its way.

A report stands with the Reading of a model; where no model read the study, with one of no model, which
says nothing and is shown nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from wetread.compose import DocumentReference, read_source
from wetread.compose.draft import Draft
from wetread.compose.report import compose_report
from wetread.compose.report_template import ReportTemplate, choose_template
from wetread.deliver.destination import Destination
from wetread.domain.audit import AuditEvent
from wetread.domain.document import Document, DocumentKind
from wetread.domain.problem import Problem, ProblemCode
from wetread.domain.reading import NO_MODEL, Outcome, Reading, digest
from wetread.domain.report import Report
from wetread.domain.study import Series, Study
from wetread.errors import InputError, NotNow
from wetread.match.patients import check_patients
from wetread.store import Store
from wetread.store.deliveries import StudyRevision
from wetread.store.readings import ReadingRow

#: Their headers name the patient, too, but images come first.
_NO_IMAGES = frozenset({"SR", "PR", "KO", "SEG", "DOC", "REG"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """What signing works with."""

    store: Store
    destinations: Mapping[str, Destination]
    #: Of reports: whose headings have codes.
    templates: tuple[ReportTemplate, ...] = ()
    #: Told that something waits to be delivered.
    wake: Callable[[], None] = lambda: None

    def sign(self, report: Report, *, seen: int, event: AuditEvent) -> Report:
        """Sign a report.

        Raises
        ------
        NotNow
            If it is being read, its images name several patients, more of them came, or the writer saw an
            older version.
        StorageError
            If disk or index refuse.
        """
        study = self._study(report.study_instance_uid)
        row = self._find_read(report.study_instance_uid)
        reading = self.store.readings.load(row.digest) if row is not None else self._make_base(report, study)

        def compose(kept: Report) -> Iterable[Document]:
            template = self._template(report.study_instance_uid)
            return compose_report(self._draft(study, reading), kept, template)

        signed = self.store.reports.sign(
            report,
            seen=seen,
            base=row.id if row is not None else reading,
            compose=compose,
            event=event,
            beside=self._addressing(report),
        )
        self.wake()
        return signed

    def _template(self, study: str) -> ReportTemplate | None:
        """Return the template that the report was begun with: the same for the same study."""
        row = self.store.studies.find(study)
        return choose_template(self.templates, row.modalities, row.study_description) if row else None

    def _study(self, uid: str) -> Study:
        study = self.store.studies.load(uid)
        if study is None:
            raise NotNow("The study was deleted meanwhile.")
        for problem in check_patients(study):
            # Whose report would it be?
            raise NotNow(problem.message)
        return study

    def _find_read(self, study: str) -> ReadingRow | None:
        """Return the Reading that the documents stand with; None: no model has read the study."""
        rows = self.store.readings.list_current([study]).get(study, [])
        return min((one for one in rows if one.outcome is Outcome.READ), key=lambda one: one.id, default=None)

    def _make_base(self, report: Report, study: Study) -> Reading:
        """Return what a report stands with where no model read the study."""
        uid, row = study.study_instance_uid, self.store.studies.find(study.study_instance_uid)
        if row is None or not row.revision or row.revision != report.revision:
            raise NotNow("More images came: look at the study again, then sign.")
        if self.store.studies.get_revision(uid, row.revision).finished_at is None:
            raise NotNow("This study is being read at this moment: sign when that has ended.")
        why = Problem(code=ProblemCode.NO_RULE_APPLIES, message="A reader reported it; no model read it.")
        return Reading(
            study_instance_uid=uid,
            series_instance_uid=_order(study)[0].series_instance_uid,
            revision=row.revision,
            model=NO_MODEL,
            operating_point="",
            outcome=Outcome.NOT_READ,
            problems=(why,),
            made_at=datetime.fromtimestamp(report.at, UTC),
        )

    def _draft(self, study: Study, reading: Reading) -> Draft:
        earlier, named = self._earlier(study.study_instance_uid), reading.series_instance_uid
        for series in _order(study, named):
            try:
                source = read_source(series, None, predecessors=earlier)
            except InputError:
                # Any image says whose the study is.
                continue
            return Draft(reading=reading, source=source, digest=digest(reading))
        raise NotNow("No image of this study can be read: have it sent again, then sign.")

    def _earlier(self, study: str) -> tuple[DocumentReference, ...]:
        return tuple(
            DocumentReference(
                kind=one.kind,
                sop_class_uid=one.sop_class_uid,
                sop_instance_uid=one.sop_instance_uid,
                series_instance_uid=one.series_instance_uid,
            )
            for one in self.store.readings.list_signed(study)
            if one.kind is DocumentKind.REPORT
        )

    def _addressing(self, report: Report) -> Callable[[Any, list[int]], None]:
        place = StudyRevision(report.study_instance_uid, report.revision, report.at)
        order = (DocumentKind.REPORT, DocumentKind.REPORT_PDF, DocumentKind.RESULT)

        def address(connection: Any, ids: list[int]) -> None:
            for destination in self.destinations.values():
                wanted = [
                    number for kind, number in zip(order, ids, strict=True) if kind in destination.kinds
                ]
                self.store.deliveries.add_in(connection, place, wanted, destination.name)

        return address


def _order(study: Study, first: str = "") -> list[Series]:
    """Return the series of a study, one of these before the others, then those of images."""
    return sorted(
        study.series, key=lambda one: (one.series_instance_uid != first, one.modality in _NO_IMAGES)
    )
