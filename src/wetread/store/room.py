"""The reading room: what readers say of findings, who reads which study, which priority a reader gave.

In: a reader's word, what they saw when they gave it.  Out: what stands, and all that was ever said.
Never: a word over a newer one that the reader has not seen; a change without its audit entry.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from wetread.domain.audit import AuditEvent
from wetread.domain.reading import Priority
from wetread.domain.review import RejectReason, Remark, Verdict
from wetread.errors import NotNow, StorageError
from wetread.store import schema
from wetread.store.audit import Audit
from wetread.store.history import Event, History
from wetread.store.list_rank import keep_rank
from wetread.store.settling import note_change
from wetread.store.study_lock import lock_study
from wetread.store.text import clean_text

_STAGE = "review"
_REMARK, _CLAIM, _GIVEN = schema.remark, schema.claim, schema.given_priority
#: Of a reader's own words.
LONGEST_WORDS = 2000
#: UIDs in one question.
_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Somebody reads a study."""

    study_instance_uid: str
    who: str
    #: Seconds since 1970.
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPriority:
    """A priority that a reader gave."""

    study_instance_uid: str
    #: None: taken back.
    priority: Priority | None
    why: str
    at: float
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One finding of a model version, as readers judged it last."""

    version: str
    study_instance_uid: str
    verdict: Verdict
    reason: RejectReason | None


@dataclass(frozen=True, slots=True)
class Room:
    """All of it."""

    engine: Engine
    audit: Audit

    # ---- remarks

    def list_remarks(self, study_instance_uid: str) -> list[Remark]:
        """Return everything that readers said of a study, oldest first."""
        with self._reading() as connection:
            return list_remarks(connection, study_instance_uid)

    def say(self, remark: Remark, *, seen: int, event: AuditEvent) -> Remark:
        """Keep what a reader says.

        Parameters
        ----------
        seen
            Number of the newest remark of this finding that the reader saw; 0: none. Not asked of what is
            said of a whole Reading: there is room for every word.

        Raises
        ------
        NotNow
            If somebody else has said something since, or the Reading was replaced by a newer one.
        StorageError
            If the index refuses.
        """
        values = asdict(remark) | {
            "verdict": remark.verdict.value,
            "reason": remark.reason.value if remark.reason else None,
            "text": clean_text(remark.text)[:LONGEST_WORDS],
        }
        del values["id"]
        message = _told(remark)
        with self._changing(remark.study_instance_uid, event, message, remark.at) as connection:
            _require_standing(connection, remark)
            if remark.tracking_uid and _newest_number(connection, remark) != seen:
                raise NotNow("Somebody judged this finding meanwhile: look at what they said, then decide.")
            number = connection.execute(insert(_REMARK).values(values).returning(_REMARK.c.id)).scalar_one()
            if remark.tracking_uid:
                note_change(connection, remark.study_instance_uid, remark.reading_digest, remark.at)
        return replace(remark, id=number)

    def judged(self, model_name: str) -> list[Judged]:
        """Return every finding of a model that a reader accepted or rejected, in the order of that."""
        table, reading = _REMARK, schema.reading
        newest = (
            select(func.max(table.c.id))
            .where(table.c.tracking_uid != "")
            .group_by(table.c.reading_digest, table.c.tracking_uid)
        )
        query = (
            select(reading.c.model_version, table.c.study_instance_uid, table.c.verdict, table.c.reason)
            .join(reading, reading.c.digest == table.c.reading_digest)
            .where(table.c.id.in_(newest), table.c.verdict != Verdict.OPEN.value)
            .where(reading.c.model_name == model_name)
            .order_by(table.c.id)
        )
        with self._reading() as connection:
            return [
                Judged(
                    version=version,
                    study_instance_uid=study,
                    verdict=Verdict(verdict),
                    reason=RejectReason(reason) if reason else None,
                )
                for version, study, verdict, reason in connection.execute(query)
            ]

    # ---- claims

    def claims(self, studies: Collection[str]) -> dict[str, Claim]:
        """Return who reads these studies."""
        found: dict[str, Claim] = {}
        with self._reading() as connection:
            for some in _batches(studies):
                query = select(_CLAIM).where(_CLAIM.c.study_instance_uid.in_(some))
                found |= {
                    row["study_instance_uid"]: Claim(**row) for row in connection.execute(query).mappings()
                }
        return found

    def claim(self, claim: Claim, *, instead_of: str, event: AuditEvent) -> None:
        """Let somebody read a study.

        Parameters
        ----------
        instead_of
            Whom the page named as its reader; ``""``: nobody.

        Raises
        ------
        NotNow
            If somebody else has it by now.
        StorageError
            If the index refuses.
        """
        uid = claim.study_instance_uid
        message = f"Read by {claim.who}." if not instead_of else f"Taken over by {claim.who}."
        with self._changing(uid, event, message, claim.at) as connection:
            holder = _holder(connection, uid)
            if holder not in (instead_of, claim.who):
                raise NotNow(_has_it(holder))
            end_claim(connection, uid)
            connection.execute(insert(_CLAIM).values(**asdict(claim)))

    def release(self, study_instance_uid: str, who: str, *, event: AuditEvent) -> None:
        """Give a study back to the list.

        Raises
        ------
        NotNow
            If it is not theirs.
        StorageError
            If the index refuses.
        """
        message = f"Given back by {who}."
        with self._changing(study_instance_uid, event, message, event.at.timestamp()) as connection:
            holder = _holder(connection, study_instance_uid)
            if holder != who:
                raise NotNow(_has_it(holder))
            end_claim(connection, study_instance_uid)

    # ---- priorities

    def priorities(self, studies: Collection[str]) -> dict[str, GivenPriority]:
        """Return the priorities that readers gave these studies and that hold."""
        found: dict[str, GivenPriority] = {}
        with self._reading() as connection:
            for some in _batches(studies):
                mine = _GIVEN.c.study_instance_uid.in_(some)
                newest = select(func.max(_GIVEN.c.id)).where(mine).group_by(_GIVEN.c.study_instance_uid)
                query = select(_GIVEN).where(_GIVEN.c.id.in_(newest), _GIVEN.c.priority.is_not(None))
                for row in connection.execute(query).mappings():
                    found[row["study_instance_uid"]] = _given(row)
        return found

    def give_priority(self, given: GivenPriority, *, event: AuditEvent) -> None:
        """Let a reader's priority hold, or none any more.

        Raises
        ------
        StorageError
            If the index refuses.
        """
        values = asdict(given) | {
            "priority": given.priority.value if given.priority else None,
            "why": clean_text(given.why)[:LONGEST_WORDS],
        }
        what = f"{given.priority.value} by" if given.priority else "The models' again, by"
        message = f"Priority: {what} {given.who}."
        with self._changing(given.study_instance_uid, event, message, given.at) as connection:
            connection.execute(insert(_GIVEN).values(values))
            keep_rank(connection, given.study_instance_uid)

    # ---- transactions

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self.engine.connect().execution_options(read_only=True) as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error

    @contextmanager
    def _changing(self, study: str, event: AuditEvent, message: str, at: float) -> Iterator[Connection]:
        """A change with its line in the history and its audit entry: all or nothing."""
        moment = datetime.fromtimestamp(at).astimezone()
        line = Event(study_instance_uid=study, at=moment, stage=_STAGE, message=message)
        try:
            with self.engine.begin() as connection:
                lock_study(connection, study)
                yield connection
                History(self.engine).add_in(connection, line)
                self.audit.record_in(connection, event)
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error
        self.audit.note_end()


def list_remarks(connection: Connection, study_instance_uid: str) -> list[Remark]:
    """Return everything that readers said of a study, oldest first, within the caller's transaction."""
    query = select(_REMARK).where(_REMARK.c.study_instance_uid == study_instance_uid)
    return [_remark(row) for row in connection.execute(query.order_by(_REMARK.c.id)).mappings()]


