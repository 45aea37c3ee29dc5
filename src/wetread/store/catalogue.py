"""What the archive holds, for those who ask: found by attributes, answered from the index.

In: a ``Query``, or UIDs.  Out: headers in the DICOM JSON Model, and where the objects lie.
Never: a file opened for a header that the index has; a result that was superseded; a study from a sender
that the asker may not see.

Images that arrived and documents that were made from them are found alike. A result of ours that came back
is the document; its file beside the images is not shown twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    Table,
    and_,
    func,
    select,
    update,
)

from wetread.dicom.header import read_instance
from wetread.dicom.json_model import ON_DEMAND, JsonHeader, JsonModel
from wetread.domain.query import Level, MatchKind, Query
from wetread.errors import DamagedFile, InputError
from wetread.sealed import SealError
from wetread.store import schema
from wetread.store.blobs import Blobs, storage_error
from wetread.store.catalogued import pack_metadata, unpack_brief, unpack_metadata
from wetread.store.holdings import BATCH, Counts, batches, count_studies, find_heads
from wetread.store.matching import candidates, where_series, where_study
from wetread.store.objects import Place, matching_objects, objects_at
from wetread.store.standing import series_stands
from wetread.store.together import reading

#: So many studies are named one by one.
_FEW = 1000
#: All in one direction: the index ``study_by_date`` is walked backwards, nothing is sorted.
_NEWEST = [schema.study.c[name].desc() for name in ("study_date", "study_time", "study_instance_uid")]


# A tuple: of one question there may be thousands, and a dataclass takes four times as long to make.
class Found(NamedTuple):
    """One answer to a query: a study, a series or an instance."""

    level: Level
    study_instance_uid: str
    #: ``""`` above the level.
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    #: ``""`` above the level.
    sop_class_uid: str = ""
    #: Header of the object that speaks for it, DICOM JSON; ``b""`` where ``brief`` is told instead.
    metadata: bytes = b""
    #: ``catalogued.BRIEF`` by tag, as ``encode_member`` writes it; None unless it was asked for.
    brief: Mapping[bytes, bytes] | None = None
    #: Of the study; None at the level IMAGE.
    counts: Counts | None = None
    #: Of the series; None at other levels.
    instance_count: int | None = None

    def read_header(self) -> JsonHeader:
        """Return the header; made anew each time, since those of all answers would fill the memory."""
        header: JsonHeader = orjson.loads(self.metadata)
        return header


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An object that can be handed out."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    #: ``""``: of a document; Explicit VR Little Endian.
    transfer_syntax_uid: str
    #: sha256 over its data set; of a document, over its file.
    content_digest: str
    #: Row number of a document of ours, None for what arrived.
    document_id: int | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Questions about what can be handed out."""

    engine: Engine
    instances: Blobs
    documents: Blobs

    def search(self, query: Query, *, is_brief: bool = False) -> list[Found]:
        """Return what matches, in a lasting order: newest study first, then by number and UID.

        Parameters
        ----------
        is_brief
            Whether of images nothing is wanted but UIDs and ``catalogued.BRIEF``.
        """
        if query.level is Level.STUDY:
            return self._search_studies(query)
        if query.level is Level.SERIES:
            return self._search_series(query)
        return self._search_instances(query, is_brief=is_brief)

    def count(self, query: Query, most: int) -> int:
        """Return how many match, whatever the query's limit is; ``most`` where there are more than that."""
        with reading(self.engine) as connection:
            if query.level is Level.STUDY:
                statement = select(schema.study.c.study_instance_uid).where(*where_study(query))
                statement = statement.where(*_few(connection, query))
            elif query.level is Level.SERIES:
                statement = _series_matching(query).where(*_few(connection, query))
            else:
                statement = matching_objects(query, with_metadata=False)
            counted = statement.order_by(None).limit(most).subquery()
            return int(connection.execute(select(func.count()).select_from(counted)).scalar_one())

    def list_held(
        self, study_instance_uid: str, series_instance_uid: str = "", sop_instance_uid: str = ""
    ) -> list[Held]:
        """Return the objects of a study, of one of its series, or one of them; none where there are none."""
        place = Place(study_instance_uid, series_instance_uid, sop_instance_uid)
        with reading(self.engine) as connection:
            query = objects_at(place, with_metadata=False)
            rows = connection.execute(query, place.values).mappings().all()
        return [_held(row) for row in rows]

    def find_held(self, sop_instance_uid: str) -> Held | None:
        """Return an object by its UID alone, None where there is none."""
        place = Place(sop_instance_uid=sop_instance_uid)
        with reading(self.engine) as connection:
            query = objects_at(place, with_metadata=False)
            row = connection.execute(query, place.values).mappings().first()
        return None if row is None else _held(row)

    def list_matching(self, query: Query) -> list[Held]:
        """Return the objects that match a query at the level IMAGE."""
        with reading(self.engine) as connection:
            rows = connection.execute(_page(matching_objects(query), query)).mappings().all()
        return [_held(row) for row in rows]

    def open(self, held: Held) -> BinaryIO:
        """Open an object's Part 10 file for reading, wherever in it.

        Raises
        ------
        StorageError
            If it is gone, or was damaged.
        """
        try:
            return self.instances.vault.open(self.path_of(held))
        except SealError as error:
            raise DamagedFile(reason=error.strerror) from error
        except OSError as error:
            raise storage_error(error) from error

    def size_of(self, held: Held) -> int | None:
        """Return the length of an object's Part 10 file, None where only opening it would tell.

        Raises
        ------
        StorageError
            If it is gone.
        """
        try:
            return self.instances.vault.size_of(self.path_of(held))
        except OSError as error:
            raise storage_error(error) from error

    def path_of(self, held: Held) -> Path:
        """Return where an object's Part 10 file lies; it may be encrypted: ``open`` it."""
        if held.document_id is None:
            return self.instances.path(held.sop_instance_uid)
        return self.documents.path(held.content_digest)

    def iter_metadata(
        self, study_instance_uid: str, series_instance_uid: str = "", sop_instance_uid: str = ""
    ) -> Iterator[tuple[Place, bytes]]:
        """Yield each object's header as DICOM JSON; addresses of bulk data are relative to the instance."""
        place = Place(study_instance_uid, series_instance_uid, sop_instance_uid)
        query = objects_at(place, with_metadata=True)
        with reading(self.engine) as connection:
            rows = connection.execute(query, place.values, execution_options={"yield_per": BATCH})
            for row in rows:
                yield Place(row[0], row[1], row[2]), self._metadata_of(row)

    def describe_missing(self, limit: int = BATCH) -> int:
        """Make headers that an earlier version did not keep; returns how many, 0 where none is missing."""
        count = 0
        for table in (schema.instance, schema.document):
            # A document without a class is no DICOM object.
            missing = and_(table.c.metadata.is_(None), table.c.sop_class_uid != "")
            with reading(self.engine) as connection:
                uids = (
                    connection.execute(select(table.c.sop_instance_uid).where(missing).limit(limit))
                    .scalars()
                    .all()
                )
            for uid in uids:
                held = self.find_held(uid)
                if held is None:
                    self._keep(table, uid, b"")
                else:
                    self._metadata(held, None)
                count += 1
        return count

    def _search_studies(self, query: Query) -> list[Found]:
        study = schema.study.c
        statement = select(study.study_instance_uid).where(*where_study(query))
        with reading(self.engine) as connection:
            statement = statement.where(*_few(connection, query)).order_by(*_NEWEST)
            rows = connection.execute(_page(statement, query)).all()
            uids = [row.study_instance_uid for row in rows]
            counts = count_studies(connection, uids)
            heads = find_heads(connection, uids)
        headers = self._headers(heads.values())
        empty = Counts(series=0, instances=0, modalities=())
        return [
            Found(
                level=Level.STUDY,
                study_instance_uid=row.study_instance_uid,
                metadata=headers.get(heads.get(row.study_instance_uid, ""), b"{}"),
                counts=counts.get(row.study_instance_uid, empty),
            )
            for row in rows
        ]

    def _search_series(self, query: Query) -> list[Found]:
        series = schema.series.c
        order = (*_NEWEST, series.series_number, series.series_instance_uid)
        with reading(self.engine) as connection:
            statement = _series_matching(query).where(*_few(connection, query)).order_by(*order)
            rows = connection.execute(_page(statement, query)).all()
            uids = list(dict.fromkeys(row.study_instance_uid for row in rows))
            counts = count_studies(connection, uids)
        headers = self._headers(row.head for row in rows)
        return [
            Found(
                level=Level.SERIES,
                study_instance_uid=row.study_instance_uid,
                series_instance_uid=row.series_instance_uid,
                metadata=headers.get(row.head, b"{}"),
                counts=counts[row.study_instance_uid],
                instance_count=row.instance_count,
            )
            for row in rows
        ]

    def _search_instances(self, query: Query, *, is_brief: bool) -> list[Found]:
        place = _place_of(query)
        with reading(self.engine) as connection:
            if place is None or query.limit is None:
                rows = connection.execute(_page(matching_objects(query), query)).all()
            else:
                statement = objects_at(place, with_metadata=True, is_paged=True)
                values = {**place.values, "limit": query.limit, "offset": query.offset}
                rows = connection.execute(statement, values).all()
        return [self._found(row, is_brief=is_brief) for row in rows]

    def _found(self, row: Row[*tuple[Any, ...]], *, is_brief: bool) -> Found:
        # The columns that every statement about objects begins with (``store.objects``).
        study, series, instance, sop_class = row[0], row[1], row[2], row[3]
        packed: bytes | None = row.metadata
        brief = unpack_brief(packed) if is_brief and packed else None
        metadata = self._metadata_of(row) if brief is None else b""
        return Found(Level.IMAGE, study, series, instance, sop_class, metadata, brief)

    def _headers(self, uids: Iterable[str]) -> dict[str, bytes]:
        """Return the headers of objects by UID."""
        headers: dict[str, bytes] = {}
        for some in batches(list(dict.fromkeys(uids))):
            place = Place(sop_instance_uids=some)
            with reading(self.engine) as connection:
                query = objects_at(place, with_metadata=True)
                rows = connection.execute(query, place.values).all()
            for row in rows:
                headers[row.sop_instance_uid] = self._metadata_of(row)
        return headers

    def _metadata_of(self, row: Row[*tuple[Any, ...]]) -> bytes:
        # What is packed needs nothing else: of thousands of rows no ``Held`` is made.
        packed: bytes | None = row.metadata
        return unpack_metadata(packed) if packed else self._metadata(_held(row._mapping), packed)

    def _metadata(self, held: Held, packed: bytes | None) -> bytes:
        # Too large for the index, or taken in by an earlier version: the file knows.
        model = JsonModel(limits=ON_DEMAND)
        try:
            read_instance(self.path_of(held), self.instances.vault.open, model)
        except (InputError, OSError):
            # What is wrong with the file stands in the history (``reconcile``).
            return orjson.dumps(_bare_header(held))
        metadata = model.encode() or orjson.dumps(_bare_header(held))
        if packed is None:
            table = schema.instance if held.document_id is None else schema.document
            self._keep(table, held.sop_instance_uid, pack_metadata(metadata if model.is_small else None))
        return metadata

    def _keep(self, table: Table, sop_instance_uid: str, packed: bytes) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                update(table).where(table.c.sop_instance_uid == sop_instance_uid).values(metadata=packed)
            )


