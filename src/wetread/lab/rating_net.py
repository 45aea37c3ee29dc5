"""The network that rates an outlined nodule: the halving side of an outlining network, trained on.

In: windows about rated nodules, their automatic outlines, an outlining network.  Out: weights.
Never: a reader's outline; a rating of a patient who is judged; normalisation by the batch.

Five neighbouring slices in; of the two deepest levels the mean and the highest answer under the outline go
through one line. How many readers marked the nodule is told beside its rating: what they share, both teach.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from wetread.domain.mask import BoolArray
from wetread.lab.appearance import pool_features
from wetread.lab.nodule_net import REACH, Block, NoduleNet, average_weights

Array = npt.NDArray[np.float64]
#: The side of what it sees, and of what is kept about each nodule, to be turned.
SEEN, KEPT = 48, 96
#: The middle of the ratings: what is said of a nodule in doubt is 0.
MIDDLE = 3.0
_LEVELS = (2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingPlan:
    """How it is trained."""

    steps: int = 900
    #: Nodules of a step, and slices of each.
    batch: int = 24
    slices: int = 2
    learning_rate: float = 4e-4
    head_rate: float = 2e-3
    weight_decay: float = 0.02
    ema: float = 0.995
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """What is kept of one rated nodule."""

    patient: str
    #: 1 to 5.
    rating: float
    #: How many marked it.
    readers: int
    #: (slices + 2 * REACH, KEPT, KEPT), normalised; ends repeated.
    grey: npt.NDArray[np.float16]
    #: (slices, KEPT, KEPT), by a network that never saw the patient, and the nodule's outline from it.
    probability: npt.NDArray[np.float16]
    outline: npt.NDArray[np.bool_]
    #: The nodule's largest slices, and the voxels of the outline on each.
    planes: npt.NDArray[np.int64]
    areas: Array


class RatingNet(nn.Module):
    """(slices, 5, rows, columns) and outlines to (slices, 2): rating and readers, above what is usual."""

    middle: Tensor
    spread: Tensor

    def __init__(self, net: NoduleNet) -> None:
        super().__init__()
        self.down = net.down
        features = 2 * sum(net.widths[level] for level in _LEVELS)
        self.drop, self.head = nn.Dropout(0.3), nn.Linear(features, 2)
        nn.init.normal_(self.head.weight, 0, 0.003)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("middle", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        for one in self.down:
            block = cast("Block", one)
            for conv, norm in ((block.first, block.norm_first), (block.second, block.norm_second)):
                _absorb(conv, norm)

    def forward(self, slabs: Tensor, outlines: Tensor) -> Tensor:
        """Return what is said of each slice."""
        features = pool_features(self.down, slabs, outlines).float()
        said: Tensor = self.head(self.drop((features - self.middle) / self.spread))
        return said


def _absorb(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Take a normalisation by fixed numbers into the weights before it, and leave one that does nothing."""
    kept = dict(norm.named_buffers())
    mean, variance = kept["running_mean"], kept["running_var"]
    with torch.no_grad():
        scale = norm.weight / torch.sqrt(variance + norm.eps)
        conv.weight.mul_(scale[:, None, None, None])
        norm.bias.sub_(mean * scale)
        norm.weight.fill_(1)
        mean.zero_()
        variance.fill_(1 - norm.eps)


