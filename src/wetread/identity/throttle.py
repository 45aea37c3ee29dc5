"""How often one address may be wrong.

In: addresses of those who failed.  Out: a refusal while there were too many.  Never: memory without a limit.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict, deque
from datetime import datetime

from wetread.errors import TooManyTries

WINDOW_S = 900.0
#: Addresses remembered; the one that failed longest ago goes first.
_REMEMBERED = 10_000
_TELL_EVERY_S = 60.0


class Throttle:
    """Counts failures by address within a sliding window."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, address: str, now: datetime) -> None:
        """Refuse an address that was wrong too often.

        Raises
        ------
        TooManyTries
            Until the window has moved on.
        """
        with self._lock:
            if len(self._recent(_network(address), now)) >= self._limit:
                raise TooManyTries("Too many failures from this address: try again in a quarter of an hour.")

    def note(self, address: str, now: datetime) -> None:
        """Count a failure."""
        with self._lock:
            network = _network(address)
            recent = self._recent(network, now)
            recent.append(now.timestamp())
            self._failures[network] = recent
            self._failures.move_to_end(network)
            while len(self._failures) > _REMEMBERED:
                self._failures.popitem(last=False)

    def _recent(self, network: str, now: datetime) -> deque[float]:
        times = self._failures.get(network)
        if times is None:
            return deque(maxlen=self._limit)
        while times and times[0] <= now.timestamp() - WINDOW_S:
            times.popleft()
        return times


class Seldom:
    """Tells whether the trail has heard the same of an address within a minute: it must not be flooded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()

    def is_news(self, address: str, what: str, now: datetime) -> bool:
        """Return True once a minute for an address and a sentence."""
        key, at = (_network(address), what), now.timestamp()
        with self._lock:
            if at - self._told.get(key, float("-inf")) < _TELL_EVERY_S:
                return False
            self._told[key] = at
            self._told.move_to_end(key)
            while len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)
            return True


def _network(address: str) -> str:
    """Return what one machine cannot change at will: of an IPv6 address the first half."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)
