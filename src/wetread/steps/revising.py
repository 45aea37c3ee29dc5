"""Compose the report of a Reading as readers left it.

In: a study, a Reading, what readers left of it.  Out: its SR and SEG, behind those that were sent.
Never: pixels; the model's own documents anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from wetread.compose import DocumentReference, read_source
from wetread.compose.revised import compose_revised, is_outlined
from wetread.domain.change import ChangeKind
from wetread.domain.document import Document, DocumentKind
from wetread.domain.left import Left
from wetread.domain.reading import Reading
from wetread.domain.study import Study
from wetread.store import Store
from wetread.store.readings import DocumentRow, ReadingRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Revising:
    """What it works with."""

    store: Store
    clock: Callable[[], datetime]

    def compose(
        self, study: Study, row: ReadingRow, left: Left, *, reading: Reading, cause: str
    ) -> tuple[Document, ...]:
        """Compose SR and SEG; the SEG only where the outline of a reader stands, or there is none.

        Parameters
        ----------
        cause
            What it follows: the same gives the same UIDs.

        Raises
        ------
        InputError
            If the images are not here any more, or cannot be read.
        """
        documents = self.store.readings.list_documents(row.id)
        last = find_last(documents, DocumentKind.SR)
        marked = None if is_outlined(left) else _first(documents, DocumentKind.SEG)
        series = study.get_series(reading.series_instance_uid)
        predecessors = (_reference(last),) if last is not None else ()
        return compose_revised(
            reading,
            left,
            read_source(series, None, predecessors=predecessors, grid=reading.grid),
            cause=cause,
            at=self.clock(),
            ordinal=last.ordinal + 1 if last else 1,
            people=self._names(left),
            images=_find_classes(study, left),
            marked_in=_reference(marked) if marked is not None else None,
        )

    def _names(self, left: Left) -> dict[str, str]:
        """Return what accounts are called; a sender of segmentations has none."""
        kinds = (ChangeKind.EDITED, ChangeKind.ADDED)
        who = {one.who for stack in left.changes.values() for one in stack if one.kind in kinds}
        accounts = {name: self.store.accounts.find(name) for name in who}
        return {name: row.display_name or name for name, row in accounts.items() if row is not None}


def find_last(documents: Iterable[DocumentRow], kind: DocumentKind) -> DocumentRow | None:
    """Return the newest document of a kind."""
    return max((one for one in documents if one.kind is kind), key=lambda one: one.ordinal, default=None)


def _first(documents: Iterable[DocumentRow], kind: DocumentKind) -> DocumentRow | None:
    return min((one for one in documents if one.kind is kind), key=lambda one: one.ordinal, default=None)


def _reference(one: DocumentRow) -> DocumentReference:
    return DocumentReference(
        kind=one.kind,
        sop_class_uid=one.sop_class_uid,
        sop_instance_uid=one.sop_instance_uid,
        series_instance_uid=one.series_instance_uid,
    )


def _find_classes(study: Study, left: Left) -> dict[str, str]:
    """Return the SOP Class UIDs of the images that added findings point to."""
    places = [one.said.place for stack in left.changes.values() for one in stack]
    wanted = {one.sop_instance_uid for one in places if one is not None}
    return {
        one.sop_instance_uid: one.sop_class_uid
        for series in study.series
        for one in series.instances
        if one.sop_instance_uid in wanted
    }
