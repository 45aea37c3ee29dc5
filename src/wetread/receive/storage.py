"""What becomes of an instance that was handed in: it is stored, or there is a reason.

In: a data set that came whole, by C-STORE or STOW-RS.  Out: an instance in the store and a status.
Never: success before file, folder and index row are durable.

Status (PS3.4 B.2.3 Table B.2-1, PS3.7 Annex C):

====== ==========================================================================================
0x0000 stored, or already stored with this content
0x0110 a bug of ours; the history has the error's type
0x0111 another object with this UID is stored; this one is kept aside. The sender must not take its
       copy for stored: it is a failure, "duplicate SOP instance" (PS3.7 C.5.7)
0x0117 the SOP Instance UID breaks the rules for UIDs (PS3.7 C.5.11)
0xA700 the disk refuses, send again later; or the instance is larger than is allowed
0xA900 the data set has another UID or class than the command, or than its file's meta header
0xC000 not a readable data set, or without the UIDs that place it
0xC001 of another patient or study than we asked the sender for
====== ==========================================================================================
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from wetread.dicom.header import is_uid, read_instance, read_instance_bytes
from wetread.dicom.json_model import JsonModel
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
NOT_ASKED_FOR = 0xC001


class Refusal(Exception):
    """Why an instance is not stored: an answer, not an error."""

    def __init__(self, *, status: int, code: str, message: str, study_instance_uid: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.study_instance_uid = study_instance_uid


def _accept_any(_instance: Instance) -> None:
    """Take whatever can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A data set that came whole, and what was said about it."""

    sop_class_uid: str
    sop_instance_uid: str
    sender: Sender
    #: What the index keeps as its source.
    source: str
    #: Tells transfers apart: the association, or the request.
    transfer: object
    spool: Spool
    #: Asked before it is stored; a ``Refusal`` keeps it out.
    check: Callable[[Instance], None] = _accept_any


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of it."""

    status: int
    #: For people, without names of patients; "" where it was stored.
    message: str = ""
    #: Of the problem; "" where it was stored.
    code: str = ""
    #: None where it was not stored.
    instance: Instance | None = None