def train_rating(
    windows: Sequence[Window],
    net: NoduleNet,
    plan: RatingPlan,
    tell: Callable[[int, float], None] = lambda _step, _loss: None,
) -> RatingNet:
    """Return a network trained on ratings: the moving average of its weights.

    Parameters
    ----------
    net
        It begins with what this one learned; changed.
    tell
        Called now and then with the step and the loss.
    """
    chance = np.random.default_rng(plan.seed)
    rater = RatingNet(net).eval()
    _measure_features(rater, windows, chance)
    rater.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = deepcopy(rater)
    optimiser = torch.optim.AdamW(
        [{"params": rater.down.parameters()}, {"params": rater.head.parameters()}],
        weight_decay=plan.weight_decay,
    )
    rates = [plan.learning_rate, plan.head_rate]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, plan.steps, pct_start=0.15)
    usual = float(np.mean([one.readers for one in windows]))
    rater.drop.train()
    order: list[int] = []
    loss_now = 0.0
    for step in range(plan.steps):
        if len(order) < plan.batch:
            order += chance.permutation(len(windows)).tolist()
        chosen, order = [windows[one] for one in order[: plan.batch]], order[plan.batch :]
        slabs, outlines = _vary(*_cut(chosen, chance, plan.slices), chance)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            said = rater(_last(slabs), _last(outlines))
        loss = _loss(said.float().view(len(chosen), plan.slices, 2), chosen, usual)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(rater.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        average_weights(averaged, rater, min(plan.ema, (step + 1) / (step + 10)))
        loss_now += 0.02 * (loss.item() - loss_now)
        if step % 100 == 99:
            tell(step + 1, loss_now)
    return averaged.eval()


def _last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def _measure_features(rater: RatingNet, windows: Sequence[Window], chance: np.random.Generator) -> None:
    """Bring the features to about 0 and 1 before the line is trained."""
    some = chance.choice(len(windows), min(200, len(windows)), replace=False)
    slabs, outlines = _vary(*_cut([windows[one] for one in some], chance, 1), chance)
    with torch.inference_mode():
        features = pool_features(rater.down, slabs, outlines)
    rater.middle.copy_(features.mean(0))
    rater.spread.copy_(features.std(0) + 0.05)


def _loss(said: Tensor, chosen: Sequence[Window], usual: float) -> Tensor:
    """Return the squared error of the slices' mean, and a little of each; more readers weigh more."""
    rating = torch.tensor([one.rating - MIDDLE for one in chosen])
    readers = torch.tensor([float(one.readers) for one in chosen])
    weight = readers / (readers + 1)
    weight = weight / weight.mean()
    mean = said.mean(1)
    error = (weight * (mean[:, 0] - rating) ** 2).mean()
    each = (weight[:, None] * (said[:, :, 0] - rating[:, None]) ** 2).mean()
    return error + 0.25 * each + 0.3 * ((mean[:, 1] - (readers - usual)) ** 2).mean()


def _cut(chosen: Sequence[Window], chance: np.random.Generator, slices: int) -> tuple[Tensor, Tensor]:
    slabs, outlines = [], []
    for one in chosen:
        share = np.sqrt(one.areas) / np.sqrt(one.areas).sum()
        for plane in chance.choice(one.planes, slices, p=share):
            slabs.append(one.grey[plane : plane + 2 * REACH + 1])
            outlines.append(_redraw(one, int(plane), chance)[None])
    return _tensor(np.stack(slabs)), _tensor(np.stack(outlines))


def _redraw(window: Window, plane: int, chance: np.random.Generator) -> BoolArray:
    """Return the outline as it is, or as another level of probability would draw it."""
    level = chance.uniform(0.35, 0.65)
    drawn, sure = window.outline[plane], window.probability[plane]
    other = (sure > level) & (drawn | (sure < 0.5))
    if chance.random() < 0.5 and (other & drawn).any() and other.sum() < 3 * drawn.sum():
        return np.asarray(other)
    return np.asarray(drawn)


def _vary(slabs: Tensor, outlines: Tensor, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Turn, flip, scale, shift and cut; turn the order of the slices; change contrast, add noise."""
    count = len(slabs)
    angle = chance.uniform(-np.pi, np.pi, count)
    scale = np.exp(chance.normal(0, 0.12, count)) * SEEN / KEPT
    flip = chance.choice([-1.0, 1.0], count)
    # Some 2.5 pixels.
    shift = chance.normal(0, 5 / KEPT, (2, count))
    cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
    rows = [np.stack([cosine * flip, -sine, shift[0]], 1), np.stack([sine * flip, cosine, shift[1]], 1)]
    grid = functional.affine_grid(_tensor(np.stack(rows, 1)), [count, 1, SEEN, SEEN], align_corners=False)
    both = functional.grid_sample(
        torch.cat([slabs, outlines], 1),
        grid,
        mode="bilinear",
        padding_mode="reflection",
        align_corners=False,
    )
    slabs, outlines = both[:, :-1], (both[:, -1:] > 0.5).float()
    turned = _tensor(chance.random((count, 1, 1, 1)) < 0.5)
    slabs = turned * slabs.flip(1) + (1 - turned) * slabs
    gain = _tensor(chance.normal(1, 0.1, (count, 1, 1, 1)))
    offset = _tensor(chance.normal(0, 0.06, (count, 1, 1, 1)))
    noise = _tensor(np.abs(chance.normal(0, 0.04, (count, 1, 1, 1))))
    return slabs * gain + offset + noise * torch.randn_like(slabs), outlines


def _tensor(values: npt.NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
