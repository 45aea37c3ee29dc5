"""What stands: documents of Readings that no newer one replaced, and what readers signed.

In: columns.  Out: conditions.  Never: a signed report that is gone because images came late.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, exists, or_, select

from wetread.domain.document import SIGNED_KINDS
from wetread.store import schema

_SIGNED = sorted(kind.value for kind in SIGNED_KINDS)


def document_stands() -> ColumnElement[bool]:
    """Hold where a document stands; ``document`` and its ``reading`` are joined."""
    return or_(~schema.reading.c.superseded, schema.document.c.kind.in_(_SIGNED))


def series_stands(series: Any = schema.series.c) -> ColumnElement[bool]:
    """Hold where a series is of images, or of documents that stand."""
    document, reading = schema.document.c, schema.reading.c
    standing = exists(select(reading.id).where(reading.id == series.reading_id, ~reading.superseded))
    signed = exists(
        select(document.id).where(
            document.reading_id == series.reading_id,
            document.series_instance_uid == series.series_instance_uid,
            document.kind.in_(_SIGNED),
        )
    )
    return or_(series.reading_id.is_(None), standing, signed)
