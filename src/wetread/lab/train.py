"""Train: from labelled images and a plan to a run folder.

In: ``Plan``, a data set.  Out: a folder named by content: networks, out-of-fold scores, ``run.json``.
Never: a network judged by whom it has seen; work done twice after a stop.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wetread.errors import InvalidPlan
from wetread.lab.feed import World, judged_batches
from wetread.lab.fit import Fitted, Job, fit, say
from wetread.lab.items import Item, Items, prepare_items, read_parts
from wetread.lab.objectives import objective_of
from wetread.lab.operating import SHIFTS, OperatingPoint, calibrate, choose_threshold
from wetread.lab.pictures import draw_curves
from wetread.lab.plan import OperatingKind, Plan, Task
from wetread.lab.run import (
    Member,
    Run,
    describe_data,
    plan_content,
    read_run,
    run_digest,
    save_arrays,
    versions,
    write_run,
)
from wetread.lab.sampled import picture_samples
from wetread.lab.splits import Split, split_by_patient
from wetread.lab.tracking import track

#: ``(what, done, total, numbers)``: a step of the work, for a progress bar.
Told = Callable[[str, int, int, dict[str, float]], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Training:
    """What all networks of a run share."""

    plan: Plan
    items: Items
    split: Split
    digest: str
    folder: Path
    world: World
    device: torch.device
    told: Told


def train(
    plan: Plan, data: Path, out: Path, *, labels: Path | None = None, told: Told = lambda *_: None
) -> Run:
    """Train every fold and member of a plan, or go on where a stop left it.

    Parameters
    ----------
    data
        What ``lab.read.read_samples`` reads.
    out
        Folder of runs; the run's own folder in it is named after the plan and the digest of plan, data and
        split.
    labels
        Table of labels beside the data.

    Raises
    ------
    InvalidSamples, InvalidPlan, TrainingDiverged, StorageError
        As their names say; after ``StorageError`` the same call goes on.
    """
    world, device = _join_world()
    items = prepare_items(
        read_parts(data, plan.data.parts, labels),
        plan,
        lambda done, total: told("preparing", done, total, {}),
    )
    classes = len(plan.data.classes) if plan.task is Task.CLASSIFICATION else 0
    split = split_by_patient([one.sample for one in items.items], plan.split.folds, plan.split.seed, classes)
    digest = run_digest(plan, items, split)
    folder = out / f"{plan.name}-{digest[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    training = _Training(
        plan=plan,
        items=items,
        split=split,
        digest=digest,
        folder=folder,
        world=world,
        device=device,
        told=told,
    )
    content = _describe(training)
    if _is_over(folder):
        return read_run(folder)
    if not world.rank:
        write_run(folder, content)
    _train_all(training, content)
    if world.size > 1:  # the first process writes, the others read
        torch.distributed.barrier()
    return read_run(folder)


def _train_all(training: _Training, content: dict[str, Any]) -> None:
    began = time.monotonic()
    plan = training.plan
    members: list[Member] = []
    networks: list[nn.Module] = []
    for fold in plan.split.only or range(plan.split.folds):
        for number in range(plan.training.members):
            seed = plan.training.seed + fold * plan.training.members + number
            fitted = _fit(training, fold, seed, members)
            networks.append(fitted.network)
            members.append(
                Member(
                    fold=fold,
                    seed=seed,
                    weights_digest=fitted.weights_digest,
                    best_epoch=fitted.best_epoch,
                    scores=fitted.scores,
                    history=fitted.history,
                    taken_over=fitted.taken_over,
                )
            )
    if training.world.rank:
        return
    content["members"] = [asdict(one) for one in members]
    content["out_of_fold"], point = _judge(training, members, networks)
    content["operating_point"] = None if point is None else asdict(point)
    content["seconds"] = round(time.monotonic() - began, 1)
    content["is_over"] = True
    write_run(training.folder, content)
    track(training.folder, content)


def _describe(training: _Training) -> dict[str, Any]:
    return {
        "name": training.plan.name,
        "digest": training.digest,
        "is_over": False,
        "plan": plan_content(training.plan),
        "data": describe_data(training.items),
        "split": asdict(training.split),
        "versions": versions(),
        "members": [],
        "out_of_fold": {},
        "operating_point": None,
    }


def _is_over(folder: Path) -> bool:
    try:
        read_run(folder)
    except InvalidPlan:
        return False
    return True


def _fit(training: _Training, fold: int, seed: int, before: Sequence[Member]) -> Fitted:
    plan, items = training.plan, training.items.items
    held_out = [items[at] for at in training.split.held_out(fold)]
    job = Job(
        plan=plan,
        trained_on=[items[at] for at in training.split.trained_on(fold)],
        held_out=held_out,
        seed=seed,
        run_digest=f"{training.digest} fold {fold} seed {seed}",
        world=training.world,
        device=training.device,
    )
    folder = training.folder / f"fold{fold}-seed{seed}"
    folder.mkdir(exist_ok=True)
    histories: dict[str, Any] = {one.folder: one.history for one in before}
    own: list[dict[str, float]] = histories.setdefault(folder.name, [])

    def told(epoch: int, record: dict[str, float]) -> None:
        own.append(record)
        training.told(folder.name, epoch, plan.training.epochs, record)
        if not training.world.rank:
            draw_curves(training.folder / "curves.png", histories)

    fitted = fit(job, folder, told)
    if not training.world.rank:
        picture_samples(training.folder / f"samples-{folder.name}.png", fitted.network, held_out, plan)
    return fitted


def _judge(
    training: _Training, members: Sequence[Member], networks: Sequence[nn.Module]
) -> tuple[dict[str, Any], OperatingPoint | None]:
    """Return out-of-fold scores and, of two classes, what makes a probability and a finding of them."""
    plan = training.plan
    if plan.task not in (Task.CLASSIFICATION, Task.REGRESSION):
        names = dict.fromkeys(
            name for one in members for name, value in one.scores.items() if np.isfinite(value)
        )
        return {
            name: float(np.nanmean([one.scores.get(name, np.nan) for one in members])) for name in names
        }, None
    is_robust = plan.operating_point.kind is OperatingKind.ROBUST
    wanted = ["", *(SHIFTS if is_robust else ())]
    places, said, truth = _say_out_of_fold(training, members, networks, wanted)
    scores = objective_of(plan).score([said[""]], [truth])
    arrays: dict[str, npt.NDArray[Any]] = {
        "ids": np.array([training.items.items[at].sample.id for at in places]),
        "folds": np.array([training.split.folds[at] for at in places]),
        "said": said[""].numpy(),
        "truth": truth.numpy(),
    }
    point = None
    if plan.task is Task.CLASSIFICATION and len(plan.data.classes) == 2:
        point = _operating_point(plan, said, truth)
        arrays["probability"] = point.probability(_margins(plan, said[""]))
        found, is_positive = arrays["probability"] >= point.threshold, _is_positive(plan, truth)
        scores |= {
            "accuracy": float((found == is_positive).mean()),
            "sensitivity": float(found[is_positive].mean()),
            "specificity": float((~found[~is_positive]).mean()),
        }
    save_arrays(training.folder / "out_of_fold.npz", arrays)
    return scores, point


def _say_out_of_fold(
    training: _Training, members: Sequence[Member], networks: Sequence[nn.Module], shifts: Sequence[str]
) -> tuple[list[int], dict[str, Tensor], Tensor]:
    """Return places of the items, what those networks say that did not see them (as they are, ``""``, and
    shifted), and what is true.
    """
    places: list[int] = []
    said: dict[str, list[Tensor]] = {name: [] for name in shifts}
    truth: list[Tensor] = []
    for fold in dict.fromkeys(one.fold for one in members):
        own = [network for one, network in zip(members, networks, strict=True) if one.fold == fold]
        held_out = training.split.held_out(fold)
        items = [training.items.items[at] for at in held_out]
        places += held_out
        for name in shifts:
            answers = [_say_shifted(network, items, training.plan, name) for network in own]
            said[name].append(torch.stack(answers).mean(dim=0))
        truth.append(torch.cat([batch.truth for batch in judged_batches(items, training.plan)]))
    return places, {name: torch.cat(parts) for name, parts in said.items()}, torch.cat(truth)


def _say_shifted(network: nn.Module, items: Sequence[Item], plan: Plan, shift: str) -> Tensor:
    if not shift:
        return torch.cat(say(network, items, plan)[0])
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(SHIFTS[shift](batch.images)) for batch in judged_batches(items, plan)])


def _operating_point(plan: Plan, said: dict[str, Tensor], truth: Tensor) -> OperatingPoint:
    is_positive = _is_positive(plan, truth)
    slope, offset = calibrate(_margins(plan, said[""]), is_positive, plan.operating_point.prevalence)
    bare = OperatingPoint(slope=slope, offset=offset, threshold=0.5)
    scores = [bare.probability(_margins(plan, one)) for one in said.values()]
    threshold = choose_threshold(plan.operating_point, scores, is_positive)
    return OperatingPoint(slope=slope, offset=offset, threshold=threshold)


def _margins(plan: Plan, said: Tensor) -> npt.NDArray[np.float64]:
    positive = plan.data.classes.index(plan.data.positive)
    return (said[:, positive] - said[:, 1 - positive]).double().numpy()


def _is_positive(plan: Plan, truth: Tensor) -> npt.NDArray[np.bool_]:
    return np.asarray(truth.numpy() == plan.data.classes.index(plan.data.positive))


def _join_world() -> tuple[World, torch.device]:
    """Join the other processes where torchrun began several; take a GPU where there is one."""
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    has_gpu = torch.cuda.is_available()
    if size > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if has_gpu else "gloo")
    if has_gpu:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
        return World(rank=rank, size=size), device
    return World(rank=rank, size=size), torch.device("cpu")
