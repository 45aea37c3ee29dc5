"""How long something has been as it is, on a clock that nobody sets.

In: a key and a version of what it names.  Out: for how long this version has been seen.
Never: the time of day; a wait that a clock set back makes longer, or one set ahead shorter.

A wait begins when it is first seen here, so a restart begins it anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

#: Look at everything at least this often, in s.
SWEEP_S = 10.0
#: Look at deliveries at most this often, in s.
LEAST_S = 1.0


@dataclass(slots=True)
class Rounds:
    """When what was looked at, and what is asked for since; on a clock that nobody sets."""

    swept_at: float = float("-inf")
    delivered_at: float = float("-inf")
    performed_at: float = float("-inf")
    #: Deliveries are not to be looked at earlier than so long after the last time, in s, ...
    least_s: float = LEAST_S
    #: ... and become due by themselves after this time, in s.
    next_due_s: float = SWEEP_S


@dataclass(frozen=True, slots=True)
class Waits:
    """The waits of one process."""

    monotonic: Callable[[], float] = time.monotonic
    _seen: dict[Hashable, tuple[Hashable, float]] = field(default_factory=dict)

    def seen_s(self, key: Hashable, version: Hashable) -> float:
        """Return for how long this version of the thing has been seen, in s; 0 the first time."""
        now = self.monotonic()
        known, since = self._seen.get(key, (None, now))
        if known != version or key not in self._seen:
            self._seen[key] = (version, now)
            return 0.0
        return now - since

    def forget_others(self, keys: set[Hashable]) -> None:
        """Keep only what still waits."""
        for key in self._seen.keys() - keys:
            del self._seen[key]


@dataclass(slots=True)
class Backoff:
    """Waits that grow from try to try; what waited before this process began is tried at once."""

    #: After the first tries, in s; the last one after each further try.
    waits_s: tuple[float, ...]
    waits: Waits = field(default_factory=Waits)
    _has_begun: bool = False

    def is_due(self, key: Hashable, tries: int) -> bool:
        """Tell whether the next try may begin after so many, the last of which has ended."""
        waited_s = self.waits.seen_s(key, tries)
        if tries < 1 or not self._has_begun:
            return True
        return waited_s >= self.waits_s[min(tries, len(self.waits_s)) - 1]

    def end_round(self, keys: set[Hashable]) -> None:
        """Keep only what still waits, after each was asked about."""
        self.waits.forget_others(keys)
        self._has_begun = True
