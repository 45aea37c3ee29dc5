"""What lies behind the lobby: a place for each association, ours or pynetdicom's.

In: a welcome connection with its request.  Out: a running association.
Never: more associations than there are places; somebody who dawdles while others wait.

This is where it is decided who serves: where nothing but C-STORE and C-ECHO is asked for, ``protocol`` does;
everything else goes to pynetdicom (``transport``) with the services of ``services``.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

from wetread.receive.associate import HEADER, AssociateRequest, parse_request
from wetread.receive.negotiate import stores_only
from wetread.receive.pace import GRACE_NEW_S
from wetread.receive.transport import QuickServer

#: Connections beyond the places whose association is over and whose peer has not hung up yet.
_LEAVING_TOO = 32
_END_S = 5.0


class Occupant(Protocol):
    """An association."""

    @property
    def is_over(self) -> bool:
        """Whether its place is free."""

    @property
    def is_leaving(self) -> bool:
        """Whether it is over but for the connection."""

    def overdue_s(self) -> float:
        """Return for how long the peer has been too slow; below 0: not yet."""

    def dismiss(self) -> None:
        """End it."""

    def join(self, timeout_s: float) -> None:
        """Wait until it is over."""


Begin = Callable[[socket.socket, str, AssociateRequest], Occupant]


class House:
    """All associations. Touched by the lobby's thread only, but for ``stop``."""

    def __init__(self, server: QuickServer, begin: Begin, places: int) -> None:
        self._server = server
        self._begin = begin
        self._places = places
        self._inside: list[Occupant] = []

    def has_room(self) -> bool:
        """Tell whether another association may start."""
        self._inside = [one for one in self._inside if not one.is_over]
        staying = [one for one in self._inside if not one.is_leaving]
        return len(staying) < self._places and len(self._inside) < self._places + _LEAVING_TOO

    def make_room(self) -> bool:
        """Dismiss the one that has dawdled for longest; False if everybody inside keeps going."""
        overdue = [(one.overdue_s(), number) for number, one in enumerate(self._inside) if not one.is_leaving]
        if not overdue:
            return bool(self._inside)
        late_s, number = max(overdue)
        if late_s > 0:
            self._inside.pop(number).dismiss()
        # Within the time for which the lobby lets somebody wait.
        return late_s > -GRACE_NEW_S

    def enter(self, connection: socket.socket, address: tuple[str, int], first: bytes) -> None:
        """Start an association."""
        request = parse_request(first[HEADER.size :])
        if stores_only(request):
            self._inside.append(self._begin(connection, address[0], request))
        else:
            self._inside.append(self._server.enter(connection, address, first))

    def look_after(self) -> None:
        """Clean up after broken associations."""
        self.has_room()
        self._server.look_after()

    def stop(self) -> None:
        """End all associations; the lobby must have stopped."""
        for one in self._inside:
            one.dismiss()
        self._server.close()
        for one in self._inside:
            one.join(_END_S)
