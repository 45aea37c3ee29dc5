"""What an earlier Reading of a study means for a new one.

In: rows of Readings, what a new one would be made from.  Out: whether the earlier one stands; what its
documents are called.
Never: a Reading that stands although something else would be read.
"""

from __future__ import annotations

from collections.abc import Sequence

from wetread.compose import DocumentReference
from wetread.domain.reading import Outcome, Reading
from wetread.infer.job import ReadJob
from wetread.steps.answers import is_of_last_answer
from wetread.store import Store
from wetread.store.readings import ReadingRow


def covers(store: Store, row: ReadingRow, job: ReadJob) -> bool:
    """Tell whether a Reading was made by this very model from these very images, masks and answers."""
    if row.superseded or row.outcome is not Outcome.READ:
        return False
    reading, model = store.readings.load(row.digest), job.model
    return (
        reading.model == model.identity
        # A reader of its own names its numbers as it likes.
        and (bool(model.runtime.entry) or reading.operating_point == model.operating_point)
        and reading.grid is not None
        and set(reading.grid.sop_instance_uids) == {one.sop_instance_uid for one in job.series.instances}
        and set(reading.sources) == {one.instance.sop_instance_uid for one in job.organs}
        and is_of_last_answer(store, reading, job.series, model)
    )


def last_read(rows: Sequence[ReadingRow]) -> str:
    """Return the digest of the newest that was read: only that has documents that can be superseded."""
    return next((row.digest for row in reversed(rows) if row.outcome is Outcome.READ), "")


def find_predecessors(store: Store, reading: Reading) -> tuple[DocumentReference, ...]:
    """Return the documents that those of a Reading take the place of."""
    if not reading.predecessor_digest:
        return ()
    rows = store.readings.list_for_study(reading.study_instance_uid)
    held = [row for row in rows if row.digest == reading.predecessor_digest]
    return tuple(
        DocumentReference(
            kind=document.kind,
            sop_class_uid=document.sop_class_uid,
            sop_instance_uid=document.sop_instance_uid,
            series_instance_uid=document.series_instance_uid,
        )
        for row in held
        for document in store.readings.list_documents(row.id)
    )
