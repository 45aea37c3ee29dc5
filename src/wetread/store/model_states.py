"""What was decided about each version of a model, and what it failed at.

In: a version's digest, a decision.  Out: all decisions, oldest first.
Never: a decision that the audit trail does not hold; one made on what another has just changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType, AuditOutcome
from wetread.domain.lifecycle import Cause, ModelState
from wetread.domain.model import ModelIdentity
from wetread.domain.problem import ProblemCode
from wetread.errors import StorageError
from wetread.store import schema
from wetread.store.audit import Audit
from wetread.store.history import Event, History
from wetread.store.text import clean_text

#: Names our advisory lock in PostgreSQL: decisions are made one after the other.
_LOCK = int.from_bytes(b"models")
_SOFTWARE_CONFIGURATION = "110131"
#: Who takes a model out of service.
OURSELVES = "wetread"
#: Longest reason that is kept.
LONGEST_WHY = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChange:
    """One decision: how a version stands from then on."""

    #: 0: not kept yet.
    id: int = 0
    name: str
    version: str
    digest: str
    state: ModelState
    cause: Cause
    #: False: it reads nothing, whatever its state.
    in_service: bool = True
    #: Seconds since 1970.
    at: float
    #: Account, token, or person at the command line.
    who: str
    why: str
    #: sha256 of the metrics.json that spoke for it; ``""``: none was asked for.
    report_digest: str = ""

    @property
    def title(self) -> str:
        """The version, for people."""
        return f"{self.name} {self.version}"


#: Given all decisions so far, oldest first, what is decided now.
Decide = Callable[[Sequence[ModelChange]], Sequence[ModelChange]]


@dataclass(frozen=True, slots=True)
class ModelStates:
    """All decisions."""

    engine: Engine
    audit: Audit

    def list_all(self) -> list[ModelChange]:
        """Return all decisions, oldest first.

        Raises
        ------
        StorageError
            If the index does not answer.
        """
        try:
            with self.engine.connect().execution_options(read_only=True) as connection:
                return _list(connection)
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error

    def change(self, actor: Actor, decide: Decide) -> list[ModelChange]:
        """Keep what is decided, each with its audit entry: all or nothing; returns it.

        Raises
        ------
        StorageError
            If index or audit trail refuse.
        """
        try:
            with self.engine.begin() as connection:
                _lock(connection)
                kept = [_insert(connection, one) for one in decide(_list(connection))]
                for one in kept:
                    self._tell_in(connection, one, actor)
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error
        self.audit.note_end()
        return kept

    def note_success_in(self, connection: Connection, digest: str) -> None:
        """Forget what a version failed at before, in the caller's transaction."""
        table = schema.model_failure
        connection.execute(delete(table).where(table.c.digest == digest))

    def note_failure_in(
        self,
        connection: Connection,
        model: ModelIdentity,
        state: ModelState,
        failure: tuple[str, str],
        at: datetime,
        most: int,
    ) -> ModelChange | None:
        """Note in the caller's transaction that a version failed at a study; returns its end of service.

        Call ``audit.note_end`` after the commit.

        Parameters
        ----------
        failure
            ``study_key`` and problem code.
        most
            Failures in a row, on different studies, after which it goes out of service; 0: never.
        """
        _lock(connection)
        failures = _note_failure(connection, model.digest, failure)
        known = [one for one in _list(connection) if one.digest == model.digest]
        if not most or len(failures) < most or (known and not known[-1].in_service):
            return None
        codes = ", ".join(dict.fromkeys(code for _, code in failures))
        change = ModelChange(
            name=model.name,
            version=model.version,
            digest=model.digest,
            state=known[-1].state if known else state,
            cause=Cause.FAILED,
            in_service=False,
            at=at.timestamp(),
            who=OURSELVES,
            why=f"It failed at {len(failures)} studies in a row ({codes}).",
        )
        kept = _insert(connection, change)
        self._tell_in(connection, kept, Actor(user_id=OURSELVES, is_requestor=True, role="110150"))
        # Who restores it gives it all its chances.
        self.note_success_in(connection, model.digest)
        return kept

    def _tell_in(self, connection: Connection, change: ModelChange, actor: Actor) -> None:
        at = datetime.fromtimestamp(change.at).astimezone()
        is_failed = change.cause is Cause.FAILED
        event = Event(
            at=at,
            stage="registry",
            level="problem" if is_failed else "info",
            code=ProblemCode.MODEL_OUT_OF_SERVICE.value if is_failed else "",
            message=describe_change(change),
        )
        History(self.engine).add_in(connection, event)
        self.audit.record_in(connection, _audit_event(change, actor, at))


def describe_change(change: ModelChange) -> str:
    """Return a decision as a sentence, without who and when."""
    words = {
        Cause.FAILED: "was taken out of service",
        Cause.RESTORED: f"is in service again, {change.state.value}",
    }
    told = words.get(change.cause, f"{change.cause.value}: {change.state.value} now")
    return f"{change.title} {told}. {change.why}"


def _audit_event(change: ModelChange, actor: Actor, at: datetime) -> AuditEvent:
    report = f" Report {change.report_digest}." if change.report_digest else ""
    return AuditEvent(
        type=AuditEventType.SECURITY_ALERT,
        subtype=_SOFTWARE_CONFIGURATION,
        action=AuditAction.UPDATE,
        at=at,
        outcome=AuditOutcome.MINOR_FAILURE if change.cause is Cause.FAILED else AuditOutcome.SUCCESS,
        description=f"Model {describe_change(change)} Digest {change.digest}.{report}",
        actors=(actor,),
    )


def _lock(connection: Connection) -> None:
    # SQLite has begun with IMMEDIATE: there is one writer.
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def _list(connection: Connection) -> list[ModelChange]:
    rows = connection.execute(select(schema.model_change).order_by(schema.model_change.c.id)).mappings()
    return [
        ModelChange(**{**row, "state": ModelState(row["state"]), "cause": Cause(row["cause"])})
        for row in rows
    ]


def _insert(connection: Connection, change: ModelChange) -> ModelChange:
    values: dict[str, Any] = asdict(change) | {
        "state": change.state.value,
        "cause": change.cause.value,
        "who": clean_text(change.who)[:64],
        "why": clean_text(change.why)[:LONGEST_WHY],
    }
    del values["id"]
    row = connection.execute(insert(schema.model_change).values(values).returning(schema.model_change.c.id))
    return replace(change, id=row.scalar_one(), who=values["who"], why=values["why"])


def _note_failure(connection: Connection, digest: str, failure: tuple[str, str]) -> list[list[str]]:
    table = schema.model_failure
    held = connection.execute(select(table.c.failures).where(table.c.digest == digest)).scalar_one_or_none()
    failures = [one for one in held or [] if one[0] != failure[0]] + [list(failure)]
    if held is None:
        connection.execute(insert(table).values(digest=digest, failures=failures))
    else:
        connection.execute(update(table).where(table.c.digest == digest).values(failures=failures))
    return failures
