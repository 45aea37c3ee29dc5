"""What a reader gets.

In: a volume that passed the eligibility guard.  Out: nothing, it is a value.
Never: patient names; files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from wetread.domain.model import Model
from wetread.domain.problem import Problem
from wetread.domain.reading import Outcome, Reading
from wetread.domain.study import Instance
from wetread.domain.volume import Volume
from wetread.infer.job import OrganSource
from wetread.infer.prior import PriorStudy
from wetread.measure.native import Acquisition


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
    #: What a ``dicom-peer`` has answered with: the answer, then the Segmentations that it refers to.
    answers: tuple[Instance, ...] = ()
    #: What is compared with, by readers that compare.
    prior: PriorStudy | None = None
    #: Why another study is not; notes.
    prior_problems: tuple[Problem, ...] = ()
    #: What others marked, by readers that measure it; and what of it is not measured, notes.
    organs: tuple[OrganSource, ...] = ()
    organ_problems: tuple[Problem, ...] = ()
    #: How the images were taken.
    acquisition: Acquisition = field(default_factory=Acquisition)
    #: Digest of the Reading that this one will supersede, ``""`` for the first.
    predecessor_digest: str = ""

    def begin_reading(self, *, refused: Problem | None = None) -> Reading:
        """Return the Reading of this series by this model, without what is found.

        Parameters
        ----------
        refused
            Why the series could not be read.
        """
        return Reading(
            study_instance_uid=self.study_instance_uid,
            series_instance_uid=self.series_instance_uid,
            revision=self.revision,
            model=self.model.identity,
            operating_point=self.model.operating_point,
            outcome=Outcome.NOT_READ if refused else Outcome.READ,
            problems=(*self.problems, refused) if refused else self.problems,
            grid=self.volume.grid,
            made_at=self.made_at,
            predecessor_digest=self.predecessor_digest,
        )
