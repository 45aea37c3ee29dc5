"""What other systems tell of studies: procedure steps that a modality performs, instances that can be had.

In: identifiers.  Out: values.  Never: who the patient is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NoticeKind(StrEnum):
    """Who tells."""

    #: Modality Performed Procedure Step (PS3.4 F.7).
    MPPS = "mpps"
    #: Instance Availability Notification (PS3.4 R).
    IAN = "ian"


class StepState(StrEnum):
    """Performed Procedure Step Status (0040,0252), and what stands there for an availability notice."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    #: What is named is all that there will be.
    DISCONTINUED = "DISCONTINUED"
    AVAILABLE = "AVAILABLE"


#: A step in one of these is never changed again.
FINAL = (StepState.COMPLETED, StepState.DISCONTINUED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One performed procedure step as far as it is known, or one availability notice."""

    sop_instance_uid: str
    kind: NoticeKind
    state: StepState
    #: Study Instance UIDs: a step may serve several requests.
    studies: tuple[str, ...]
    #: SOP Instance UIDs of what was made, or can be had.
    instances: tuple[str, ...] = ()
    #: Whether a step has said when it ended.
    has_end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What all notices together say of one study, against what is here; results of ours do not count."""

    #: Instances that are named.
    named_count: int = 0
    #: Of these, what is not here.
    missing_count: int = 0
    #: Of these, what is here and no revision covers.
    fresh_count: int = 0
    #: Performed procedure steps, and how many of them go on.
    step_count: int = 0
    open_count: int = 0
