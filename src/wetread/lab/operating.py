"""Probabilities that mean something, and the threshold above which they are a finding.

In: out-of-fold scores of two classes.  Out: slope and offset to a probability, a threshold.
Never: scores of images that their network was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.special import expit, logit
from torch import Tensor
from torch.nn import functional

from wetread.lab.augment import blur, change_gamma
from wetread.lab.plan import OperatingKind, OperatingPlan

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """``probability = expit(slope * margin + offset)``; a finding from ``threshold`` on."""

    slope: float
    offset: float
    threshold: float

    def probability(self, margin: npt.ArrayLike) -> Floats:
        """Return probabilities from margins (logit of the positive class minus that of the other)."""
        return np.asarray(expit(self.slope * np.asarray(margin) + self.offset), dtype=float)


def calibrate(margins: Floats, is_positive: npt.NDArray[np.bool_], prevalence: float) -> tuple[float, float]:
    """Fit a logistic curve, both classes weighing the same, then move it to a prevalence.

    References
    ----------
    Platt 1999; Saerens et al. 2002, doi:10.1162/089976602753284446 for the prior.
    """
    weights = np.where(is_positive, 0.5 / is_positive.sum(), 0.5 / (~is_positive).sum())
    sign = np.where(is_positive, -1.0, 1.0)

    def loss(values: Floats) -> float:
        return float((weights * np.logaddexp(0.0, sign * (values[0] * margins + values[1]))).sum())

    slope, offset = minimize(loss, np.array([1.0, 0.0]), method="BFGS").x
    return float(slope), float(offset + logit(prevalence))


def choose_threshold(
    plan: OperatingPlan, scores: Sequence[Floats], is_positive: npt.NDArray[np.bool_]
) -> float:
    """Choose the threshold on probabilities.

    Parameters
    ----------
    scores
        Probabilities of all images; of shifted copies as well where the plan asks to be robust.
    """
    own = scores[0]
    if plan.kind is OperatingKind.SENSITIVITY:
        return float(np.quantile(own[is_positive], 1 - plan.value, method="lower"))
    if plan.kind is OperatingKind.SPECIFICITY:
        return float(np.nextafter(np.quantile(own[~is_positive], plan.value, method="higher"), 1.0))
    candidates = np.unique(np.concatenate(scores))
    candidates = candidates[:: max(1, len(candidates) // 2000)]
    gain = np.mean([_balanced_accuracy(one, is_positive, candidates) for one in scores], axis=0)
    best = candidates[gain >= gain.max() - 1e-9]
    return float(best[len(best) // 2])


def _balanced_accuracy(scores: Floats, is_positive: npt.NDArray[np.bool_], candidates: Floats) -> Floats:
    positive, negative = np.sort(scores[is_positive]), np.sort(scores[~is_positive])
    sensitivity = 1 - np.searchsorted(positive, candidates, side="left") / len(positive)
    specificity = np.searchsorted(negative, candidates, side="left") / len(negative)
    return np.asarray((sensitivity + specificity) / 2, dtype=float)


def _closer(images: Tensor) -> Tensor:
    axes = images.ndim - 2
    matrix = torch.cat([0.85 * torch.eye(axes), torch.zeros(axes, 1)], dim=1).repeat(len(images), 1, 1)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


#: Shifts that another hospital may bring, of images after the recipe.
SHIFTS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "darker": lambda images: images - 0.3,
    "brighter": lambda images: images + 0.3,
    "more contrast": lambda images: images * 1.25,
    "greater gamma": lambda images: change_gamma(images, 1.4),
    "smaller gamma": lambda images: change_gamma(images, 0.7),
    "blurred": lambda images: blur(images, 0.8),
    "closer": _closer,
}
