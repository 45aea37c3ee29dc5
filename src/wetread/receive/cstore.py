"""Storage SCP: C-STORE and C-ECHO.

In: associations.  Out: instances in the store, and a DIMSE status for each.
Never: success before file, folder and index row are durable; a sender that is not on the list.

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
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from typing import Any, cast

from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from wetread.dicom.header import is_uid, read_instance
from wetread.dicom.json_model import JsonModel
from wetread.domain.problem import ProblemCode
from wetread.domain.progress import Acceptance
from wetread.domain.study import Instance, header_text
from wetread.errors import InputError, StorageError, UnreadableInstance, UnsafeBinding
from wetread.network import PeerCertificate, RenewedContext, ServerTls
from wetread.receive.admission import Guests, Peer, check_guests, judge
from wetread.receive.associate import Rejection, parse_request
from wetread.receive.dimse import StoreAnswer, StoreRequest, address_of
from wetread.receive.lobby import Lobby, LobbyLimits
from wetread.receive.notes import Notes
from wetread.receive.refusals import Refusals, Refused
from wetread.receive.spool import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, Spools
from wetread.receive.trail import ReceiveTrail, Sender
from wetread.receive.transport import QuickServer
from wetread.store import Store
from wetread.store.blobs import storage_error
from wetread.store.history import History
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverOptions:
    """How to listen for associations."""

    host: str = "127.0.0.1"
    #: 0 takes a free one.
    port: int = 11112
    aet: str = "WETREAD"
    #: AE titles that may send, from anywhere.
    allowed_aets: tuple[str, ...] = ()
    #: Systems that may send, bound to address and certificate; neither means everyone: loopback only.
    peers: tuple[Peer, ...] = ()
    #: None: no TLS.
    tls: ServerTls | None = None
    maximum_associations: int = 32
    #: Longest data set in bytes.
    instance_limit: int = 4096 << 20
    #: Longest silence within an association, and longest time for one PDU.
    network_timeout_s: float = 60.0
    #: Longest wait for the association request.
    acse_timeout_s: float = 30.0
    #: Advertised; bytes. DCMTK sends at most 128 KiB.
    maximum_pdu_size: int = 1 << 17


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running Storage SCP."""

    port: int
    ae_title: str
    _server: QuickServer = field(repr=False)
    _lobby: Lobby = field(repr=False)
    _notes: Notes = field(repr=False)
    _trail: ReceiveTrail = field(repr=False)
    _refusals: Refusals = field(repr=False)

    def stop(self) -> None:
        """End all associations and stop listening."""
        self._lobby.stop()
        self._refusals.stop()
        self._notes.close()
        for association in self._server.active_associations:
            association.abort()
        self._server.close()
        self._trail.close()
        self._server.spools.sweep()


