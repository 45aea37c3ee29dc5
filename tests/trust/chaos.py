"""A PACS that misbehaves as told, and becomes a good one on the same port.

In: a way to misbehave.  Out: a listening peer, what it acknowledged in order.
Never: a success for an object that is not noted.
"""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pynetdicom import AE, AllStoragePresentationContexts, evt

SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000


class Mode(StrEnum):
    """How it misbehaves."""

    CLOSED = "closed"
    #: Takes the connection and never says a word.
    BLACK_HOLE = "black-hole"
    #: Resets each connection.
    RESET = "reset"
    REJECTS = "rejects"
    #: Never answers the first object.
    HANGS = "hangs"
    #: Answers each object well, once it is told to be good: not sick, but for who waits no longer.
    SLOW = "slow"
    #: Takes one object and breaks off at the next.
    ABORTS = "aborts"
    OUT_OF_RESOURCES = "out-of-resources"
    #: For good.
    REFUSES = "refuses"


@dataclass
class Chaos:
    """One such peer."""

    mode: Mode
    port: int
    #: SOP Instance UIDs in the order in which they were acknowledged with success.
    got: list[str] = field(default_factory=list)
    #: Of those that are spoilt.
    connections: int = 0
    #: Set when somebody tried.
    is_tried: threading.Event = field(default_factory=threading.Event)
    is_good: threading.Event = field(default_factory=threading.Event)
    _server: Any = None
    _listening: socket.socket | None = None
    _held: list[socket.socket] = field(default_factory=list)

    def start(self) -> None:
        if self.mode in (Mode.BLACK_HOLE, Mode.RESET):
            self._listening = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._spoil, args=(self._listening,), daemon=True).start()
        elif self.mode is not Mode.CLOSED:
            self._serve()

    def become_good(self) -> None:
        self.is_good.set()
        if self._listening is not None:
            # A thread in accept keeps the port: shutting down wakes it.
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None
            for connection in self._held:
                connection.close()
        if self.mode is Mode.REJECTS:
            self._server.shutdown()
            self._server = None
        if self._server is None:
            self._serve()

    def misbehave(self, mode: Mode) -> None:
        """Go on listening, and answer otherwise from the next object on."""
        self.mode = mode
        self.is_good.clear()
        self.is_tried.clear()

    def stop(self) -> None:
        self.is_good.set()
        if self._listening is not None:
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
        for connection in self._held:
            connection.close()
        if self._server is not None:
            self._server.shutdown()

    def _serve(self) -> None:
        entity = AE("CHAOS")
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax)
        if self.mode is Mode.REJECTS and not self.is_good.is_set():
            entity.require_calling_aet = ["NOBODY"]
        handlers = [(evt.EVT_C_STORE, self._on_store), (evt.EVT_REJECTED, lambda _: self.is_tried.set())]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def _on_store(self, event: Any) -> int:
        self.is_tried.set()
        if not self.is_good.is_set():
            if self.mode is Mode.OUT_OF_RESOURCES:
                return OUT_OF_RESOURCES
            if self.mode is Mode.REFUSES:
                return CANNOT_UNDERSTAND
            if self.mode in (Mode.HANGS, Mode.SLOW):
                self.is_good.wait(300)
            if self.mode is Mode.HANGS:
                return OUT_OF_RESOURCES
            if self.mode is Mode.ABORTS and self.got:
                event.assoc.abort()
                return OUT_OF_RESOURCES
        self.got.append(str(event.request.AffectedSOPInstanceUID))
        return SUCCESS

    def _spoil(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            self.connections += 1
            self.is_tried.set()
            if self.mode is Mode.RESET:
                # With nothing to linger for, closing sends a reset.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
            else:
                self._held.append(connection)
