"""What has not arrived, as it is shown.

In: rows of the store.  Out: ``DestinationView`` values.  Never: a study that the caller did not choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wetread.domain.progress import DeliveryState
from wetread.store.deliveries import DEAD, DeliveryRow, Lack
from wetread.store.readings import DocumentRow
from wetread.store.studies import StudyRow
from wetread.web import words
from wetread.worklist import describe_duration

#: A destination that takes nothing for so long is in trouble: the first tries come within seconds.
PATIENCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterView:
    """One document that a destination refused, or that could not be brought there."""

    id: int
    study_key: str
    patient_name: str
    #: Description and date of the study.
    study_words: str
    title: str
    kind: str
    state: str
    attempts: int
    problem_code: str
    message: str
    updated_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationView:
    """What one destination lacks."""

    name: str
    waiting: int
    failed: int
    refused: int
    #: For how long the oldest waits, ``""`` where nothing does.
    waiting_words: str
    waiting_since: str
    problem_code: str
    message: str
    #: One sentence where somebody should look, ``""`` where all goes its way.
    trouble: str
    letters: tuple[LetterView, ...]

    @property
    def dead(self) -> int:
        """What nobody tries again unless somebody asks."""
        return self.failed + self.refused


def view_destination(lack: Lack, letters: Sequence[LetterView], now: datetime) -> DestinationView:
    """Return what is shown of a destination."""
    since = lack.waiting_since
    waited = now - datetime.fromtimestamp(since, now.tzinfo) if since is not None else timedelta()
    return DestinationView(
        name=lack.destination,
        waiting=lack.counts.get(DeliveryState.WAITING, 0),
        failed=lack.counts.get(DeliveryState.FAILED, 0),
        refused=lack.counts.get(DeliveryState.REFUSED, 0),
        waiting_words=describe_duration(waited) if since is not None else "",
        waiting_since=words.format_time(since) if since is not None else "",
        problem_code=lack.problem_code,
        message=lack.message,
        trouble=_describe_trouble(lack, waited),
        letters=tuple(letters),
    )


def _describe_trouble(lack: Lack, waited: timedelta) -> str:
    told = []
    if waited > PATIENCE:
        waiting = words.format_count(lack.counts[DeliveryState.WAITING], "document")
        told.append(f"{waiting} waiting, for up to {describe_duration(waited)}")
    told += [f"{lack.counts[state]} {state.value}" for state in DEAD if lack.counts.get(state)]
    return f"{lack.destination}: {', '.join(told)}." if told else ""


def view_letter(row: DeliveryRow, document: DocumentRow, study: StudyRow) -> LetterView:
    """Return what is shown of a dead letter."""
    date = words.format_date(study.study_date)
    return LetterView(
        id=row.id,
        study_key=study.key,
        patient_name=words.format_name(study.patient_name),
        study_words=words.join_words([study.study_description or "no description", date]),
        title=document.title or document.kind.value,
        kind=document.kind.value,
        state=row.state.value,
        attempts=row.attempts,
        problem_code=row.problem_code,
        message=row.message,
        updated_at=words.format_time(row.updated_at),
    )
