"""Legal holds: studies that must be kept, whatever retention or a request says.

In: a study's UID and a reason.  Out: holds, each placed and lifted in the audit trail.
Never: a hold without a reason; one lifted silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, insert, select

from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.errors import ConfigError
from wetread.store import schema
from wetread.store.audit import Audit
from wetread.store.text import clean_text

#: Of a reason, in characters: it goes into the audit trail.
LONGEST_REASON = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A study that must be kept, and why."""

    study_instance_uid: str
    #: Seconds since 1970.
    placed_at: float
    placed_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Holds:
    """All holds."""

    engine: Engine
    audit: Audit

    def place(self, study_instance_uid: str, reason: str, by: str, now: datetime) -> None:
        """Keep a study until it is released.

        Raises
        ------
        ConfigError
            If there is no such study, no reason, or it is held already.
        """
        told = _require_reason(reason)
        table, study = schema.hold, schema.study.c.study_instance_uid
        with self.engine.begin() as connection:
            # Whoever deletes it holds this row too.
            query = select(study).where(study == study_instance_uid).with_for_update()
            if connection.execute(query).first() is None:
                raise ConfigError("There is no such study.", study=study_instance_uid)
            held = select(table).where(table.c.study_instance_uid == study_instance_uid)
            if connection.execute(held).first() is not None:
                raise ConfigError(
                    "It is on hold already: see `wetread hold --list`.", study=study_instance_uid
                )
            connection.execute(
                insert(table).values(
                    study_instance_uid=study_instance_uid,
                    placed_at=now.timestamp(),
                    placed_by=by[:64],
                    reason=told,
                )
            )
            event = _event(study_instance_uid, f"placed on legal hold: {told}", by, now)
            self.audit.record_in(connection, event)
        self.audit.note_end()

    def release(self, study_instance_uid: str, reason: str, by: str, now: datetime) -> None:
        """Lift a hold; why it was placed and why it was lifted stay in the audit trail.

        Raises
        ------
        ConfigError
            If there is none, or no reason.
        """
        told = _require_reason(reason)
        table = schema.hold
        with self.engine.begin() as connection:
            done = connection.execute(delete(table).where(table.c.study_instance_uid == study_instance_uid))
            if done.rowcount == 0:
                raise ConfigError("It is not on hold.", study=study_instance_uid)
            event = _event(study_instance_uid, f"released from legal hold: {told}", by, now)
            self.audit.record_in(connection, event)
        self.audit.note_end()

    def list_all(self) -> list[Hold]:
        """Return all holds, oldest first; some may stand on what is not here any more."""
        query = select(schema.hold).order_by(schema.hold.c.placed_at)
        with self.engine.connect().execution_options(read_only=True) as connection:
            return [Hold(**row) for row in connection.execute(query).mappings()]


def _require_reason(reason: str) -> str:
    told = " ".join(clean_text(reason).split())
    if not told:
        raise ConfigError("Say why: a hold is neither placed nor lifted without a reason (--why).")
    if len(told) > LONGEST_REASON:
        raise ConfigError(f"The reason is longer than {LONGEST_REASON} characters.")
    return told


def _event(study: str, what: str, by: str, now: datetime) -> AuditEvent:
    return AuditEvent(
        type=AuditEventType.PROCEDURE_RECORD,
        action=AuditAction.UPDATE,
        at=now,
        description=f"The study was {what}",
        actors=(Actor(user_id=by, is_requestor=True),),
        studies=(study,),
    )
