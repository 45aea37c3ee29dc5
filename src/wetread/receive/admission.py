"""Who may come in: AE title, address and certificate belong together.

In: an association request, where it comes from, what certificate was shown.  Out: a rejection, or none.
Never: a title that is believed because it is known, where it is bound to an address or a certificate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from wetread.errors import ConfigError
from wetread.network import PeerCertificate
from wetread.receive.associate import AssociateRequest, Rejection, is_dicom


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """``[[dicom.peers]]``: a system that may send, and what else it may."""

    #: How it calls itself.
    aet: str
    #: Addresses or networks it comes from; empty: any.
    addresses: tuple[str, ...] = ()
    #: sha256 fingerprint, common name or DNS name of the certificate it must show; "": none.
    certificate: str = ""
    #: Whether it may search and retrieve as well (C-FIND, C-GET, C-MOVE).
    may_query: bool = False
    #: Whether it may tell of procedure steps and of images that can be had (MPPS, IAN).
    may_notify: bool = True
    #: ``HOST:PORT`` where it takes what somebody has moved to it; ``""``: nothing is.
    retrieve_to: str = ""
    #: ``HOST:PORT`` where it takes reports of storage commitment; ``""``: as ``retrieve_to``, or without that
    #: on the association that asked.
    report_to: str = ""
    #: Whether it may order, take and watch workitems (Unified Procedure Step).
    may_order: bool = False
    #: ``HOST:PORT`` where it takes event reports of workitems; ``""``: it cannot subscribe.
    events_to: str = ""
    #: Speak TLS to these addresses: we show ``dicom.certificate``, the peer one for its host by
    #: ``dicom.authorities``, or without these by an authority of this machine.
    tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Guests:
    """Who is let in by which title."""

    #: Our own title.
    aet: str
    #: Titles that may come from anywhere; with ``peers`` empty too: everyone.
    allowed_aets: tuple[str, ...] = ()
    peers: tuple[Peer, ...] = ()


def check_guests(guests: Guests, *, has_certificates: bool) -> None:
    """Refuse what cannot be meant.

    Raises
    ------
    ConfigError
        If an address is none, TLS has no address to go to, a title is allowed from anywhere and bound at
        once, or a certificate is asked for that nobody can show.
    """
    for peer in guests.peers:
        check_addresses("dicom.peers", peer.addresses)
        addresses = [one for one in (peer.retrieve_to, peer.report_to, peer.events_to) if one]
        for address in addresses:
            read_address(address, peer.aet)
        if peer.tls and not addresses:
            told = (
                "dicom.peers: tls is for what goes to retrieve_to, report_to or events_to: set one of them."
            )
            raise ConfigError(told, aet=peer.aet)
        if peer.aet in guests.allowed_aets:
            raise ConfigError("An AE title is in dicom.allowed_aets and in dicom.peers.", aet=peer.aet)
        if peer.certificate and not has_certificates:
            raise ConfigError(
                "A peer is known by its certificate, but none is asked for: set dicom.certificate,"
                " dicom.key and dicom.authorities.",
                aet=peer.aet,
            )


def read_address(text: str, aet: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``.

    Raises
    ------
    ConfigError
        If it is none.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        told = "dicom.peers: retrieve_to, report_to and events_to are HOST:PORT."
        raise ConfigError(told, aet=aet, given=text)
    return host.strip("[]"), int(port)


def check_addresses(where: str, addresses: Iterable[str]) -> None:
    """Refuse what is no address or network.

    Raises
    ------
    ConfigError
    """
    for address in addresses:
        try:
            ip_network(address, strict=False)
        except ValueError as error:
            raise ConfigError(f"{where} needs addresses such as 10.1.0.0/16.", given=address) from error


def judge(
    guests: Guests, request: AssociateRequest, address: str, certificate: PeerCertificate | None
) -> Rejection | None:
    """Return why an association is rejected, None if it is welcome.

    References
    ----------
    PS3.8 Table 9-21. Who is known but comes from elsewhere hears the same as a stranger.
    """
    if not request.protocol_version & 1:
        return _permanent(2, 2, "it speaks another version of the protocol")
    if not is_dicom(request):
        return _permanent(1, 2, "its application context is not DICOM's")
    if request.called_aet != guests.aet.strip():
        return _permanent(1, 7, f"it calls us {request.called_aet!r}")
    problem = _stranger(guests, request.calling_aet, address, certificate)
    return _permanent(1, 3, problem) if problem else None


def _permanent(source: int, reason: int, words: str) -> Rejection:
    return Rejection(result=1, source=source, reason=reason, words=words)


def _stranger(guests: Guests, title: str, address: str, certificate: PeerCertificate | None) -> str:
    if not guests.allowed_aets and not guests.peers:
        return ""
    if title in {one.strip() for one in guests.allowed_aets}:
        return ""
    known = [peer for peer in guests.peers if peer.aet.strip() == title]
    if not known:
        return "its AE title is not on the list"
    near = [peer for peer in known if is_within(address, peer.addresses)]
    if not near:
        return "its AE title is known, but not from this address"
    for peer in near:
        if not peer.certificate or (certificate is not None and certificate.is_named(peer.certificate)):
            return ""
    return "its AE title is known, but not with this certificate"


def is_within(address: str, networks: Iterable[str]) -> bool:
    """Tell whether an address lies in one of the networks; no networks mean everywhere."""
    networks = tuple(networks)
    if not networks:
        return True
    # A zone ("%eth0") names a link of ours, not the peer.
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in ip_network(network, strict=False) for network in networks)
