"""Have what readers changed follow into a structured report, once they have done with it.

In: Readings that readers changed since a report of ours said so.  Out: an SR behind the model's, on its way.
Never: a report for each click; one to who did not get the model's; one while the study is read.

Readers have done with a study when it leaves the list, however it does; or when nobody has changed
anything for ``QUIET_S``. The row that says that something was changed is kept with the change, and the
report, its deliveries and the row's end are one transaction: a kill loses neither, and none comes twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wetread.deliver.destination import Destination
from wetread.domain.document import Document, DocumentKind
from wetread.domain.left import Left, leave
from wetread.domain.problem import ProblemCode
from wetread.domain.reading import Outcome
from wetread.errors import DamagedFile, InputError, StorageError
from wetread.steps.journal import Journal
from wetread.steps.loading import load_revision
from wetread.steps.revising import Revising, find_last
from wetread.steps.trail import settled_event
from wetread.store import Store
from wetread.store.deliveries import StudyRevision
from wetread.store.readings import ReadingRow
from wetread.store.settling import Settled, Unsettled
from wetread.store.studies import StudyRow
from wetread.waits import Waits

#: A study that stays on the list is done with when nobody changes anything for so long.
QUIET_S = 600.0
_ORDER = (DocumentKind.SR, DocumentKind.SEG)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlingSteps:
    """What it works with."""

    store: Store
    destinations: Mapping[str, Destination]
    clock: Callable[[], datetime]
    #: Told that something waits to be delivered.
    wake: Callable[[], None] = lambda: None
    waits: Waits = field(default_factory=Waits)

    def sweep(self) -> None:
        """Report what readers have done with.

        What disk or index refuse waits, and holds up no other study.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        rows = self.store.settlings.list_open()
        self.waits.forget_others({row.reading_digest for row in rows})
        for row in rows:
            study = self.store.studies.find(row.study_instance_uid)
            if study is not None and self._is_done_with(row, study) and self._is_at_rest(study):
                self._settle_safely(row, study)

    def _is_done_with(self, row: Unsettled, study: StudyRow) -> bool:
        quiet_s = self.waits.seen_s(row.reading_digest, row.version)
        has_left = study.reported_at is not None and row.changed_at <= study.reported_at
        return has_left or quiet_s >= QUIET_S

    def _is_at_rest(self, study: StudyRow) -> bool:
        """Tell whether the newest images were read: what stands now may be replaced otherwise."""
        if not study.revision or study.instance_count > study.covered_count:
            return False
        revision = self.store.studies.get_revision(study.study_instance_uid, study.revision)
        return revision.finished_at is not None

    def _settle_safely(self, row: Unsettled, study: StudyRow) -> None:
        try:
            self._settle(row, study)
        except (InputError, DamagedFile) as error:
            self._give_up(row, study, error.code)
        except StorageError as error:
            told = f"What readers changed waits to be reported ({error.code}): free space or mend the disk."
            journal = Journal(self.store.history, self.clock)
            code = ProblemCode.STORAGE_ERROR.value
            journal.waiting(row.study_instance_uid, study.revision, "review", told, code)
        except Exception as error:  # noqa: BLE001 - a bug stops this report alone, visibly
            self._give_up(row, study, f"{ProblemCode.INTERNAL_ERROR} {type(error).__name__}")

    def _settle(self, row: Unsettled, study: StudyRow) -> None:
        uid = row.study_instance_uid
        rows = self.store.readings.list_current([uid]).get(uid, [])
        reading = next((one for one in rows if one.digest == row.reading_digest), None)
        left = leave(
            self.store.changes.list_for_study(uid), self.store.room.list_remarks(uid), row.reading_digest
        )
        targets = self._targets(reading) if reading is not None else ()
        if reading is None or left.state == row.state or not targets:
            # Taken back, accepted as it is, or nobody has the model's report.
            self.store.settlings.close(row)
            return
        documents = self._compose(row, study, reading, left)
        told = "A new structured report: what readers changed is in it, what they rejected is not."
        now = self.clock()
        settled = Settled(
            state=left.state,
            reading_id=reading.id,
            revision=study.revision,
            documents=documents,
            beside=self._addressing(study, targets, documents),
        )
        journal = Journal(self.store.history, self.clock)
        is_kept = self.store.settlings.settle(
            row,
            settled,
            told=journal.event(uid, study.revision, "review", told),
            event=settled_event(study, now, len(documents)),
        )
        if is_kept:
            self.wake()

    def _compose(
        self, row: Unsettled, study: StudyRow, reading: ReadingRow, left: Left
    ) -> tuple[Document, ...]:
        uid = row.study_instance_uid
        documents = Revising(store=self.store, clock=self.clock).compose(
            load_revision(self.store, uid, study.revision),
            reading,
            left,
            reading=self.store.readings.load(reading.digest),
            cause=f"settled {row.version} {left.state}",
        )
        return tuple(sorted(documents, key=lambda one: _ORDER.index(one.kind)))

    def _targets(self, reading: ReadingRow) -> tuple[Destination, ...]:
        """Return the destinations that the model's report goes to."""
        if reading.outcome is not Outcome.READ:
            return ()
        reports = self.store.readings.list_documents(reading.id)
        first = find_last([one for one in reports if one.ordinal == 1], DocumentKind.SR)
        if first is None:
            return ()
        sent = self.store.deliveries.list_for_study(reading.study_instance_uid)
        names = {one.destination for one in sent if one.document_id == first.id}
        return tuple(one for name, one in self.destinations.items() if name in names)

    def _addressing(
        self, study: StudyRow, targets: tuple[Destination, ...], documents: tuple[Document, ...]
    ) -> Callable[[Any, list[int]], None]:
        place = StudyRevision(study.study_instance_uid, study.revision, self.clock().timestamp())

        def address(connection: Any, ids: list[int]) -> None:
            for target in targets:
                numbered = zip(documents, ids, strict=True)
                wanted = [number for one, number in numbered if one.kind in target.kinds]
                self.store.deliveries.add_in(connection, place, wanted, target.name)

        return address

    def _give_up(self, row: Unsettled, study: StudyRow, code: str) -> None:
        told = (
            f"What readers changed could not be put into a new structured report ({code}): the page has it."
            " The next change is tried again."
        )
        journal = Journal(self.store.history, self.clock)
        event = journal.event(
            row.study_instance_uid,
            study.revision,
            "review",
            told,
            level="problem",
            code=ProblemCode.COMPOSE_FAILED.value,
        )
        self.store.settlings.close(row, event)
