"""What became of an earlier study that may have come after a reading.

In: nothing.  Out: values.  Never: a day of anybody's study.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LateOutcome(StrEnum):
    """How it was taken."""

    #: The reading has been compared with it, or with a newer one, or it is none to compare with.
    NOTHING = "nothing"
    #: A revision was begun that is compared with it.
    BEGUN = "begun"
    #: It came too late to be read with: somebody has reported the study. The history says so.
    NOTED = "noted"
    #: It is of another patient, or nobody knows of when. The history says so.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatePrior:
    """A study that was read, and an earlier one of the same Patient ID of which images came since."""

    study_instance_uid: str
    prior_instance_uid: str
    #: Images of the earlier one.
    instance_count: int
    #: The Reading that stands.
    reading_digest: str
    revision: int
    #: Whether a person has taken the study off the reading list, or signed a report.
    is_reported: bool
