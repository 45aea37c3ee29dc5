"""Rows of the index in the words of the API, whoever asks.

In: rows.  Out: values of ``wetread.contract``.  Never: a decision who may see what (``web.api.told``).
"""

from __future__ import annotations

from datetime import UTC, datetime

from wetread.contract.deliveries import DeliveryLine
from wetread.domain.document import DocumentKind
from wetread.store.deliveries import DeliveryRow
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
