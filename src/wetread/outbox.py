"""What waits for which destination, and whose turn it is.

In: parcels in order of arrival, and how much each destination has acknowledged.  Out: those that are due, and
when the next one will be.
Never: the time of day; a parcel that waits for its hour while its destination takes others.

A parcel is what one revision of a study has for one destination. It is tried when its wait is over. One that
found nobody there is tried, too, once its destination has answered another: the queue drains in order as soon
as a PACS is back. One that was told "not now" waits a tenth of its time at least, so that a single document
which a destination never takes is not tried with every other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wetread.waits import Waits

_LEAST_SHARE = 0.1
#: What was due and did not become a try is due again after this time: its job runs, or its disk is full.
_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """The documents of one revision that one destination lacks."""

    study: str
    revision: int
    destination: str
    attempts: int
    #: Changes with every try.
    version: str
    #: How long to wait after the last try.
    wait_s: float
    #: Whether nobody was there at the last try.
    is_unanswered: bool
    #: Its place in the order of arrival.
    turn: int = 0


@dataclass(slots=True)
class Outbox:
    """Which parcels are due; knows only what it has seen since this process began."""

    waits: Waits = field(default_factory=Waits)
    _answered_at: dict[str, float] = field(default_factory=dict)
    _answers: dict[str, int] = field(default_factory=dict)
    #: Parcel -> the version that was taken last, and when.
    _taken: dict[tuple[str, int, str], tuple[str, float]] = field(default_factory=dict)
    _has_begun: bool = False

    def take_due(self, parcels: Sequence[Parcel], answers: Mapping[str, int]) -> list[Parcel]:
        """Return the parcels to be tried now, in order of arrival.

        Parameters
        ----------
        answers
            Destination -> documents that it has acknowledged so far.
        """
        now = self.waits.monotonic()
        for destination, count in answers.items():
            # What was acknowledged before this process began is no answer now; the first one ever is.
            if count > self._answers.get(destination, 0 if self._has_begun else count):
                self._answered_at[destination] = now
        self._answers = dict(answers)
        due = [parcel for parcel in parcels if self._is_due(parcel, now) and not self._was_taken(parcel, now)]
        keys = {_key(parcel) for parcel in parcels}
        self.waits.forget_others(set(keys))
        self._taken = {key: taken for key, taken in self._taken.items() if key in keys}
        self._taken |= {_key(parcel): (parcel.version, now) for parcel in due}
        self._has_begun = True
        return due

    def next_due_s(self, parcels: Sequence[Parcel]) -> float:
        """Return when the next of those that were not due will be, in s; infinite where there is none."""
        rests = [parcel.wait_s - self.waits.seen_s(_key(parcel), parcel.version) for parcel in parcels]
        return min((rest_s for rest_s in rests if rest_s > 0), default=float("inf"))

    def _was_taken(self, parcel: Parcel, now: float) -> bool:
        version, at = self._taken.get(_key(parcel), ("", now))
        return version == parcel.version and now - at < _AGAIN_S

    def _is_due(self, parcel: Parcel, now: float) -> bool:
        seen_s = self.waits.seen_s(_key(parcel), parcel.version)
        if not self._has_begun or seen_s >= parcel.wait_s:
            # Whoever starts us wants to see it try; what waits is known then for the first time.
            return True
        is_back = now - self._answered_at.get(parcel.destination, float("-inf")) < seen_s
        least_s = 0.0 if parcel.is_unanswered else parcel.wait_s * _LEAST_SHARE
        return is_back and seen_s >= least_s


def _key(parcel: Parcel) -> tuple[str, int, str]:
    return parcel.study, parcel.revision, parcel.destination
