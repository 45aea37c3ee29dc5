"""Batches of an epoch.

In: items, the plan, a seed.  Out: tensors.  Never: a draw that differs when training goes on after a stop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wetread.lab.augment import augment
from wetread.lab.items import Item, centre_of, cut_patch
from wetread.lab.plan import Balance, Plan, Task


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Images and what is true of them."""

    #: (n, channels, *patch).
    images: Tensor
    #: (n,) classes or values; (n, *patch) class numbers.
    truth: Tensor
    #: (n,), mean 1 over the data.
    weights: Tensor
    #: Places of the items.
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Which of several processes this is (torchrun)."""

    rank: int = 0
    size: int = 1


def training_batches(
    items: Sequence[Item], plan: Plan, seed: tuple[int, ...], world: World | None = None
) -> Iterator[Batch]:
    """Yield an epoch's augmented batches; of several processes each gets its share of every batch.

    Parameters
    ----------
    seed
        Numbers that name the epoch: the same give the same batches.
    """
    world = world or World()
    rng = np.random.default_rng(seed)
    drawn, weighted = balance_of(items, plan)
    order = rng.permutation(len(items)) if drawn is None else rng.choice(len(items), len(items), p=drawn)
    size = min(plan.training.batch, len(items))
    count = plan.training.batches or max(1, len(items) // size)
    for number in range(count):
        places = [int(order[(number * size + at) % len(order)]) for at in range(size)][
            world.rank :: world.size
        ]
        patches = [_draw_patch(items[at], plan, rng) for at in places]
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)) + world.rank)
        batch = _collate(items, places, patches, weighted, plan)
        has_masks = plan.task in (Task.SEGMENTATION, Task.DETECTION)
        images, masks = augment(
            batch.images, batch.truth if has_masks else None, plan.augmentation, generator
        )
        yield Batch(
            images=images,
            truth=batch.truth if masks is None else masks,
            weights=batch.weights,
            places=batch.places,
        )


def judged_batches(items: Sequence[Item], plan: Plan) -> Iterator[Batch]:
    """Yield each item once, unchanged, cut around what is marked or around its middle."""
    size = max(1, plan.training.batch)
    for begin in range(0, len(items), size):
        places = list(range(begin, min(begin + size, len(items))))
        patches = [cut_patch(items[at], plan.input, centre_of(items[at])) for at in places]
        yield _collate(items, places, patches, np.ones(len(items)), plan)


def balance_of(items: Sequence[Item], plan: Plan) -> tuple[np.ndarray | None, np.ndarray]:
    """Return how often each item is drawn (None: once) and what it weighs in the loss (mean 1)."""
    classes = [_class_of(item, plan) for item in items]
    subgroups = [item.sample.groups.get(plan.data.subgroup, "") for item in items]
    drawn, weights = np.ones(len(items)), np.array([_own_weight(item) for item in items])
    for values, how in (
        (classes, plan.training.balance),
        (subgroups, plan.training.balance_subgroups),
    ):
        counts = Counter(values)
        rarity = np.array([len(items) / (len(counts) * counts[value]) for value in values])
        if how is Balance.WEIGHTS:
            weights = weights * rarity
        elif how is Balance.SAMPLING:
            drawn = drawn * rarity
    is_even = bool(np.allclose(drawn, drawn[0]))
    return None if is_even else drawn / drawn.sum(), weights / weights.mean()


def _class_of(item: Item, plan: Plan) -> object:
    if item.mask is not None:
        return bool(item.mask.any())
    return item.sample.label if plan.task is Task.CLASSIFICATION else ""


def _draw_patch(item: Item, plan: Plan, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
    """Cut somewhere: the whole image where it fits, on something marked as often as the plan says."""
    if item.mask is None:
        return cut_patch(item, plan.input, centre_of(item))
    if rng.random() < plan.training.foreground and item.mask.any():
        marked = np.argwhere(item.mask)
        planes, rows, columns = marked[rng.integers(len(marked))].tolist()
        # Anywhere in the patch, not always in its middle.
        reach = [length // 3 for length in plan.input.patch[-2:]]
        rows += int(rng.integers(-reach[0], reach[0] + 1))
        columns += int(rng.integers(-reach[1], reach[1] + 1))
    else:
        planes, rows, columns = (int(rng.integers(length)) for length in item.mask.shape)
    return cut_patch(item, plan.input, (planes, rows, columns))


def _collate(
    items: Sequence[Item],
    places: Sequence[int],
    patches: Sequence[tuple[np.ndarray, np.ndarray | None]],
    weights: np.ndarray,
    plan: Plan,
) -> Batch:
    images = torch.from_numpy(np.stack([image for image, _ in patches]))
    masks = [mask for _, mask in patches if mask is not None]
    if masks:
        truth = torch.from_numpy(np.stack(masks)).long()
    else:
        labels = torch.tensor([float(items[at].sample.label or 0) for at in places])
        truth = labels if plan.task is Task.REGRESSION else labels.long()
    return Batch(
        images=images,
        truth=truth,
        weights=torch.tensor(weights[list(places)], dtype=torch.float32),
        places=tuple(places),
    )


def _own_weight(item: Item) -> float:
    """Return what a table of labels says in its column ``weight``; 1 where it says nothing."""
    return float(item.sample.groups.get("weight") or 1)
