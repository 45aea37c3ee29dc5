"""Try whether a destination can be reached, without sending anything of a patient.

In: a destination.  Out: what each way to it said, in words.
Never: a document; a wait of more than ``LONGEST_S`` for one answer.
"""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import replace

from wetread.deliver.destination import Destination, DestinationKind, Verify
from wetread.deliver.secure import callee_of, connection_error, destination_context
from wetread.dicom.scu import echo
from wetread.domain.probe import Probe
from wetread.errors import PeerError

#: Somebody sits before the page and waits.
LONGEST_S = 10.0


def probe(destination: Destination) -> tuple[Probe, ...]:
    """Try each way in which a destination is spoken to."""
    quick = replace(
        destination,
        connect_timeout_s=min(destination.connect_timeout_s, LONGEST_S),
        timeout_s=min(destination.timeout_s, LONGEST_S),
    )
    if quick.kind is DestinationKind.MLLP:
        return (_connect(quick),)
    found = [_echo(quick)]
    if quick.verify is Verify.QIDO:
        found.append(_search(quick))
    return tuple(found)


def _echo(destination: Destination) -> Probe:
    try:
        echo(callee_of(destination))
    except PeerError as error:
        return Probe(way="C-ECHO", works=False, words=str(error))
    return Probe(way="C-ECHO", works=True, words="It answers, and knows our AE title.")


def _connect(destination: Destination) -> Probe:
    address = (destination.host, destination.port)
    try:
        context = destination_context(destination) if destination.tls else None
        with ExitStack() as stack:
            plain = stack.enter_context(
                socket.create_connection(address, timeout=destination.connect_timeout_s)
            )
            if context is not None:
                stack.enter_context(context.wrap_socket(plain, server_hostname=destination.host))
    except PeerError as error:
        return Probe(way="MLLP", works=False, words=str(error))
    except OSError as error:
        return Probe(way="MLLP", works=False, words=str(connection_error(destination, error)))
    words = "It takes connections. No message was sent, so whether it acknowledges one is not known."
    return Probe(way="MLLP", works=True, words=words)


def _search(destination: Destination) -> Probe:
    url = f"{destination.qido_url.rstrip('/')}/studies?limit=1"
    headers = {"Accept": "application/dicom+json"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http(s) only, by Destination
    try:
        context = destination_context(destination) if url.startswith("https://") else None
        with urllib.request.urlopen(request, timeout=destination.timeout_s, context=context) as answer:  # noqa: S310
            answer.read(1)
    except urllib.error.HTTPError as error:
        with error:
            return Probe(way="QIDO-RS", works=False, words=f"It answers {error.code}: check qido_url.")
    except PeerError as error:
        return Probe(way="QIDO-RS", works=False, words=str(error))
    except (OSError, ValueError) as error:
        return Probe(way="QIDO-RS", works=False, words=str(connection_error(destination, error)))
    return Probe(way="QIDO-RS", works=True, words="It answers searches.")
