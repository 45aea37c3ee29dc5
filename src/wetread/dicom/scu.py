"""Associations that we ask for.

In: whom to call, what to propose.  Out: an association, released or aborted at the end.
Never: a wait without a limit; a certificate that is not checked; Nagle's delay.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE, _config, build_context, evt
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from wetread.dicom.checkpoint import Checkpoint
from wetread.dicom.timers import steady_timers
from wetread.errors import AssociationRejected, ConfigError, PeerError, PeerNotTrusted, PeerUnreachable
from wetread.network import ClientTls, client_context, explain_tls

_config.LOG_HANDLER_LEVEL = "none"

#: Presentation context IDs are the odd numbers up to 255 (PS3.8 9.3.2.2).
MAXIMUM_CONTEXTS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """Whom to call, and how long to wait for them."""

    #: What the configuration calls it.
    name: str
    #: "destination" or "PACS": the word for it in errors.
    kind: str
    host: str
    port: int
    aet: str
    calling_aet: str
    #: None: no TLS.
    tls: ClientTls | None
    connect_timeout_s: float
    #: For one answer.
    timeout_s: float

    def unreachable(self, what: str, **facts: object) -> PeerUnreachable:
        """Return the error of one that does not answer; ``what`` goes on behind "The PACS"."""
        return PeerUnreachable(f"The {self.kind} {what}", **{self.kind.lower(): self.name}, **facts)

    def not_trusted(self, reason: str) -> PeerNotTrusted:
        """Return the error of certificates that do not fit."""
        message = f"The {self.kind} and Wetread do not accept each other's certificates: nothing was sent."
        return PeerNotTrusted(message, **{self.kind.lower(): self.name}, reason=reason)

    def rejected(self, what: str, **facts: object) -> AssociationRejected:
        """Return the error of one that lets us not in."""
        return AssociationRejected(f"The {self.kind} {what}", **{self.kind.lower(): self.name}, **facts)

    def tls_context(self) -> ssl.SSLContext:
        """Return a context made from the files as they are now: a renewed certificate needs no restart.

        Raises
        ------
        PeerNotTrusted
            If they cannot be used: somebody will mend them, so what waits goes on waiting.
        """
        try:
            return client_context(self.tls or ClientTls())
        except ConfigError as error:
            raise self.not_trusted(error.message) from error

    def connection_error(self, error: Exception) -> PeerError:
        """Return what to report for a connection that failed."""
        # urllib wraps what it meets.
        cause = getattr(error, "reason", None)
        found = cause if isinstance(cause, Exception) else error
        if isinstance(found, ssl.SSLError):
            return self.not_trusted(explain_tls(found))
        reason = str(found) or type(found).__name__
        return self.unreachable("does not answer: check host, port and network.", reason=reason)


@contextmanager
def open_association(
    callee: Callee,
    contexts: Sequence[PresentationContext],
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    prepare: Callable[[Any], None] = lambda _: None,
) -> Iterator[Any]:
    """Associate, and release or abort at the end.

    Parameters
    ----------
    prepare
        Called with the association when it is connected, before anything is sent.

    Raises
    ------
    PeerUnreachable, PeerNotTrusted, AssociationRejected
        If there is no association.
    """
    errors: list[Exception] = []
    association = _associate(callee, contexts, roles, prepare, errors)
    if not association.is_established:
        raise callee.connection_error(errors[0]) if errors else _no_association(callee, association)
    try:
        yield association
    except BaseException:
        # Whatever is still to come of an answer is not waited for.
        if association.is_established:
            association.abort()
        raise
    finally:
        if association.is_established:
            association.release()


def _associate(
    callee: Callee,
    contexts: Sequence[PresentationContext],
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation],
    prepare: Callable[[Any], None],
    errors: list[Exception],
) -> Any:
    entity = AE(callee.calling_aet)
    entity.connection_timeout = callee.connect_timeout_s
    entity.acse_timeout = callee.timeout_s
    entity.dimse_timeout = callee.timeout_s
    entity.network_timeout = callee.timeout_s

    def set_up(event: Any) -> None:
        _set_up(event.assoc, callee.timeout_s)
        prepare(event.assoc)

    options = associate_options(callee, set_up, errors)
    try:
        return entity.associate(
            callee.host, callee.port, contexts=list(contexts), ext_neg=list(roles), **options
        )
    except OSError as error:  # the name does not resolve
        raise callee.unreachable("does not answer: check host, port and network.", reason=error) from error


def associate_options(
    callee: Callee, set_up: Callable[[Any], None] | None = None, errors: list[Exception] | None = None
) -> dict[str, Any]:
    """Return the options of pynetdicom's ``associate`` for a callee: title, handlers, TLS.

    Parameters
    ----------
    set_up
        Called with the event of the open connection.
    errors
        Gets what goes wrong with TLS.

    Raises
    ------
    PeerNotTrusted
        If the certificates that the configuration names cannot be used.
    """
    tls = None
    if callee.tls is not None:
        context = callee.tls_context()
        context.sslsocket_class = telling_socket([] if errors is None else errors)
        tls = (context, callee.host)
    handlers = [
        (evt.EVT_CONN_OPEN, set_up or (lambda event: _set_up(event.assoc, callee.timeout_s))),
        (evt.EVT_ABORTED, _let_go),
        (evt.EVT_RELEASED, _let_go),
    ]
    return {"ae_title": callee.aet, "evt_handlers": handlers, "tls_args": tls}


def _set_up(association: Any, timeout_s: float) -> None:
    association._reactor_checkpoint = Checkpoint(association)
    steady_timers(association.dul)
    connection = association.dul.socket.socket
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A peer that stops reading must not hold us for ever.
    connection.settimeout(timeout_s)


def _let_go(event: Any) -> None:
    # Sending waits without limit until the association's thread pauses (``Association.send_c_store``);
    # one that ends at that moment never would.
    event.assoc._is_paused = True


def _no_association(callee: Callee, association: Any) -> PeerError:
    if association.is_rejected:
        answer = association.acceptor.primitive
        what = "rejected the association: register our AE title there."
        return callee.rejected(what, reason=answer.reason_str)
    if association.acceptor.primitive is not None and not association.accepted_contexts:
        return callee.rejected("takes nothing of what was offered.")
    return callee.unreachable("does not answer: check host, port and network.")


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


def echo(callee: Callee) -> None:
    """Ask whether anybody is there who takes our calls (C-ECHO, PS3.4 A).

    Raises
    ------
    PeerError
        If there is not.
    """
    with open_association(callee, [build_context(Verification)]) as association:
        status = association.send_c_echo()
        code = status.get("Status") if status else None
    if code is None:
        raise callee.unreachable("did not answer C-ECHO in time.")
    if code != 0:
        raise PeerError(f"The {callee.kind} refused C-ECHO.", status=f"0x{int(code):04X}")
