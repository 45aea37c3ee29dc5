"""Let a model judge labelled images, by the code that serves.

In: a model, samples.  Out: ``Verdict`` for each: what was said beside what is true.
Never: voxels kept; a label shown to the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.domain.mask import BoolArray
from wetread.domain.model import Model
from wetread.domain.prediction import Prediction
from wetread.domain.volume import Triple
from wetread.errors import ModelError
from wetread.infer.judging import Judge, open_judge
from wetread.lab.samples import Picture, Sample, SampleSet
from wetread.stats.overlap import measure_overlap
from wetread.stats.surface import measure_surfaces

#: mm that two surfaces may lie apart.
TOLERANCE_MM = 2.0
_TOUCHING = np.ones((3, 3, 3), bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskScores:
    """How a mask lies to the true one; what is measured in mm is NaN where the data name no spacing."""

    dice: float
    iou: float
    volume_bias: float
    hausdorff_mm: float
    hausdorff95_mm: float
    surface_dice: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A part that was marked."""

    score: float
    #: Number of the true thing that it touches, from 0; -1: none.
    lesion: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a model said of one sample."""

    sample: Sample
    probabilities: tuple[float, ...] = ()
    value: float | None = None
    mask: MaskScores | None = None
    candidates: tuple[Candidate, ...] = ()
    lesions: int = 0


class Kept(Protocol):
    """Verdicts of an earlier run."""

    def find(self, sample: Sample) -> Verdict | None:
        """Return that of a sample, None where there is none."""

    def add(self, verdict: Verdict) -> None:
        """Keep one."""


def judge(
    model: Model,
    samples: SampleSet,
    told: Callable[[int, int], None] = lambda _done, _total: None,
    kept: Kept | None = None,
) -> Iterator[Verdict]:
    """Yield what a model says of each sample, in a process with the limits that reading has.

    Parameters
    ----------
    told
        Called with how many are done, and of how many.
    kept
        What an earlier run has judged, and where each verdict is kept.

    Raises
    ------
    ModelError
        If the model breaks, hangs, or needs more than its limit: the message names the sample.
    """
    total = len(samples.samples)
    with open_judge(model) as say:
        for number, sample in enumerate(samples.samples, 1):
            verdict = kept.find(sample) if kept is not None else None
            if verdict is None:
                picture = samples.load(sample)
                verdict = compare(model, sample, picture, _ask(say, sample, picture))
                if kept is not None:
                    kept.add(verdict)
            yield verdict
            told(number, total)


def _ask(say: Judge, sample: Sample, picture: Picture) -> Prediction:
    try:
        return say(picture.voxels, picture.spacing_mm)
    except ModelError as error:
        raise type(error)(f"Sample {sample.id}: {error.message}", sample=sample.id) from error


def mask_of(model: Model, said: Prediction) -> BoolArray | None:
    """Return what counts as marked, None where the model marks nothing at all."""
    if said.mask is not None:
        return said.mask
    if said.probability_map is None:
        return None
    threshold = model.task.threshold if model.task else 0.5
    return np.asarray(said.probability_map >= threshold)


def compare(model: Model, sample: Sample, picture: Picture, said: Prediction) -> Verdict:
    """Hold what was said of a sample against what is true."""
    marked = mask_of(model, said)
    if picture.mask is None or marked is None:
        return Verdict(sample=sample, probabilities=said.probabilities, value=said.value)
    true, lesions = ndimage.label(picture.mask, _TOUCHING)
    if _is_one_thing(sample):
        true, lesions = np.asarray(true > 0, dtype=np.int32), min(1, lesions)
    return Verdict(
        sample=sample,
        probabilities=said.probabilities,
        value=said.value,
        mask=_mask_scores(marked, picture.mask, picture.spacing_mm),
        candidates=tuple(_candidates(said, marked, true, _least_voxels(model, picture.spacing_mm))),
        lesions=lesions,
    )


def _is_one_thing(sample: Sample) -> bool:
    # A crop is of one nodule, also where a reader's outline falls apart.
    return sample.readers > 0


def _mask_scores(marked: BoolArray, true: BoolArray, spacing_mm: Triple | None) -> MaskScores:
    overlap = measure_overlap(marked, true)
    surfaces = None if spacing_mm is None else measure_surfaces(marked, true, spacing_mm)
    return MaskScores(
        dice=overlap.dice,
        iou=overlap.iou,
        volume_bias=overlap.volume_bias,
        hausdorff_mm=surfaces.hausdorff_mm() if surfaces else math.nan,
        hausdorff95_mm=surfaces.hausdorff_mm(95.0) if surfaces else math.nan,
        surface_dice=surfaces.dice(TOLERANCE_MM) if surfaces else math.nan,
    )


def _least_voxels(model: Model, spacing_mm: Triple | None) -> float:
    """Return how large a part must be to count where it is read (``infer.by_task``)."""
    if model.output is None or spacing_mm is None:
        return 0.0
    return model.output.least_volume_mm3 / math.prod(spacing_mm)


def _candidates(
    said: Prediction, marked: BoolArray, true: npt.NDArray[np.int32], least_voxels: float
) -> Iterator[Candidate]:
    parts, scores = said.parts, said.part_scores
    if parts is None:
        parts, count = ndimage.label(marked, _TOUCHING)
        sure = said.probability_map if said.probability_map is not None else marked.astype(float)
        scores = tuple(float(one) for one in ndimage.maximum(sure, parts, range(1, count + 1)))
    for number, box in enumerate(ndimage.find_objects(parts, len(scores)), 1):
        if box is None:
            continue
        touched = true[box][parts[box] == number]
        if touched.size < least_voxels:
            continue
        touched = touched[touched > 0]
        lesion = int(np.bincount(touched).argmax()) - 1 if touched.size else -1
        yield Candidate(score=scores[number - 1], lesion=lesion)
