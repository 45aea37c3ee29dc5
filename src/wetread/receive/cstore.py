"""The DICOM port: who may come in, and who serves.

In: options, a store.  Out: a running receiver.  Never: a sender that is not on the list.

A connection goes through the lobby (``lobby``, ``admission``), gets a place (``house``) and is served by our
own C-STORE and C-ECHO (``protocol``, ``connection``) or by pynetdicom (``transport``, ``services``); either
way ``storage`` says what becomes of an image, and has the table of statuses.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any, cast

from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from wetread.errors import UnsafeBinding
from wetread.network import PeerCertificate, RenewedContext, ServerTls
from wetread.receive.admission import Guests, Peer, check_guests, judge
from wetread.receive.associate import AssociateRequest, Rejection, parse_request
from wetread.receive.connection import Association
from wetread.receive.connection import Peer as OtherEnd
from wetread.receive.dimse import address_of
from wetread.receive.house import House
from wetread.receive.lobby import Lobby, LobbyLimits
from wetread.receive.negotiate import agree
from wetread.receive.notes import Notes
from wetread.receive.protocol import Protocol, Setting
from wetread.receive.refusals import Refusals, Refused
from wetread.receive.services import STORAGE_ONLY, Services
from wetread.receive.spool import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    Basin,
    Spool,
    Spools,
)
from wetread.receive.storage import OnStored, StorageScp
from wetread.receive.trail import ReceiveTrail
from wetread.receive.transport import QuickServer
from wetread.store import Store
from wetread.store.history import History


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
    _house: House = field(repr=False)
    _lobby: Lobby = field(repr=False)
    _notes: Notes = field(repr=False)
    _trail: ReceiveTrail = field(repr=False)
    _refusals: Refusals = field(repr=False)

    def stop(self) -> None:
        """End all associations and stop listening."""
        self._lobby.stop()
        self._refusals.stop()
        self._notes.close()
        self._house.stop()
        self._trail.close()


def start_receiver(
    options: ReceiverOptions,
    store: Store,
    on_stored: OnStored | None = None,
    services: Services = STORAGE_ONLY,
) -> Receiver:
    """Start to listen; return when connections are taken.

    Parameters
    ----------
    on_stored
        Called with the Study Instance UID and what became of the instance, after it is durable and
        before the sender is answered: it must return at once.
    services
        What is served beside C-STORE and C-ECHO.

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
    scp = StorageScp(store, notes, trail, on_stored)
    server = _make_server(options, store, scp, services)
    house = House(server, _Reception(options, store, scp).begin, options.maximum_associations)
    refusals = Refusals(scp.on_refused)
    limits = LobbyLimits(timeout_s=options.acse_timeout_s)
    lobby = Lobby(server.listening, house, _Door(guests, refusals), limits, tls)
    return Receiver(server.server_address[1], options.aet, house, lobby, notes, trail, refusals)


@dataclass(frozen=True, slots=True)
class _Reception:
    """Begins associations of our own."""

    options: ReceiverOptions
    store: Store
    scp: StorageScp

    def begin(self, connection: socket.socket, address: str, request: AssociateRequest) -> Association:
        agreement, basin = agree(request), Basin()

        def make_protocol(association: object) -> Protocol:
            setting = Setting(
                maximum_length=self.options.maximum_pdu_size,
                instance_limit=self.options.instance_limit,
                open_spool=lambda: Spool(self.store.intake.incoming, self.store.vault, basin),
                address=address,
                association=association,
            )
            return Protocol(agreement, setting)

        peer = OtherEnd(connection=connection, calling_aet=request.calling_aet, address=address)
        association = Association(peer, self.scp, self.options.network_timeout_s, make_protocol)
        association.start()
        return association


def _make_server(options: ReceiverOptions, store: Store, scp: StorageScp, services: Services) -> QuickServer:
    entity = AE(options.aet)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_pdu_size = options.maximum_pdu_size
    # The lobby has counted; pynetdicom would count those too that are just leaving.
    entity.maximum_associations = 1 << 16
    entity.network_timeout = options.network_timeout_s
    entity.acse_timeout = options.acse_timeout_s
    for one in (build_context(Verification), *services.contexts):
        # Not by ``supported_contexts``, which forgets the roles.
        entity.add_supported_context(
            cast(str, one.abstract_syntax), list(one.transfer_syntax), one.scu_role, one.scp_role
        )
    server: Any = entity.make_server(
        (options.host, options.port),
        evt_handlers=[*_list_handlers(scp), *services.handlers],
        server_class=QuickServer,
        spools=Spools(store.intake.incoming, store.vault),
        on_store=scp.on_store,
        instance_limit=options.instance_limit,
        services=services,
    )
    entity._servers.append(server)
    return cast(QuickServer, server)


def _list_handlers(scp: StorageScp) -> list[tuple[Any, ...]]:
    def on_closed(event: Any) -> None:
        assoc = event.assoc
        # PS3.8 9.2.3: in state 13 we have answered and only the connection was left to end.
        scp.trail.ended(assoc, is_broken=assoc.dul.state_machine.current_state != "Sta13")

    return [
        (evt.EVT_ACCEPTED, lambda event: scp.on_begin(*_who(event))),
        (evt.EVT_ABORTED, lambda event: scp.on_broken(*_who(event))),
        (evt.EVT_CONN_CLOSE, on_closed),
    ]


def _who(event: Any) -> tuple[str, str]:
    return str(event.assoc.requestor.ae_title or ""), address_of(event.assoc)


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
