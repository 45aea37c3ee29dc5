"""A reader's report: what is written, in sections, and whether it was signed.

In: nothing.  Out: the same, valid.  Never: a signature without a name; an addendum to nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ReportState(StrEnum):
    """How far a report is."""

    DRAFT = "draft"
    FINAL = "final"
    #: What was added to a final one.
    ADDENDUM = "addendum"


class Section(StrEnum):
    """What a report speaks of, in its order."""

    INDICATION = "indication"
    TECHNIQUE = "technique"
    COMPARISON = "comparison"
    FINDINGS = "findings"
    IMPRESSION = "impression"
    ADDENDUM = "addendum"


#: What is written before the signature.
MAIN_SECTIONS = tuple(one for one in Section if one is not Section.ADDENDUM)
#: What the impression and an addendum are there for cannot be empty.
_NEEDED = {ReportState.FINAL: Section.IMPRESSION, ReportState.ADDENDUM: Section.ADDENDUM}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One version of a study's report; the newest counts, earlier ones stay."""

    #: 0: not kept yet.
    id: int = 0
    study_instance_uid: str
    #: Of the study, when it was written.
    revision: int
    state: ReportState
    #: Those with text.
    sections: Mapping[Section, str] = field(default_factory=dict)
    #: What findings said when it was saved: sentence by the finding's name.
    proposed: Mapping[str, str] = field(default_factory=dict)
    #: Account of who wrote it.
    who: str
    #: For people; ``""`` for a draft.
    signed_by: str = ""
    #: Seconds since 1970.
    at: float

    def __post_init__(self) -> None:
        if self.is_signed is not bool(self.signed_by):
            raise ValueError("who signs has a name, and nobody else")
        needed = _NEEDED.get(self.state)
        if needed is not None and not self.sections.get(needed, "").strip():
            raise ValueError(f"{self.state.value}: {needed.value} is empty")

    @property
    def is_signed(self) -> bool:
        """Whether it is more than a draft."""
        return self.state is not ReportState.DRAFT

    @property
    def digest(self) -> str:
        """sha256 of everything that it says, and who said so when."""
        said = [self.study_instance_uid, self.state.value, dict(sorted(self.sections.items()))]
        text = json.dumps([*said, self.who, self.signed_by, self.at], ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()
