"""What the pages put into the audit trail: who opened what, who changed what.

In: a principal, where they are, what they do.  Out: audit events.
Never: something shown that could not be recorded; an entry for each time a page refreshes itself.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import ParamSpec

from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.identity import Principal
from wetread.store.audit import Audit
from wetread.store.studies import StudyRow

Asked = ParamSpec("Asked")
#: What a page fetches by itself belongs to the access that opened it, while it goes on within this time.
_BELONGS_S = 900.0
_REMEMBERED = 4096


def _make_recorder() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who asks, and how."""

    principal: Principal
    #: IP address.
    address: str
    #: A page asks by itself: its pictures, its refreshes.
    is_background: bool = False


@dataclass(frozen=True, slots=True)
class WebTrail:
    """Records accesses and changes; raises StorageError where that is not possible."""

    audit: Audit
    now: Callable[[], datetime]
    _opened: OrderedDict[tuple[str, str, str], float] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    #: One: the entries of a trail come one after the other.
    _recorder: ThreadPoolExecutor = field(default_factory=_make_recorder, repr=False)

    def listed(self, visitor: Visitor, what: str) -> None:
        """Somebody looks at a list of studies."""
        if not self._belongs(visitor, what):
            self._record(visitor, AuditEventType.QUERY, AuditAction.EXECUTE, f"Opened: {what}.")
            self._remember(visitor, what)

    def opened(self, visitor: Visitor, study: StudyRow, what: str) -> None:
        """Somebody looks at a study or a document of it."""
        uid = study.study_instance_uid
        if not self._belongs(visitor, uid):
            kind = AuditEventType.INSTANCES_ACCESSED
            self._record(visitor, kind, AuditAction.READ, f"Opened: {what}.", study)
            self._remember(visitor, uid)

    def retrieved(self, visitor: Visitor, study: StudyRow, count: int) -> None:
        """Somebody takes objects of a study away."""
        kind = AuditEventType.INSTANCES_TRANSFERRED
        self._record(visitor, kind, AuditAction.READ, f"{count} objects by DICOMweb.", study)

    def changes(self, visitor: Visitor, study: StudyRow, what: str) -> None:
        """Somebody is about to change something of a study; recorded before it is done."""
        self.audit.record(self.change(visitor, study, what))

    def change(self, visitor: Visitor, study: StudyRow, what: str) -> AuditEvent:
        """Return the event of a change, for ``Audit.record_in`` beside the change itself."""
        return self._event(visitor, AuditEventType.INSTANCES_ACCESSED, AuditAction.UPDATE, what, study)

    @contextmanager
    def meanwhile(
        self, record: Callable[Asked, None], *what: Asked.args, **more: Asked.kwargs
    ) -> Iterator[None]:
        """Let an access be written to the disk while in here its answer is made; it ends when both are done.

        Raises
        ------
        StorageError
            If it cannot be recorded: the answer must not be given.
        """
        recorded = self._recorder.submit(record, *what, **more)
        try:
            yield
        finally:
            # Whatever became of the answer: it was asked for.
            recorded.result()

    def _belongs(self, visitor: Visitor, what: str) -> bool:
        key = (visitor.principal.name, visitor.address, what)
        with self._lock:
            since = self._opened.get(key)
            belongs = visitor.is_background and since is not None and time.monotonic() - since < _BELONGS_S
            if belongs:
                self._opened[key] = time.monotonic()
            return belongs

    def _remember(self, visitor: Visitor, what: str) -> None:
        key = (visitor.principal.name, visitor.address, what)
        with self._lock:
            self._opened[key] = time.monotonic()
            self._opened.move_to_end(key)
            while len(self._opened) > _REMEMBERED:
                self._opened.popitem(last=False)

    def _record(
        self,
        visitor: Visitor,
        kind: AuditEventType,
        action: AuditAction,
        what: str,
        study: StudyRow | None = None,
    ) -> None:
        self.audit.record(self._event(visitor, kind, action, what, study))

    def _event(
        self,
        visitor: Visitor,
        kind: AuditEventType,
        action: AuditAction,
        what: str,
        study: StudyRow | None = None,
    ) -> AuditEvent:
        return AuditEvent(
            type=kind,
            action=action,
            at=self.now(),
            description=what,
            actors=(Actor(user_id=visitor.principal.name, is_requestor=True, address=visitor.address),),
            studies=(study.study_instance_uid,) if study else (),
            patient_id=study.patient_id if study else "",
        )
