"""A syslog collector over TLS: RFC 5425 framing, RFC 5424 messages, nothing forgiven."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from dataclasses import dataclass, field
from typing import BinaryIO

MESSAGE = re.compile(
    r"<(\d{1,3})>1 (\S+) (\S+) (\S+) (\S+) (\S+)"
    r' \[wetread@32473 sequence="(\d+)" digest="([0-9a-f]{64})"\] \ufeff(.*)',
    re.DOTALL,
)


@dataclass
class Collector:
    """Listens until it is stopped; keeps what it got."""

    context: ssl.SSLContext | None
    port: int = 0
    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    connections: set[socket.socket] = field(default_factory=set)

    def start(self) -> None:
        self.server = socket.create_server(("127.0.0.1", self.port))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.server,), daemon=True).start()

    def stop(self) -> None:
        """Be gone, with whatever lies unread in the buffers."""
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def sequences(self) -> list[int]:
        found = [MESSAGE.fullmatch(line) for line in self.lines]
        assert all(found), self.lines
        return [int(one[7]) for one in found if one]

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                plain, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            connection = self.context.wrap_socket(plain, server_side=True) if self.context else plain
        except OSError as error:
            self.faults.append(str(error))
            plain.close()
            return
        self.connections.add(connection)
        try:
            with connection, connection.makefile("rb") as stream:
                while length := _read_length(stream):
                    self.lines.append(stream.read(length).decode())
        except (OSError, ValueError):
            return


def _read_length(stream: BinaryIO) -> int:
    digits = b""
    while (one := stream.read(1)) != b" ":
        if not one:
            return 0
        digits += one
    assert digits.isdigit()
    return int(digits)