class Refusal(Exception):
    """Why an instance is not stored: an answer, not an error."""

    def __init__(self, *, status: int, code: str, message: str, study_instance_uid: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.study_instance_uid = study_instance_uid


def start_receiver(options: ReceiverOptions, store: Store, on_stored: OnStored | None = None) -> Receiver:
    """Start to listen; return when connections are taken.

    Parameters
    ----------
    on_stored
        Called with the Study Instance UID and what became of the instance, after it is durable and
        before the sender is answered: it must return at once.

    Raises
    ------
    UnsafeBinding
        If others than this machine could connect and there is no list of who may.
    ConfigError
        If the list or the certificates cannot be used.
    OSError
        If the port is taken.
    """
    guests = Guests(aet=options.aet, allowed_aets=options.allowed_aets, peers=options.peers)
    if not guests.allowed_aets and not guests.peers and not _is_loopback(options.host):
        raise UnsafeBinding(host=options.host)
    check_guests(guests, has_certificates=options.tls is not None and options.tls.authorities is not None)
    tls = RenewedContext(options.tls) if options.tls is not None else None
    store.intake.prepare()
    # As impatient as the intake: a sender waits for both.
    notes = Notes(History(store.intake.engine))
    trail = ReceiveTrail(
        replace(store.audit, engine=store.intake.engine).record, options.aet, put_off=notes.put_off
    )
    scp = _StorageScp(store, notes, trail, on_stored)
    server = _make_server(options, scp)
    refusals = Refusals(scp.on_refused)
    limits = LobbyLimits(timeout_s=options.acse_timeout_s)
    lobby = Lobby(server.listening, server, _Door(guests, refusals), limits, tls)
    return Receiver(server.server_address[1], options.aet, server, lobby, notes, trail, refusals)


def _make_server(options: ReceiverOptions, scp: _StorageScp) -> QuickServer:
    entity = AE(options.aet)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_pdu_size = options.maximum_pdu_size
    # The lobby has counted; pynetdicom would count those too that are just leaving.
    entity.maximum_associations = 1 << 16
    entity.network_timeout = options.network_timeout_s
    entity.acse_timeout = options.acse_timeout_s
    entity.add_supported_context(Verification)
    server: Any = entity.make_server(
        (options.host, options.port),
        evt_handlers=scp.handlers,
        server_class=QuickServer,
        spools=scp.spools,
        on_store=scp.on_store,
        maximum_associations=options.maximum_associations,
        instance_limit=options.instance_limit,
    )
    entity._servers.append(server)
    return cast(QuickServer, server)


@dataclass(frozen=True, slots=True)
class _Door:
    """Judges requests in the lobby."""

    guests: Guests
    refusals: Refusals

    def judge(
        self, body: bytes, address: str, certificate: PeerCertificate | None
    ) -> tuple[str, Rejection | None]:
        request = parse_request(body)
        return request.calling_aet, judge(self.guests, request, address, certificate)

    def refuse(self, address: str, calling: str, words: str) -> None:
        who = f"Association from {calling!r} at {address}" if calling else f"Connection from {address}"
        message = f"{who} rejected: {words}."
        self.refusals.add(Refused(address=address, calling=calling, message=message))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _StorageScp:
    """Answers the events of all associations."""

    def __init__(self, store: Store, notes: Notes, trail: ReceiveTrail, on_stored: OnStored | None) -> None:
        self.store = store
        self.notes = notes
        self.trail = trail
        self.on_stored = on_stored
        self.spools = Spools(store.intake.incoming, store.vault)
        self.handlers: list[tuple[Any, ...]] = [
            (evt.EVT_ABORTED, self.on_aborted),
            (evt.EVT_ACCEPTED, self.on_accepted),
            (evt.EVT_CONN_CLOSE, self.on_closed),
        ]

    def on_store(self, request: StoreRequest) -> StoreAnswer:
        """Store an instance and say what became of it; called in the association's own thread."""
        source = _printable(request.calling_aet)
        sender = Sender(aet=source, address=request.address)
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
        model = JsonModel()
        instance = _read(request, model)
        self._begin(request, sender, instance)
        arrived = Arrived(
            instance=instance,
            content_digest=request.spool.digest,
            size=request.spool.size,
            received_at=datetime.now(UTC),
            source=sender.aet,
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
            self.notes.arrived(self.store.studies, instance.study_instance_uid, sender.aet)
        self.trail.stored(request.association, instance.study_instance_uid)
        return acceptance, instance

    def _begin(self, request: StoreRequest, sender: Sender, instance: Instance) -> None:
        patient_id = header_text(instance.header, "PatientID")
        try:
            self.trail.begin(request.association, sender, instance.study_instance_uid, patient_id)
        except StorageError as error:
            raise _disk_refusal(error, instance.study_instance_uid) from error

    def on_accepted(self, event: Any) -> None:
        """Record who comes for the first time."""
        self.trail.accepted(_sender(event.assoc))

    def on_closed(self, event: Any) -> None:
        """Record what came, or that a connection was no association."""
        assoc = event.assoc
        if assoc.requestor.primitive is None:
            self.trail.rejected(_sender(assoc), "A connection ended without an association request.")
        # PS3.8 9.2.3: in state 13 we have answered and only the connection was left to end.
        self.trail.ended(assoc, is_broken=assoc.dul.state_machine.current_state != "Sta13")

    def on_refused(self, refused: Refused) -> None:
        """Note whom we turned away and why."""
        self.notes.problem(refused.message, ProblemCode.ASSOCIATION_REFUSED, refused.calling)
        self.trail.rejected(Sender(aet=refused.calling, address=refused.address), refused.message)

    def on_aborted(self, event: Any) -> None:
        """Note that a sender stopped half-way."""
        sender = _sender(event.assoc)
        message = (
            f"The association from {sender.aet!r} broke off: what was not acknowledged must be sent again."
        )
        self.notes.problem(message, ProblemCode.ASSOCIATION_BROKEN, sender.aet)
        self.trail.rejected(sender, f"The association from {sender.aet!r} broke off.")


def _sender(assoc: Any) -> Sender:
    return Sender(aet=_printable(assoc.requestor.ae_title), address=address_of(assoc))


def _read(request: StoreRequest, model: JsonModel) -> Instance:
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
        instance = read_instance(spool.path, spool.opener, model)
    except InputError as error:
        raise _unreadable(error) from error
    named = (request.sop_instance_uid, request.sop_class_uid)
    if (instance.sop_instance_uid, instance.sop_class_uid) != named:
        message = "The data set has another SOP Instance or Class UID than the request."
        raise Refusal(status=NO_MATCH, code=ProblemCode.UNREADABLE_INSTANCE, message=message)
    return instance


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


def _printable(ae_title: str | None) -> str:
    # It is shown and logged: nothing in it may act on a terminal or a page.
    return "".join(letter if letter.isprintable() else "?" for letter in str(ae_title or "")).strip()
