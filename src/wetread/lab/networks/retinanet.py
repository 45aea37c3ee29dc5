"""RetinaNet: boxes from anchors on a pyramid of features, for planes and blocks.

In: images (n, channels, *patch).  Out: (n, anchors, classes + 2 * axes): scores, then shifts and logarithms
of lengths relative to the anchor.  Never: torchvision.

References
----------
Lin et al. 2017, arXiv:1708.02002. One square anchor a place, as ATSS showed to be enough (arXiv:1912.02424).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from monai.networks.blocks import ResidualUnit
from monai.networks.layers.factories import Conv
from torch import Tensor, nn
from torch.nn import functional

#: Of the levels of the pyramid, in voxels.
STRIDES = (4, 8, 16)
#: Length of an anchor in strides.
ANCHOR_STRIDES = 3.0
_PRIOR = 0.01


class RetinaNet(nn.Module):
    """A residual encoder, a pyramid of three levels, and two heads that all levels share."""

    def __init__(self, axes: int, channels: int, classes: int, width: int) -> None:
        super().__init__()
        conv = Conv["conv", axes]
        self.axes, self.classes = axes, classes
        self.stem = ResidualUnit(axes, channels, width, strides=2, norm="instance")
        widths = [width, 2 * width, 4 * width, 4 * width]
        self.stages = nn.ModuleList(
            [
                ResidualUnit(axes, before, after, strides=2, norm="instance")
                for before, after in pairwise(widths)
            ]
        )
        self.sides = nn.ModuleList([conv(one, 2 * width, 1) for one in widths[1:]])
        self.scores = self._head(axes, 2 * width, classes)
        self.boxes = self._head(axes, 2 * width, 2 * axes)
        with torch.no_grad():
            self.scores[-1].get_parameter("bias").fill_(math.log(_PRIOR / (1 - _PRIOR)))

    @staticmethod
    def _head(axes: int, width: int, outputs: int) -> nn.Sequential:
        conv = Conv["conv", axes]
        return nn.Sequential(conv(width, width, 3, padding=1), nn.ReLU(), conv(width, outputs, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        """Return what is said of each anchor, level by level (see ``anchors_of``)."""
        features = self.stem(images)
        levels = []
        for stage, side in zip(self.stages, self.sides, strict=True):
            features = stage(features)
            levels.append(side(features))
        for at in range(len(levels) - 1, 0, -1):
            levels[at - 1] = levels[at - 1] + functional.interpolate(
                levels[at], size=levels[at - 1].shape[2:], mode="nearest"
            )
        said = [torch.cat([self.scores(level), self.boxes(level)], dim=1).flatten(2) for level in levels]
        return torch.cat(said, dim=2).transpose(1, 2)


def anchors_of(patch: tuple[int, ...]) -> tuple[Tensor, list[int]]:
    """Return the anchors of a patch, (anchors, 2 * axes: lows, then highs), and how many each level has."""
    levels = []
    for stride in STRIDES:
        lengths = [math.ceil(length / stride) for length in patch]
        places = torch.meshgrid(*[(torch.arange(one) + 0.5) * stride for one in lengths], indexing="ij")
        centres = torch.stack([one.flatten() for one in places], dim=1)
        half = ANCHOR_STRIDES * stride / 2
        levels.append(torch.cat([centres - half, centres + half], dim=1))
    return torch.cat(levels), [len(one) for one in levels]
