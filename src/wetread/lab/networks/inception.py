"""Inception, for planes and blocks.

In: images (n, channels, *patch).  Out: scores (n, outputs).  Never: weights of its own.

References
----------
Szegedy et al. 2015, arXiv:1409.4842; the 5-wide branch as two 3-wide ones, as in arXiv:1512.00567.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.layers.factories import Conv, Norm, Pool
from torch import Tensor, nn


def _unit(axes: int, channels: int, width: int, size: int) -> nn.Sequential:
    return nn.Sequential(
        Conv["conv", axes](channels, width, size, padding=size // 2, bias=False),
        Norm["batch", axes](width),
        nn.ReLU(inplace=True),
    )


class _Block(nn.Module):
    """Four branches side by side: 1; 1 and 3; 1, 3 and 3; pooling and 1."""

    def __init__(self, axes: int, channels: int, width: int) -> None:
        super().__init__()
        part = max(1, width // 4)
        self.branches = nn.ModuleList(
            [
                _unit(axes, channels, width - 3 * part, 1),
                nn.Sequential(_unit(axes, channels, part, 1), _unit(axes, part, part, 3)),
                nn.Sequential(
                    _unit(axes, channels, part, 1), _unit(axes, part, part, 3), _unit(axes, part, part, 3)
                ),
                nn.Sequential(Pool["max", axes](3, stride=1, padding=1), _unit(axes, channels, part, 1)),
            ]
        )

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([branch(images) for branch in self.branches], dim=1)


class Inception(nn.Module):
    """Stages of blocks, each followed by max-pooling; then the mean over the image."""

    def __init__(
        self,
        axes: int,
        channels: int,
        outputs: int,
        widths: Sequence[int],
        layers: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        stages: list[nn.Module] = [_unit(axes, channels, widths[0], 3)]
        channels = widths[0]
        for width, count in zip(widths, layers, strict=True):
            for _ in range(count):
                stages.append(_Block(axes, channels, width))
                channels = width
            stages.append(Pool["max", axes](2, ceil_mode=True))
        self.features = nn.Sequential(*stages)
        self.head = nn.Sequential(
            Pool["adaptiveavg", axes](1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels, outputs)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (n, outputs)."""
        scores: Tensor = self.head(self.features(images))
        return scores
