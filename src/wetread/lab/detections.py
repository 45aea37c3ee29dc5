"""What detectors learn and say.

In: masks (n, *patch) of class numbers, maps or anchors' answers.  Out: losses, boxes with scores.
Never: a box that no voxel was marked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from wetread.lab.boxes import boxes_of, decode, encode, match_anchors, suppress
from wetread.lab.networks.retinanet import anchors_of

#: Found in one image at the most.
_MOST = 50
#: Below this nothing is called found.
_LEAST_SCORE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """Boxes of one image, best first."""

    #: (n, 2 * axes) in voxels, lows then highs.
    boxes: Tensor
    #: (n,) of 0 to 1.
    scores: Tensor
    classes: Tensor


def heatmap_loss(said: Tensor, masks: Tensor) -> Tensor:
    """Return the loss of each image: penalty-reduced focal loss of centres, L1 of sizes at centres.

    References
    ----------
    Zhou et al. 2019, arXiv:1904.07850, equations 1 and 4.
    """
    axes = masks.ndim - 1
    classes = said.shape[1] - axes
    return torch.stack(
        [_heatmap_loss(one, mask, classes, axes) for one, mask in zip(said, masks, strict=True)]
    )


def retinanet_loss(said: Tensor, masks: Tensor) -> Tensor:
    """Return the loss of each image: focal loss of scores, smooth L1 of matched boxes.

    References
    ----------
    Lin et al. 2017, arXiv:1708.02002; matching by ``lab.boxes.match_anchors``.
    """
    anchors, levels = anchors_of(tuple(masks.shape[1:]))
    axes = masks.ndim - 1
    losses = []
    for one, mask in zip(said, masks, strict=True):
        boxes, classes = boxes_of(mask)
        matched = match_anchors(anchors, levels, boxes)
        is_matched = matched >= 0
        wanted = torch.zeros_like(one[:, : -2 * axes])
        at = is_matched.nonzero()[:, 0].to(one.device)
        wanted[at, classes[matched[is_matched]].to(one.device)] = 1
        count = max(1, int(is_matched.sum()))
        loss = _focal(one[:, : -2 * axes], wanted).sum() / count
        if is_matched.any():
            target = encode(boxes[matched[is_matched]], anchors[is_matched]).to(one.device)
            loss = loss + functional.smooth_l1_loss(one[at, -2 * axes :], target, beta=0.1)
        losses.append(loss)
    return torch.stack(losses)


def heatmap_detections(said: Tensor) -> Detections:
    """Return what a heat-map (classes + axes, *patch) shows: peaks, as boxes."""
    axes = said.ndim - 1
    scores = said[:-axes].sigmoid()
    pool = functional.max_pool3d if axes == 3 else functional.max_pool2d
    peaks = scores * (pool(scores[None], 3, stride=1, padding=1)[0] == scores)
    best = peaks.flatten().topk(min(_MOST, peaks.numel()))
    kept = best.values >= _LEAST_SCORE
    places = torch.stack(torch.unravel_index(best.indices[kept], peaks.shape), dim=1)
    sizes = said[-axes:].clamp(-2, 6).exp()[(slice(None), *places[:, 1:].T)].T
    centres = places[:, 1:] + 0.5
    boxes = torch.cat([centres - sizes / 2, centres + sizes / 2], dim=1)
    return _best(boxes, best.values[kept], places[:, 0])


def retinanet_detections(said: Tensor, patch: tuple[int, ...]) -> Detections:
    """Return what the anchors of a patch say (anchors, classes + 2 * axes), as boxes."""
    anchors, _ = anchors_of(patch)
    axes = len(patch)
    scores, classes = said[:, : -2 * axes].sigmoid().max(dim=1)
    best = scores.topk(min(4 * _MOST, len(scores)))
    kept = best.indices[best.values >= _LEAST_SCORE]
    return _best(decode(said[kept, -2 * axes :], anchors[kept]), scores[kept], classes[kept])


def detection_score(
    said: Sequence[Tensor], truth: Sequence[Tensor], *, is_retinanet: bool
) -> dict[str, float]:
    """Return average precision, and sensitivity at one false detection an image.

    A detection is right where its centre lies in a box that no better one has found.
    """
    hits: list[tuple[float, bool]] = []
    wanted = images = 0
    for answers, masks in zip(said, truth, strict=True):
        for one, mask in zip(answers, masks, strict=True):
            found = retinanet_detections(one, tuple(mask.shape)) if is_retinanet else heatmap_detections(one)
            boxes, _ = boxes_of(mask)
            hits += _compare(found, boxes)
            wanted, images = wanted + len(boxes), images + 1
    return _summarise(sorted(hits, reverse=True), wanted, images)


def _compare(found: Detections, boxes: Tensor) -> list[tuple[float, bool]]:
    axes = boxes.shape[1] // 2
    free = set(range(len(boxes)))
    hits = []
    for box, score in zip(found.boxes, found.scores, strict=True):
        centre = (box[:axes] + box[axes:]) / 2
        match = next(
            (at for at in free if bool(((centre >= boxes[at, :axes]) & (centre <= boxes[at, axes:])).all())),
            None,
        )
        free -= {match} if match is not None else set()
        hits.append((float(score), match is not None))
    return hits


def _summarise(hits: Sequence[tuple[float, bool]], wanted: int, images: int) -> dict[str, float]:
    right = wrong = 0
    precision, sensitivity = 0.0, 0.0
    for _, is_hit in hits:
        right, wrong = right + is_hit, wrong + (not is_hit)
        precision += is_hit * right / (right + wrong)
        if wrong <= images:
            sensitivity = right / max(1, wanted)
    area = precision / max(1, wanted)
    return {"score": area, "average_precision": area, "sensitivity_at_1_false": sensitivity}


def _best(boxes: Tensor, scores: Tensor, classes: Tensor) -> Detections:
    kept = suppress(boxes, scores)[:_MOST]
    return Detections(boxes=boxes[kept], scores=scores[kept], classes=classes[kept])


def _heatmap_loss(said: Tensor, mask: Tensor, classes: int, axes: int) -> Tensor:
    wanted, sizes, centres = _draw_centres(mask, classes, axes)
    wanted = wanted.to(said.device)
    scores = said[:classes].sigmoid().clamp(1e-4, 1 - 1e-4)
    is_centre = wanted == 1
    focal = -torch.where(
        is_centre,
        (1 - scores) ** 2 * scores.log(),
        (1 - wanted) ** 4 * scores**2 * (1 - scores).log(),
    )
    loss = focal.sum() / max(1, len(centres))
    if len(centres):
        there = said[(slice(classes, None), *centres.T.to(said.device))].T
        loss = loss + 0.5 * functional.l1_loss(there, sizes.log().to(said.device))
    return loss


def _draw_centres(mask: Tensor, classes: int, axes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return a map with a Gaussian at each centre, the boxes' lengths, and the centres' voxels."""
    boxes, labels = boxes_of(mask)
    drawn = torch.zeros(classes, *mask.shape)
    lengths = (boxes[:, axes:] - boxes[:, :axes]).clamp_min(1)
    centres = ((boxes[:, :axes] + boxes[:, axes:] - 1) / 2).round().long()
    grid = torch.meshgrid(*[torch.arange(one) for one in mask.shape], indexing="ij")
    for centre, length, label in zip(centres, lengths, labels, strict=True):
        distance = sum(
            ((place - at) / (one / 6).clamp_min(0.7)) ** 2
            for place, at, one in zip(grid, centre, length, strict=True)
        )
        drawn[label] = torch.maximum(drawn[label], torch.exp(-0.5 * torch.as_tensor(distance)))
    return drawn, lengths, centres


def _focal(scores: Tensor, wanted: Tensor) -> Tensor:
    entropy = functional.binary_cross_entropy_with_logits(scores, wanted, reduction="none")
    right = torch.exp(-entropy)
    return (0.25 * wanted + 0.75 * (1 - wanted)) * (1 - right) ** 2 * entropy
