"""One study as it is shown.

In: rows and Readings of the store.  Out: ``StudyView``.
Never: masks; numbers of a superseded Reading beside those of the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from wetread.domain.document import SIGNED_KINDS, DocumentKind
from wetread.domain.model import Model
from wetread.domain.reading import Outcome, Reading
from wetread.domain.report import Report
from wetread.domain.review import Remark, Verdict, newest_of
from wetread.registry.lineup import Lineup
from wetread.store import Store
from wetread.store.readings import DocumentRow, ReadingRow
from wetread.store.studies import RevisionRow, StudyRow
from wetread.web import words
from wetread.web.group_deliveries import DeliveryGroup, group_deliveries
from wetread.web.listing import Line, list_lines, make_lines
from wetread.web.marks import name_marks
from wetread.web.match_view import ModelMatch, match_views
from wetread.web.pictures import Pictures
from wetread.web.report_view import RemarkView, ReportView, view_remark, view_report
from wetread.web.spots import FindingCard, make_cards
from wetread.web.stacks import Stack
from wetread.web.tables import Table, finding_tables, region_table

#: Readings kept in memory without their masks: the same page is asked for again and again.
_KEPT_READINGS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemView:
    """What stood in the way, or limits the reading."""

    code: str
    message: str
    refuses: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentView:
    """A document that can be opened."""

    id: int
    title: str
    #: Its words, where it is text.
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingView:
    """One model's Reading."""

    digest: str
    title: str
    model: str
    model_digest: str
    operating_point: str
    outcome: str
    outcome_words: str
    priority: str
    reasons: tuple[str, ...]
    revision: int
    made_at: str
    finding_tables: tuple[Table, ...]
    cards: tuple[FindingCard, ...]
    #: What counts of each finding that was judged: tracking UID, remark.
    judged: tuple[tuple[str, RemarkView], ...]
    #: What readers reported of the whole Reading.
    reported: tuple[RemarkView, ...]
    region_table: Table | None
    problems: tuple[ProblemView, ...]
    images: tuple[DocumentView, ...]
    texts: tuple[DocumentView, ...]
    pdfs: tuple[DocumentView, ...]
    #: Series of the Segmentation, for the viewer that reads DICOMweb; ``""``: none.
    segmentation_uid: str
    #: Kinds of everything composed, e.g. ``("sr", "seg")``.
    document_kinds: tuple[str, ...]

    @property
    def rejected_names(self) -> tuple[str, ...]:
        """Names of the findings that a reader rejected."""
        named = [
            (uid, row[0])
            for table in self.finding_tables
            for uid, row in zip(table.finding_uids, table.rows, strict=True)
        ]
        return tuple(name for uid, name in named if self.remark_of(uid).verdict == Verdict.REJECTED.value)

    def remark_of(self, finding_uid: str) -> RemarkView:
        """Return what counts of a finding."""
        return dict(self.judged).get(finding_uid, RemarkView())


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One step of the history."""

    at: str
    stage: str
    level: str
    code: str
    message: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionView:
    """One time that the study was taken as complete."""

    revision: int
    instance_count: int
    cause: str
    begun_at: str
    #: ``""`` while it is read.
    finished_at: str
    #: Readings of it, with whether they stand.
    readings: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """Everything about one study."""

    line: Line
    #: For the viewer that reads DICOMweb; ``""`` for whom UIDs are not.
    study_instance_uid: str
    #: What can be scrolled through.
    stacks: tuple[Stack, ...]
    #: How many wait on the same list, and the keys of its neighbours; ``""`` at the ends.
    listed_count: int
    previous_key: str
    next_key: str
    readings: tuple[ReadingView, ...]
    models: tuple[ModelMatch, ...]
    match_revision: int
    #: Newest revision first.
    deliveries: tuple[DeliveryGroup, ...]
    revisions: tuple[RevisionView, ...]
    events: tuple[EventView, ...]
    report: ReportView

    @property
    def marks(self) -> str:
        """What stands in the address of the findings' outlines (``marks.name_marks``)."""
        return name_marks(one.digest for one in self.readings if one.outcome == Outcome.READ.value)

    @property
    def cards(self) -> tuple[FindingCard, ...]:
        """The findings of all Readings."""
        return tuple(card for reading in self.readings for card in reading.cards)


