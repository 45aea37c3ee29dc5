"""Modality Performed Procedure Step and Instance Availability Notification SCP.

In: N-CREATE and N-SET of peers that the port let in.  Out: notices in the store, and whoever waits is woken.
Never: success before the row is durable; a refusal without an event; patients' names kept or logged.

The statuses are in ``performed``.

References
----------
PS3.4 sections F.7 and R; PS3.7 sections 10.1.3 and 10.1.5.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import build_context, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
)

from wetread.dicom.plain import MOST_BYTES, Node, read_plain
from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType, AuditOutcome
from wetread.domain.notice import FINAL, Notice, NoticeKind
from wetread.domain.problem import ProblemCode
from wetread.errors import StorageError, UnreadableInstance
from wetread.receive.availability import read_availability
from wetread.receive.performed import (
    DUPLICATE_INSTANCE,
    INVALID_INSTANCE,
    NO_SUCH_INSTANCE,
    NOT_AUTHORIZED,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    RefusedNotice,
    begin_step,
    change_step,
)
from wetread.receive.services import Services
from wetread.store import Store
from wetread.store.history import Event

logger = logging.getLogger(__name__)

_SET_RQ, _CREATE_RQ = 0x0120, 0x0140
#: Nothing deflated: what a message becomes when it is unpacked has no bound.
_SYNTAXES: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_TITLES = {NoticeKind.MPPS: "procedure step", NoticeKind.IAN: "availability notice"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeScp:
    """Takes what is told."""

    store: Store
    #: Our AE title.
    aet: str
    #: Whether who calls itself so may tell; the port has seen to it that they are who they say.
    may_notify: Callable[[str], bool]
    #: A study may be complete by now.
    wake: Callable[[], None]
    clock: Callable[[], datetime]

    def services(self) -> Services:
        """Return what is served."""
        classes = (ModalityPerformedProcedureStep, InstanceAvailabilityNotification)
        return Services(
            contexts=tuple(build_context(one, _SYNTAXES) for one in classes),
            handlers=((evt.EVT_N_CREATE, self.create), (evt.EVT_N_SET, self.set)),
            commands=frozenset({_SET_RQ, _CREATE_RQ}),
        )

    def create(self, event: Any) -> tuple[Dataset | int, Dataset | None]:
        """Answer N-CREATE."""
        request = event.request
        is_step = str(request.AffectedSOPClassUID) == ModalityPerformedProcedureStep

        def take() -> Dataset | None:
            node = _read(event, request.AttributeList)
            uid = str(request.AffectedSOPInstanceUID or "")
            if is_step:
                self._keep(event, begin_step(uid, node))
                return None
            # The archive may leave the choice to us (PS3.7 10.1.5.1.4).
            notice = read_availability(uid or str(generate_uid()), node)
            self._keep(event, notice)
            reply = Dataset()
            reply.AffectedSOPInstanceUID = notice.sop_instance_uid
            return None if uid else reply

        return self._answer(event, NoticeKind.MPPS if is_step else NoticeKind.IAN, take)

    def set(self, event: Any) -> tuple[Dataset | int, Dataset | None]:
        """Answer N-SET."""

        def take() -> None:
            node = _read(event, event.request.ModificationList)
            self._change(event, str(event.request.RequestedSOPInstanceUID or ""), node)

        return self._answer(event, NoticeKind.MPPS, take)

    def _answer(
        self, event: Any, kind: NoticeKind, take: Callable[[], Dataset | None]
    ) -> tuple[Dataset | int, Dataset | None]:
        try:
            if not self.may_notify(_title(event)):
                raise RefusedNotice(NOT_AUTHORIZED, "It may send images, but not tell of them.")
            reply = take()
        except RefusedNotice as refused:
            return self._refuse(event, kind, refused), None
        except StorageError as error:
            out = RefusedNotice(RESOURCE_LIMITATION, error.message)
            return self._refuse(event, kind, out, ProblemCode.STORAGE_ERROR), None
        self.wake()
        return 0x0000, reply

    def _keep(self, event: Any, notice: Notice) -> None:
        now = self.clock()

        def tell(connection: Any) -> None:
            self._tell(connection, event, notice, now)

        if not self.store.notices.create(notice, _title(event), now, tell):
            raise RefusedNotice(DUPLICATE_INSTANCE, "There is a notice with this SOP Instance UID.")
        self.store.audit.note_end()

    def _change(self, event: Any, uid: str, node: Node) -> None:
        now = self.clock()

        def tell(connection: Any, changed: Notice) -> None:
            self._tell(connection, event, changed, now)

        if not uid:
            raise RefusedNotice(INVALID_INSTANCE, "The SOP Instance UID of the step is missing.")
        changed = self.store.notices.change(uid, lambda known: change_step(known, node), now, tell)
        if changed is None:
            raise RefusedNotice(NO_SUCH_INSTANCE, "There is no procedure step with this SOP Instance UID.")
        self.store.audit.note_end()

    def _tell(self, connection: Any, event: Any, notice: Notice, now: datetime) -> None:
        """Write history and audit entry in the transaction of the notice itself."""
        sentence = f"{_sentence(notice)} Told by {_title(event)}."
        for study in notice.studies:
            line = Event(study_instance_uid=study, at=now, stage="receive", message=sentence)
            self.store.history.add_in(connection, line)
        entry = _audit(event, self.aet, now, sentence, notice.studies, len(notice.instances))
        self.store.audit.record_in(connection, entry)

    def _refuse(
        self,
        event: Any,
        kind: NoticeKind,
        refused: RefusedNotice,
        code: ProblemCode = ProblemCode.UNREADABLE_MESSAGE,
    ) -> Dataset:
        title = _title(event)
        sentence = f"A {_TITLES[kind]} from {title} was refused: {refused.comment}"
        now = self.clock()
        try:
            problem = Event(at=now, stage="receive", level="problem", code=code.value, message=sentence)
            self.store.history.add(problem)
            entry = _audit(event, self.aet, now, sentence, (), 0, AuditOutcome.MINOR_FAILURE)
            self.store.audit.record(entry)
        except StorageError:
            # The sender hears it all the same, and tells it again.
            logger.warning("A refusal could not be noted.")
        answer = Dataset()
        answer.Status = refused.status
        answer.ErrorComment = refused.comment[:64]
        if refused.error_id:
            answer.ErrorID = refused.error_id
        return answer


def _read(event: Any, data: Any) -> Node:
    raw = data.getvalue() if data is not None else b""
    if len(raw) >= MOST_BYTES:
        raise RefusedNotice(RESOURCE_LIMITATION, "It is longer than any real one.")
    syntax = str(event.context.transfer_syntax)
    try:
        return read_plain(raw, is_implicit=syntax == ImplicitVRLittleEndian)
    except UnreadableInstance as error:
        raise RefusedNotice(PROCESSING_FAILURE, "The data set cannot be read.") from error


def _sentence(notice: Notice) -> str:
    count = len(notice.instances)
    images = f"{count} image{'' if count == 1 else 's'}"
    if notice.kind is NoticeKind.IAN:
        return f"{images} can be had from the archive (IAN)."
    if notice.state in FINAL:
        return f"The modality's procedure step is {notice.state}, with {images} (MPPS)."
    named = f", {images} so far" if count else ""
    return f"The modality's procedure step is {notice.state}{named} (MPPS)."


def _title(event: Any) -> str:
    # It is shown and logged: nothing in it may act on a terminal or a page.
    title = str(event.assoc.requestor.ae_title or "")
    return "".join(letter if letter.isprintable() else "?" for letter in title).strip()


def _audit(
    event: Any,
    aet: str,
    now: datetime,
    sentence: str,
    studies: tuple[str, ...],
    count: int,
    outcome: AuditOutcome = AuditOutcome.SUCCESS,
) -> AuditEvent:
    title, address = _title(event), str(event.assoc.requestor.address or "")
    return AuditEvent(
        type=AuditEventType.PROCEDURE_RECORD,
        action=AuditAction.UPDATE,
        at=now,
        outcome=outcome,
        description=sentence,
        actors=(
            Actor(user_id=title or "unknown", ae_title=title, address=address, is_requestor=True),
            Actor(user_id="wetread", ae_title=aet),
        ),
        studies=studies,
        instance_count=count,
    )
