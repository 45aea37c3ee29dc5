"""The objects that can be handed out, as one table: images that arrived and documents made from them.

In: a place, or a ``Query``.  Out: statements.  Never: a result that was superseded; one object twice.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, and_, bindparam, exists, literal, select, union_all

from wetread.dicom.part10 import EXPLICIT
from wetread.domain.query import Query
from wetread.store import schema
from wetread.store.matching import where_instance, where_series, where_study
from wetread.store.standing import document_stands


@dataclass(frozen=True, slots=True)
class Place:
    """Which objects are meant; ``""`` and ``()`` leave open."""

    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    sop_instance_uids: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, Any]:
        """What is given, by the names of parameters."""
        given = {"study": self.study_instance_uid, "series": self.series_instance_uid}
        given |= {"instance": self.sop_instance_uid, "instances": self.sop_instance_uids}  # type: ignore[dict-item]
        return {name: value for name, value in given.items() if value}


def objects_at(place: Place, *, with_metadata: bool, is_paged: bool = False) -> Select[Any]:
    """Return the query for the objects at a place, in order; it is run with the ``values`` of the place.

    Parameters
    ----------
    is_paged
        Whether it is run with ``limit`` and ``offset`` as well.
    """
    return _objects(frozenset(place.values), with_metadata, is_paged)


# Building a statement costs more than running it.
@functools.cache
def _objects(given: frozenset[str], with_metadata: bool, is_paged: bool) -> Select[Any]:
    one, document, reading = schema.instance.c, schema.document.c, schema.reading.c
    arrived = select(*_columns_of_instance(with_metadata=with_metadata)).where(
        _is_no_document(),
        *_where(given, one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid),
    )
    made = (
        select(*_columns_of_document(with_metadata=with_metadata))
        .join(schema.reading, reading.id == document.reading_id)
        .where(
            document.sop_class_uid != "",
            document_stands(),
            *_where(
                given, reading.study_instance_uid, document.series_instance_uid, document.sop_instance_uid
            ),
        )
    )
    both = union_all(arrived, made).subquery()
    ordered = select(both).order_by(
        both.c.study_instance_uid, both.c.series_instance_uid, both.c.instance_number, both.c.sop_instance_uid
    )
    return (
        ordered.limit(bindparam("limit", type_=Integer)).offset(bindparam("offset", type_=Integer))
        if is_paged
        else ordered
    )


def _where(given: frozenset[str], study: Any, series: Any, instance: Any) -> list[ColumnElement[bool]]:
    columns = {"study": study, "series": series, "instance": instance}
    conditions = [columns[name] == bindparam(name) for name in sorted(given & set(columns))]
    if "instances" in given:
        conditions.append(instance.in_(bindparam("instances", expanding=True)))
    return conditions


def matching_objects(query: Query, *, with_metadata: bool = True) -> Select[Any]:
    """Return the query for the objects that match."""
    study, series = schema.study.c, schema.series.c
    one, document, reading = schema.instance.c, schema.document.c, schema.reading.c
    above = [*where_study(query), *where_series(query)]
    arrived = (
        select(*_columns_of_instance(with_metadata=with_metadata))
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
        select(*_columns_of_document(with_metadata=with_metadata))
        .join(schema.reading, reading.id == document.reading_id)
        .join(schema.study, study.study_instance_uid == reading.study_instance_uid)
        .join(
            schema.series,
            and_(series.reading_id == reading.id, series.series_instance_uid == document.series_instance_uid),
        )
        .where(document.sop_class_uid != "", document_stands(), *above, *where_instance(query, _Document()))
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
