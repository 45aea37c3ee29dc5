"""Segmentations that come back: recognised as a revision of ours, measured again, reported anew.

In: a study and its revision.  Out: changes of findings with who sent them; a new SR; a line in the history.
Never: a changed Reading; an outline on another grid; what nobody can say which finding it is about.

Each segmentation is looked at once, when the revision that holds it is read. What was there before the
images were read as they are now is none of a reading: it is an object like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from wetread.domain.change import Change, ChangeKind, Outline, Said
from wetread.domain.document import Document
from wetread.domain.finding import Finding
from wetread.domain.left import Left, leave
from wetread.domain.model import Model
from wetread.domain.problem import ProblemCode
from wetread.domain.reading import Outcome, Reading
from wetread.domain.returned import Return, Returned
from wetread.domain.study import Instance, Study, header_text
from wetread.domain.volume import Grid, Volume
from wetread.errors import GeometryError, InputError, LabelsDoNotFit
from wetread.imaging.segmentation import (
    LABEL_MAP_STORAGE,
    SEGMENTATION_STORAGE,
    find_referenced_series,
    read_maker,
)
from wetread.imaging.segments import iter_segments, read_names
from wetread.imaging.volume import read_volume
from wetread.infer.chest_findings import box_lps_mm
from wetread.match.outlines import (
    Held,
    Outlined,
    Pair,
    is_named,
    match_outlines,
    may_be_ours,
    tell_others,
)
from wetread.measure.marked import measure_marked
from wetread.steps.journal import Journal
from wetread.steps.loading import load_revision
from wetread.steps.revising import Revising
from wetread.steps.trail import returned_event
from wetread.store import Store
from wetread.store.changes import Arrival
from wetread.store.readings import ReadingRow

#: Sentences in one line of the history.
_MOST_TOLD = 10
_CLASSES = (SEGMENTATION_STORAGE, LABEL_MAP_STORAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A Reading that stands, with what readers changed."""

    row: ReadingRow
    reading: Reading
    left: Left

    @property
    def grid(self) -> Grid:
        """Of its masks."""
        if self.reading.grid is None:
            raise GeometryError
        return self.reading.grid

    def find(self, tracking_uid: str) -> Finding:
        """Return a finding of it."""
        return next(one for one in self.reading.findings if one.tracking_uid == tracking_uid)

    def held(self) -> list[Held]:
        """Return what it outlines."""
        findings = {one.segment_number: one.tracking_uid for one in self.reading.findings}
        found = []
        for segment in self.reading.segments:
            uid = findings.get(segment.number, "")
            outlines = [one.said.outline for one in self.left.changes.get(uid, ()) if one.said.outline]
            last = (outlines[-1].mask,) if outlines else ()
            found.append(
                Held(
                    reading_digest=self.row.digest,
                    tracking_uid=uid,
                    name=segment.label,
                    number=segment.number,
                    masks=(segment.mask, *last),
                )
            )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Came:
    """A segmentation, and how it came."""

    instance: Instance
    arrival: Arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """What becomes of it."""

    outcome: Return
    message: str
    code: ProblemCode | None = None
    changes: tuple[Change, ...] = ()
    documents: Mapping[int, Sequence[Document]] = field(default_factory=dict)
    #: ``Left.state`` of the Readings that were composed anew, before these changes.
    states: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturningSteps:
    """What it works with."""

    store: Store
    clock: Callable[[], datetime]
    #: AE titles of other vendors' AI: what they send is no reader's.
    peers: frozenset[str] = frozenset()

    def take(self, study: str, revision: int) -> None:
        """Look at the segmentations of a revision that nobody looked at yet, in the order of arrival.

        Raises
        ------
        StorageError
            If disk or index refuse: it is done again.
        """
        if self.store.studies.find(study) is None:
            return
        held = load_revision(self.store, study, revision)
        seen = {one.sop_instance_uid for one in self.store.changes.list_returned(study)}
        new = {
            one.sop_instance_uid: one
            for series in held.series
            for one in series.instances
            if one.sop_class_uid in _CLASSES and one.sop_instance_uid not in seen
        }
        if not new:
            return
        for uid, arrival in self.store.changes.find_arrivals(study).items():
            if uid in new:
                self._take(held, revision, _Came(instance=new[uid], arrival=arrival))

    def note_failed(self, study: str, revision: int, code: str) -> None:
        """Note that a segmentation could not be looked at; it is tried again with the next revision."""
        if self.store.studies.find(study) is not None:
            told = f"A segmentation that came could not be measured ({code}); the reading stands as it was."
            journal = Journal(self.store.history, self.clock)
            journal.problem(study, revision, "review", told, ProblemCode.INTERNAL_ERROR.value)

    def _take(self, study: Study, revision: int, came: _Came) -> None:
        row = self.store.studies.find(study.study_instance_uid)
        if row is None:
            return
        verdict, now = self._judge(study, came), self.clock()
        self.store.changes.keep_returned(
            Returned(
                sop_instance_uid=came.instance.sop_instance_uid,
                study_instance_uid=study.study_instance_uid,
                outcome=verdict.outcome,
                code=verdict.code,
                message=verdict.message,
                source=came.arrival.source,
                at=now.timestamp(),
            ),
            verdict.changes,
            revision=revision,
            documents=verdict.documents,
            states=verdict.states,
            event=returned_event(row, now, came.arrival.source, f"Segmentation: {verdict.outcome.value}."),
        )

    def _judge(self, study: Study, came: _Came) -> _Verdict:
        uid, named = study.study_instance_uid, find_referenced_series(came.instance)
        if came.arrival.source in self.peers:
            return _foreign("another vendor's AI sent it.")
        if named and self.store.slices.is_elsewhere(uid, named):
            return _refused(
                ProblemCode.SEGMENTATION_OTHER_STUDY,
                "it refers to a series of another study: nothing of it was taken.",
            )
        reads = [one for one in self._list_read(uid) if _is_of(one, came.instance, named)]
        reads = [one for one in reads if self._came_after(came, one)]
        if not reads:
            return _foreign("it is about nothing that a model outlined.")
        if len({one.reading.series_instance_uid for one in reads}) > 1:
            return _foreign("it does not say which series it is of.")
        held = [other for one in reads for other in one.held()]
        try:
            return self._outlined(study, came, reads, held)
        except LabelsDoNotFit as error:
            return _refused(ProblemCode.SEGMENTATION_GEOMETRY, f"{error.message}: nothing of it was taken.")
        except InputError as error:
            return _refused(
                ProblemCode.SEGMENTATION_UNREADABLE, f"it cannot be read ({error.code}): send it again."
            )

    def _outlined(self, study: Study, came: _Came, reads: list[_Read], held: list[Held]) -> _Verdict:
        names = read_names(came.instance)
        numbers = {one.number for one in names if may_be_ours(one, held)}
        is_ours = any(is_named(one, held) for one in names)
        if not numbers:
            return _foreign("none of its segments is a finding of ours.")
        try:
            found = match_outlines(iter_segments(came.instance, reads[0].grid, numbers), held)
        except InputError:
            if is_ours:
                raise
            # A number alone is believed only where geometry and outline agree.
            return _foreign("none of its segments is named as a finding of ours.")
        if not found.pairs and not found.unchanged:
            if not is_ours:
                return _foreign("none of its segments is a finding of ours.")
            return _refused(ProblemCode.SEGMENT_NOT_TAKEN, _list(found.not_taken))
        found = replace(found, not_taken=(*found.not_taken, *tell_others(names, held)))
        if not found.pairs:
            return _with_rest(_Verdict(outcome=Return.UNCHANGED, message="all of ours is as it was."), found)
        return self._measured(study, came, reads, found)

    def _measured(self, study: Study, came: _Came, reads: list[_Read], found: Outlined) -> _Verdict:
        by_digest = {one.row.digest: one for one in reads}
        series = study.get_series(reads[0].reading.series_instance_uid)
        volume, _ = read_volume(series)
        if volume.grid.sop_instance_uids != reads[0].grid.sop_instance_uids:
            raise LabelsDoNotFit("The images are not those that were read any more")
        changes, names, not_taken = [], [], list(found.not_taken)
        for pair in found.pairs:
            read = by_digest[pair.held.reading_digest]
            try:
                changes.append(self._change(study, came, read, pair, volume))
                names.append(pair.held.name)
            except InputError as error:
                not_taken.append(f"Segment {pair.segment.number}: {error.message}.")
        if not changes:
            return _refused(ProblemCode.SEGMENT_NOT_TAKEN, _list(not_taken))
        documents = {
            read.row.id: self._compose(study, came, read, mine)
            for read in reads
            if (mine := [one for one in changes if one.reading_digest == read.row.digest])
        }
        told = _Verdict(
            outcome=Return.REVISED,
            message=f"{', '.join(names)}: measured anew on its outline.",
            changes=tuple(changes),
            documents=documents,
            states={read.row.digest: read.left.state for read in reads if read.row.id in documents},
        )
        return _with_rest(told, replace(found, not_taken=tuple(not_taken)))

    def _change(self, study: Study, came: _Came, read: _Read, pair: Pair, volume: Volume) -> Change:
        finding, mask = read.find(pair.held.tracking_uid), pair.segment.mask
        marked = measure_marked(volume, mask, finding.measurements)
        outline = Outline(
            mask=mask,
            center_lps_mm=marked.center_lps_mm,
            box_lps_mm=box_lps_mm(read.grid, mask),
            key_plane=marked.key_plane,
            axes=marked.axes,
            sop_class_uid=came.instance.sop_class_uid,
            sop_instance_uid=came.instance.sop_instance_uid,
            series_instance_uid=came.instance.series_instance_uid,
            segment_number=pair.segment.number,
        )
        return Change(
            study_instance_uid=study.study_instance_uid,
            reading_digest=read.row.digest,
            tracking_uid=finding.tracking_uid,
            kind=ChangeKind.OUTLINED,
            said=Said(measurements=dict(marked.measurements), outline=outline),
            text=read_maker(came.instance),
            at=self.clock().timestamp(),
            who=came.arrival.source,
        )

    def _compose(self, study: Study, came: _Came, read: _Read, changes: list[Change]) -> tuple[Document, ...]:
        """Compose SR and SEG with these changes behind those that stand."""
        stands = dict(read.left.changes)
        for one in changes:
            stands[one.tracking_uid] = (*stands.get(one.tracking_uid, ()), one)
        return Revising(store=self.store, clock=self.clock).compose(
            study,
            read.row,
            replace(read.left, changes=stands),
            reading=read.reading,
            cause=came.instance.sop_instance_uid,
        )

    def _list_read(self, study: str) -> list[_Read]:
        rows = self.store.readings.list_current([study]).get(study, [])
        changes, remarks = self.store.changes.list_for_study(study), self.store.room.list_remarks(study)
        found = []
        for row in rows:
            if row.outcome is Outcome.READ:
                reading = self.store.readings.load(row.digest)
                # What others marked is none of ours: a new one of theirs is measured anew.
                if reading.grid is not None and reading.segments and not reading.sources:
                    found.append(_Read(row=row, reading=reading, left=leave(changes, remarks, row.digest)))
        return found

    def _came_after(self, came: _Came, read: _Read) -> bool:
        """Tell whether it came after the images of a Reading: no clock is asked."""
        begun = self.store.studies.get_revision(read.row.study_instance_uid, read.row.revision)
        return came.arrival.number > begun.instance_count


