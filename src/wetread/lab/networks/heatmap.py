"""Detection by heat-map: where the centre of something is, and how large it is.

In: images (n, channels, *patch).  Out: (n, classes + axes, *patch): scores of centres, logarithms of the
box's lengths in voxels.  Never: anchors.

References
----------
Zhou et al. 2019, Objects as Points, arXiv:1904.07850.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from monai.networks import nets
from torch import Tensor, nn

#: Share of voxels that are taken for a centre before anything was learned.
_PRIOR = 0.01


class HeatMap(nn.Module):
    """A residual U-Net with a head of centres and one of sizes."""

    def __init__(self, axes: int, channels: int, classes: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.classes = classes
        self.inner = nets.UNet(
            spatial_dims=axes,
            in_channels=channels,
            out_channels=classes + axes,
            channels=widths,
            strides=[2] * (len(widths) - 1),
            num_res_units=1,
            norm="instance",
        )
        self.shift = nn.Parameter(torch.zeros(classes + axes))
        with torch.no_grad():
            self.shift[:classes] = math.log(_PRIOR / (1 - _PRIOR))
            self.shift[classes:] = math.log(8.0)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores and sizes."""
        maps: Tensor = self.inner(images)
        return maps + self.shift.view(1, -1, *[1] * (maps.ndim - 2))
