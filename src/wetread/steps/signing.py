"""Sign a report: its documents are made, kept and addressed in one transaction.

In: a report, what its writer saw.  Out: the signed report; deliveries that wait.
Never: a signature on images that came later; a signed report that is not on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wetread.compose import DocumentReference, read_source
from wetread.compose.draft import Draft
from wetread.compose.report import compose_report
from wetread.compose.report_template import ReportTemplate, choose_template
from wetread.deliver.destination import Destination
from wetread.domain.audit import AuditEvent
from wetread.domain.document import Document, DocumentKind
from wetread.domain.reading import Outcome, digest
from wetread.domain.report import Report
from wetread.errors import NotNow
from wetread.store import Store
from wetread.store.deliveries import StudyRevision
from wetread.store.readings import ReadingRow


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
            If no model has anything to say of the study yet, more images came, or the writer saw an
            older version.
        StorageError
            If disk or index refuse.
        """
        row = self._base(report.study_instance_uid)

        def compose(kept: Report) -> Iterable[Document]:
            return compose_report(self._draft(row), kept, self._template(report.study_instance_uid))

        signed = self.store.reports.sign(
            report,
            seen=seen,
            reading_id=row.id,
            compose=compose,
            event=event,
            beside=self._addressing(report),
        )
        self.wake()
        return signed

    def _base(self, study: str) -> ReadingRow:
        """Return the Reading that the documents stand with: one that was read before one that was not."""
        rows = self.store.readings.list_current([study]).get(study, [])
        if not rows:
            raise NotNow("No model has read this study: write its report where the order came from.")
        return min(rows, key=lambda one: (one.outcome is not Outcome.READ, one.id))

    def _template(self, study: str) -> ReportTemplate | None:
        """Return the template that the report was begun with: the same for the same study."""
        row = self.store.studies.find(study)
        return choose_template(self.templates, row.modalities, row.study_description) if row else None

    def _draft(self, row: ReadingRow) -> Draft:
        reading = self.store.readings.load(row.digest)
        study = self.store.studies.load(row.study_instance_uid)
        if study is None:
            raise NotNow("The study was deleted meanwhile.")
        named = [one for one in study.series if one.series_instance_uid == reading.series_instance_uid]
        source = read_source(
            (named or list(study.series))[0], None, predecessors=self._earlier(row.study_instance_uid)
        )
        return Draft(reading=reading, source=source, digest=digest(reading))

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
