"""The structured report and the segmentation anew, after readers changed what a model found.

In: a Reading, the changes that stand, its source.  Out: an SR that names those before it, and its SEG.
Never: a reader's outline as an algorithm's; a probability for what a reader outlined; the clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from wetread.compose.draft import ByReaders, Draft
from wetread.compose.seg import compose_seg
from wetread.compose.source import Source
from wetread.compose.sr import compose_sr
from wetread.compose.wording import size_text
from wetread.domain.change import Change, ChangeKind, added, revise
from wetread.domain.document import Document
from wetread.domain.finding import Finding
from wetread.domain.reading import Reading, digest


def compose_revised(
    reading: Reading,
    changes: Mapping[str, Sequence[Change]],
    source: Source,
    *,
    cause: str,
    at: datetime,
    ordinal: int,
) -> tuple[Document, ...]:
    """Compose SR and SEG of a Reading as readers have it.

    Parameters
    ----------
    changes
        Those that stand, by tracking UID.
    source
        Of the series that was read; its predecessors are the reports that this one takes the place of.
    cause
        SOP Instance UID of the segmentation that it follows: the same gives the same UID.
    at
        When it is made.
    ordinal
        Among the SRs, and among the SEGs, of this Reading.

    Returns
    -------
    tuple of Document
        Whole: whoever gets them need not have what the reader sent. The same arguments give the same bytes.
    """
    of_model = digest(reading)
    revised = revise(reading, changes)
    changed = frozenset(one.tracking_uid for one in reading.findings if changes.get(one.tracking_uid))
    findings = tuple(
        replace(one, probability=None) if one.tracking_uid in changed else one for one in revised.findings
    )
    draft = Draft(
        reading=replace(revised, findings=findings, made_at=at),
        source=source,
        digest=hashlib.sha256(f"{of_model}|revised|{cause}".encode()).hexdigest(),
        by_readers=ByReaders(
            digest=of_model,
            findings=changed,
            outlined=frozenset(_list_outlined(reading, changes)),
            lines=tuple(_lines(reading, revised, changes)),
        ),
    )
    documents = (*compose_sr(draft), *compose_seg(draft))
    return tuple(
        replace(one, ordinal=ordinal, title=f"{one.title}, with what readers changed") for one in documents
    )


def _list_outlined(reading: Reading, changes: Mapping[str, Sequence[Change]]) -> Iterator[int]:
    for finding in reading.findings:
        is_outlined = any(one.said.outline is not None for one in changes.get(finding.tracking_uid, ()))
        if is_outlined and finding.segment_number is not None:
            yield finding.segment_number


def _lines(reading: Reading, revised: Reading, changes: Mapping[str, Sequence[Change]]) -> list[str]:
    lines = []
    for name, before, after in zip(reading.finding_names, reading.findings, revised.findings, strict=True):
        steps = ", ".join(f"{one.kind.value} by {one.who}" for one in changes.get(before.tracking_uid, ()))
        if steps:
            lines.append(f"{name}: {steps}. The model: {_brief(before)}. The reader: {_brief(after)}.")
    for name, one in added(changes):
        lines.append(
            f"{name}: {one.said.label}, {ChangeKind.ADDED.value} by {one.who}: not in the model's result."
        )
    return lines


def _brief(one: Finding) -> str:
    return ", ".join(part for part in (one.label, size_text(one)) if part)
