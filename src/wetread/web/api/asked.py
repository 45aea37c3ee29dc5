"""What may be asked of the API: parameters and bodies, bounded.

In: text.  Out: checked values.  Never: an unknown word that is ignored; a patient's number in an address
(searches for one have a body).
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any

from fastapi import Path
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from wetread.domain.lifecycle import ModelState
from wetread.domain.progress import DeliveryState, StudyState
from wetread.domain.reading import Outcome, Priority
from wetread.store.pages import DeliveryFilter, ReadingFilter, StudyFilter

#: Most studies of the reading list in one answer.
MOST_WAITING = 2000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _only_date(value: Any) -> Any:
    # Else a number would be taken for seconds since 1970.
    if isinstance(value, str) and not _DATE.fullmatch(value):
        raise ValueError("a date is YYYY-MM-DD")
    return value


def _only_moment(value: Any) -> Any:
    if isinstance(value, str) and not _DATE.match(value):
        raise ValueError("a moment is YYYY-MM-DDThh:mm:ssZ")
    return value


Day = Annotated[date, BeforeValidator(_only_date)]
Moment = Annotated[AwareDatetime, BeforeValidator(_only_moment)]
#: No control characters: no attribute has them.
Words = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
CodeString = Annotated[str, Field(pattern=r"^[A-Z0-9 _]{1,16}$")]
StudyCursor = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
NumberCursor = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")]
StudyKey = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", description="`key` of a study.")]
#: A sentence without control characters, with a word in it.
Why = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*\w{3}[^\x00-\x1f\x7f]*$")]
Version = Annotated[str, Field(pattern=r"^[0-9A-Za-z.+-]{0,64}$")]
#: No larger than a row's number can be on any database.
RowNumber = Annotated[int, Path(ge=1, lt=2**31)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PageAsked(_Asked):
    """How much of a list."""

    limit: int = Field(default=50, ge=1, le=200, description="Most items of the page.")


class ReadingListAsked(_Asked):
    """How much of the reading list."""

    limit: int = Field(default=200, ge=1, le=MOST_WAITING, description="Most studies, from the top.")


class StudiesAsked(PageAsked):
    """Which studies, in words that may stand in an address."""

    after: StudyCursor | None = Field(default=None, description="Cursor of the page before.")
    state: StudyState | None = None
    modality: CodeString | None = None
    date_from: Day | None = Field(default=None, description="Study date, at the earliest.")
    date_to: Day | None = Field(default=None, description="Study date, at the latest.")
    priority: Priority | None = None
    reported: bool | None = None

    def to_filter(self) -> StudyFilter:
        """Return what the store is asked."""
        given = self.model_dump(exclude_none=True, exclude={"limit", "after"})
        return StudyFilter(**given)


class StudySearch(StudiesAsked):
    """Which studies, also by what must not stand in an address."""

    patient_id: Words | None = None
    accession_number: Words | None = None
    study_instance_uid: Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")] | None = None

    @property
    def identifying(self) -> tuple[str, ...]:
        """The attributes asked for that say who the patient is."""
        names = ("patient_id", "accession_number", "study_instance_uid")
        return tuple(name for name in names if getattr(self, name) is not None)


class ReadingsAsked(PageAsked):
    """Which Readings."""

    after: NumberCursor | None = Field(default=None, description="Cursor of the page before.")
    model: Words | None = None
    outcome: Outcome | None = None
    since: Moment | None = Field(default=None, description="Made then or later.")

    def to_filter(self) -> ReadingFilter:
        """Return what the store is asked."""
        return ReadingFilter(**self.model_dump(exclude_none=True, exclude={"limit", "after"}))


class DeliveriesAsked(PageAsked):
    """Which deliveries."""

    after: NumberCursor | None = Field(default=None, description="Cursor of the page before.")
    destination: Words | None = None
    state: list[DeliveryState] = Field(default=[], max_length=6, description="Any of these; none: all.")
    study: StudyCursor | None = Field(default=None, description="`key` of a study.")

    def to_filter(self, study_instance_uid: str) -> DeliveryFilter:
        """Return what the store is asked."""
        return DeliveryFilter(
            destination=self.destination or "",
            states=tuple(self.state),
            study_instance_uid=study_instance_uid,
        )


class RetryAsked(_Asked):
    """Which deliveries to try again."""

    destination: Words = Field(description="All that this destination refused or that failed.")


class PriorityAsked(_Asked):
    """Which priority a study is given."""

    priority: Priority
    why: Why = Field(description="Without names: it is shown on the list.")


class ReplayAsked(_Asked):
    """Rules to try on past studies, and on how many."""

    rules: list[dict[str, Any]] = Field(min_length=1, max_length=200, description="As in wetread.toml.")
    since: Day | None = Field(default=None, description="Study date, at the earliest.")
    after: StudyCursor | None = Field(default=None, description="Cursor of the batch before.")
    limit: int = Field(default=500, ge=1, le=2000, description="Most studies to look at.")


class ReasonAsked(_Asked):
    """Why something is decided about a model."""

    why: Why = Field(description="Without names: it is shown with the decision.")
    version: Version = Field(default="", description="Needed where several are registered.")


class StateAsked(ReasonAsked):
    """Which state a version of a model is brought into."""

    to: ModelState
