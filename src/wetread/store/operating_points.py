"""Which threshold a model version reads with where, and what it was before.

In: a version, a threshold, a place.  Out: all points ever set, oldest first.
Never: a point changed or removed; one that the audit trail does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.errors import StorageError
from wetread.store import schema
from wetread.store.audit import Audit
from wetread.store.history import Event, History
from wetread.store.text import clean_text

_SOFTWARE_CONFIGURATION = "110131"
_TABLE = schema.operating_point


class Scope(StrEnum):
    """Where a point holds; the narrowest that fits a study counts."""

    DEVICE = "device"
    DEPARTMENT = "department"
    SITE = "site"
    EVERYWHERE = "everywhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """One point that was set."""

    #: 0: not kept yet.
    id: int = 0
    model_name: str
    version: str
    digest: str
    #: What it was chosen by, e.g. ``"sensitivity 0.95"``.
    name: str
    threshold: float
    scope: Scope = Scope.EVERYWHERE
    #: Station Name, Institutional Department Name, Institution Name; ``""``: everywhere.
    place: str = ""
    #: sha256 of the metrics.json that it was chosen on; ``""``: as the package says.
    report_digest: str = ""
    #: Seconds since 1970.
    at: float
    who: str
    why: str

    @property
    def title(self) -> str:
        """What Readings name."""
        where = f", {self.scope.value} {self.place}" if self.place else ""
        return f"{self.name} (from {self.threshold:.4g}{where})"


@dataclass(frozen=True, slots=True)
class OperatingPoints:
    """All points."""

    engine: Engine
    audit: Audit

    def list_all(self, model_name: str = "") -> list[OperatingPoint]:
        """Return all points ever set, of one model or of all, oldest first.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        query = select(_TABLE).order_by(_TABLE.c.id)
        if model_name:
            query = query.where(_TABLE.c.model_name == model_name)
        try:
            with self.engine.connect().execution_options(read_only=True) as connection:
                return [_point(row) for row in connection.execute(query).mappings()]
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error

    def set(self, point: OperatingPoint, actor: Actor) -> OperatingPoint:
        """Keep a point with its audit entry: both or neither.

        Raises
        ------
        StorageError
            If index or audit trail refuse.
        """
        values: dict[str, Any] = asdict(point) | {
            "scope": point.scope.value,
            "place": clean_text(point.place)[:64],
            "who": clean_text(point.who)[:64],
            "why": clean_text(point.why)[:1000],
        }
        del values["id"]
        at = datetime.fromtimestamp(point.at).astimezone()
        message = f"{point.model_name} {point.version} reads with {point.title}. {values['why']}"
        try:
            with self.engine.begin() as connection:
                number = connection.execute(insert(_TABLE).values(values).returning(_TABLE.c.id)).scalar_one()
                History(self.engine).add_in(connection, Event(at=at, stage="registry", message=message))
                self.audit.record_in(connection, _audit_event(point, message, actor, at))
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error
        self.audit.note_end()
        return replace(point, id=number)


def _audit_event(point: OperatingPoint, message: str, actor: Actor, at: datetime) -> AuditEvent:
    report = f" Report {point.report_digest}." if point.report_digest else ""
    return AuditEvent(
        type=AuditEventType.SECURITY_ALERT,
        subtype=_SOFTWARE_CONFIGURATION,
        action=AuditAction.UPDATE,
        at=at,
        description=f"Model {message} Digest {point.digest}.{report}",
        actors=(actor,),
    )


def _point(row: Mapping[Any, Any]) -> OperatingPoint:
    return OperatingPoint(**{**row, "scope": Scope(row["scope"])})
