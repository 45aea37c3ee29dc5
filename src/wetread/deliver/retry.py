"""When to try again.

In: how often it was tried.  Out: seconds to wait, or the end.  Never: a clock, a dice, an endless queue.
"""

from __future__ import annotations

import hashlib

#: Waits after the first tries: a restarted PACS is back in minutes.
_FIRST_S = (5.0, 15.0, 60.0, 300.0, 900.0)
#: Then every hour: a PACS that is down over a long weekend still gets everything.
_THEN_S = 3600.0
#: Tries in all: four days.
MAXIMUM_ATTEMPTS = len(_FIRST_S) + 96
#: Share of the wait by which keys are spread, so that they do not all come at once.
_SPREAD = 0.2


def delay_s(attempts: int, key: str = "") -> float | None:
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
    if attempts >= MAXIMUM_ATTEMPTS:
        return None
    base_s = _FIRST_S[attempts - 1] if attempts <= len(_FIRST_S) else _THEN_S
    fraction = int.from_bytes(hashlib.sha256(f"{key} {attempts}".encode()).digest()[:4]) / 2**32
    return base_s * (1 + _SPREAD * fraction)
