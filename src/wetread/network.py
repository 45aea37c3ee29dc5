"""TLS as every door and every delivery of ours speaks it.

In: paths of certificates and keys.  Out: contexts for the two ends of a connection; who the other end is.
Never: TLS below 1.2, a cipher without forward secrecy, an unchecked certificate, a key that others can read.

The profile is that of DICOM PS3.15 B.12 (BCP 195: RFC 8996, RFC 9325): TLS 1.3 or 1.2, with ephemeral
elliptic curve key exchange and authenticated encryption only. HL7 and the pages get the same.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import re
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from wetread.errors import ConfigError

logger = logging.getLogger(__name__)

#: For TLS 1.2; every suite of TLS 1.3 fits. RFC 9325 4.2: ECDHE with AEAD.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

# Why a certificate is not believed, by OpenSSL's number (X509_V_ERR_*), and who can mend it.
_REASONS = {
    9: "the certificate is not valid yet: check both clocks",
    10: "the certificate has expired",
    18: "the certificate is signed by itself",
    19: "the authority of the certificate is unknown",
    20: "the authority of the certificate is unknown",
    21: "the authority of the certificate is unknown",
    23: "the certificate is revoked",
    12: "the revocation list has expired",
    62: "the certificate is for another host",
    64: "the certificate is for another address",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """Our end of connections that others open."""

    #: PEM: our certificate, then those between it and its authority.
    certificate: Path
    #: PEM, without passphrase, readable by us alone.
    key: Path
    #: PEM: who may vouch for those that connect; given, each must show a certificate.
    authorities: Path | None = None
    #: PEM: revocation list of these authorities.
    revoked: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """Our end of connections that we open."""

    #: PEM: who may vouch for the other end; None: the authorities of this machine.
    authorities: Path | None = None
    #: PEM: shown to who asks for it.
    certificate: Path | None = None
    key: Path | None = None
    revoked: Path | None = None


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """Who the other end has proved to be."""

    #: sha256 over the certificate (DER), in hexadecimal.
    fingerprint: str
    #: Common name and DNS names, in lower case.
    names: frozenset[str]

    def is_named(self, wanted: str) -> bool:
        """Tell whether this is the certificate meant: by its fingerprint, or by one of its names."""
        digits = re.sub(r"^sha-?256[:=]|[: ]", "", wanted.strip().lower())
        if re.fullmatch(r"[0-9a-f]{64}", digits):
            return digits == self.fingerprint
        return wanted.strip().lower() in self.names


def make_server_tls(
    where: str,
    certificate: Path | None,
    key: Path | None,
    authorities: Path | None = None,
    revoked: Path | None = None,
) -> ServerTls | None:
    """Return how a door of ours speaks TLS; None where nothing is configured.

    Raises
    ------
    ConfigError
        If only a part is given.
    """
    if not (certificate or key or authorities or revoked):
        return None
    if certificate is None or key is None:
        raise ConfigError(f"[{where}] TLS needs both certificate and key.")
    if revoked is not None and authorities is None:
        raise ConfigError(f"[{where}] revoked needs the authorities whose list it is.")
    return ServerTls(certificate=certificate, key=key, authorities=authorities, revoked=revoked)


def server_context(tls: ServerTls) -> ssl.SSLContext:
    """Return the context of a door of ours.

    Raises
    ------
    ConfigError
        If a file is missing or no PEM, the key does not fit or is readable by others, or the certificate
        has expired.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    _load_own(context, tls.certificate, tls.key)
    if tls.authorities is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(context, tls.authorities, tls.revoked)
    # Each connection proves anew who it is: what was revoked or renewed meanwhile counts at once.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """Return the context of a connection that we open; chain and host name are always checked.

    Raises
    ------
    ConfigError
        As ``server_context``.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    if tls.authorities is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_authorities(context, tls.authorities, tls.revoked)
    if tls.certificate is not None and tls.key is not None:
        _load_own(context, tls.certificate, tls.key)
    elif tls.certificate is not None or tls.key is not None:
        raise ConfigError("To show a certificate, both certificate and key are needed.")
    return context


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        mode = key.stat().st_mode
        until = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise ConfigError(f"Certificate or key cannot be read: {_words(error)}", file=certificate) from error
    if mode & 0o077:
        raise ConfigError("Others can read the private key: chmod 600.", file=key)
    if until < datetime.now(UTC):
        raise ConfigError(f"The certificate expired on {until:%Y-%m-%d}: renew it.", file=certificate)
    try:
        # An encrypted key must not stop the start with a question.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise ConfigError(f"Certificate and key do not fit: {_words(error)}", file=key) from error


def _load_authorities(context: ssl.SSLContext, authorities: Path, revoked: Path | None) -> None:
    try:
        context.load_verify_locations(authorities)
        if revoked is not None:
            context.load_verify_locations(revoked)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    except OSError as error:
        raise ConfigError(f"Authorities cannot be read: {_words(error)}", file=authorities) from error


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or getattr(error, "reason", "") or error)


class RenewedContext:
    """The context of a door, made again when its files change: a renewed certificate needs no restart."""

    def __init__(self, tls: ServerTls) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._context = server_context(tls)

    def current(self) -> ssl.SSLContext:
        """Return the context for the next hand-shake; files that do not fit leave the old one in place."""
        stamp = self._look()
        with self._lock:
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._context = server_context(self._tls)
                except ConfigError as error:
                    logger.warning("The changed certificate is not used: %s", error)
            return self._context

    def _look(self) -> tuple[tuple[int, int], ...]:
        tls = self._tls
        paths = [path for path in (tls.certificate, tls.key, tls.authorities, tls.revoked) if path]
        return tuple(_stamp(path) for path in paths)


def renewing_context(tls: ServerTls) -> ssl.SSLContext:
    """Return a context for a server that keeps one: each hand-shake takes the newest certificate."""
    renewed = RenewedContext(tls)
    context = server_context(tls)

    def renew(connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = renewed.current()

    context.sni_callback = renew
    return context


def _stamp(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError:
        return (0, 0)
    return (state.st_mtime_ns, state.st_ino)


def peer_certificate(connection: object) -> PeerCertificate | None:
    """Return what the other end of a connection has shown and an authority of ours has vouched for."""
    if not isinstance(connection, ssl.SSLSocket) or connection.context.verify_mode is not ssl.CERT_REQUIRED:
        return None
    encoded = connection.getpeercert(binary_form=True)
    if not encoded:
        return None
    shown = x509.load_der_x509_certificate(encoded)
    names = [str(part.value) for part in shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        others = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names += others.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        pass
    return PeerCertificate(
        hashlib.sha256(encoded).hexdigest(), frozenset(name.strip().lower() for name in names)
    )


def is_loopback_name(host: str) -> bool:
    """Tell whether a host name means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def explain_tls(error: BaseException) -> str:
    """Return in words why a hand-shake failed; nothing that the other end wrote is in it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _REASONS.get(error.verify_code, f"the certificate is not valid ({error.verify_code})")
    reason = str(getattr(error, "reason", "") or "").upper()
    if "CERTIFICATE_REQUIRED" in reason or "PEER_DID_NOT_RETURN" in reason:
        return "no client certificate was shown"
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return f"the other end does not accept our certificate ({reason.lower()})"
    if "VERSION" in reason or "PROTOCOL" in reason or "HTTP_REQUEST" in reason:
        return "the other end speaks no TLS, or an outdated version"
    if "NO_SHARED_CIPHER" in reason or "HANDSHAKE_FAILURE" in reason:
        return "no cipher suite in common"
    return f"the TLS hand-shake failed ({reason.lower() or type(error).__name__})"
