"""What people and rules say about a study's place in the queue.

In: a study, who asks and why.  Out: its urgency; studies that are called off or put further ahead.
Never: a study called off that a model has read or is reading; a change that cannot be recorded.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from wetread.domain.audit import Actor
from wetread.domain.fetching import Purpose
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import StudyState
from wetread.domain.reading import Priority
from wetread.errors import NotNow
from wetread.steps.journal import Journal
from wetread.steps.late_priors import is_late
from wetread.steps.trail import asked_event
from wetread.store import Store
from wetread.store.room import GivenPriority
from wetread.store.studies import StudyRow


def find_urgency(store: Store, study: str) -> Priority:
    """Return with which urgency a study waits for its models: what a reader gave, else what a rule says."""
    given = store.room.priorities([study]).get(study)
    if given is not None and given.priority is not None:
        return given.priority
    row = store.studies.find(study)
    return row.urgency if row is not None else Priority.ROUTINE


def list_urgencies(store: Store) -> dict[tuple[str, int], tuple[Priority, bool]]:
    """Return with which urgency each unfinished revision waits, and whether behind everything live."""
    pairs = store.queue.list_unfinished()
    given = store.room.priorities([study.study_instance_uid for _, study in pairs])
    urgencies = {}
    for revision, study in pairs:
        said = given.get(study.study_instance_uid)
        urgency = said.priority if said is not None and said.priority is not None else study.urgency
        place = (study.study_instance_uid, revision.revision)
        urgencies[place] = (urgency, study.purpose is Purpose.BACKFILL or is_late(revision))
    return urgencies


def is_worth_reading(store: Store, journal: Journal, study: str, revision: int, now: datetime) -> bool:
    """Tell whether a revision is to be read; one that a newer one took over is closed here."""
    row = store.studies.find(study)
    if row is None:
        return True
    if row.revision > revision:
        journal.note(study, revision, "match", f"Not read: revision {row.revision} has more images.")
        store.studies.finish_revision(study, revision, StudyState.NOT_READ, now)
        return False
    # Finished before it was begun: somebody called it off.
    begun = store.studies.get_revision(study, revision)
    return begun.finished_at is None or begun.match is not None


def call_off(store: Store, study: StudyRow, actor: Actor, at: datetime) -> None:
    """Take a study out of the queue that no model was chosen for yet: it is not read.

    Raises
    ------
    NotNow
        If a model has read it, or is about to.
    StorageError
        If it cannot be recorded: nothing is called off then.
    """
    uid = study.study_instance_uid
    event = asked_event(study, at, actor, "Reading called off.", study.instance_count)
    message = f"Not read: {actor.user_id} called it off. Have it read again when it is wanted after all."
    line = Journal(store.history, lambda: at).event(
        uid, study.revision, "match", message, level="problem", code=ProblemCode.READING_CALLED_OFF.value
    )

    def tell(connection: Any) -> None:
        store.history.add_in(connection, line)
        store.audit.record_in(connection, event)

    if not store.queue.call_off(study, at, tell):
        raise NotNow("It does not wait any more, or a model has read it: nothing was called off.")
    store.audit.note_end()


def give_priority(
    store: Store, study: StudyRow, priority: Priority | None, why: str, actor: Actor, at: datetime
) -> None:
    """Let somebody's priority hold for list and queue; None: that of models and rules again.

    Raises
    ------
    NotNow
        Without a reason.
    StorageError
        If it cannot be recorded: nothing is changed then.
    """
    if priority is not None and not why.strip():
        raise NotNow("Say why: others see it on the list.")
    word = priority.value if priority else "models"
    event = asked_event(study, at, actor, f"Gave the study a priority: {word}.")
    given = GivenPriority(
        study_instance_uid=study.study_instance_uid,
        priority=priority,
        why=why.strip(),
        at=at.timestamp(),
        who=actor.user_id,
    )
    store.room.give_priority(given, event=event)
