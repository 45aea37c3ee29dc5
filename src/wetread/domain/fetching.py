"""What is fetched from elsewhere: why, and how far it is.

In: nothing.  Out: states and reasons.  Never: more than one word for one state.
"""

from __future__ import annotations

from enum import StrEnum


class Purpose(StrEnum):
    """What a study is here for."""

    #: To be read, and shown on the reading list.
    LIVE = "live"
    #: To be compared with: kept and shown, not read by itself.
    PRIOR = "prior"
    #: To be read when nothing live waits; not on the reading list.
    BACKFILL = "backfill"


class FetchReason(StrEnum):
    """Why a study is fetched; the first goes first."""

    PRIOR = "prior"
    ASKED = "asked"
    WATCH = "watch"
    BACKFILL = "backfill"

    @property
    def purpose(self) -> Purpose:
        """What the study is here for once it has come."""
        known = {FetchReason.PRIOR: Purpose.PRIOR, FetchReason.BACKFILL: Purpose.BACKFILL}
        return known.get(self, Purpose.LIVE)

    @property
    def weight(self) -> int:
        """How much is done with the study: a backfill is read too, what is live is shown besides."""
        return {Purpose.PRIOR: 0, Purpose.BACKFILL: 1, Purpose.LIVE: 2}[self.purpose]

    @property
    def rank(self) -> int:
        """Its place in line: lower goes first."""
        return list(FetchReason).index(self)


class FetchState(StrEnum):
    """Where the fetching of one study from one PACS stands."""

    WAITING = "waiting"
    FETCHING = "fetching"
    #: All that the PACS lists is here.
    FETCHED = "fetched"
    #: Not wanted any more; the row says why.
    SKIPPED = "skipped"
    #: Tries are used up; an operator can start them again.
    FAILED = "failed"


class BackfillState(StrEnum):
    """Where a backfill stands."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"
