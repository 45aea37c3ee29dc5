"""Readings and the documents composed from them.

In: a Reading, its documents.  Out: the same.  Never: a second Reading of one model for one revision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Text, cast, insert, select, update
from sqlalchemy.exc import IntegrityError

from wetread.domain.document import SIGNED_KINDS, Document, DocumentKind
from wetread.domain.jsonable import to_jsonable
from wetread.domain.packing import pack_reading, unpack_reading
from wetread.domain.problem import ProblemCode
from wetread.domain.reading import NO_MODEL, Outcome, Priority, Reading, digest
from wetread.errors import StudyDeleted
from wetread.store import schema
from wetread.store.blobs import Blobs
from wetread.store.list_rank import keep_rank
from wetread.store.listing import Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingRow:
    """What a list shows of a Reading."""

    id: int
    study_instance_uid: str
    revision: int
    model_name: str
    model_version: str
    digest: str
    outcome: Outcome
    priority: Priority
    score: float
    reasons: tuple[str, ...]
    #: ``{"code", "message", "refuses"}`` each.
    problems: tuple[Mapping[str, Any], ...]
    finding_count: int
    #: Seconds since 1970.
    made_at: float
    superseded: bool
    #: From the start of its model's process to its answer; None: not measured.
    seconds: float | None = None
    #: How long the answer that it awaits has been waited for.
    waited_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRow:
    """A stored document without its bytes."""

    id: int
    reading_id: int
    kind: DocumentKind
    ordinal: int
    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    title: str
    content_digest: str


_DOCUMENT = [schema.document.c[one.name] for one in fields(DocumentRow)]


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings by study, documents by Reading."""

    engine: Engine
    blobs: Blobs
    documents: Blobs

    def save(
        self,
        reading: Reading,
        *,
        unless_deleted: bool = False,
        seconds: float | None = None,
        beside: Callable[[Connection], None] = lambda _: None,
    ) -> ReadingRow:
        """Keep a Reading; the first one of a model for a revision wins and is returned.

        Older revisions of the same model become superseded in the same transaction.

        Parameters
        ----------
        unless_deleted
            Refuse it where its revision is gone, in the same transaction.
        seconds
            How long its model took.
        beside
            What else belongs to the same transaction; not called where there is a Reading already.

        Raises
        ------
        StudyDeleted
            If the study was deleted while it was read.
        """
        held = self.find(reading.study_instance_uid, reading.revision, reading.model.name)
        if held is not None:
            return held
        reading_digest = digest(reading)
        self.blobs.write(reading_digest, pack_reading(reading))
        table = schema.reading
        try:
            with self.engine.begin() as connection:
                if unless_deleted:
                    hold_revision(connection, reading.study_instance_uid, reading.revision)
                newer = select(table.c.id).where(
                    table.c.study_instance_uid == reading.study_instance_uid,
                    table.c.model_name == reading.model.name,
                    table.c.revision > reading.revision,
                )
                row_values = _reading_row(reading, reading_digest) | {"seconds": seconds}
                row_values["superseded"] = connection.execute(newer).first() is not None
                connection.execute(insert(table).values(row_values))
                connection.execute(
                    update(table)
                    .where(table.c.study_instance_uid == reading.study_instance_uid)
                    .where(table.c.model_name == reading.model.name)
                    .where(table.c.revision < reading.revision)
                    .values(superseded=True)
                )
                keep_rank(connection, reading.study_instance_uid)
                beside(connection)
        except IntegrityError:
            # Another worker was first: its Reading stands.
            pass
        except StudyDeleted:
            self.blobs.remove(reading_digest)
            raise
        row = self.find(reading.study_instance_uid, reading.revision, reading.model.name)
        if row is None:
            raise KeyError(reading_digest)
        return row

    def find(self, study_instance_uid: str, revision: int, model_name: str) -> ReadingRow | None:
        """Return the Reading of a model for a revision, None where there is none."""
        for row in self.list_for_study(study_instance_uid):
            if row.revision == revision and row.model_name == model_name:
                return row
        return None

    def get(self, reading_id: int) -> ReadingRow:
        """Return one Reading's row, or raise KeyError."""
        rows = self._rows(schema.reading.c.id == reading_id)
        if not rows:
            raise KeyError(reading_id)
        return rows[0]

    def list_for_study(self, study_instance_uid: str) -> list[ReadingRow]:
        """Return all Readings of a study by models, superseded ones too, oldest revision first."""
        return self._rows(schema.reading.c.study_instance_uid == study_instance_uid, is_of_model())

    def list_of_model(self, name: str, version: str, limit: int) -> list[ReadingRow]:
        """Return the newest Readings of a version that stand."""
        table = schema.reading
        query = (
            select(table)
            .where(table.c.model_name == name, table.c.model_version == version, ~table.c.superseded)
            .order_by(table.c.id.desc())
            .limit(limit)
        )
        with self.engine.connect().execution_options(read_only=True) as connection:
            return [reading_row(row) for row in connection.execute(query).mappings()]

    def list_awaiting(self, model_names: list[str]) -> list[ReadingRow]:
        """Return the standing Readings of these models that say that a peer's answer is awaited."""
        table = schema.reading
        code = f'"{ProblemCode.AWAITING_PEER.value}"'
        return self._rows(
            table.c.model_name.in_(model_names),
            ~table.c.superseded,
            table.c.outcome == Outcome.NOT_READ.value,
            cast(table.c.problems, Text).contains(code),
        )

    def note_waited(self, reading_id: int, waited_s: float) -> None:
        """Keep how long an answer has been waited for; what another process has counted is not undone."""
        table = schema.reading
        is_longer = table.c.waited_s.is_(None) | (table.c.waited_s < waited_s)
        with self.engine.begin() as connection:
            connection.execute(
                update(table).where(table.c.id == reading_id, is_longer).values(waited_s=waited_s)
            )

    def list_current(self, study_instance_uids: list[str]) -> dict[str, list[ReadingRow]]:
        """Return the Readings that stand, by study."""
        table = schema.reading
        rows = self._rows(table.c.study_instance_uid.in_(study_instance_uids), ~table.c.superseded)
        by_study: dict[str, list[ReadingRow]] = {}
        for row in rows:
            by_study.setdefault(row.study_instance_uid, []).append(row)
        return by_study

    def supersede(self, study_instance_uid: str, before_revision: int, keep_models: list[str]) -> None:
        """Mark what older revisions said as superseded, but for some models."""
        table = schema.reading
        with self.engine.begin() as connection:
            connection.execute(
                update(table)
                .where(table.c.study_instance_uid == study_instance_uid)
                .where(table.c.revision < before_revision)
                .where(table.c.model_name.not_in(keep_models))
                .values(superseded=True)
            )
            keep_rank(connection, study_instance_uid)

    def load(self, reading_digest: str) -> Reading:
        """Return a Reading with its masks."""
        return unpack_reading(self.blobs.read(reading_digest))

    def save_documents(self, reading_id: int, documents: tuple[Document, ...]) -> None:
        """Keep the documents of a Reading; composing twice gives the same, so this may repeat."""
        study = self.get(reading_id).study_instance_uid
        rows, series = [], Listing(study, reading_id)
        for one in documents:
            content_digest = hashlib.sha256(one.data).hexdigest()
            self.documents.write(content_digest, one.data)
            rows.append(_document_row(reading_id, one, content_digest) | series.add(one))
        table = schema.document
        with self.engine.begin() as connection:
            known = connection.execute(
                select(table.c.kind, table.c.ordinal).where(table.c.reading_id == reading_id)
            ).all()
            held = {(kind, ordinal) for kind, ordinal in known}
            fresh = [row for row in rows if (row["kind"], row["ordinal"]) not in held]
            if fresh:
                connection.execute(insert(table), fresh)
                series.replace(connection)
        for one, row in zip(documents, rows, strict=True):
            # Another study with the same picture or text may have been deleted just now, with its file.
            if not self.documents.path(row["content_digest"]).exists():
                self.documents.write(row["content_digest"], one.data)

    def add_signed(
        self, connection: Connection, study: str, reading_id: int, documents: Iterable[Document]
    ) -> list[int]:
        """Keep what a reader signed beside the documents of a Reading, within the caller's transaction.

        Returns
        -------
        list of int
            Numbers of the rows.
        """
        rows, series = [], Listing(study, reading_id)
        for one in documents:
            content_digest = hashlib.sha256(one.data).hexdigest()
            self.documents.write(content_digest, one.data)
            rows.append(_document_row(reading_id, one, content_digest) | series.add(one))
        table = schema.document
        ids = [
            connection.execute(insert(table).values(row).returning(table.c.id)).scalar_one() for row in rows
        ]
        series.extend(connection)
        return ids

    def add_base(self, connection: Connection, base: Reading) -> int:
        """Return the number of a Reading that reports stand with and that no model made.

        It is superseded from the beginning: nothing shows it, no model's Reading takes its place, and what
        was signed stands all the same (``store.standing``). There is one for a revision.
        """
        table = schema.reading
        mine = (
            table.c.study_instance_uid == base.study_instance_uid,
            table.c.revision == base.revision,
            table.c.model_name == base.model.name,
        )
        known = connection.execute(select(table.c.id).where(*mine)).scalar()
        if known is not None:
            return int(known)
        base_digest = digest(base)
        self.blobs.write(base_digest, pack_reading(base))
        values = _reading_row(base, base_digest) | {"superseded": True}
        return int(connection.execute(insert(table).values(values).returning(table.c.id)).scalar_one())

    def list_signed(self, study_instance_uid: str) -> list[DocumentRow]:
        """Return what readers signed of a study, oldest first, whatever Reading it stands with."""
        kinds = [kind.value for kind in SIGNED_KINDS]
        mine = select(schema.reading.c.id).where(schema.reading.c.study_instance_uid == study_instance_uid)
        return self._documents(schema.document.c.reading_id.in_(mine), schema.document.c.kind.in_(kinds))

    def find_report_pdfs(self, study_instance_uid: str) -> dict[int, int]:
        """Return the row number of the PDF of each signed version of a study's report, by the version's."""
        signed = self.list_signed(study_instance_uid)
        return {one.ordinal: one.id for one in signed if one.kind is DocumentKind.REPORT_PDF}

    def list_documents(self, reading_id: int) -> list[DocumentRow]:
        """Return the documents of a Reading, without bytes."""
        return self._documents(schema.document.c.reading_id == reading_id)

    def get_document(self, document_id: int) -> DocumentRow:
        """Return one document's row, or raise KeyError."""
        rows = self._documents(schema.document.c.id == document_id)
        if not rows:
            raise KeyError(document_id)
        return rows[0]

    def load_document(self, row: DocumentRow) -> Document:
        """Return a document with its bytes."""
        return Document(
            kind=row.kind,
            ordinal=row.ordinal,
            sop_instance_uid=row.sop_instance_uid,
            sop_class_uid=row.sop_class_uid,
            series_instance_uid=row.series_instance_uid,
            title=row.title,
            data=self.documents.read(row.content_digest),
        )

    def _rows(self, *where: Any) -> list[ReadingRow]:
        query = select(schema.reading).where(*where).order_by(schema.reading.c.id)
        with self.engine.connect().execution_options(read_only=True) as connection:
            rows = connection.execute(query).mappings().all()
        return [reading_row(row) for row in rows]

    def _documents(self, *where: Any) -> list[DocumentRow]:
        query = select(*_DOCUMENT).where(*where).order_by(schema.document.c.id)
        with self.engine.connect().execution_options(read_only=True) as connection:
            rows = connection.execute(query).mappings().all()
        return [DocumentRow(**{**row, "kind": DocumentKind(row["kind"])}) for row in rows]


