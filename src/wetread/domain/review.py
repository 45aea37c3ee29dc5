"""What readers say of what a model found.

In: nothing.  Out: verdicts, their reasons with codes, remarks.
Never: a change to the Reading itself: what a model said stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from wetread.domain.code import Code


class Verdict(StrEnum):
    """What a reader says."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    #: Taken back: nobody has judged.
    OPEN = "open"
    #: Of a whole Reading: something that it lacks, or says wrongly, in words.
    REPORTED = "reported"


class RejectReason(StrEnum):
    """What is there instead of what the model found."""

    NOTHING = "nothing there"
    VESSEL = "vessel"
    SCAR = "scar"
    ATELECTASIS = "atelectasis"
    LYMPH_NODE = "lymph node"
    ARTIFACT = "artifact"
    TWICE = "found twice"
    WRONG_SIDE = "wrong place or side"
    OTHER = "something else"


#: Those that are a thing, coded; the others say what went wrong.
REASON_CODES: Mapping[RejectReason, Code] = MappingProxyType(
    {
        RejectReason.VESSEL: Code(value="59820001", scheme="SCT", meaning="Blood vessel"),
        RejectReason.SCAR: Code(value="12402003", scheme="SCT", meaning="Scar"),
        RejectReason.ATELECTASIS: Code(value="46621007", scheme="SCT", meaning="Atelectasis"),
        RejectReason.LYMPH_NODE: Code(value="59441001", scheme="SCT", meaning="Lymph node"),
        RejectReason.ARTIFACT: Code(value="47973001", scheme="SCT", meaning="Artifact"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What one reader said at one time; the newest of a finding counts."""

    #: 0: not kept yet.
    id: int = 0
    study_instance_uid: str
    #: Of the Reading that was looked at.
    reading_digest: str
    #: Of the finding; ``""``: the whole Reading.
    tracking_uid: str = ""
    verdict: Verdict
    #: Of a rejection.
    reason: RejectReason | None = None
    #: The reader's own words.
    text: str = ""
    #: Seconds since 1970.
    at: float
    who: str

    def __post_init__(self) -> None:
        if (self.verdict is Verdict.REPORTED) is bool(self.tracking_uid):
            raise ValueError("a finding is judged, a whole Reading is reported")
        if (self.verdict is Verdict.REJECTED) is not bool(self.reason):
            raise ValueError("a rejection has a reason, nothing else has one")
        if self.verdict is Verdict.REPORTED and not self.text:
            raise ValueError("what is reported is said in words")

    @property
    def words(self) -> str:
        """What was said, without the reader's own words."""
        return f"{self.verdict.value}: {self.reason.value}" if self.reason else self.verdict.value


def newest_of(remarks: Iterable[Remark], reading_digest: str) -> dict[str, Remark]:
    """Return the remark that counts of each finding of a Reading, by tracking UID; open ones too.

    Parameters
    ----------
    remarks
        Oldest first.
    """
    return {
        one.tracking_uid: one
        for one in remarks
        if one.reading_digest == reading_digest and one.verdict is not Verdict.REPORTED
    }
