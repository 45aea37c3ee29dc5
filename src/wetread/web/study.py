"""One study as it is shown.

In: rows and Readings of the store.  Out: ``StudyView``.
Never: masks; numbers of a superseded Reading beside those of the newest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from wetread.domain.change import revise, standing
from wetread.domain.document import SIGNED_KINDS, DocumentKind
from wetread.domain.model import Model
from wetread.domain.progress import DeliveryState
from wetread.domain.reading import Outcome, Reading
from wetread.domain.report import Report
from wetread.domain.review import Verdict, newest_of
from wetread.registry.lineup import Lineup
from wetread.store import Store
from wetread.store.deliveries import DeliveryRow
from wetread.store.readings import DocumentRow, ReadingRow
from wetread.store.slices import ImageSeries
from wetread.store.studies import RevisionRow, StudyRow
from wetread.web import change_view, words
from wetread.web.listing import DeliveryMark, Line, describe_deliveries, list_lines, make_lines
from wetread.web.match_view import ModelMatch, match_views
from wetread.web.report_view import RemarkView, ReportView, view_remark, view_report
from wetread.web.tables import Table, finding_tables, region_table

#: Readings kept in memory without their masks: the same page is asked for again and again.
_KEPT_READINGS = 256

_DELIVERY_WORDS = {
    DeliveryState.WAITING: "waiting",
    DeliveryState.SENT: "delivered",
    DeliveryState.VERIFIED: "delivered, checked",
    DeliveryState.REFUSED: "refused",
    DeliveryState.FAILED: "failed, tries used up",
    DeliveryState.SUPERSEDED: "superseded by a newer revision",
}
_DELIVERY_LEVELS = {
    DeliveryState.SENT: "done",
    DeliveryState.VERIFIED: "done",
    DeliveryState.REFUSED: "trouble",
    DeliveryState.FAILED: "trouble",
}


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
    series_instance_uid: str
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
    #: What counts of each finding that was judged: tracking UID, remark.
    judged: tuple[tuple[str, RemarkView], ...]
    #: What readers reported of the whole Reading.
    reported: tuple[RemarkView, ...]
    #: What readers changed and added; the tables hold their values.
    edits: change_view.Changed
    #: What models said, as readers have it: a report begins with it.
    report_texts: tuple[str, ...]
    region_table: Table | None
    problems: tuple[ProblemView, ...]
    images: tuple[DocumentView, ...]
    texts: tuple[DocumentView, ...]
    pdfs: tuple[DocumentView, ...]
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
class DeliveryView:
    """One document at one destination."""

    id: int
    title: str
    kind: str
    state: str
    state_words: str
    level: str
    attempts: int
    problem_code: str
    message: str
    updated_at: str
    is_retryable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryGroup:
    """What one destination gets of one revision."""

    revision: int
    #: False: a newer revision has taken its place.
    is_newest: bool
    mark: DeliveryMark
    documents: tuple[DeliveryView, ...]


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
    #: Where a finding can be added.
    series: tuple[ImageSeries, ...]
    #: Segmentations that were sent for it: code, what became of them, sender, time.
    returned: tuple[tuple[str, str, str, str], ...]


class StudyViews:
    """Makes the views; keeps Readings, which never change, in memory without masks."""

    def __init__(self, store: Store, lineup: Lineup) -> None:
        self._store = store
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
        matched = max((one for one in revisions if one.match), key=lambda one: one.revision, default=None)
        said_of = change_view.load_said(store, uid)
        views = tuple(self._reading(one, documents[one.id], models, said_of) for one in standing)
        versions = store.reports.list_for_study(uid)
        said = [text for one in views for text in one.report_texts]
        rejected = {name for one in views for name in one.rejected_names}
        changed = change_view.changed_names(one.edits for one in views)
        return StudyView(
            report=view_report(row, versions, said, rejected, changed, written),
            series=said_of.series,
            returned=change_view.view_returned(store.changes.list_returned(uid)),
            line=make_lines(store, [row], now)[0] if place is None else lines[place],
            listed_count=len(lines),
            previous_key=lines[place - 1].key if place else "",
            next_key=lines[place + 1].key if place is not None and place + 1 < len(lines) else "",
            readings=views,
            models=match_views(matched.match if matched else None, models),
            match_revision=matched.revision if matched else 0,
            deliveries=_delivery_groups(store.deliveries.list_for_study(uid), documents),
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
        said: change_view.SaidOfStudy,
    ) -> ReadingView:
        reading, names = self._load(row.digest)
        model = models.get(row.model_name)
        counted = newest_of(said.remarks, row.digest)
        mine = [one for one in said.remarks if one.reading_digest == row.digest]
        changes = said.changes_of(row.digest)
        edits = change_view.view_changes(reading, names, changes, said.series, model)
        reading = revise(reading, standing(changes, row.digest))
        texts = self._texts(documents)
        return ReadingView(
            digest=row.digest,
            series_instance_uid=reading.series_instance_uid,
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
            finding_tables=finding_tables(
                reading.findings, names, [reading.status_of(one) for one in reading.findings]
            ),
            judged=tuple((uid, view_remark(one)) for uid, one in counted.items()),
            reported=tuple(view_remark(one) for one in mine if one.verdict is Verdict.REPORTED),
            region_table=region_table(reading.regions, reading.measurements),
            problems=tuple(
                ProblemView(code=one.code.value, message=one.message, refuses=one.refuses)
                for one in reading.problems
            ),
            images=_views(documents, DocumentKind.PNG),
            texts=texts,
            edits=edits,
            report_texts=change_view.revise_texts([one.text for one in texts], reading, edits),
            pdfs=_views(documents, DocumentKind.PDF),
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


def _delivery_groups(
    rows: list[DeliveryRow], documents: Mapping[int, list[DocumentRow]]
) -> tuple[DeliveryGroup, ...]:
    by_id = {one.id: one for listed in documents.values() for one in listed}
    grouped: dict[tuple[int, str], list[DeliveryRow]] = {}
    for row in sorted(rows, key=lambda one: (-one.revision, one.destination, one.id)):
        grouped.setdefault((row.revision, row.destination), []).append(row)
    newest = max((row.revision for row in rows), default=0)
    return tuple(
        DeliveryGroup(
            revision=revision,
            is_newest=revision == newest,
            mark=describe_deliveries(destination, Counter(one.state for one in members)),
            documents=tuple(_delivery(one, by_id.get(one.document_id)) for one in members),
        )
        for (revision, destination), members in grouped.items()
    )


def _delivery(row: DeliveryRow, document: DocumentRow | None) -> DeliveryView:
    shared: dict[str, Any] = {
        name: getattr(row, name) for name in ("id", "attempts", "problem_code", "message")
    }
    return DeliveryView(
        **shared,
        title=document.title if document else "",
        kind=document.kind.value if document else "",
        state=row.state.value,
        state_words=_DELIVERY_WORDS[row.state],
        level=_DELIVERY_LEVELS.get(row.state, "waiting"),
        updated_at=words.format_time(row.updated_at),
        is_retryable=row.state in (DeliveryState.REFUSED, DeliveryState.FAILED),
    )


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
