"""Hand the audit trail to a collector: RFC 5424 messages over TLS (RFC 5425), in order, at least once.

In: entries of the trail, which is the spool.  Out: how far the collector has it.
Never: an unverified certificate; an entry taken for delivered that was lost with its connection.

Syslog has no acknowledgement. An entry counts as handed on when the collector's TCP has it all; if the
connection then ends otherwise than by our own farewell, everything sent on it is sent again.
"""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from wetread.errors import ConfigError, PeerUnreachable, StorageError, UnsafeBinding, WetreadError
from wetread.network import ClientTls, client_context, explain_tls
from wetread.store.audit_rows import AuditRows, Entry

#: Facility 10 (security), severity 5 (notice) (RFC 5424 6.2.1, IHE ITI-20).
_PRIORITY = 10 * 8 + 5
_BATCH = 200
#: A connection ends with a farewell after so many entries, or when nothing came for so long.
_FAREWELL_ENTRIES = 2000
_IDLE_S = 60.0
_CONNECT_TIMEOUT_S = 10.0
_SEND_TIMEOUT_S = 30.0
#: How long to look away after a failure: doubles up to the second.
_RETRY_S = (1.0, 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """``[audit]``: where the trail's key lies, and who gets a copy."""

    #: None: ``audit.key`` in the data folder.
    key_file: Path | None = None
    #: ``tls://HOST:PORT``; ``tcp://`` on this machine only; "": nobody.
    syslog: str = ""
    #: PEM of the authorities that may vouch for the collector; None: the system's.
    syslog_authorities: Path | None = None
    #: PEM of our certificate and its key, where the collector asks for one.
    syslog_certificate: Path | None = None
    syslog_key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Where the trail goes."""

    host: str
    port: int
    tls: ssl.SSLContext | None


def read_collector(settings: AuditSettings) -> Collector | None:
    """Return the collector that is configured, None where there is none.

    Raises
    ------
    ConfigError
        If the address is not one, or a certificate cannot be loaded.
    UnsafeBinding
        If the trail would leave this machine unencrypted.
    """
    if not settings.syslog:
        return None
    try:
        parts = urlsplit(settings.syslog)
        host, port, scheme = parts.hostname, parts.port, parts.scheme
    except ValueError:
        host = port = scheme = None
    if not host or not port or scheme not in ("tls", "tcp"):
        raise ConfigError("audit.syslog is tls://HOST:PORT.", syslog=settings.syslog)
    if scheme == "tls":
        tls = ClientTls(
            authorities=settings.syslog_authorities,
            certificate=settings.syslog_certificate,
            key=settings.syslog_key,
        )
        return Collector(host=host, port=port, tls=client_context(tls))
    if not _is_loopback(host):
        raise UnsafeBinding("The audit trail leaves this machine by TLS only: use tls://.", host=host)
    return Collector(host=host, port=port, tls=None)


def encode_message(entry: Entry, hostname: str, source: str) -> bytes:
    """Return an entry as a syslog message (RFC 5424), framed by its length (RFC 5425 4.3).

    Number and digest go with it, so that what the collector keeps convicts a trail that was set back.
    """
    at = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    data = f'[wetread@32473 sequence="{entry.sequence}" digest="{entry.digest}"]'
    # PS3.15 A.6: MSGID tells what kind of message it is. UTF-8 is announced by a byte order mark.
    head = f"<{_PRIORITY}>1 {at} {hostname} {source} - DICOM+RFC3881 {data} "
    message = head.encode("ascii", "replace") + b"\xef\xbb\xbf" + entry.message.encode()
    return b"%d %b" % (len(message), message)


class Connection:
    """A connection to the collector, and what was sent on it."""

    def __init__(self, collector: Collector, first: int) -> None:
        #: The last entry before this connection.
        self.first = first
        self.sent = 0
        plain = socket.create_connection((collector.host, collector.port), timeout=_CONNECT_TIMEOUT_S)
        self._socket = plain
        try:
            if collector.tls is not None:
                self._socket = collector.tls.wrap_socket(plain, server_hostname=collector.host)
            self._socket.settimeout(_SEND_TIMEOUT_S)
        except BaseException:
            plain.close()
            raise

    def send(self, messages: list[bytes]) -> None:
        """Send and wait until the collector's machine has it all.

        Raises
        ------
        OSError
            If it is not there, or does not take it.
        """
        self.check()
        self._socket.sendall(b"".join(messages))
        self.sent += len(messages)
        deadline = time.monotonic() + _SEND_TIMEOUT_S
        while self._unacknowledged():
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError("The collector takes nothing.")
            time.sleep(0.005)
        self.check()

    def check(self) -> None:
        """Raise OSError if the collector has hung up: syslog never answers."""
        readable, _, _ = select.select([self._socket], [], [], 0)
        if not readable:
            return
        self._socket.setblocking(False)
        try:
            if not self._socket.recv(1024):
                raise ConnectionError("The collector has hung up.")
        except (ssl.SSLWantReadError, BlockingIOError):
            # A session ticket, for instance.
            pass
        finally:
            self._socket.settimeout(_SEND_TIMEOUT_S)

    def say_farewell(self) -> None:
        """End in order: the collector has read all when it ends too.

        Raises
        ------
        OSError
            If it broke off instead.
        """
        with contextlib.closing(self._socket) as ending:
            ending.settimeout(_CONNECT_TIMEOUT_S)
            if isinstance(ending, ssl.SSLSocket):
                with contextlib.suppress(ssl.SSLError, TimeoutError):
                    ending.unwrap()
                return
            ending.shutdown(socket.SHUT_WR)
            with contextlib.suppress(TimeoutError):
                while ending.recv(1024):
                    pass

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _unacknowledged(self) -> int:
        """Return how many bytes the other machine has not acknowledged (tcp(7): SIOCOUTQ)."""
        waiting = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, b"\0" * 4)
        return int(struct.unpack("i", waiting)[0])


@dataclass(slots=True)
class Forwarder:
    """A thread that hands on what is new."""

    rows: AuditRows
    collector: Collector
    source: str
    #: Told of each change: an error, or None when the collector is back.
    on_change: Callable[[WetreadError | None], None]
    #: How often to look for what is new.
    every_s: float = 1.0
    #: Why nothing goes out; "": all is well.
    trouble: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _connection: Connection | None = None
    _used_at: float = 0.0

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._loop, name="audit-forward", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what is not handed on yet waits in the trail."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def backlog(self) -> tuple[int, str]:
        """Return how many entries wait, and why nothing goes out ("": it does)."""
        return self.rows.count_waiting(), self.trouble

    def _loop(self) -> None:
        pause_s = _RETRY_S[0]
        while not self._stop.is_set():
            try:
                self._hand_on()
            except (OSError, StorageError) as error:
                self._fail(error)
                self._stop.wait(pause_s)
                pause_s = min(pause_s * 2, _RETRY_S[1])
                continue
            pause_s = _RETRY_S[0]
            self._stop.wait(self.every_s)
        if self.trouble:
            return
        with contextlib.suppress(OSError, StorageError):
            # What was recorded while stopping.
            self._hand_on()
            self._end()

    def _hand_on(self) -> None:
        """Send all that waits."""
        while entries := self.rows.list_after(self.rows.get_forwarded(), _BATCH):
            connection = self._connect(entries[0].sequence - 1)
            hostname = socket.gethostname() or "-"
            connection.send([encode_message(entry, hostname, self.source) for entry in entries])
            self.rows.set_forwarded(entries[-1].sequence)
            self._used_at = time.monotonic()
            if self.trouble:
                self.trouble = ""
                self.on_change(None)
            if connection.sent >= _FAREWELL_ENTRIES:
                self._end()
        if self._connection is not None:
            self._connection.check()
            if time.monotonic() - self._used_at > _IDLE_S:
                self._end()

    def _connect(self, before: int) -> Connection:
        if self._connection is None:
            self._connection = Connection(self.collector, before)
        return self._connection

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.say_farewell()
            self._connection = None

    def _fail(self, error: OSError | StorageError) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            with contextlib.suppress(StorageError):
                # What lay in the collector's buffers may be lost: once more.
                self.rows.set_forwarded(min(connection.first, self.rows.get_forwarded()))
        if not self.trouble:
            reason = (
                explain_tls(error) if isinstance(error, ssl.SSLError) else str(error) or type(error).__name__
            )
            self.trouble = reason
            self.on_change(
                PeerUnreachable("The audit collector does not take the trail: it waits.", reason=reason)
            )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
