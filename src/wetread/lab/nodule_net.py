"""The network that finds and outlines lung nodules: 2.5D, residual, small.

In: crops of nodules with the votes of their readers.  Out: weights.
Never: a patient on both sides of a fold; the place of the nodule in its crop told to the network.

Five neighbouring slices in, the middle one's probabilities out. Each slice is normalised by Otsu's threshold,
which undoes the grey stretch of a series. The nodule lies anywhere in a patch, or not in it at all.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from wetread.imaging.recipe import Recipe, apply_recipe
from wetread.imaging.recipe_steps import Otsu
from wetread.lab.samples import SampleSet
from wetread.measure.nodule_traits import HIGHEST, LOWEST

#: Slices on each side of the one that is outlined.
REACH = 2
FOLDS = 3
RECIPE = Recipe((Otsu(by_plane=True),))


@dataclass(frozen=True, slots=True, kw_only=True)
class NetPlan:
    """How it is trained."""

    widths: tuple[int, ...] = (20, 40, 80, 112)
    patch: int = 64
    batch: int = 32
    steps: int = 3600
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    ema: float = 0.998
    #: Share of the patches that are put anywhere, with or without the nodule.
    share_anywhere: float = 0.25
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One nodule, ready to be cut."""

    id: str
    patient: str
    #: (slices + 2 * REACH, rows, columns), normalised; ends repeated.
    grey: npt.NDArray[np.float16]
    #: (slices, rows, columns): share of the readers that marked it.
    share: npt.NDArray[np.float16]


def fold_of(patient: str, folds: int = FOLDS, salt: str = "") -> int:
    """Return the fold of a patient, the same for ever; another salt gives other folds."""
    return zlib.crc32(f"{salt}{patient}".encode()) % folds


def read_crop(crops: SampleSet, number: int, votes: npt.NDArray[np.uint8]) -> Crop:
    """Prepare one crop; ``votes`` as the file has them."""
    sample = crops.samples[number]
    grey = normalise(crops.load(sample).voxels)
    padded = np.pad(grey, ((REACH, REACH), (0, 0), (0, 0)), mode="edge").astype(np.float16)
    return Crop(sample.id, sample.patient, padded, (votes / max(1, int(votes.max()))).astype(np.float16))


def normalise(voxels: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Return the grey levels as the network gets them, (slices, rows, columns)."""
    return np.clip(apply_recipe(RECIPE, voxels).voxels, LOWEST, HIGHEST)


class Block(nn.Module):
    """Two convolutions beside a way past them."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm_first, self.norm_second = nn.BatchNorm2d(after), nn.BatchNorm2d(after)
        self.past = nn.Conv2d(before, after, 1, bias=False) if before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return what both ways give."""
        y = functional.relu(self.norm_first(self.first(x)))
        y = self.norm_second(self.second(y))
        return functional.relu(y + self.past(x))


class NoduleNet(nn.Module):
    """A residual U-Net: (batch, 5, rows, columns) to logits (batch, 1, rows, columns); sides divide by 8."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.down = nn.ModuleList()
        before = 2 * REACH + 1
        for width in widths:
            self.down.append(Block(before, width))
            before = width
        self.up = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.up.append(Block(before + width, width))
            before = width
        self.last = nn.Conv2d(before, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        kept = []
        for number, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if number else x)
            kept.append(x)
        for block, past in zip(self.up, reversed(kept[:-1]), strict=True):
            x = block(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="nearest"), past], 1))
        logits: Tensor = self.last(x)
        return logits


def train_net(
    crops: Sequence[Crop], plan: NetPlan, tell: Callable[[int, float], None] = lambda _step, _loss: None
) -> NoduleNet:
    """Return a network trained on crops: the moving average of its weights.

    Parameters
    ----------
    tell
        Called now and then with the step and the loss.
    """
    torch.manual_seed(plan.seed)
    chance = np.random.default_rng(plan.seed)
    net = NoduleNet(plan.widths)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = deepcopy(net).eval()
    optimiser = torch.optim.AdamW(net.parameters(), plan.learning_rate, weight_decay=plan.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.learning_rate, plan.steps, pct_start=0.1)
    places = np.array([(one, plane) for one, crop in enumerate(crops) for plane in range(len(crop.share))])
    # A nodule of many slices is no more worth than one of few: half way between.
    weights = np.array([len(crops[one].share) ** -0.5 for one, _plane in places])
    weights /= weights.sum()
    loss_now = 0.0
    for step in range(plan.steps):
        chosen = places[chance.choice(len(places), plan.batch, p=weights)]
        grey, share = _cut(crops, chosen, plan, chance)
        grey, share = _vary(grey, share, chance)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = net(grey.contiguous(memory_format=torch.channels_last))
        loss = _loss(logits.float(), share)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        average_weights(averaged, net, min(plan.ema, (step + 1) / (step + 10)))
        loss_now += 0.02 * (loss.item() - loss_now)
        if step % 100 == 99:
            tell(step + 1, loss_now)
    return averaged


