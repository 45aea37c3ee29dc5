"""How far a study is on its path, in the words that pages and answers use.

In: nothing.  Out: states.  Never: more than one word for one state.
"""

from __future__ import annotations

from enum import StrEnum


class StudyState(StrEnum):
    """Where the newest revision of a study stands."""

    #: Instances arrived after the last reading, the study is not yet complete.
    ARRIVING = "arriving"
    #: "Being read".
    READING = "reading"
    #: At least one model read it; findings or "read, nothing found".
    READ = "read"
    #: No model read it; the reasons are on the study.
    NOT_READ = "not-read"


class QueueStage(StrEnum):
    """Where a study is on its way to its models."""

    #: Images come, or what else it waits for.
    ARRIVING = "arriving"
    #: Complete; its turn comes.
    WAITING = "waiting"
    READING = "reading"
    #: Something stands in its way, or it takes much longer than usual.
    STUCK = "stuck"
    #: It ended without what was wanted, and for no fault of the images.
    FAILED = "failed"


class DeliveryState(StrEnum):
    """Where one document stands at one destination."""

    WAITING = "waiting"
    #: Acknowledged by the destination.
    SENT = "sent"
    #: Acknowledged, and found when asked for.
    VERIFIED = "verified"
    #: The destination refused it, for good.
    REFUSED = "refused"
    #: Tries are used up; an operator can start them again.
    FAILED = "failed"
    #: A newer revision was sent instead.
    SUPERSEDED = "superseded"


class Acceptance(StrEnum):
    """What became of an instance that was handed in."""

    ACCEPTED = "accepted"
    #: Already stored with this content.
    REPEATED = "repeated"
    #: Same UID, other content: kept aside.
    CONFLICT = "conflict"
