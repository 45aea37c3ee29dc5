"""What becomes of a C-STORE request: it is stored, or there is a reason.

In: a request with its data set.  Out: an instance in the store and a DIMSE status.
Never: success before file, folder and index row are durable.

Status (PS3.4 B.2.3 Table B.2-1, PS3.7 Annex C):

====== ==========================================================================================
0x0000 stored, or already stored with this content
0x0110 a bug of ours; the history has the error's type
0x0111 another object with this UID is stored; this one is kept aside. The sender must not take its
       copy for stored: it is a failure, "duplicate SOP instance" (PS3.7 C.5.7)
0x0117 the SOP Instance UID breaks the rules for UIDs (PS3.7 C.5.11)
0xA700 the disk refuses, send again later; or the instance is larger than is allowed
0xA900 the data set has another UID or class than the command
0xC000 not a readable data set, or without the UIDs that place it
====== ==========================================================================================
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from wetread.dicom.header import is_uid, read_instance, read_instance_bytes
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import Acceptance
from wetread.domain.study import Instance, header_text
from wetread.errors import InputError, StorageError, UnreadableInstance
from wetread.receive.command import StoreAnswer, StoreRequest
from wetread.receive.notes import Notes
from wetread.receive.refusals import Refused
from wetread.receive.spool import Spool
from wetread.receive.trail import ReceiveTrail, Sender
from wetread.store import Store
from wetread.store.blobs import storage_error
from wetread.store.intake import Arrived

logger = logging.getLogger(__name__)

OnStored = Callable[[str, Acceptance], None]

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
DUPLICATE_INSTANCE = 0x0111
INVALID_INSTANCE_UID = 0x0117
OUT_OF_RESOURCES = 0xA700
NO_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000


class Refusal(Exception):
    """Why an instance is not stored: an answer, not an error."""

    def __init__(self, *, status: int, code: str, message: str, study_instance_uid: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.study_instance_uid = study_instance_uid


class StorageScp:
    """Answers the events of all associations."""

    def __init__(self, store: Store, notes: Notes, trail: ReceiveTrail, on_stored: OnStored | None) -> None:
        self.store = store
        self.notes = notes
        self.trail = trail
        self.on_stored = on_stored

    def on_store(self, request: StoreRequest) -> StoreAnswer:
        """Store an instance and say what became of it; called in the association's own thread."""
        sender = _sender(request.calling_aet, request.address)
        source = sender.aet
        try:
            acceptance, instance = self._take(request, sender)
            if self.on_stored is not None:
                self.on_stored(instance.study_instance_uid, acceptance)
        except Refusal as refusal:
            self.notes.problem(refusal.message, refusal.code, source, refusal.study_instance_uid)
            refused = partial(self.trail.refused, sender, refusal.study_instance_uid, refusal.message)
            if refusal.status == OUT_OF_RESOURCES:
                # The index has just made the sender wait: it must not wait for the trail too.
                self.notes.put_off(refused)
            else:
                refused()
            return StoreAnswer(status=refusal.status, comment=refusal.message)
        except Exception as error:  # the one place where a bug becomes a status
            logger.exception("C-STORE failed")
            message = f"An instance was not stored: {type(error).__name__}."
            self.notes.problem(message, ProblemCode.INTERNAL_ERROR, source)
            self.trail.refused(sender, "", message)
            return StoreAnswer(status=PROCESSING_FAILURE, comment="Processing failure")
        return StoreAnswer(status=SUCCESS)

    def _take(self, request: StoreRequest, sender: Sender) -> tuple[Acceptance, Instance]:
        instance = _read(request)
        self._begin(request, sender, instance)
        arrived = Arrived(
            instance=instance,
            content_digest=request.spool.digest,
            size=request.spool.size,
            received_at=datetime.now(UTC),
            source=sender.aet,
        )
        acceptance = _accept(self.store, arrived)
        if acceptance is Acceptance.CONFLICT:
            raise Refusal(
                status=DUPLICATE_INSTANCE,
                code=ProblemCode.CONTENT_CONFLICT,
                message="Another object with this SOP Instance UID is stored; this one was kept aside.",
                study_instance_uid=instance.study_instance_uid,
            )
        if acceptance is Acceptance.ACCEPTED:
            self.notes.arrived(self.store.studies, instance.study_instance_uid, sender.aet)
        self.trail.stored(request.association, instance.study_instance_uid)
        return acceptance, instance

    def _begin(self, request: StoreRequest, sender: Sender, instance: Instance) -> None:
        patient_id = header_text(instance.header, "PatientID")
        try:
            self.trail.begin(request.association, sender, instance.study_instance_uid, patient_id)
        except StorageError as error:
            raise _disk_refusal(error, instance.study_instance_uid) from error

    def on_begin(self, calling_aet: str, address: str) -> None:
        """Record who comes for the first time."""
        self.trail.accepted(_sender(calling_aet, address))

    def on_end(self, association: object, calling_aet: str, address: str, *, is_broken: bool) -> None:
        """Record what came in an association, and note that a sender stopped half-way."""
        if is_broken:
            self.on_broken(calling_aet, address)
        self.trail.ended(association, is_broken=is_broken)

    def on_broken(self, calling_aet: str, address: str) -> None:
        """Note that a sender stopped half-way."""
        sender = _sender(calling_aet, address)
        message = (
            f"The association from {sender.aet!r} broke off: what was not acknowledged must be sent again."
        )
        self.notes.problem(message, ProblemCode.ASSOCIATION_BROKEN, sender.aet)
        self.trail.rejected(sender, f"The association from {sender.aet!r} broke off.")

    def on_refused(self, refused: Refused) -> None:
        """Note whom we turned away and why."""
        self.notes.problem(refused.message, ProblemCode.ASSOCIATION_REFUSED, refused.calling)
        self.trail.rejected(Sender(aet=refused.calling, address=refused.address), refused.message)


