"""The structured report and the segmentation anew, after readers changed what a model found.

In: a Reading, what readers left of it, its source.  Out: an SR that names those before it, and its SEG.
Never: a reader's outline or number as an algorithm's; a finding that was rejected; a probability for what a
reader outlined; the clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from wetread.compose.draft import Addition, ByReaders, Draft, Revised
from wetread.compose.seg import compose_seg
from wetread.compose.source import DocumentReference, Source
from wetread.compose.sr import compose_sr
from wetread.compose.wording import size_text
from wetread.domain.change import LONG, MEAN, SHORT, Change, ChangeKind, added, revise
from wetread.domain.document import Document
from wetread.domain.finding import Finding
from wetread.domain.left import Left
from wetread.domain.reading import Reading, digest


def compose_revised(
    reading: Reading,
    left: Left,
    source: Source,
    *,
    cause: str,
    at: datetime,
    ordinal: int,
    people: Mapping[str, str] | None = None,
    images: Mapping[str, str] | None = None,
    marked_in: DocumentReference | None = None,
) -> tuple[Document, ...]:
    """Compose SR and SEG of a Reading as readers have it.

    Parameters
    ----------
    source
        Of the series that was read; its predecessors are the reports that this one takes the place of.
    cause
        What it follows, e.g. the SOP Instance UID of a segmentation: the same gives the same UID.
    at
        When it is made.
    ordinal
        Among the SRs, and among the SEGs, of this Reading.
    people
        Names of accounts, for people.
    images
        SOP Class UIDs of images of the study, by SOP Instance UID: of those that added findings point to.
    marked_in
        The Segmentation that the report refers to; None: one with the outlines of readers is composed.

    Returns
    -------
    tuple of Document
        Whole: whoever gets them need not have what the reader sent. The same arguments give the same bytes.
        The Segmentation keeps the outlines of what was rejected, which keep their numbers.
    """
    of_model = digest(reading)
    draft = Draft(
        reading=replace(_left_of(reading, left), made_at=at),
        source=source,
        digest=hashlib.sha256(f"{of_model}|revised|{cause}".encode()).hexdigest(),
        by_readers=_by_readers(reading, left, people or {}, images or {}),
        marked_in=marked_in,
    )
    documents = (*compose_sr(draft), *(compose_seg(draft) if marked_in is None else ()))
    return tuple(
        replace(one, ordinal=ordinal, title=f"{one.title}, with what readers changed") for one in documents
    )


def is_outlined(left: Left) -> bool:
    """Tell whether the outline of a reader stands: then the model's Segmentation is not enough."""
    return any(one.said.outline is not None for stack in left.changes.values() for one in stack)


def _left_of(reading: Reading, left: Left) -> Reading:
    findings = tuple(
        replace(one, probability=None) if left.changes.get(one.tracking_uid) else one
        for one in revise(reading, left.changes).findings
        if one.tracking_uid not in left.rejected
    )
    return replace(revise(reading, left.changes), findings=findings)


def _by_readers(
    reading: Reading, left: Left, people: Mapping[str, str], images: Mapping[str, str]
) -> ByReaders:
    changed = {one.tracking_uid: left.changes.get(one.tracking_uid, ()) for one in reading.findings}
    return ByReaders(
        digest=digest(reading),
        findings={uid: _revised(stack, people) for uid, stack in changed.items() if stack},
        outlined=frozenset(_list_outlined(reading, left.changes)),
        lines=tuple(_lines(reading, left, people)),
        added=tuple(_additions(left.changes, people, images)),
        names=dict(zip((one.tracking_uid for one in reading.findings), reading.finding_names, strict=True)),
    )


def _revised(stack: Sequence[Change], people: Mapping[str, str]) -> Revised:
    by_hand: set[str] = set()
    for one in stack:
        if one.said.outline is not None:
            by_hand = set()
        elif one.said.measurements.keys() & {LONG, SHORT}:
            # The mean follows from both: one of them is the reader's.
            by_hand |= {*one.said.measurements, MEAN}
    edits = [one.who for one in stack if one.kind is ChangeKind.EDITED]
    return Revised(
        person=people.get(edits[-1], edits[-1]) if edits else "",
        is_outlined=any(one.said.outline is not None for one in stack),
        by_hand=frozenset(by_hand),
    )


def _additions(
    changes: Mapping[str, Sequence[Change]], people: Mapping[str, str], images: Mapping[str, str]
) -> Iterator[Addition]:
    for name, one in added(changes):
        place = one.said.place
        yield Addition(
            name=name,
            said=one.said,
            tracking_uid=one.tracking_uid,
            person=people.get(one.who, one.who),
            sop_class_uid=images.get(place.sop_instance_uid, "") if place else "",
        )


def _list_outlined(reading: Reading, changes: Mapping[str, Sequence[Change]]) -> Iterator[int]:
    for finding in reading.findings:
        has_outline = any(one.said.outline is not None for one in changes.get(finding.tracking_uid, ()))
        if has_outline and finding.segment_number is not None:
            yield finding.segment_number


def _lines(reading: Reading, left: Left, people: Mapping[str, str]) -> Iterator[str]:
    revised = revise(reading, left.changes)
    for name, before, after in zip(reading.finding_names, reading.findings, revised.findings, strict=True):
        if before.tracking_uid in left.rejected:
            yield f"{name} of the model ({_brief(before)}): rejected by a reader."
            continue
        stack = left.changes.get(before.tracking_uid, ())
        steps = ", ".join(f"{one.kind.value} by {people.get(one.who, one.who)}" for one in stack)
        if steps:
            yield f"{name}: {steps}. The model: {_brief(before)}. The reader: {_brief(after)}."
    for name, one in added(left.changes):
        who = people.get(one.who, one.who)
        yield f"{name}: {one.said.label}, {ChangeKind.ADDED.value} by {who}: not in the model's result."


def _brief(one: Finding) -> str:
    return ", ".join(part for part in (one.label, size_text(one)) if part)
