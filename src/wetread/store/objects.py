"""The objects that can be handed out, as one table: images that arrived and documents made from them.

In: a place, or a ``Query``.  Out: statements.  Never: a result that was superseded; one object twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, and_, exists, literal, select, union_all

from wetread.dicom.part10 import EXPLICIT
from wetread.domain.query import Query
from wetread.store import schema
from wetread.store.matching import where_instance, where_series, where_study


@dataclass(frozen=True, slots=True)
class Place:
    """Which objects are meant; ``""`` and ``()`` leave open."""

    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    sop_instance_uids: tuple[str, ...] = ()

    def where(self, study: Any, series: Any, instance: Any) -> list[ColumnElement[bool]]:
        """Return the conditions on these columns."""
        conditions = [
            column == uid
            for column, uid in (
                (study, self.study_instance_uid),
                (series, self.series_instance_uid),
                (instance, self.sop_instance_uid),
            )
            if uid
        ]
        return [*conditions, instance.in_(self.sop_instance_uids)] if self.sop_instance_uids else conditions


def objects_at(place: Place, *, with_metadata: bool) -> Select[Any]:
    """Return the query for the objects at a place, ordered as they are looked at."""
    one, document, reading = schema.instance.c, schema.document.c, schema.reading.c
    arrived = select(*_columns_of_instance(with_metadata=with_metadata)).where(
        _is_no_document(),
        *place.where(one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid),
    )
    made = (
        select(*_columns_of_document(with_metadata=with_metadata))
        .join(schema.reading, reading.id == document.reading_id)
        .where(
            document.sop_class_uid != "",
            ~reading.superseded,
            *place.where(reading.study_instance_uid, document.series_instance_uid, document.sop_instance_uid),
        )
    )
    both = union_all(arrived, made).subquery()
    return select(both).order_by(
        both.c.study_instance_uid, both.c.series_instance_uid, both.c.instance_number, both.c.sop_instance_uid
    )


def matching_objects(query: Query) -> Select[Any]:
    """Return the query for the objects that match, with their headers."""
    study, series = schema.study.c, schema.series.c
    one, document, reading = schema.instance.c, schema.document.c, schema.reading.c
    above = [*where_study(query), *where_series(query)]
    arrived = (
        select(*_columns_of_instance(with_metadata=True), study.source)
        .join(schema.study, study.study_instance_uid == one.study_instance_uid)
        .join(
            schema.series,
            and_(
                series.study_instance_uid == one.study_instance_uid,
                series.series_instance_uid == one.series_instance_uid,
            ),
        )
        .where(_is_no_document(), *above, *where_instance(query, one))
    )
    made = (
        select(*_columns_of_document(with_metadata=True), study.source)
        .join(schema.reading, reading.id == document.reading_id)
        .join(schema.study, study.study_instance_uid == reading.study_instance_uid)
        .join(
            schema.series,
            and_(series.reading_id == reading.id, series.series_instance_uid == document.series_instance_uid),
        )
        .where(document.sop_class_uid != "", ~reading.superseded, *above, *where_instance(query, _Document()))
    )
    both = union_all(arrived, made).subquery()
    return select(both).order_by(
        both.c.study_instance_uid, both.c.series_instance_uid, both.c.instance_number, both.c.sop_instance_uid
    )


class _Document:
    """Columns of a document by the names that they have for an instance."""

    sop_instance_uid = schema.document.c.sop_instance_uid
    sop_class_uid = schema.document.c.sop_class_uid
    instance_number = schema.document.c.ordinal


def _columns_of_instance(*, with_metadata: bool) -> list[Any]:
    one = schema.instance.c
    return [
        *(one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid, one.sop_class_uid),
        *(one.transfer_syntax_uid, one.instance_number, one.content_digest),
        literal(None, Integer).label("document_id"),
        *([one.metadata] if with_metadata else []),
    ]


def _columns_of_document(*, with_metadata: bool) -> list[Any]:
    document = schema.document.c
    return [
        schema.reading.c.study_instance_uid,
        *(document.series_instance_uid, document.sop_instance_uid, document.sop_class_uid),
        *(literal(EXPLICIT).label("transfer_syntax_uid"), document.ordinal.label("instance_number")),
        *(document.content_digest, document.id.label("document_id")),
        *([document.metadata] if with_metadata else []),
    ]


def _is_no_document() -> ColumnElement[bool]:
    one, document = schema.instance.c, schema.document.c
    is_ours = exists().where(document.sop_instance_uid == one.sop_instance_uid)
    return ~(one.is_result & is_ours)
