"""What a reader gets.

In: a volume that passed the eligibility guard.  Out: nothing, it is a value.
Never: patient names; files.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from wetread.domain.model import Model
from wetread.domain.problem import Problem
from wetread.domain.volume import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """One series to be read by one model."""

    study_instance_uid: str
    series_instance_uid: str
    revision: int
    model: Model
    volume: Volume
    #: Limits already known; the reader passes them on in its Reading.
    problems: tuple[Problem, ...] = ()
    #: With time zone.
    made_at: datetime
    #: Digest of the Reading that this one will supersede, ``""`` for the first.
    predecessor_digest: str = ""
