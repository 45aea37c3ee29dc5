"""Storage Commitment SCP (Push Model): take what somebody asks us to keep.

In: N-ACTION of peers that the port let in.  Out: a durable transaction, for ``reporting`` to answer.
Never: success before the row is durable; an address that a request chose.

Statuses (PS3.4 J.3.2, PS3.7 10.1.4.1.10):

====== ==========================================================================================
0x0110 the data set cannot be read
0x0112 it is asked of another instance than the well-known one
0x0114 Transaction UID or Referenced SOP Sequence is missing
0x0115 a UID is none
0x0123 another action than "request storage commitment"
0x0213 more references than any study has, too many transactions that wait, or the index is out
====== ==========================================================================================

What is committed is kept as long as retention keeps its study, and no longer; see how-to/told-by-others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext

from wetread.dicom.header import is_uid
from wetread.dicom.plain import MOST_BYTES, Node, read_plain
from wetread.domain.audit import Actor, AuditAction, AuditEvent, AuditEventType
from wetread.domain.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, Asked, Reference
from wetread.errors import StorageError, UnreadableInstance
from wetread.store import Store
from wetread.store.history import Event

UNREADABLE, NO_SUCH_INSTANCE, NO_SUCH_ARGUMENT, INVALID_ARGUMENT = 0x0110, 0x0112, 0x0114, 0x0115
NO_SUCH_ACTION, OUT_OF_RESOURCES = 0x0123, 0x0213
#: N-ACTION-RQ, N-EVENT-REPORT-RSP, N-EVENT-REPORT-RQ.
COMMANDS = frozenset({0x0130, 0x8100, 0x0100})
MOST_REFERENCES = 20_000

_TRANSACTION_UID, _REFERENCES, _CLASS_UID, _INSTANCE_UID = 0x00081195, 0x00081199, 0x00081150, 0x00081155
_REQUEST_COMMITMENT = 1
_SYNTAXES: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


class _Refused(Exception):
    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.status = status
        self.comment = comment


def commitment_context() -> PresentationContext:
    """Return what is accepted: in both roles, since peers report to us as we report to them (PS3.4 J.3.3)."""
    context = build_context(PUSH_MODEL, _SYNTAXES)
    context.scu_role = context.scp_role = True
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentScp:
    """Takes transactions."""

    store: Store
    #: Our AE title.
    aet: str
    clock: Callable[[], datetime]
    #: Told the number of a transaction that is kept, and the association it came on.
    on_taken: Callable[[int, Any], None]

    def act(self, event: Any) -> tuple[Dataset | int, Dataset | None]:
        """Answer N-ACTION."""
        requestor = _printable(str(event.assoc.requestor.ae_title or ""))
        try:
            asked = _read(event, requestor)
            number = self._take(event, asked)
        except _Refused as refused:
            return self._refuse(requestor, refused), None
        except StorageError as error:
            return self._refuse(requestor, _Refused(OUT_OF_RESOURCES, error.message)), None
        self.on_taken(number, event.assoc)
        return 0x0000, None

    def _take(self, event: Any, asked: Asked) -> int:
        now = self.clock()
        entry = AuditEvent(
            type=AuditEventType.QUERY,
            action=AuditAction.EXECUTE,
            at=now,
            description=f"Storage commitment of {len(asked.references)} instances was asked of us.",
            actors=(
                Actor(
                    user_id=asked.requestor or "unknown",
                    ae_title=asked.requestor,
                    address=str(event.assoc.requestor.address or ""),
                    is_requestor=True,
                ),
                Actor(user_id="wetread", ae_title=self.aet),
            ),
            instance_count=len(asked.references),
        )
        audit = self.store.audit
        number = self.store.promises.take(asked, now, lambda connection: audit.record_in(connection, entry))
        if number is None:
            raise _Refused(OUT_OF_RESOURCES, "Too many of its transactions wait to be reported.")
        audit.note_end()
        return number

    def _refuse(self, requestor: str, refused: _Refused) -> Dataset:
        message = f"A storage commitment that {requestor} asked for was refused: {refused.comment}"
        event = Event(
            at=self.clock(), stage="share", level="problem", code="unreadable-message", message=message
        )
        answer = Dataset()
        answer.Status = refused.status
        answer.ErrorComment = refused.comment[:64]
        try:
            self.store.history.add(event)
        except StorageError:
            # The sender hears it all the same.
            answer.Status = OUT_OF_RESOURCES
        return answer


def _read(event: Any, requestor: str) -> Asked:
    request = event.request
    if str(request.RequestedSOPInstanceUID or "") != PUSH_MODEL_INSTANCE:
        raise _Refused(NO_SUCH_INSTANCE, "It is asked of another instance than the well-known one.")
    if request.ActionTypeID != _REQUEST_COMMITMENT:
        raise _Refused(NO_SUCH_ACTION, "There is no other action than to request storage commitment.")
    data = request.ActionInformation
    raw = data.getvalue() if data is not None else b""
    if len(raw) >= MOST_BYTES:
        raise _Refused(OUT_OF_RESOURCES, f"More than {MOST_REFERENCES} instances are named.")
    is_implicit = str(event.context.transfer_syntax) == ImplicitVRLittleEndian
    try:
        return read_request(read_plain(raw, is_implicit=is_implicit), requestor)
    except UnreadableInstance as error:
        raise _Refused(UNREADABLE, "The data set cannot be read.") from error


def read_request(node: Node, requestor: str) -> Asked:
    """Return what is asked for, each reference once."""
    items = node.items(_REFERENCES)
    if not node.text(_TRANSACTION_UID) or not items:
        raise _Refused(NO_SUCH_ARGUMENT, "Transaction UID or Referenced SOP Sequence is missing.")
    references = tuple(
        dict.fromkeys(Reference(one.text(_CLASS_UID), one.text(_INSTANCE_UID)) for one in items)
    )
    if len(references) > MOST_REFERENCES:
        raise _Refused(OUT_OF_RESOURCES, f"More than {MOST_REFERENCES} instances are named.")
    uids = [uid for one in references for uid in (one.sop_class_uid, one.sop_instance_uid)]
    if not all(is_uid(uid) for uid in (node.text(_TRANSACTION_UID), *uids)):
        raise _Refused(INVALID_ARGUMENT, "One of its UIDs is none.")
    return Asked(transaction_uid=node.text(_TRANSACTION_UID), requestor=requestor, references=references)


def _printable(title: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in title).strip()
