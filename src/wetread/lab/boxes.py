"""Boxes: how much they overlap, which anchors stand for them, which of many say the same.

In: boxes (n, 2 * axes) in voxels, lows then highs.  Out: numbers, matches.  Never: torchvision.
"""

from __future__ import annotations

import torch
from scipy import ndimage
from torch import Tensor

#: Anchors of each level that are looked at for one box.
_NEAREST = 9


def boxes_of(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the boxes of what is connected in a mask, and the class of each.

    Parameters
    ----------
    mask
        (*patch), class numbers, 0 the background.
    """
    boxes, classes = [], []
    values = mask.cpu().numpy()
    for value in range(1, int(values.max(initial=0)) + 1):
        labelled, _ = ndimage.label(values == value)
        for place in ndimage.find_objects(labelled):
            boxes.append([float(one.start) for one in place] + [float(one.stop) for one in place])
            classes.append(value - 1)
    return torch.tensor(boxes).view(-1, 2 * mask.ndim), torch.tensor(classes, dtype=torch.long)


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """Return intersection over union, (n, m)."""
    axes = first.shape[1] // 2
    low = torch.maximum(first[:, None, :axes], second[None, :, :axes])
    high = torch.minimum(first[:, None, axes:], second[None, :, axes:])
    shared = (high - low).clamp_min(0).prod(dim=2)
    union = _size(first)[:, None] + _size(second)[None] - shared
    return shared / union.clamp_min(1e-6)


def match_anchors(anchors: Tensor, levels: list[int], boxes: Tensor) -> Tensor:
    """Choose the anchors that stand for each box, adaptively (ATSS).

    Of the anchors nearest to the box's centre on each level those count that overlap it by more than the
    mean plus one standard deviation of all of them, and whose centre lies inside.

    Returns
    -------
    Tensor
        For each anchor the number of its box, -1 for none. Where two boxes want one, it goes to the one
        that overlaps it more.

    References
    ----------
    Zhang et al. 2020, arXiv:1912.02424.
    """
    chosen = torch.full((len(anchors),), -1, dtype=torch.long)
    if not len(boxes):
        return chosen
    axes = boxes.shape[1] // 2
    centres, middle = _centre(anchors), _centre(boxes)
    overlaps = overlap(anchors, boxes)
    best = torch.zeros(len(anchors))
    for number in range(len(boxes)):
        near = _nearest(torch.linalg.vector_norm(centres - middle[number], dim=1), levels)
        values = overlaps[near, number]
        least = values.mean() + values.std(unbiased=False)
        is_inside = ((centres[near] > boxes[number, :axes]) & (centres[near] < boxes[number, axes:])).all(
            dim=1
        )
        fits = near[(values >= least) & is_inside]
        if not len(fits):  # a box smaller than the grid: the nearest anchor of all
            fits = near[values.argmax()].view(1)
        fits = fits[overlaps[fits, number] >= best[fits]]
        chosen[fits], best[fits] = number, overlaps[fits, number]
    return chosen


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return boxes relative to anchors: shifts in lengths of the anchor, logarithms of lengths."""
    lengths = _lengths(anchors)
    shifts = (_centre(boxes) - _centre(anchors)) / lengths
    return torch.cat([shifts, torch.log(_lengths(boxes).clamp_min(1.0) / lengths)], dim=1)


def decode(said: Tensor, anchors: Tensor) -> Tensor:
    """Return the boxes that ``encode`` described."""
    axes = anchors.shape[1] // 2
    lengths = _lengths(anchors)
    middle = _centre(anchors) + said[:, :axes] * lengths
    half = 0.5 * lengths * torch.exp(said[:, axes:].clamp(-4, 4))
    return torch.cat([middle - half, middle + half], dim=1)


def suppress(boxes: Tensor, scores: Tensor, most_overlap: float = 0.3) -> Tensor:
    """Return the places of boxes that no better one overlaps by more than ``most_overlap``, best first."""
    order = scores.argsort(descending=True)
    overlaps = overlap(boxes, boxes)
    kept: list[int] = []
    for at in order.tolist():
        if all(float(overlaps[at, one]) <= most_overlap for one in kept):
            kept.append(at)
    return torch.tensor(kept, dtype=torch.long)


def _nearest(distance: Tensor, levels: list[int]) -> Tensor:
    near, begin = [], 0
    for count in levels:
        near.append(begin + distance[begin : begin + count].topk(min(_NEAREST, count), largest=False).indices)
        begin += count
    return torch.cat(near)


def _centre(boxes: Tensor) -> Tensor:
    axes = boxes.shape[1] // 2
    return (boxes[:, :axes] + boxes[:, axes:]) / 2


def _lengths(boxes: Tensor) -> Tensor:
    axes = boxes.shape[1] // 2
    return boxes[:, axes:] - boxes[:, :axes]


def _size(boxes: Tensor) -> Tensor:
    return _lengths(boxes).clamp_min(0).prod(dim=1)