def _held(row: Mapping[Any, Any]) -> Held:
    return Held(
        study_instance_uid=row["study_instance_uid"],
        series_instance_uid=row["series_instance_uid"],
        sop_instance_uid=row["sop_instance_uid"],
        sop_class_uid=row["sop_class_uid"],
        transfer_syntax_uid=row["transfer_syntax_uid"],
        content_digest=row["content_digest"],
        document_id=row["document_id"],
    )


def _series_matching(query: Query) -> Select[Any]:
    study, series = schema.study.c, schema.series.c
    return (
        select(
            series.study_instance_uid,
            series.series_instance_uid,
            series.instance_count,
            series.head,
        )
        .join(schema.study, study.study_instance_uid == series.study_instance_uid)
        .where(series_stands(), *where_study(query), *where_series(query))
    )


def _few(connection: Connection, query: Query) -> list[ColumnElement[bool]]:
    """Return the studies that can be meant at all, where they are few (``candidates``)."""
    conditions: list[ColumnElement[bool]] = []
    for candidate in candidates(query):
        uids = connection.execute(candidate.limit(_FEW + 1)).scalars().all()
        if len(uids) <= _FEW:
            conditions.append(schema.study.c.study_instance_uid.in_(uids))
    return conditions


def _place_of(query: Query) -> Place | None:
    """Return the place that a query names by UIDs alone, None where it asks for more.

    Whoever asks for the images of a series, which is what viewers do, is answered without a join.
    """
    named = {"StudyInstanceUID": "study", "SeriesInstanceUID": "series", "SOPInstanceUID": "instance"}
    uids = {named.get(match.keyword, ""): match.values for match in query.matches}
    is_plain = all(match.kind is MatchKind.ANY_OF and len(match.values) == 1 for match in query.matches)
    if query.sources is not None or not is_plain or len(uids) != len(query.matches):
        return None
    if "study" not in uids or "" in uids:
        return None
    [study], [series], [instance] = (uids.get(name, ("",)) for name in named.values())
    return Place(study, series, instance)


def _page(statement: Select[Any], query: Query) -> Select[Any]:
    return statement.limit(query.limit).offset(query.offset or None)


def _bare_header(held: Held) -> JsonHeader:
    uids = {
        "00080016": held.sop_class_uid,
        "00080018": held.sop_instance_uid,
        "0020000D": held.study_instance_uid,
        "0020000E": held.series_instance_uid,
    }
    return {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()}
