"""One study as it is shown.

In: rows and Readings of the store.  Out: ``StudyView``.
Never: masks; numbers of a superseded Reading beside those of the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from wetread.compose.linked import Proposal, find_sentences
from wetread.compose.prefill import prefill
from wetread.compose.report_template import ReportTemplate, choose_template
from wetread.domain.change import revise, standing
from wetread.domain.document import SIGNED_KINDS, DocumentKind
from wetread.domain.model import Model
from wetread.domain.reading import Outcome, Reading
from wetread.domain.report import Report
from wetread.domain.review import Verdict, newest_of
from wetread.registry.lineup import Lineup
from wetread.store import Store
from wetread.store.reading_list import Wanted
from wetread.store.readings import DocumentRow, ReadingRow
from wetread.store.slices import ImageSeries
from wetread.store.studies import StudyRow
from wetread.web import words
from wetread.web.change_view import Changed, SaidOfStudy, load_said, revise_texts, view_changes, view_returned
from wetread.web.changes import ChangesView
from wetread.web.changes import view_changes as view_since_prior
from wetread.web.listing import Line, make_lines, weigh
from wetread.web.match_view import ModelMatch, match_views
from wetread.web.meaning import Meaning, explain
from wetread.web.pictures import Pictures
from wetread.web.report_view import RemarkView, ReportView, view_remark, view_report
from wetread.web.revision_view import EventView, RevisionView, outcome_words, view_event, view_revision
from wetread.web.spots import FindingCard, make_cards
from wetread.web.stacks import Stack
from wetread.web.study_deliveries import DeliveryGroup, group_deliveries
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
    cards: tuple[FindingCard, ...]
    #: What counts of each finding that was judged: tracking UID, remark.
    judged: tuple[tuple[str, RemarkView], ...]
    #: What readers reported of the whole Reading.
    reported: tuple[RemarkView, ...]
    #: What readers changed and added; the tables hold their values.
    edits: Changed
    #: What models said, as readers have it: a report begins with it.
    report_texts: tuple[str, ...]
    region_table: Table | None
    problems: tuple[ProblemView, ...]
    #: Since the prior study; None where nothing was compared.
    changes: ChangesView | None
    images: tuple[DocumentView, ...]
    texts: tuple[DocumentView, ...]
    pdfs: tuple[DocumentView, ...]
    #: Series of the Segmentation, for the viewer that reads DICOMweb; ``""``: none.
    segmentation_uid: str
    #: Kinds of everything composed, e.g. ``("sr", "seg")``.
    document_kinds: tuple[str, ...]
    #: Help: what its numbers mean, what its model is not for.
    meaning: Meaning

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
    #: Number of an alert that nobody has answered; 0: there is none.
    alert_id: int
    #: What stands in the address of the findings' outlines (``marks.name_marks``).
    marks: str
    #: Where a finding can be added.
    series: tuple[ImageSeries, ...]
    #: Segmentations that were sent for it: code, what became of them, sender, time.
    returned: tuple[tuple[str, str, str, str], ...]

    @property
    def cards(self) -> tuple[FindingCard, ...]:
        """The findings of all Readings."""
        return tuple(card for reading in self.readings for card in reading.cards)


class StudyViews:
    """Makes the views; keeps Readings, which never change, in memory without masks."""

    def __init__(
        self, store: Store, lineup: Lineup, pictures: Pictures, templates: Sequence[ReportTemplate]
    ) -> None:
        self._store = store
        self._templates = templates
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
        wanted = Wanted(is_reported=row.reported_at is not None, sources=sources)
        place = store.reading_list.place(uid, wanted, weigh())
        rows = store.readings.list_for_study(uid)
        standing = [one for one in rows if not one.superseded]
        documents = {one.id: store.readings.list_documents(one.id) for one in rows}
        revisions = store.studies.list_revisions(uid)
        matched = max((one for one in revisions if one.match), key=lambda one: one.revision, default=None)
        said_of = load_said(store, uid)
        stacks = self._pictures.list_stacks(row)
        views = tuple(
            replace(view, changes=self._changes(one, row, sources))
            for one in standing
            for view in [self._reading(one, documents[one.id], models, said_of, stacks)]
        )
        versions = store.reports.list_for_study(uid)
        rejected = {name for one in views for name in one.rejected_names}
        pdfs = store.readings.find_report_pdfs(uid)
        alert = store.alerts.find_open(uid)
        return StudyView(
            alert_id=alert.id if alert else 0,
            report=view_report(row, versions, self._propose(row, views), rejected, written, pdfs),
            marks=self._pictures.name_marks(row),
            series=said_of.series,
            returned=view_returned(store.changes.list_returned(uid)),
            line=replace(make_lines(store, [row], now)[0], position=place.position or 1),
            study_instance_uid=uid,
            stacks=stacks,
            listed_count=place.total or 1,
            previous_key=place.previous_key,
            next_key=place.next_key,
            readings=views,
            models=match_views(matched.match if matched else None, models),
            match_revision=matched.revision if matched else 0,
            deliveries=group_deliveries(
                store.deliveries.list_for_study(uid), documents | {0: store.readings.list_signed(uid)}
            ),
            revisions=tuple(view_revision(one, rows) for one in revisions),
            events=tuple(view_event(one) for one in store.history.list_for_study(uid)),
        )

    def propose(self, row: StudyRow) -> Proposal:
        """Return what the report of a study may begin with, as its page shows it."""
        store, uid = self._store, row.study_instance_uid
        models, said = self._lineup.now(), load_said(store, uid)
        standing = [one for one in store.readings.list_for_study(uid) if not one.superseded]
        return self._propose(
            row,
            [self._reading(one, store.readings.list_documents(one.id), models, said, ()) for one in standing],
        )

    def _propose(self, row: StudyRow, views: Sequence[ReadingView]) -> Proposal:
        rejected = {name for one in views for name in one.rejected_names}
        # "Not read, because" is for the page and not for a report.
        read = [one for one in views if one.outcome == Outcome.READ.value]
        said = prefill([text for one in read for text in one.report_texts], rejected)
        template = choose_template(self._templates, row.modalities, row.study_description)
        names = {line[0] for one in views for table in one.finding_tables for line in table.rows}
        names |= {missed.name for one in views for missed in one.edits.added}
        sections = template.fill(said) if template else said
        return Proposal(sections=sections, sentences=find_sentences(said, names))

    def _load_without_masks(self, digest: str) -> tuple[Reading, tuple[str, ...]]:
        """Return a Reading without masks, and the names that its segments gave the findings."""
        reading = self._store.readings.load(digest)
        return replace(reading, segments=()), reading.finding_names

    def _reading(
        self,
        row: ReadingRow,
        documents: list[DocumentRow],
        models: Mapping[str, Model],
        said: SaidOfStudy,
        stacks: tuple[Stack, ...],
    ) -> ReadingView:
        reading, names = self._load(row.digest)
        model = models.get(row.model_name)
        counted = newest_of(said.remarks, row.digest)
        mine = [one for one in said.remarks if one.reading_digest == row.digest]
        changes = said.changes_of(row.digest)
        edits = view_changes(reading, names, changes, said.series, model)
        reading = revise(reading, standing(changes, row.digest))
        texts = self._texts(documents)
        tables = finding_tables(reading.findings, names, [reading.status_of(one) for one in reading.findings])
        return ReadingView(
            digest=row.digest,
            series_instance_uid=reading.series_instance_uid,
            title=model.title if model else row.model_name,
            model=f"{row.model_name} {row.model_version}",
            model_digest=reading.model.digest[:12],
            operating_point=reading.operating_point,
            outcome=row.outcome.value,
            outcome_words=outcome_words(row),
            priority=row.priority.value,
            reasons=row.reasons,
            revision=row.revision,
            made_at=words.format_time(row.made_at),
            finding_tables=tables,
            cards=make_cards(reading, row.digest, tables, stacks),
            judged=tuple((uid, view_remark(one)) for uid, one in counted.items()),
            reported=tuple(view_remark(one) for one in mine if one.verdict is Verdict.REPORTED),
            region_table=region_table(
                reading.regions, reading.measurements, "Organs" if reading.sources else "Lungs"
            ),
            problems=tuple(
                ProblemView(code=one.code.value, message=one.message, refuses=one.refuses)
                for one in reading.problems
            ),
            changes=None,
            images=_views(documents, DocumentKind.PNG),
            texts=texts,
            edits=edits,
            report_texts=revise_texts([one.text for one in texts], reading, edits),
            pdfs=_views(documents, DocumentKind.PDF),
            # The newest: of a Reading whose findings readers outlined anew there are several.
            segmentation_uid=next(
                (one.series_instance_uid for one in reversed(documents) if one.kind is DocumentKind.SEG), ""
            ),
            meaning=explain(reading, model),
            document_kinds=tuple(
                dict.fromkeys(one.kind.value for one in documents if one.kind not in SIGNED_KINDS)
            ),
        )

    def _changes(
        self, row: ReadingRow, study: StudyRow, sources: tuple[str, ...] | None
    ) -> ChangesView | None:
        reading, names = self._load(row.digest)
        if reading.comparison is None:
            return None
        prior = self._store.studies.find(reading.comparison.study_instance_uid)
        may_see = prior is not None and (sources is None or prior.source in sources)
        return view_since_prior(
            reading,
            names,
            reading_id=row.id,
            day=words.format_date(study.study_date),
            prior_key=prior.key if prior is not None and may_see else "",
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


def _views(documents: list[DocumentRow], kind: DocumentKind) -> tuple[DocumentView, ...]:
    chosen = sorted((one for one in documents if one.kind is kind), key=lambda one: one.ordinal)
    return tuple(DocumentView(id=one.id, title=one.title) for one in chosen)