def _told(remark: Remark) -> str:
    what = "A finding" if remark.tracking_uid else "An error of the reading"
    return f"{what}: {remark.words} by {remark.who}."


def _require_standing(connection: Connection, remark: Remark) -> None:
    reading = schema.reading
    query = select(reading.c.superseded).where(
        reading.c.digest == remark.reading_digest, reading.c.study_instance_uid == remark.study_instance_uid
    )
    rows = connection.execute(query).scalars().all()
    if not rows or all(rows):
        raise NotNow("More images came and the study was read anew: look at the new reading.")


def _newest_number(connection: Connection, remark: Remark) -> int:
    query = select(func.max(_REMARK.c.id)).where(
        _REMARK.c.reading_digest == remark.reading_digest, _REMARK.c.tracking_uid == remark.tracking_uid
    )
    return int(connection.execute(query).scalar() or 0)


def _holder(connection: Connection, study: str) -> str:
    query = select(_CLAIM.c.who).where(_CLAIM.c.study_instance_uid == study)
    return str(connection.execute(query).scalar() or "")


def end_claim(connection: Connection, study: str) -> None:
    """Let nobody read a study any more, within the caller's transaction."""
    connection.execute(delete(_CLAIM).where(_CLAIM.c.study_instance_uid == study))


def _has_it(holder: str) -> str:
    return f"{holder} reads this study." if holder else "Nobody reads this study."


def _remark(row: Mapping[Any, Any]) -> Remark:
    reason = RejectReason(row["reason"]) if row["reason"] else None
    return Remark(**{**row, "verdict": Verdict(row["verdict"]), "reason": reason})


def _given(row: Mapping[Any, Any]) -> GivenPriority:
    known = {name: row[name] for name in ("study_instance_uid", "why", "at", "who")}
    return GivenPriority(**known, priority=Priority(row["priority"]) if row["priority"] else None)


def _batches(studies: Collection[str]) -> Iterator[list[str]]:
    listed = list(studies)
    for start in range(0, len(listed), _BATCH):
        yield listed[start : start + _BATCH]
