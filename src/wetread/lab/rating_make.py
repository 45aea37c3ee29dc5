"""Train the networks that rate nodules, and let each judge the patients that it never saw.

In: rated nodules, the run of ``lung-nodule``.  Out: networks, what they say of patients they never saw.
Never: a patient judged by a network that was trained on him, or began with one that was; a half-made file
under its name.

What is in the run folder already is not made again: a run that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wetread.infer.nodule_malignancy import SIDE, cut_slabs, largest_planes, window_about
from wetread.lab.malignancy_make import Outlined
from wetread.lab.nodule_make import TURNS, mirror, read_nets
from wetread.lab.nodule_net import FOLDS, REACH, NetPlan, fold_of
from wetread.lab.rating_net import KEPT, SEEN, RatingNet, RatingPlan, Window, train_rating

Array = npt.NDArray[np.float64]
RATERS = "rater{}-{}.pt"
#: Networks of each fold.
SEEDS = 2
#: Seeds of a fold lie in their own hundred.
_BETWEEN = 100


class Judge(nn.Module):
    """The mean of several networks and four mirrored images: (slices, 5, 64, 64) to (slices, 1)."""

    def __init__(self, raters: Sequence[RatingNet]) -> None:
        super().__init__()
        self.raters = nn.ModuleList(raters)

    def forward(self, slabs: Tensor, outlines: Tensor) -> Tensor:
        """Return the rating above the middle of the ratings."""
        edge = (SIDE - SEEN) // 2
        slabs, outlines = (
            one[:, :, edge : edge + SEEN, edge : edge + SEEN].contiguous() for one in (slabs, outlines)
        )
        said = [
            rater(mirror(slabs, axes), mirror(outlines, axes))[:, :1]
            for rater in self.raters
            for axes in TURNS
        ]
        return torch.stack(said).mean(dim=0)


def keep_window(nodule: Outlined) -> Window:
    """Cut what is needed for training."""
    rows, columns = window_about(nodule.outline, KEPT)
    grey, sure = (one[:, rows, columns] for one in (nodule.grey, nodule.probability))
    outline = nodule.outline[:, rows, columns]
    areas = outline.sum(axis=(1, 2))
    planes = largest_planes(areas)
    return Window(
        patient=nodule.patient,
        rating=nodule.rating,
        readers=nodule.readers,
        grey=np.pad(grey, ((REACH, REACH), (0, 0), (0, 0)), mode="edge").astype(np.float16),
        probability=sure.astype(np.float16),
        outline=outline,
        planes=planes,
        areas=areas[planes].astype(float),
    )


def train_raters(
    nodules: Iterable[Outlined],
    run: Path,
    plan: RatingPlan,
    outlining: NetPlan | None = None,
    told: Callable[[int, int, int, float], None] = lambda _fold, _seed, _step, _loss: None,
) -> list[list[RatingNet]]:
    """Return the networks of each fold, trained on the others; those in ``run`` are read.

    Parameters
    ----------
    told
        Called now and then with the fold, the seed, the step and the loss.
    """
    windows: list[Window] = []
    for fold, seed in _all():
        if not (path := run / RATERS.format(fold, seed)).exists():
            windows = windows or [keep_window(one) for one in nodules]
            others = [one for one in windows if fold_of(one.patient) != fold]
            mine = replace(plan, seed=_BETWEEN * seed + fold)
            torch.manual_seed(mine.seed)
            net = read_nets(run, outlining)[fold]
            rater = train_rating(others, net, mine, partial(told, fold, seed))
            torch.save(rater.state_dict(), part := path.with_suffix(".part"))
            part.rename(path)
    return read_raters(run, outlining)


def read_raters(run: Path, outlining: NetPlan | None = None) -> list[list[RatingNet]]:
    """Return the networks that ``train_raters`` left in a run folder, by fold."""
    raters: list[list[RatingNet]] = [[] for _ in range(FOLDS)]
    for fold, seed in _all():
        rater = RatingNet(read_nets(run, outlining)[fold])
        rater.load_state_dict(torch.load(run / RATERS.format(fold, seed), weights_only=True))
        raters[fold].append(rater.eval())
    return raters


def _all() -> Iterator[tuple[int, int]]:
    return ((fold, seed) for seed in range(SEEDS) for fold in range(FOLDS))


def judge_unseen(nodules: Iterable[Outlined], raters: Sequence[Sequence[RatingNet]]) -> Array:
    """Return the rating of each nodule above the middle, by the networks that never saw its patient."""
    judges = [Judge(some).eval() for some in raters]
    return np.array([_judge(judges[fold_of(one.patient)], one) for one in nodules])


def _judge(judge: Judge, nodule: Outlined) -> float:
    slabs = cut_slabs(nodule.grey, nodule.outline)
    with torch.inference_mode():
        said = judge(torch.from_numpy(slabs.images), torch.from_numpy(slabs.outlines))
    return float(np.average(said[:, 0].numpy(), weights=slabs.areas))
