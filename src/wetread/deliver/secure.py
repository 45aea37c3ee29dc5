"""TLS towards a destination, and what went wrong with it.

In: a destination.  Out: a context, and the error to report.  Never: a certificate that is not checked.
"""

from __future__ import annotations

import ssl
from dataclasses import replace

from wetread.deliver.destination import Destination
from wetread.dicom.scu import Callee
from wetread.errors import PeerError


def callee_of(destination: Destination) -> Callee:
    """Return whom to call for a destination."""
    return Callee(
        name=destination.name,
        kind="destination",
        host=destination.host,
        port=destination.port,
        aet=destination.aet,
        calling_aet=destination.calling_aet,
        tls=destination.client_tls if destination.tls else None,
        connect_timeout_s=destination.connect_timeout_s,
        timeout_s=destination.timeout_s,
    )


def destination_context(destination: Destination) -> ssl.SSLContext:
    """Return a context made from the files as they are now: a renewed certificate needs no restart.

    Raises
    ------
    PeerNotTrusted
        If they cannot be used: somebody will mend them, so what waits goes on waiting.
    """
    tls = destination.client_tls if destination.needs_tls else None
    return replace(callee_of(destination), tls=tls).tls_context()


def connection_error(destination: Destination, error: Exception) -> PeerError:
    """Return what to report for a connection that failed."""
    return callee_of(destination).connection_error(error)
