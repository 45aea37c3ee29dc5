"""Reports that readers write: each version kept, the signed ones with their documents.

In: a report, the newest version that its writer saw.  Out: versions, oldest first.
Never: a version over one that the writer has not seen; a signature without its documents, deliveries and
audit entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.audit import AuditEvent
from wetread.domain.document import Document
from wetread.domain.reading import Reading
from wetread.domain.report import Report, ReportState, Section
from wetread.errors import NotNow, StorageError
from wetread.store import schema
from wetread.store.audit import Audit
from wetread.store.history import Event, History
from wetread.store.readings import Readings
from wetread.store.room import end_claim
from wetread.store.study_lock import lock_study
from wetread.store.text import clean_text

_TABLE = schema.report
#: Of one section.
LONGEST_SECTION = 20_000
#: Makes the documents of a report that has its number.
Compose = Callable[[Report], Iterable[Document]]


@dataclass(frozen=True, slots=True)
class Reports:
    """All versions."""

    engine: Engine
    audit: Audit
    readings: Readings

    def list_for_study(self, study_instance_uid: str) -> list[Report]:
        """Return every version of a study's report, oldest first.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        query = select(_TABLE).where(_TABLE.c.study_instance_uid == study_instance_uid).order_by(_TABLE.c.id)
        try:
            with self.engine.connect().execution_options(read_only=True) as connection:
                return [_report(row) for row in connection.execute(query).mappings()]
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error

    def save(self, report: Report, *, seen: int) -> Report:
        """Keep a draft.

        Parameters
        ----------
        seen
            Number of the newest version that the writer saw; 0: none.

        Raises
        ------
        NotNow
            If somebody saved or signed another version since.
        StorageError
            If the index refuses.
        """
        with self._changing(report, seen) as connection:
            return _insert(connection, report)

    def sign(
        self,
        report: Report,
        *,
        seen: int,
        base: int | Reading,
        compose: Compose,
        event: AuditEvent,
        beside: Callable[[Connection, list[int]], None],
    ) -> Report:
        """Keep a signed report with its documents, off the reading list: all or nothing.

        Parameters
        ----------
        base
            What its documents stand with: the number of a model's Reading, or one of no model.
        beside
            What else belongs to the transaction, given the numbers of the documents.

        Raises
        ------
        NotNow, StorageError
            As ``save``; also if the study was read anew since the report was written.
        """
        with self._changing(report, seen) as connection:
            _require_revision(connection, report)
            kept = _insert(connection, report)
            study = kept.study_instance_uid
            number = base if isinstance(base, int) else self.readings.add_base(connection, base)
            beside(connection, self.readings.add_signed(connection, study, number, compose(kept)))
            mine = schema.study.c.study_instance_uid == study
            connection.execute(update(schema.study).where(mine).values(reported_at=kept.at))
            end_claim(connection, study)
            History(self.engine).add_in(connection, _signed_event(kept))
            self.audit.record_in(connection, event)
        self.audit.note_end()
        return kept

    @contextmanager
    def _changing(self, report: Report, seen: int) -> Iterator[Connection]:
        try:
            with self.engine.begin() as connection:
                lock_study(connection, report.study_instance_uid)
                newest = connection.execute(
                    select(func.max(_TABLE.c.id)).where(
                        _TABLE.c.study_instance_uid == report.study_instance_uid
                    )
                ).scalar()
                if int(newest or 0) != seen:
                    raise NotNow(
                        "Somebody saved another version of this report meanwhile: copy what is yours."
                    )
                yield connection
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error


def _insert(connection: Connection, report: Report) -> Report:
    values: dict[str, Any] = asdict(report) | {
        "state": report.state.value,
        "sections": {
            section.value: clean_text(text)[:LONGEST_SECTION] for section, text in report.sections.items()
        },
        "signed_by": clean_text(report.signed_by)[:64],
    }
    del values["id"]
    number = connection.execute(insert(_TABLE).values(values).returning(_TABLE.c.id)).scalar_one()
    sections = {Section(name): text for name, text in values["sections"].items()}
    return replace(report, id=number, sections=sections, signed_by=values["signed_by"])


def _require_revision(connection: Connection, report: Report) -> None:
    study = schema.study.c
    query = select(study.revision, study.instance_count, study.covered_count).where(
        study.study_instance_uid == report.study_instance_uid
    )
    row = connection.execute(query).first()
    if row is None or row.revision != report.revision or row.instance_count > row.covered_count:
        raise NotNow("More images came: look at the new reading, then sign.")


def _signed_event(report: Report) -> Event:
    what = "Addendum" if report.state is ReportState.ADDENDUM else "Report"
    return Event(
        study_instance_uid=report.study_instance_uid,
        revision=report.revision,
        at=datetime.fromtimestamp(report.at).astimezone(),
        stage="review",
        message=f"{what} signed by {report.who}.",
    )


def _report(row: Any) -> Report:
    sections = {Section(name): text for name, text in row["sections"].items()}
    return Report(
        **{**row, "state": ReportState(row["state"]), "sections": sections, "proposed": row["proposed"] or {}}
    )
