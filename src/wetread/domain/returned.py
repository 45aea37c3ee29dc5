"""What became of a segmentation that somebody sent for a study that we read.

In: nothing.  Out: values.  Never: a code without a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wetread.domain.problem import ProblemCode


class Return(StrEnum):
    """How it was taken."""

    #: At least one finding was measured anew.
    REVISED = "revised"
    #: All that it marks of ours is as it was.
    UNCHANGED = "unchanged"
    #: Nothing in it is ours: an object like any other.
    FOREIGN = "foreign"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A segmentation that was looked at, once."""

    sop_instance_uid: str
    study_instance_uid: str
    outcome: Return
    #: Why it, or a part of it, was not taken.
    code: ProblemCode | None = None
    #: For people, without patient data.
    message: str
    #: AE title, ``stow`` or who handed it in.
    source: str
    #: Seconds since 1970.
    at: float

    def __post_init__(self) -> None:
        if self.outcome is Return.REFUSED and self.code is None:
            raise ValueError("a refusal has a code")
