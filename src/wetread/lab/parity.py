"""Whether an optimised model is as good as the one it was made from.

In: two files of weights, validation data.  Out: both scores, and what is lost at most, with an interval.
Never: a comparison of raw numbers instead of what counts in the clinic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wetread.infer.runtimes import Session
from wetread.infer.runtimes.onnx import open_onnx
from wetread.infer.runtimes.openvino import open_openvino
from wetread.lab.export import output_name
from wetread.lab.feed import judged_batches
from wetread.lab.items import Item
from wetread.lab.objectives import objective_of
from wetread.lab.plan import Plan, Task
from wetread.stats.resample import draw_weights, interval_of

#: Each scores everything anew.
_DRAWS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """Scores before and after, and the difference."""

    metric: str
    before: float
    after: float
    #: Of ``before - after``, 95 %, patients resampled.
    low: float
    high: float

    def holds(self, margin: float) -> bool:
        """Tell whether not more than ``margin`` is lost, with the whole interval."""
        return self.high <= margin


def compare(before: Path, after: Path, items: Sequence[Item], plan: Plan) -> Parity:
    """Let both say what they see in validation images; patients are drawn together.

    Parameters
    ----------
    before, after
        ``.onnx``, or ``.xml`` of OpenVINO: run by what serves.
    """
    answers = [_say(_open(path), items, plan) for path in (before, after)]
    truth = torch.cat([batch.truth for batch in judged_batches(items, plan)])
    score = objective_of(plan).score

    def lost(chosen: npt.NDArray[np.int64]) -> float:
        first, second = (score([one[chosen]], [truth[chosen]])["score"] for one in answers)
        return first - second

    every = np.arange(len(items))
    scores = [score([one], [truth])["score"] for one in answers]
    patients = [item.sample.patient for item in items]
    drawn = [
        lost(np.repeat(every, weights.astype(int)))
        for block in draw_weights(patients, _DRAWS)
        for weights in block
    ]
    found = interval_of(scores[0] - scores[1], np.array(drawn))
    return Parity(metric=_metric(plan), before=scores[0], after=scores[1], low=found.low, high=found.high)


def _open(path: Path) -> Session:
    return open_openvino(str(path)) if path.suffix == ".xml" else open_onnx(str(path))


def _say(session: Session, items: Sequence[Item], plan: Plan) -> Tensor:
    answers = [
        session.run({session.inputs[0]: batch.images.numpy()})[session.outputs[0]]
        for batch in judged_batches(items, plan)
    ]
    said = torch.from_numpy(np.concatenate(answers))
    # Scores are made for logits.
    is_probability = output_name(plan) == "probabilities"
    return said.clamp_min(1e-7).log() if is_probability else said


def _metric(plan: Plan) -> str:
    return {
        Task.CLASSIFICATION: "auc",
        Task.REGRESSION: "mean_absolute_error, negative",
        Task.SEGMENTATION: "dice",
        Task.DETECTION: "average_precision",
    }[plan.task]