class StudyViews:
    """Makes the views; keeps Readings, which never change, in memory without masks."""

    def __init__(self, store: Store, lineup: Lineup, pictures: Pictures) -> None:
        self._store = store
        self._pictures = pictures
        self._lineup = lineup
        self._load: Callable[[str], tuple[Reading, tuple[str, ...]]] = lru_cache(_KEPT_READINGS)(
            self._load_without_masks
        )

    def make(
        self,
        row: StudyRow,
        now: datetime,
        *,
        sources: tuple[str, ...] | None = None,
        written: Report | None = None,
    ) -> StudyView:
        """Return the view of a study as it is now.

        Parameters
        ----------
        sources
            Between its neighbours from these; None: all.
        written
            What somebody wrote and could not save: shown in place of what is kept.
        """
        store, uid, models = self._store, row.study_instance_uid, self._lineup.now()
        lines = list_lines(store, now, is_reported=row.reported_at is not None, sources=sources)
        place = next((index for index, line in enumerate(lines) if line.key == row.key), None)
        rows = store.readings.list_for_study(uid)
        standing = [one for one in rows if not one.superseded]
        documents = {one.id: store.readings.list_documents(one.id) for one in rows}
        revisions = store.studies.list_revisions(uid)
        remarks = store.room.list_remarks(uid)
        matched = max((one for one in revisions if one.match), key=lambda one: one.revision, default=None)
        stacks = self._pictures.list_stacks(row)
        views = tuple(self._reading(one, documents[one.id], models, remarks, stacks) for one in standing)
        versions = store.reports.list_for_study(uid)
        said = [text.text for one in views for text in one.texts]
        rejected = {name for one in views for name in one.rejected_names}
        return StudyView(
            report=view_report(row, versions, said, rejected, written),
            line=make_lines(store, [row], now)[0] if place is None else lines[place],
            study_instance_uid=uid,
            stacks=stacks,
            listed_count=len(lines),
            previous_key=lines[place - 1].key if place else "",
            next_key=lines[place + 1].key if place is not None and place + 1 < len(lines) else "",
            readings=views,
            models=match_views(matched.match if matched else None, models),
            match_revision=matched.revision if matched else 0,
            deliveries=group_deliveries(store.deliveries.list_for_study(uid), documents),
            revisions=tuple(_revision(one, rows) for one in revisions),
            events=tuple(
                EventView(
                    at=words.format_time(one.at.timestamp()),
                    stage=one.stage,
                    level=one.level,
                    code=one.code,
                    message=one.message,
                    revision=one.revision,
                )
                for one in store.history.list_for_study(uid)
            ),
        )

    def _load_without_masks(self, digest: str) -> tuple[Reading, tuple[str, ...]]:
        """Return a Reading without masks, and the names that its segments gave the findings."""
        reading = self._store.readings.load(digest)
        return replace(reading, segments=()), reading.finding_names

    def _reading(
        self,
        row: ReadingRow,
        documents: list[DocumentRow],
        models: Mapping[str, Model],
        remarks: list[Remark],
        stacks: tuple[Stack, ...],
    ) -> ReadingView:
        reading, names = self._load(row.digest)
        model = models.get(row.model_name)
        counted = newest_of(remarks, row.digest)
        mine = [one for one in remarks if one.reading_digest == row.digest]
        tables = finding_tables(reading.findings, names, [reading.status_of(one) for one in reading.findings])
        return ReadingView(
            digest=row.digest,
            title=model.title if model else row.model_name,
            model=f"{row.model_name} {row.model_version}",
            model_digest=reading.model.digest[:12],
            operating_point=reading.operating_point,
            outcome=row.outcome.value,
            outcome_words=_outcome_words(row),
            priority=row.priority.value,
            reasons=row.reasons,
            revision=row.revision,
            made_at=words.format_time(row.made_at),
            finding_tables=tables,
            cards=make_cards(reading, row.digest, tables, stacks),
            judged=tuple((uid, view_remark(one)) for uid, one in counted.items()),
            reported=tuple(view_remark(one) for one in mine if one.verdict is Verdict.REPORTED),
            region_table=region_table(reading.regions, reading.measurements),
            problems=tuple(
                ProblemView(code=one.code.value, message=one.message, refuses=one.refuses)
                for one in reading.problems
            ),
            images=_views(documents, DocumentKind.PNG),
            texts=self._texts(documents),
            pdfs=_views(documents, DocumentKind.PDF),
            segmentation_uid=next(
                (one.series_instance_uid for one in documents if one.kind is DocumentKind.SEG), ""
            ),
            document_kinds=tuple(
                dict.fromkeys(one.kind.value for one in documents if one.kind not in SIGNED_KINDS)
            ),
        )

    def _texts(self, documents: list[DocumentRow]) -> tuple[DocumentView, ...]:
        return tuple(
            DocumentView(
                id=one.id,
                title=one.title,
                text=self._store.readings.load_document(one).data.decode("utf-8", "replace"),
            )
            for one in documents
            if one.kind is DocumentKind.TEXT
        )


def _outcome_words(row: ReadingRow) -> str:
    if row.outcome is Outcome.NOT_READ:
        return "not read"
    return (
        f"read, {words.format_count(row.finding_count, 'finding') if row.finding_count else 'nothing found'}"
    )


def _views(documents: list[DocumentRow], kind: DocumentKind) -> tuple[DocumentView, ...]:
    chosen = sorted((one for one in documents if one.kind is kind), key=lambda one: one.ordinal)
    return tuple(DocumentView(id=one.id, title=one.title) for one in chosen)


def _revision(row: RevisionRow, readings: list[ReadingRow]) -> RevisionView:
    return RevisionView(
        revision=row.revision,
        instance_count=row.instance_count,
        cause=row.cause,
        begun_at=words.format_time(row.begun_at),
        finished_at=words.format_time(row.finished_at) if row.finished_at is not None else "",
        readings=tuple(
            (
                f"{one.model_name} {one.model_version}: {_outcome_words(one)}",
                "superseded" if one.superseded else "",
            )
            for one in readings
            if one.revision == row.revision
        ),
    )
