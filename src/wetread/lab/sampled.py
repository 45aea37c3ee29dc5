"""Held-out images with what a network says of them.

In: a network, items.  Out: a picture.  Never: an image it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wetread.lab.detections import heatmap_detections, retinanet_detections
from wetread.lab.feed import judged_batches
from wetread.lab.fit import say
from wetread.lab.items import Item
from wetread.lab.pictures import draw_samples
from wetread.lab.plan import NetworkKind, Plan, Task

_MOST = 8


def picture_samples(path: Path, network: nn.Module, held_out: Sequence[Item], plan: Plan) -> None:
    """Draw some held-out images, evenly from all, with what is said and what is true."""
    step = max(1, len(held_out) // _MOST)
    items = held_out[::step][:_MOST]
    images = torch.cat([batch.images for batch in judged_batches(items, plan)])
    said, truth = (torch.cat(parts) for parts in say(network, items, plan))
    flat = [_middle(image) for image in images.numpy()]
    told = [_tell(one, wanted, plan) for one, wanted in zip(said, truth, strict=True)]
    draw_samples(path, flat, [caption for caption, _ in told], [outline for _, outline in told])


def _tell(said: Tensor, truth: Tensor, plan: Plan) -> tuple[str, npt.NDArray[np.bool_] | None]:
    names = plan.data.classes
    if plan.task is Task.CLASSIFICATION:
        best = int(said.argmax())
        return f"{names[best]} ({names[int(truth)]})", None
    if plan.task is Task.REGRESSION:
        return f"{float(said[0]):.3g} ({float(truth):.3g})", None
    if plan.task is Task.SEGMENTATION:
        found, marked = said.argmax(dim=0) > 0, truth > 0
        dice = float(2 * (found & marked).sum() / max(1, int(found.sum() + marked.sum())))
        return f"Dice {dice:.2f}", _middle(found[None].numpy())
    return _tell_boxes(said, truth, plan)


def _tell_boxes(said: Tensor, truth: Tensor, plan: Plan) -> tuple[str, npt.NDArray[np.bool_] | None]:
    patch = tuple(truth.shape)
    is_retinanet = plan.network.kind is NetworkKind.RETINANET
    found = retinanet_detections(said, patch) if is_retinanet else heatmap_detections(said)
    drawn = np.zeros(patch, dtype=bool)
    if len(found.boxes):
        axes = len(patch)
        box = found.boxes[0].round().int().clamp_min(0)
        drawn[tuple(slice(int(box[at]), int(box[at + axes])) for at in range(axes))] = True
    score = f"{float(found.scores[0]):.2f}" if len(found.scores) else "none"
    return f"best {score}, marked {int((truth > 0).any())}", _middle(drawn[None])


def _middle(image: npt.NDArray) -> npt.NDArray:  # type: ignore[type-arg]
    """Return the plane in the middle: of the channels, or of the planes of a block."""
    image = image[len(image) // 2]
    return image[len(image) // 2] if image.ndim == 3 else image
