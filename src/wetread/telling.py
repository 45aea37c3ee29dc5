"""Rows of the index in the words of the API, whoever asks.

In: rows, registered models.  Out: values of ``wetread.contract``.
Never: a decision who may see what (``web.api.told``); where a package lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from wetread.contract.deliveries import DeliveryLine
from wetread.contract.models import (
    ModelChangeSaid,
    ModelDetail,
    ModelLine,
    ModelList,
    OperatingPointSaid,
)
from wetread.domain.document import DocumentKind
from wetread.errors import UnknownModel
from wetread.registry.lineup import Entry, iter_history
from wetread.store.deliveries import DeliveryRow
from wetread.store.model_states import ModelChange
from wetread.store.operating_points import OperatingPoint
from wetread.store.studies import StudyRow


def tell_delivery(row: DeliveryRow, study: StudyRow, kind: DocumentKind) -> DeliveryLine:
    """Return one delivery."""
    return DeliveryLine(
        id=row.id,
        document_id=row.document_id,
        destination=row.destination,
        study_key=study.key,
        study_instance_uid=row.study_instance_uid,
        revision=row.revision,
        kind=kind,
        state=row.state,
        attempts=row.attempts,
        problem_code=row.problem_code,
        message=row.message,
        updated_at=moment(row.updated_at),
    )


def moment(seconds: float) -> datetime:
    """Return a time of the index."""
    return datetime.fromtimestamp(seconds, UTC)


def tell_models(entries: Iterable[Entry]) -> ModelList:
    """Return all versions."""
    return ModelList(items=tuple(map(tell_version, entries)))


def tell_version(entry: Entry) -> ModelLine:
    """Return one version."""
    one, change = entry.model.identity, entry.change
    return ModelLine(
        name=one.name,
        version=one.version,
        digest=one.digest,
        title=entry.model.title,
        state=entry.state,
        since=moment(change.at) if change else None,
        by=change.who if change else "",
        why=change.why if change else "",
        operating_point=entry.model.operating_point,
        in_service=entry.in_service,
        withheld=entry.model.withheld,
    )


def tell_model(
    entries: Iterable[Entry],
    changes: Sequence[ModelChange],
    points: Sequence[OperatingPoint],
    name: str,
) -> ModelDetail:
    """Return one model with its versions and what was decided about them.

    Raises
    ------
    UnknownModel
        If none of this name is registered.
    """
    mine = [one for one in entries if one.model.identity.name == name]
    if not mine:
        raise UnknownModel(model=name)
    model = mine[0].model
    return ModelDetail(
        model=tell_version(mine[0]),
        versions=tuple(map(tell_version, mine)),
        history=tuple(map(tell_change, iter_history(changes, name))),
        operating_points=tuple(tell_point(one) for one in reversed(points) if one.model_name == name),
        intended_use=model.intended_use,
        eligibility=model.eligibility,
        operating_point=model.operating_point,
        parameters=dict(model.parameters),
        acceptance=dict(model.acceptance),
        card=dict(model.card),
    )


def tell_point(point: OperatingPoint) -> OperatingPointSaid:
    """Return one threshold that was set."""
    return OperatingPointSaid(
        at=moment(point.at),
        version=point.version,
        digest=point.digest,
        title=point.title,
        threshold=point.threshold,
        scope=point.scope.value,
        place=point.place,
        by=point.who,
        why=point.why,
        report_digest=point.report_digest,
    )


def tell_change(change: ModelChange) -> ModelChangeSaid:
    """Return one decision."""
    return ModelChangeSaid(
        at=moment(change.at),
        version=change.version,
        digest=change.digest,
        state=change.state,
        cause=change.cause,
        in_service=change.in_service,
        by=change.who,
        why=change.why,
        report_digest=change.report_digest,
    )
