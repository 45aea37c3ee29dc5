"""Timers of associations, on a clock that nobody sets.

In: the upper layer of one association.  Out: the same, with timers that ask the monotonic clock.
Never: an association that ends because the wall clock was set ahead, or outlives its limits because it was
set back.

References
----------
PS3.8 9.1.5 (ARTIM timer).
"""

from __future__ import annotations

import time

from pynetdicom.dul import DULServiceProvider
from pynetdicom.timer import Timer


class SteadyTimer(Timer):
    """pynetdicom's timer, which asks for the time of day, on the monotonic clock."""

    @property
    def remaining(self) -> float:
        """Seconds until it expires; 1 where it never does."""
        if self.timeout is None:
            return 1
        if self._start_time is None:
            return self.timeout
        end = time.monotonic() if self._end_time is None else self._end_time
        return self.timeout - (end - self._start_time)

    def start(self) -> None:
        """Begin anew."""
        self._start_time, self._end_time = time.monotonic(), None

    def stop(self) -> None:
        """Stop; it keeps what remained."""
        self._end_time = time.monotonic()


def steady_timers(provider: DULServiceProvider) -> None:
    """Give an association timers that no jump of the wall clock reaches; those that run begin anew."""
    provider.artim_timer = _steady(provider.artim_timer)
    provider._idle_timer = _steady(provider._idle_timer)


def _steady(timer: Timer) -> SteadyTimer:
    steady = SteadyTimer(timer.timeout)
    if timer._start_time is not None and timer._end_time is None:
        steady.start()
    return steady
