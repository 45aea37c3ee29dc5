"""What is handed to the model's process.

In: a chosen series and a model.  Out: plain JSON and back; a Reading for what could not be read.
Never: pixels (the process reads the files itself).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from wetread.domain.model import Model
from wetread.domain.problem import Problem
from wetread.domain.reading import Outcome, Reading, Triage
from wetread.domain.study import Instance, Series
from wetread.infer.prior import PriorStudy
from wetread.sealed import Seal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganSource:
    """A Segmentation by somebody else, and what of it is measured."""

    instance: Instance
    #: Segment Numbers.
    numbers: tuple[int, ...]
    #: Who made it, as it says itself, and who handed it in.
    made_by: str
    sent_by: str
    #: What opens it where files are encrypted.
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadJob:
    """Read one series with one model."""

    study_instance_uid: str
    revision: int
    series: Series
    model: Model
    #: With time zone; the moment that the Reading will carry.
    made_at: datetime
    #: Digest of the Reading that this one will supersede, ``""`` for the first.
    predecessor_digest: str = ""
    #: Where the process leaves the voxels for ``compose``, so that no file is decoded twice.
    volume_path: Path | None = None
    #: Where files are encrypted: what opens each one alone, in the order of the series' instances, ``""``
    #: for a plain one; never a key that opens more. Hexadecimal.
    keys: tuple[str, ...] = field(default=(), repr=False)
    #: What a ``dicom-peer`` has answered with: the answer, then the Segmentations that it refers to; and what
    #: opens them, as ``keys``.
    answers: tuple[Instance, ...] = ()
    answer_keys: tuple[str, ...] = field(default=(), repr=False)
    #: What is compared with, by models that compare.
    prior: PriorStudy | None = None
    #: Why another study is not; notes.
    prior_problems: tuple[Problem, ...] = ()
    #: What is measured, by models that measure what others mark; and what is not, notes.
    organs: tuple[OrganSource, ...] = ()
    organ_problems: tuple[Problem, ...] = ()
    #: How the voxels are encrypted; None: they are not.
    volume_seal: Seal | None = field(default=None, repr=False)


def make_unread(job: ReadJob, *problems: Problem) -> Reading:
    """Return the Reading that says why nothing was read."""
    return Reading(
        study_instance_uid=job.study_instance_uid,
        series_instance_uid=job.series.series_instance_uid,
        revision=job.revision,
        model=job.model.identity,
        operating_point=job.model.operating_point,
        outcome=Outcome.NOT_READ,
        triage=Triage(),
        problems=problems,
        made_at=job.made_at,
        predecessor_digest=job.predecessor_digest,
    )