def _sender(calling_aet: str, address: str) -> Sender:
    return Sender(aet=_printable(calling_aet), address=address)


def _read(request: StoreRequest) -> Instance:
    spool = request.spool
    if spool.error is not None and spool.error.errno == errno.EFBIG:
        message = "The instance is larger than dicom.maximum_instance_mb allows."
        raise Refusal(status=OUT_OF_RESOURCES, code=ProblemCode.UNREADABLE_INSTANCE, message=message)
    if spool.error is not None:
        raise _disk_refusal(storage_error(spool.error))
    if not is_uid(request.sop_instance_uid):
        message = "The SOP Instance UID is not a UID."
        raise Refusal(status=INVALID_INSTANCE_UID, code=ProblemCode.UNREADABLE_INSTANCE, message=message)
    if not spool.size:
        raise _unreadable(UnreadableInstance("The C-STORE request has no data set."))
    try:
        instance = _read_header(spool)
    except InputError as error:
        raise _unreadable(error) from error
    named = (request.sop_instance_uid, request.sop_class_uid)
    if (instance.sop_instance_uid, instance.sop_class_uid) != named:
        message = "The data set has another SOP Instance or Class UID than the request."
        raise Refusal(status=NO_MATCH, code=ProblemCode.UNREADABLE_INSTANCE, message=message)
    return instance


def _read_header(spool: Spool) -> Instance:
    content = spool.content
    if content is None:
        return read_instance(spool.path, spool.opener)
    return read_instance_bytes(content, spool.path, spool.opener)


def _accept(store: Store, arrived: Arrived) -> Acceptance:
    try:
        return store.intake.accept(arrived)
    except StorageError as error:
        raise _disk_refusal(error, arrived.instance.study_instance_uid) from error


def _unreadable(error: InputError) -> Refusal:
    return Refusal(status=CANNOT_UNDERSTAND, code=error.code, message=error.message)


def _disk_refusal(error: StorageError, study_instance_uid: str = "") -> Refusal:
    return Refusal(
        status=OUT_OF_RESOURCES,
        code=ProblemCode.STORAGE_ERROR,
        message=error.message,
        study_instance_uid=study_instance_uid,
    )


def _printable(ae_title: str) -> str:
    # It is shown and logged: nothing in it may act on a terminal or a page.
    return "".join(letter if letter.isprintable() else "?" for letter in ae_title).strip()
