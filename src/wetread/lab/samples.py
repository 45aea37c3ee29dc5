"""Labelled images, one patient's beside another's: what models are trained on and judged by.

In: an ``.npz`` file or a folder, labels in it or beside it.  Out: ``SampleSet``: what is known of each
sample at once, its voxels when they are asked for.
Never: a label guessed; a pickle; an image without its patient.

Shapes that are understood are described in ``docs/how-to/validate-a-model.md``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wetread.domain.mask import BoolArray
from wetread.domain.volume import Triple
from wetread.errors import InvalidSamples, NotFinite, PatientInTwoSplits

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What is known of one image before it is opened."""

    #: Unique in its set.
    id: str
    #: Samples of one patient are never independent, and never on two sides of a split.
    patient: str
    #: Class by number, or a measured value; None where there is a mask or nothing.
    label: float | None = None
    #: How many readers marked it; 0 where unknown.
    readers: int = 0
    #: Subgroup -> value, e.g. ``{"sex": "F"}``.
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """The voxels of a sample."""

    #: Shape (planes, rows, columns); one plane for a flat image.
    voxels: Array
    #: Along (planes, rows, columns); None where the data do not say.
    spacing_mm: Triple | None = None
    #: What the readers marked, of the same shape.
    mask: BoolArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleSet:
    """Labelled images from one place."""

    #: For people: the file's or folder's name, and which part of it.
    name: str
    samples: tuple[Sample, ...]
    #: Opens one sample; called by ``load``.
    open_picture: Callable[[Sample], Picture] = field(repr=False)
    has_masks: bool = False
    #: How the truth was made and what was assumed, in sentences for the report.
    notes: tuple[str, ...] = ()
    #: Names of the classes where ``label`` counts them; empty for masks and measured values.
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.samples:
            raise InvalidSamples("There is no sample here: check the file or folder", data=self.name)
        repeated = [one for one, count in Counter(one.id for one in self.samples).items() if count > 1]
        if repeated:
            raise InvalidSamples("An id stands twice: give each sample its own", id=repeated[0])

    def load(self, sample: Sample) -> Picture:
        """Open one sample.

        Raises
        ------
        NotFinite
            If a voxel is no number.
        InvalidSamples
            If the image cannot be read, or its mask does not fit it.
        """
        picture = self.open_picture(sample)
        if picture.voxels.dtype.kind == "f" and not np.isfinite(picture.voxels).all():
            raise NotFinite("The image has voxels that are no numbers (NaN or infinite)", sample=sample.id)
        return picture

    @property
    def patients(self) -> frozenset[str]:
        """Everybody in the set."""
        return frozenset(one.patient for one in self.samples)

    def choose(self, samples: Iterable[Sample], name: str) -> SampleSet:
        """Return a part of the set."""
        return replace(self, samples=tuple(samples), name=name)


def require_disjoint(sets: Mapping[str, Iterable[str]]) -> None:
    """Refuse sets of patients that overlap.

    Parameters
    ----------
    sets
        Name of a split (``train``, ``test``, a fold) -> its patients.

    Raises
    ------
    PatientInTwoSplits
        Naming the two splits and how many patients stand in both; never which.
    """
    seen: dict[str, str] = {}
    for name, patients in sets.items():
        people = frozenset(patients)
        shared = Counter(seen[patient] for patient in people if patient in seen)
        if shared:
            other, count = shared.most_common(1)[0]
            raise PatientInTwoSplits(splits=f"{other} and {name}", patients=count)
        seen |= dict.fromkeys(people, name)
