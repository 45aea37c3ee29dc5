"""What became of a study's documents at each destination.

In: rows of deliveries and documents.  Out: ``DeliveryGroup`` values.
Never: what two revisions got, as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wetread.domain.progress import DeliveryState
from wetread.store.deliveries import DeliveryRow
from wetread.store.readings import DocumentRow
from wetread.web import words
from wetread.web.listing import DeliveryMark, describe_deliveries

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


def group_deliveries(
    rows: list[DeliveryRow], documents: Mapping[int, list[DocumentRow]]
) -> tuple[DeliveryGroup, ...]:
    """Return what each destination got of each revision, the newest first.

    Parameters
    ----------
    documents
        Those of each Reading, by its number.
    """
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
