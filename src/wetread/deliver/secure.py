"""TLS towards a destination, and what went wrong with it.

In: a destination.  Out: a context, and the error to report.  Never: a certificate that is not checked.
"""

from __future__ import annotations

import ssl
from typing import Any

from wetread.deliver.destination import Destination
from wetread.errors import ConfigError, PeerError, PeerNotTrusted, PeerUnreachable
from wetread.network import client_context, explain_tls


def destination_context(destination: Destination) -> ssl.SSLContext:
    """Return a context made from the files as they are now: a renewed certificate needs no restart.

    Raises
    ------
    PeerNotTrusted
        If they cannot be used: somebody will mend them, so what waits goes on waiting.
    """
    try:
        return client_context(destination.client_tls)
    except ConfigError as error:
        raise PeerNotTrusted(destination=destination.name, reason=error.message) from error


def connection_error(destination: Destination, error: Exception) -> PeerError:
    """Return what to report for a connection that failed."""
    # urllib wraps what it meets.
    cause = getattr(error, "reason", None)
    found = cause if isinstance(cause, Exception) else error
    if isinstance(found, ssl.SSLError):
        return PeerNotTrusted(destination=destination.name, reason=explain_tls(found))
    return PeerUnreachable(destination=destination.name, reason=str(found) or type(found).__name__)


def telling_socket(errors: list[Exception]) -> type[ssl.SSLSocket]:
    """Return a socket class that keeps the errors which pynetdicom only logs.

    Where a client certificate is refused, TLS 1.3 says so at the first read and not in the hand-shake.
    """

    class TellingSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            try:
                super().do_handshake(block)
            except OSError as error:
                errors.append(error)
                raise

        def recv(self, *arguments: Any, **options: Any) -> bytes:
            try:
                return super().recv(*arguments, **options)
            except ssl.SSLError as error:
                errors.append(error)
                raise

    return TellingSocket