def average_weights(averaged: nn.Module, net: nn.Module, kept: float) -> None:
    """Move a moving average of weights on: ``kept`` of it stays."""
    with torch.no_grad():
        for mean, now in zip(averaged.state_dict().values(), net.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(now, 1 - kept)
            else:
                mean.copy_(now)


def _cut(
    crops: Sequence[Crop], chosen: npt.NDArray[np.int64], plan: NetPlan, chance: np.random.Generator
) -> tuple[Tensor, Tensor]:
    size = plan.patch
    grey = np.empty((len(chosen), 2 * REACH + 1, size, size), np.float32)
    share = np.empty((len(chosen), 1, size, size), np.float32)
    for number, (one, plane) in enumerate(chosen):
        crop = crops[one]
        rows, columns = crop.share.shape[1:]
        most = (rows - size, columns - size)
        if chance.random() < plan.share_anywhere:
            corner = [int(chance.integers(0, end + 1)) for end in most]
        else:
            inside = np.argwhere(crop.share[plane] > 0)
            centre = inside.mean(0) if len(inside) else np.array([rows, columns]) / 2
            margin = size // 8
            offsets = chance.integers(margin, size - margin, 2)
            corner = [
                int(np.clip(round(at - off), 0, end))
                for at, off, end in zip(centre, offsets, most, strict=True)
            ]
        window = (slice(corner[0], corner[0] + size), slice(corner[1], corner[1] + size))
        grey[number] = crop.grey[plane : plane + 2 * REACH + 1, *window]
        share[number, 0] = crop.share[plane, *window]
    return torch.from_numpy(grey), torch.from_numpy(share)


def _vary(grey: Tensor, share: Tensor, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Turn, flip, scale and shift the whole batch, each patch by its own numbers."""
    count = len(grey)
    angle = torch.from_numpy(chance.uniform(-np.pi, np.pi, count)).float()
    scale = torch.from_numpy(np.exp(chance.normal(0, 0.15, count))).float()
    flip = torch.from_numpy(chance.choice([-1.0, 1.0], count)).float()
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    matrix = torch.stack(
        [
            torch.stack([cosine * flip, -sine, torch.zeros(count)], 1),
            torch.stack([sine * flip, cosine, torch.zeros(count)], 1),
        ],
        1,
    )
    grid = functional.affine_grid(matrix, list(share.shape), align_corners=False)
    both = functional.grid_sample(
        torch.cat([grey, share], 1), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    grey, share = both[:, :-1], both[:, -1:]
    if chance.random() < 0.5:
        grey = grey.flip(1)
    gain = torch.from_numpy(chance.normal(1.0, 0.12, (count, 1, 1, 1))).float()
    shift = torch.from_numpy(chance.normal(0.0, 0.08, (count, 1, 1, 1))).float()
    noise = torch.from_numpy(np.abs(chance.normal(0.0, 0.04, (count, 1, 1, 1)))).float()
    grey = grey * gain + shift + noise * torch.randn_like(grey)
    return grey, share.clamp(0, 1)


def _loss(logits: Tensor, share: Tensor) -> Tensor:
    bce = functional.binary_cross_entropy_with_logits(logits, share, reduction="none")
    probability = torch.sigmoid(logits)
    axes = (1, 2, 3)
    overlap = (probability * share).sum(axes)
    dice = 1 - (2 * overlap + 1) / (probability.sum(axes) + share.sum(axes) + 1)
    # Of patches without nodule only the first: their Dice says nothing.
    has_nodule = share.amax(axes) > 0.25
    return 20 * bce.mean() + (dice * has_nodule).sum() / has_nodule.sum().clamp(min=1)
