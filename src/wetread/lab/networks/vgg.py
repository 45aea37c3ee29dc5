"""VGG, for planes and blocks.

In: images (n, channels, *patch).  Out: scores (n, outputs).  Never: weights of its own.

References
----------
Simonyan and Zisserman 2015, arXiv:1409.1556; with batch normalisation and one linear layer.
"""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.layers.factories import Conv, Norm, Pool
from torch import Tensor, nn


class Vgg(nn.Module):
    """Stages of 3-wide convolutions, each followed by max-pooling; then the mean over the image."""

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
        conv, norm, pool = Conv["conv", axes], Norm["batch", axes], Pool["max", axes]
        stages: list[nn.Module] = []
        for width, count in zip(widths, layers, strict=True):
            for _ in range(count):
                stages += [
                    conv(channels, width, 3, padding=1, bias=False),
                    norm(width),
                    nn.ReLU(inplace=True),
                ]
                channels = width
            stages.append(pool(2, ceil_mode=True))
        self.features = nn.Sequential(*stages)
        self.head = nn.Sequential(
            Pool["adaptiveavg", axes](1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels, outputs)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (n, outputs)."""
        scores: Tensor = self.head(self.features(images))
        return scores
