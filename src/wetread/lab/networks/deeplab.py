"""DeepLabV3+ on a small residual encoder, for planes and blocks.

In: images (n, channels, *patch).  Out: scores (n, outputs, *patch).  Never: weights of its own.

References
----------
Chen et al. 2018, arXiv:1802.02611: atrous spatial pyramid pooling, and a decoder that sees fine features.
"""

from __future__ import annotations

import torch
from monai.networks.blocks import ResidualUnit
from monai.networks.layers.factories import Conv, Norm, Pool
from torch import Tensor, nn
from torch.nn import functional

_RATES = (1, 2, 4)


def _unit(axes: int, channels: int, width: int, size: int, rate: int = 1) -> nn.Sequential:
    return nn.Sequential(
        Conv["conv", axes](channels, width, size, padding=rate * (size // 2), dilation=rate, bias=False),
        Norm["instance", axes](width, affine=True),
        nn.ReLU(inplace=True),
    )


class DeepLab(nn.Module):
    """Encoder to a quarter and an eighth of the resolution, pyramid of dilated convolutions, decoder."""

    def __init__(self, axes: int, channels: int, outputs: int, width: int) -> None:
        super().__init__()
        self.mode = "trilinear" if axes == 3 else "bilinear"
        self.fine = nn.Sequential(
            ResidualUnit(axes, channels, width, strides=2, norm="instance"),
            ResidualUnit(axes, width, 2 * width, strides=2, norm="instance"),
        )
        self.coarse = nn.Sequential(
            ResidualUnit(axes, 2 * width, 4 * width, strides=2, norm="instance"),
            ResidualUnit(axes, 4 * width, 4 * width, norm="instance"),
        )
        self.pyramid = nn.ModuleList(
            [_unit(axes, 4 * width, 2 * width, 1 if rate == 1 else 3, rate) for rate in _RATES]
        )
        # Without normalisation: one value a channel has no spread.
        self.whole = nn.Sequential(
            Pool["adaptiveavg", axes](1), Conv["conv", axes](4 * width, 2 * width, 1), nn.ReLU()
        )
        self.joined = _unit(axes, 2 * width * (len(_RATES) + 1), 2 * width, 1)
        self.decoder = nn.Sequential(
            _unit(axes, 4 * width, 2 * width, 3), Conv["conv", axes](2 * width, outputs, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (n, outputs, *patch)."""
        fine = self.fine(images)
        coarse = self.coarse(fine)
        branches = [branch(coarse) for branch in self.pyramid]
        branches.append(self.whole(coarse).expand_as(branches[0]))
        joined = self._grow(self.joined(torch.cat(branches, dim=1)), fine)
        return self._grow(self.decoder(torch.cat([fine, joined], dim=1)), images)

    def _grow(self, features: Tensor, like: Tensor) -> Tensor:
        return functional.interpolate(features, size=like.shape[2:], mode=self.mode, align_corners=False)
