"""When to try again.

In: how often it was tried.  Out: seconds to wait, or the end.  Never: a clock, a dice, an endless queue.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from wetread.errors import ConfigError

#: Share of the wait by which keys are spread, so that they do not all come at once.
_SPREAD = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPlan:
    """``[delivery]``: how long to wait between tries, and how often to try."""

    #: After the first tries, in s: a restarted PACS is back in minutes.
    waits_s: tuple[float, ...] = (5.0, 15.0, 60.0, 300.0, 900.0)
    #: After each further one: a PACS that is down over a long weekend still gets everything.
    then_s: float = 3600.0
    #: In all: four days.
    tries: int = 101

    def __post_init__(self) -> None:
        """Refuse waits that are none."""
        if min((*self.waits_s, self.then_s)) <= 0 or self.tries < 1:
            raise ConfigError("delivery: waits must be above 0 seconds, and tries at least 1.")

    def delay_s(self, attempts: int, key: str = "") -> float | None:
        """Return the wait before the next try in seconds, None when it is time to give up.

        Parameters
        ----------
        attempts
            Tries so far, at least 1.
        key
            Spreads the waits: the same key always gets the same one, up to 20 % longer.
        """
        if attempts < 1:
            raise ValueError(f"attempts must be at least 1, it is {attempts}")
        if attempts >= self.tries:
            return None
        base_s = self.waits_s[attempts - 1] if attempts <= len(self.waits_s) else self.then_s
        fraction = int.from_bytes(hashlib.sha256(f"{key} {attempts}".encode()).digest()[:4]) / 2**32
        return base_s * (1 + _SPREAD * fraction)
