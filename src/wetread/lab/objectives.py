"""What each task wants: a loss to go down, a score to go up.

In: what a network said, what is true.  Out: the loss of each image; scores by name.
Never: a score without its task's own meaning (accuracy where nearly all are negative).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional

from wetread.lab.detections import detection_score, heatmap_loss, retinanet_loss
from wetread.lab.plan import NetworkKind, Plan, Task

#: Loss of each image, (n,), from what was said and what is true.
Loss = Callable[[Tensor, Tensor], Tensor]
#: Scores by name; ``score`` decides which epoch is best, larger is better.
Score = Callable[[Sequence[Tensor], Sequence[Tensor]], dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Loss and score of a plan."""

    loss: Loss
    score: Score


def objective_of(plan: Plan) -> Objective:
    """Return what the plan's task wants."""
    if plan.task is Task.CLASSIFICATION:
        smoothing, positive = plan.training.label_smoothing, plan.data.classes.index(plan.data.positive)
        return Objective(
            loss=lambda said, truth: functional.cross_entropy(
                said, truth, reduction="none", label_smoothing=smoothing
            ),
            score=lambda said, truth: _score_classes(torch.cat(list(said)), torch.cat(list(truth)), positive),
        )
    if plan.task is Task.REGRESSION:
        return Objective(
            loss=lambda said, truth: functional.smooth_l1_loss(said[:, 0], truth, reduction="none"),
            score=_score_values,
        )
    if plan.task is Task.SEGMENTATION:
        return Objective(loss=_segmentation_loss, score=_score_masks)
    is_retinanet = plan.network.kind is NetworkKind.RETINANET
    return Objective(
        loss=retinanet_loss if is_retinanet else heatmap_loss,
        score=lambda said, truth: detection_score(said, truth, is_retinanet=is_retinanet),
    )


def _score_classes(said: Tensor, truth: Tensor, positive: int) -> dict[str, float]:
    probabilities, labels = said.softmax(dim=1).numpy(), truth.numpy()
    accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    classes = [positive] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    areas = [
        float(roc_auc_score(labels == one, probabilities[:, one]))
        for one in classes
        if 0 < (labels == one).sum() < len(labels)
    ]
    area = float(np.mean(areas)) if areas else float("nan")
    return {"score": area if areas else accuracy, "auc": area, "accuracy": accuracy}


def _score_values(said: Sequence[Tensor], truth: Sequence[Tensor]) -> dict[str, float]:
    error = float((torch.cat(list(said))[:, 0] - torch.cat(list(truth))).abs().mean())
    return {"score": -error, "mean_absolute_error": error}


def _segmentation_loss(said: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy plus soft Dice of all classes but the background, each image for itself."""
    entropy = functional.cross_entropy(said, truth, reduction="none").flatten(1).mean(dim=1)
    wanted = functional.one_hot(truth, said.shape[1]).movedim(-1, 1).to(said.dtype)
    probabilities = said.softmax(dim=1)
    axes = tuple(range(2, said.ndim))
    shared = (probabilities * wanted).sum(axes)[:, 1:]
    total = (probabilities + wanted).sum(axes)[:, 1:]
    dice = 1 - (2 * shared + 1) / (total + 1)
    return entropy + dice.mean(dim=1)


def _score_masks(said: Sequence[Tensor], truth: Sequence[Tensor]) -> dict[str, float]:
    """Return the mean Dice of images with something marked, and how often nothing was kept empty."""
    dices, is_clean = [], []
    for scores, wanted in zip(said, truth, strict=True):
        found, marked = scores.argmax(dim=1).flatten(1), wanted.flatten(1)
        for one, other in zip(found, marked, strict=True):
            if (other > 0).any():
                shared = ((one == other) & (other > 0)).sum()
                dices.append(float(2 * shared / ((one > 0).sum() + (other > 0).sum())))
            else:
                is_clean.append(not bool((one > 0).any()))
    dice = float(np.mean(dices)) if dices else float("nan")
    return {
        "score": dice if dices else float(np.mean(is_clean)),
        "dice": dice,
        "empty_kept_empty": float(np.mean(is_clean)) if is_clean else float("nan"),
    }