def is_of_model() -> ColumnElement[bool]:
    """Hold where a Reading is a model's."""
    return schema.reading.c.model_name != NO_MODEL.name


def reading_row(row: Mapping[Any, Any]) -> ReadingRow:
    """Return a row of the reading table as a value."""
    return ReadingRow(
        **{
            **row,
            "outcome": Outcome(row["outcome"]),
            "priority": Priority(row["priority"]),
            "reasons": tuple(row["reasons"]),
            "problems": tuple(row["problems"]),
        }
    )


def hold_revision(connection: Connection, study_instance_uid: str, revision: int) -> None:
    """Keep a revision from being deleted until the transaction ends.

    Raises
    ------
    StudyDeleted
        If it is gone.
    """
    table = schema.revision
    query = select(table.c.revision).where(
        table.c.study_instance_uid == study_instance_uid, table.c.revision == revision
    )
    if connection.execute(query.with_for_update()).first() is None:
        raise StudyDeleted


def _reading_row(reading: Reading, reading_digest: str) -> dict[str, Any]:
    return {
        "study_instance_uid": reading.study_instance_uid,
        "revision": reading.revision,
        "model_name": reading.model.name,
        "model_version": reading.model.version,
        "digest": reading_digest,
        "outcome": reading.outcome.value,
        "priority": reading.triage.priority.value,
        "score": reading.triage.score,
        "reasons": list(reading.triage.reasons),
        "problems": to_jsonable(reading.problems),
        "finding_count": len(reading.findings),
        "made_at": reading.made_at.timestamp(),
        "superseded": False,
    }


def _document_row(reading_id: int, one: Document, content_digest: str) -> dict[str, Any]:
    return {
        "reading_id": reading_id,
        "kind": one.kind.value,
        "ordinal": one.ordinal,
        "sop_instance_uid": one.sop_instance_uid,
        "sop_class_uid": one.sop_class_uid,
        "series_instance_uid": one.series_instance_uid,
        "title": one.title,
        "content_digest": content_digest,
    }
