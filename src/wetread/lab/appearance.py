"""How a nodule looks, learned: what the outlining networks see inside of an outline, and a line through it.

In: outlining networks, networks trained on ratings, slabs and outlines.  Out: features; a network that tells
log odds.
Never: the network's own outlines trained again; a place in the lung.

Each network halves its image three times; of its two deepest levels the mean and the highest answer under the
outline are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from wetread.infer.nodule_malignancy import SIDE, Slabs
from wetread.lab.export import halve_weights, save_network, trace
from wetread.lab.nodule_net import REACH, NoduleNet

Array = npt.NDArray[np.float64]
_LEVELS = (2, 3)
#: A cell counts for the highest answer if so much of it is outlined.
_LEAST_SHARE = 0.05
_FAR_BELOW = -1e4
_BATCH = 32


class Appearance(nn.Module):
    """The mean of several networks' lines: (slices, 5, 64, 64) and outlines to (slices, 1).

    Parameters
    ----------
    judge, worth
        A network of the same form that tells a rating, and the log odds of a point of it.
    """

    def __init__(self, nets: Sequence[NoduleNet], judge: nn.Module | None = None, worth: float = 0.0) -> None:
        super().__init__()
        self.judge, self.worth = judge, worth
        self.downs = nn.ModuleList(net.down for net in nets)
        features = 2 * sum(nets[0].widths[level] for level in _LEVELS)
        self.lines = nn.ModuleList(nn.Linear(features, 1) for _ in nets)

    def forward(self, slabs: Tensor, outlines: Tensor) -> Tensor:
        """Return what appearance adds to the log odds."""
        said = [
            line(pool_features(down, slabs, outlines))
            for down, line in zip(self.downs, self.lines, strict=True)
        ]
        lines = torch.stack(said).mean(dim=0)
        if self.judge is None:
            return lines
        rated: Tensor = self.judge(slabs, outlines)
        return lines + self.worth * rated


def pool_features(down: nn.Module, slabs: Tensor, outlines: Tensor) -> Tensor:
    """Return what a network's halving side sees under outlines, (slices, features)."""
    pooled, x = [], slabs
    for level, block in enumerate(down.children()):
        x = block(functional.max_pool2d(x, 2) if level else x)
        if level in _LEVELS:
            share = functional.avg_pool2d(outlines, 2**level)
            pooled.append((x * share).sum((2, 3)) / share.sum((2, 3)).clamp(min=1e-6))
            seen = torch.where(share > _LEAST_SHARE, x, torch.full_like(x, _FAR_BELOW)).amax((2, 3))
            pooled.append(torch.where(seen > _FAR_BELOW / 2, seen, torch.zeros_like(seen)))
    return torch.cat(pooled, dim=1)


def measure_looks(net: NoduleNet, nodules: Sequence[Slabs]) -> Array:
    """Return the features of each nodule by one network, mean of its slices by area: (nodules, features)."""
    images = np.concatenate([one.images for one in nodules])
    outlines = np.concatenate([one.outlines for one in nodules])
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            some = slice(start, start + _BATCH)
            parts.append(
                pool_features(net.down, torch.from_numpy(images[some]), torch.from_numpy(outlines[some]))
            )
    by_slice = torch.cat(parts).numpy().astype(float)
    ends = np.cumsum([len(one.areas) for one in nodules])
    each = np.split(by_slice, ends[:-1])
    return np.stack(
        [np.average(part, axis=0, weights=one.areas) for part, one in zip(each, nodules, strict=True)]
    )


def save_appearance(
    nets: Sequence[NoduleNet],
    slopes: Array,
    offsets: Array,
    path: Path,
    judge: nn.Module | None = None,
    worth: float = 0.0,
) -> None:
    """Write the network, weights in half precision.

    Parameters
    ----------
    slopes, offsets
        Of each network's line, (nets, features) and (nets,): log odds of a feature.
    judge, worth
        See ``Appearance``.
    """
    model = Appearance(nets, judge, worth).eval()
    for line, slope, offset in zip(model.lines, slopes, offsets, strict=True):
        line.weight.data = torch.from_numpy(slope[None]).float()
        line.bias.data = torch.tensor([offset]).float()
    model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    inputs = {"slabs": torch.zeros(2, 2 * REACH + 1, SIDE, SIDE), "outlines": torch.ones(2, 1, SIDE, SIDE)}
    network = trace(model, inputs, {0: torch.export.Dim("slices", min=1, max=64)}, "log_odds")
    halve_weights(network)
    save_network(network, path)
