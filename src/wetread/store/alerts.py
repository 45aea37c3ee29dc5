"""Alerts: which results are critical and unread, who answered them, whom they are brought to.

In: what stands in the index.  Out: alerts and calls; each change with its line in the history and its audit
entry, in one transaction.
Never: an alert that ends unseen; a call about an alert that has ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from wetread.domain.alert import Alert, AlertState, Call, CallState, Channel, Critical
from wetread.domain.audit import AuditEvent
from wetread.domain.fetching import Purpose
from wetread.domain.reading import Priority
from wetread.errors import NotNow, StorageError
from wetread.store import schema
from wetread.store.audit import Audit
from wetread.store.catalogued import unpack_metadata
from wetread.store.history import Event, History
from wetread.store.study_lock import lock_study

_ALERT, _CALL, _STUDY, _READING = schema.alert, schema.alert_call, schema.study, schema.reading
_STAGE = "alert"
#: SOP classes of structured reports (PS3.4 B.5) begin so.
_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
_COMPLETE, _VERIFIED = ("0040A491", "COMPLETE"), ("0040A493", "VERIFIED")


@dataclass(frozen=True, slots=True)
class Alerts:
    """All of them."""

    engine: Engine
    audit: Audit

    def list_critical(self, priorities: Collection[Priority]) -> list[Critical]:
        """Return the live studies that nobody has read and of which a standing Reading is that urgent."""
        query = (
            select(_READING.c.study_instance_uid, _STUDY.c.revision, _READING.c.priority, _READING.c.reasons)
            .join(_STUDY, _STUDY.c.study_instance_uid == _READING.c.study_instance_uid)
            .where(
                _READING.c.priority.in_([one.value for one in priorities]),
                ~_READING.c.superseded,
                _STUDY.c.reported_at.is_(None),
                _STUDY.c.purpose == Purpose.LIVE.value,
            )
            .order_by(_READING.c.id)
        )
        said: dict[str, list[Any]] = {}
        with self._reading() as connection:
            for row in connection.execute(query):
                said.setdefault(row.study_instance_uid, []).append(row)
        return [_critical(rows) for rows in said.values()]

    def list_open(self, sources: Collection[str] | None = None) -> list[Alert]:
        """Return the alerts that nobody has answered, oldest first; of studies from these sources."""
        query = select(_ALERT).where(_ALERT.c.state == AlertState.OPEN.value).order_by(_ALERT.c.id)
        if sources is not None:
            joined = _STUDY.c.study_instance_uid == _ALERT.c.study_instance_uid
            query = query.join(_STUDY, joined).where(_STUDY.c.source.in_(tuple(sources)))
        return self._alerts(query)

    def find_open(self, study_instance_uid: str) -> Alert | None:
        """Return the oldest alert about a study that nobody has answered, None where there is none."""
        mine = _ALERT.c.study_instance_uid == study_instance_uid
        query = select(_ALERT).where(_ALERT.c.state == AlertState.OPEN.value, mine)
        return next(iter(self._alerts(query.order_by(_ALERT.c.id).limit(1))), None)

    def list_known(self, studies: Collection[str]) -> set[tuple[str, str]]:
        """Return study and digest of every alert that these studies ever had."""
        uids = sorted(studies)
        query = select(_ALERT.c.study_instance_uid, _ALERT.c.reasons_digest)
        known: set[tuple[str, str]] = set()
        with self._reading() as connection:
            for start in range(0, len(uids), 500):
                some = query.where(_ALERT.c.study_instance_uid.in_(uids[start : start + 500]))
                known |= {(uid, digest) for uid, digest in connection.execute(some)}
        return known

    def list_since(self, since: float, sources: Collection[str] | None = None) -> list[Alert]:
        """Return the alerts raised since then, oldest first."""
        query = select(_ALERT).where(_ALERT.c.raised_at >= since).order_by(_ALERT.c.id)
        if sources is not None:
            joined = _STUDY.c.study_instance_uid == _ALERT.c.study_instance_uid
            query = query.join(_STUDY, joined).where(_STUDY.c.source.in_(tuple(sources)))
        return self._alerts(query)

    def find(self, alert_id: int) -> Alert | None:
        """Return an alert, None where there is none."""
        return next(iter(self._alerts(select(_ALERT).where(_ALERT.c.id == alert_id))), None)

    def list_calls(self, *states: CallState) -> list[Call]:
        """Return the calls in these states, oldest first."""
        wanted = [one.value for one in states]
        query = select(_CALL).where(_CALL.c.state.in_(wanted)).order_by(_CALL.c.id)
        with self._reading() as connection:
            return [_call(row) for row in connection.execute(query).mappings()]

    def list_steps(self, alert_ids: Collection[int]) -> set[tuple[int, int]]:
        """Return alert and step of what was begun."""
        query = select(_CALL.c.alert_id, _CALL.c.step).where(_CALL.c.alert_id.in_(tuple(alert_ids)))
        with self._reading() as connection:
            return {(alert, step) for alert, step in connection.execute(query)}

    def raise_one(self, found: Critical, at: datetime, event: AuditEvent) -> bool:
        """Raise an alert; False where there is one of the same already."""
        values = {
            "study_instance_uid": found.study_instance_uid,
            "reasons_digest": found.reasons_digest,
            "priority": found.priority,
            "raised_at": at.timestamp(),
            "state": AlertState.OPEN.value,
            "ended_by": "",
            "ended_because": "",
        }
        told = f"Alert raised: the result is {found.priority}, and nobody has read it."
        try:
            with self._changing(found.study_instance_uid, at, told, event) as connection:
                connection.execute(insert(_ALERT).values(values))
        except IntegrityError:
            # Another process was first.
            return False
        return True

    def acknowledge(self, alert: Alert, who: str, at: datetime, event: AuditEvent) -> None:
        """Let somebody answer an alert.

        Raises
        ------
        NotNow
            If it has ended meanwhile.
        StorageError
            If the index refuses.
        """
        self._end(alert, AlertState.ACKNOWLEDGED, who, f"Alert acknowledged by {who}.", at, event)

    def expire(self, alert: Alert, why: str, at: datetime, event: AuditEvent) -> None:
        """End an alert that needs no answer any more; raises as ``acknowledge``."""
        self._end(alert, AlertState.EXPIRED, "", f"Alert ended: {why}.", at, event)

    def begin_step(
        self, alert: Alert, step: int, targets: Sequence[tuple[Channel, str]], at: datetime, event: AuditEvent
    ) -> None:
        """Begin a step of the escalation: whom it is brought to waits from now on."""
        rows = [
            {
                "alert_id": alert.id,
                "study_instance_uid": alert.study_instance_uid,
                "step": step,
                "channel": channel.value,
                "target": target,
                "state": CallState.WAITING.value,
                "attempts": 0,
                "message": "",
                "updated_at": at.timestamp(),
            }
            for channel, target in targets
        ]
        told = f"Nobody answered the alert: step {step} of the escalation."
        try:
            with self._changing(alert.study_instance_uid, at, told, event) as connection:
                _require_open(connection, alert)
                connection.execute(insert(_CALL), rows)
        except IntegrityError:
            # Another process was first.
            return

    def take_call(self, call: Call, at: datetime) -> bool:
        """Take a call to try it now; False where another process does, or its alert has ended."""
        is_open = select(_ALERT.c.id).where(
            _ALERT.c.id == call.alert_id, _ALERT.c.state == AlertState.OPEN.value
        )
        mine = (_CALL.c.id == call.id, _CALL.c.attempts == call.attempts)
        waits = _CALL.c.state == CallState.WAITING.value
        taken = update(_CALL).where(*mine, waits, is_open.exists())
        values = {"attempts": call.attempts + 1, "updated_at": at.timestamp()}
        with self._writing() as connection:
            return bool(connection.execute(taken.values(values)).rowcount)

    def note_call(self, call: Call, state: CallState, told: str, at: datetime, event: AuditEvent) -> None:
        """Note what became of a try; ``told`` is a sentence for the history."""
        values = {"state": state.value, "message": told, "updated_at": at.timestamp()}
        level = "info" if state is CallState.SENT else "problem"
        with self._changing(call.study_instance_uid, at, told, event, level) as connection:
            connection.execute(update(_CALL).where(_CALL.c.id == call.id).values(values))

    def reported_elsewhere(self, alert: Alert) -> bool:
        """Tell whether a complete, verified report by another system came after the alert was raised."""
        table = schema.instance
        query = select(table.c.metadata).where(
            table.c.study_instance_uid == alert.study_instance_uid,
            table.c.sop_class_uid.startswith(_REPORTS),
            table.c.received_at >= alert.raised_at,
            ~table.c.is_result,
        )
        with self._reading() as connection:
            return any(_is_verified(packed) for packed in connection.execute(query).scalars())

    def is_reported(self, study_instance_uid: str) -> bool:
        """Tell whether a study is off the reading list."""
        query = select(_STUDY.c.reported_at).where(_STUDY.c.study_instance_uid == study_instance_uid)
        with self._reading() as connection:
            return connection.execute(query).scalar() is not None

    def _end(
        self, alert: Alert, state: AlertState, who: str, told: str, at: datetime, event: AuditEvent
    ) -> None:
        values = {
            "state": state.value,
            "ended_at": at.timestamp(),
            "ended_by": who,
            "ended_because": told,
        }
        with self._changing(alert.study_instance_uid, at, told, event) as connection:
            _require_open(connection, alert)
            connection.execute(update(_ALERT).where(_ALERT.c.id == alert.id).values(values))
            waiting = (_CALL.c.alert_id == alert.id, _CALL.c.state == CallState.WAITING.value)
            connection.execute(update(_CALL).where(*waiting).values(state=CallState.DROPPED.value))

    def _alerts(self, query: Any) -> list[Alert]:
        with self._reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [Alert(**{**row, "state": AlertState(row["state"])}) for row in rows]

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self.engine.connect().execution_options(read_only=True) as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be read.", reason=type(error).__name__) from error

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        try:
            with self.engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise StorageError("The index cannot be written.", reason=type(error).__name__) from error

    @contextmanager
    def _changing(
        self, study: str, at: datetime, told: str, event: AuditEvent, level: str = "info"
    ) -> Iterator[Connection]:
        """A change with its line in the history and its audit entry: all or nothing."""
        line = Event(study_instance_uid=study, at=at, stage=_STAGE, level=level, message=told)
        with self._writing() as connection:
            lock_study(connection, study)
            yield connection
            History(self.engine).add_in(connection, line)
            self.audit.record_in(connection, event)
        self.audit.note_end()


def _require_open(connection: Connection, alert: Alert) -> None:
    query = select(_ALERT.c.state, _ALERT.c.ended_by, _ALERT.c.ended_at).where(_ALERT.c.id == alert.id)
    row = connection.execute(query.with_for_update()).first()
    if row is None or row.state == AlertState.EXPIRED.value:
        raise NotNow("This alert has ended: look at the study.")
    if row.state == AlertState.ACKNOWLEDGED.value:
        when = datetime.fromtimestamp(row.ended_at or 0, UTC).astimezone()
        raise NotNow(f"{row.ended_by} has acknowledged this alert already, at {when:%H:%M}.")


def _critical(rows: Sequence[Any]) -> Critical:
    reasons = sorted({f"{row.priority} {reason}" for row in rows for reason in row.reasons})
    worst = min((Priority(row.priority) for row in rows), key=tuple(Priority).index)
    return Critical(
        study_instance_uid=rows[0].study_instance_uid,
        revision=rows[0].revision,
        priority=worst.value,
        reasons_digest=hashlib.sha256(repr(reasons).encode()).hexdigest(),
    )


def _call(row: Any) -> Call:
    return Call(**{**row, "channel": Channel(row["channel"]), "state": CallState(row["state"])})


def _is_verified(packed: bytes | None) -> bool:
    """Tell whether a header says that somebody vouches for the whole report (PS3.3 C.17.2)."""
    if not packed:
        return False
    header = orjson.loads(unpack_metadata(packed))
    return all(header.get(tag, {}).get("Value") == [value] for tag, value in (_COMPLETE, _VERIFIED))