class StorageScp:
    """Stores what comes and tells of it: index, history, audit trail, whoever waits for images."""

    def __init__(self, store: Store, notes: Notes, trail: ReceiveTrail, on_stored: OnStored | None) -> None:
        self.store = store
        self.notes = notes
        self.trail = trail
        self.on_stored = on_stored

    def on_store(self, request: StoreRequest) -> StoreAnswer:
        """Serve a C-STORE request; called in the association's own thread."""
        sender = _sender(request.calling_aet, request.address)
        outcome = self.take_in(
            Received(
                sop_class_uid=request.sop_class_uid,
                sop_instance_uid=request.sop_instance_uid,
                sender=sender,
                source=sender.aet,
                transfer=request.association,
                spool=request.spool,
                check=self._check_moved if request.move_originator else _accept_any,
            )
        )
        is_bug = outcome.code == ProblemCode.INTERNAL_ERROR
        return StoreAnswer(status=outcome.status, comment="Processing failure" if is_bug else outcome.message)

    def _check_moved(self, instance: Instance) -> None:
        """Refuse what comes as a prior and is of another patient."""
        study, patient_id = instance.study_instance_uid, header_text(instance.header, "PatientID")
        try:
            is_other = self.store.fetches.refuse_other_patient(study, patient_id)
        except StorageError as error:
            raise disk_refusal(error, study) from error
        if is_other:
            raise Refusal(
                status=NOT_ASKED_FOR,
                code=ProblemCode.OTHER_PATIENT,
                message="The PACS sent an image of another patient.",
                study_instance_uid=study,
            )

    def take_in(self, received: Received) -> Outcome:
        """Store an instance and say what became of it; the caller discards the spool."""
        sender, source = received.sender, received.source
        try:
            acceptance, instance = self._take(received)
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
            return Outcome(status=refusal.status, message=refusal.message, code=refusal.code)
        except Exception as error:  # the one place where a bug becomes a status
            logger.exception("An instance was not stored")
            message = f"An instance was not stored: {type(error).__name__}."
            self.notes.problem(message, ProblemCode.INTERNAL_ERROR, source)
            self.trail.refused(sender, "", message)
            return Outcome(status=PROCESSING_FAILURE, message=message, code=ProblemCode.INTERNAL_ERROR)
        return Outcome(status=SUCCESS, instance=instance)

    def _take(self, received: Received) -> tuple[Acceptance, Instance]:
        instance, model = _read(received)
        received.check(instance)
        self._begin(received, instance)
        arrived = Arrived(
            instance=instance,
            content_digest=received.spool.digest,
            size=received.spool.size,
            received_at=datetime.now(UTC),
            source=received.source,
            metadata=model.encode(),
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
            self.notes.arrived(self.store.studies, instance.study_instance_uid, received.source)
        self.trail.stored(received.transfer, instance.study_instance_uid)
        return acceptance, instance

    def _begin(self, received: Received, instance: Instance) -> None:
        study, patient_id = instance.study_instance_uid, header_text(instance.header, "PatientID")
        try:
            self.trail.begin(received.transfer, received.sender, study, patient_id)
        except StorageError as error:
            raise disk_refusal(error, study) from error

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


def _read(received: Received) -> tuple[Instance, JsonModel]:
    spool = received.spool
    if spool.error is not None and spool.error.errno == errno.EFBIG:
        message = "The instance is larger than dicom.maximum_instance_mb allows."
        raise Refusal(status=OUT_OF_RESOURCES, code=ProblemCode.UNREADABLE_INSTANCE, message=message)
    if spool.error is not None:
        raise disk_refusal(storage_error(spool.error))
    if not is_uid(received.sop_instance_uid):
        message = "The SOP Instance UID is not a UID."
        raise Refusal(status=INVALID_INSTANCE_UID, code=ProblemCode.UNREADABLE_INSTANCE, message=message)
    if not spool.size:
        raise _unreadable(UnreadableInstance("There is no data set."))
    try:
        instance, model = _read_header(spool)
    except InputError as error:
        raise _unreadable(error) from error
    named = (received.sop_instance_uid, received.sop_class_uid)
    if (instance.sop_instance_uid, instance.sop_class_uid) != named:
        message = "The data set has another SOP Instance or Class UID than the request."
        raise Refusal(status=NO_MATCH, code=ProblemCode.UNREADABLE_INSTANCE, message=message)
    return instance, model


def _read_header(spool: Spool) -> tuple[Instance, JsonModel]:
    early, content = spool.early_header, spool.content
    if early is not None and early.is_of(spool.file_size):
        return early.instance, early.model
    model = JsonModel()
    if content is None:
        return read_instance(spool.path, spool.opener, model), model
    return read_instance_bytes(content, spool.path, spool.opener, model), model


def _accept(store: Store, arrived: Arrived) -> Acceptance:
    try:
        return store.intake.accept(arrived)
    except StorageError as error:
        raise disk_refusal(error, arrived.instance.study_instance_uid) from error


def _unreadable(error: InputError) -> Refusal:
    return Refusal(status=CANNOT_UNDERSTAND, code=error.code, message=error.message)


def disk_refusal(error: StorageError, study_instance_uid: str = "") -> Refusal:
    """Return the refusal of what disk or index do not take."""
    return Refusal(
        status=OUT_OF_RESOURCES,
        code=ProblemCode.STORAGE_ERROR,
        message=error.message,
        study_instance_uid=study_instance_uid,
    )


def _printable(ae_title: str) -> str:
    # It is shown and logged: nothing in it may act on a terminal or a page.
    return "".join(letter if letter.isprintable() else "?" for letter in ae_title).strip()