def list_peers(models: Iterable[Model]) -> frozenset[str]:
    """Return the AE titles that answers of other vendors' AI come from."""
    said = (one.runtime for one in models if one.runtime.kind == "dicom-peer")
    return frozenset(one.answers_from or one.peer.partition("@")[0] for one in said)


def _is_of(read: _Read, instance: Instance, named: str) -> bool:
    """Tell whether a segmentation is about what was read: by its series, else by its frame of reference."""
    if named:
        return read.reading.series_instance_uid == named
    frame = header_text(instance.header, "FrameOfReferenceUID")
    return bool(frame) and frame == read.grid.frame_of_reference_uid


def _refused(code: ProblemCode, reason: str) -> _Verdict:
    return _Verdict(outcome=Return.REFUSED, code=code, message=f"A segmentation that came: {_low(reason)}")


def _foreign(reason: str) -> _Verdict:
    message = f"A segmentation that came is kept as an object like any other: {reason}"
    return _Verdict(outcome=Return.FOREIGN, message=message)


def _low(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _list(sentences: Sequence[str]) -> str:
    more = len(sentences) - _MOST_TOLD
    return " ".join([*sentences[:_MOST_TOLD], *([f"And {more} more."] if more > 0 else [])])


def _with_rest(verdict: _Verdict, found: Outlined) -> _Verdict:
    """Return a verdict with what was not taken."""
    message = f"A segmentation that came: {verdict.message}"
    if not found.not_taken:
        return replace(verdict, message=message)
    return replace(verdict, message=f"{message} {_list(found.not_taken)}", code=ProblemCode.SEGMENT_NOT_TAKEN)
