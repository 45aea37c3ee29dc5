"""One network trained on all folds but one.

In: items, a plan, a fold, a seed, a folder.  Out: the best weights, by the score of held-out patients.
Never: a best model that training goes on changing; a run that a stop makes worth nothing.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn, optim

from wetread.errors import InvalidCheckpoint, TrainingDiverged
from wetread.lab.checkpoint import (
    begin_with,
    load_state,
    load_weights,
    pack_weights,
    save_state,
    save_weights,
)
from wetread.lab.feed import World, judged_batches, training_batches
from wetread.lab.items import Item
from wetread.lab.networks import build_network
from wetread.lab.objectives import Objective, objective_of
from wetread.lab.plan import Keep, Plan

#: ``(epoch, record)`` after each epoch: loss and scores by name.
Told = Callable[[int, dict[str, float]], None]
_WARM_UP = 0.2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """What one network is trained on."""

    plan: Plan
    trained_on: Sequence[Item]
    held_out: Sequence[Item]
    seed: int
    #: What it may go on from belongs to this run only.
    run_digest: str
    world: World = field(default_factory=World)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """A trained network."""

    network: nn.Module
    weights_digest: str
    best_epoch: int
    scores: dict[str, float]
    history: tuple[dict[str, float], ...]
    #: Tensors that were taken over from ``network.begin_with``.
    taken_over: int


def fit(job: Job, folder: Path, told: Told = lambda *_: None) -> Fitted:
    """Train one network, or go on where a stop left it.

    Parameters
    ----------
    folder
        Of this network alone: ``last.pt`` while it trains, ``best.safetensors``.

    Raises
    ------
    TrainingDiverged
        If the loss is no number any more.
    StorageError
        If a checkpoint cannot be written; the last whole one stays, and the same call goes on from it.
    InvalidCheckpoint
        If ``network.begin_with`` cannot be used.
    """
    run = _Run(job, folder)
    if run.state_file.exists():
        run.load()
    while not run.is_over:
        record = run.train_epoch()
        told(run.epoch, record)
    return run.finish()


class _Run:
    """A training under way."""

    def __init__(self, job: Job, folder: Path) -> None:
        self.job, self.folder = job, folder
        self.state_file, self.best_file = folder / "last.pt", folder / "best.safetensors"
        torch.manual_seed(job.seed)
        self.network = build_network(job.plan)
        self.taken_over = 0
        if job.plan.network.begin_with is not None:
            self.taken_over = begin_with(self.network, load_weights(job.plan.network.begin_with))
        self.network.to(job.device)
        self.average = copy.deepcopy(self.network).eval()
        training = job.plan.training
        self.optimiser = optim.AdamW(
            self.network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
        )
        size = min(training.batch, len(job.trained_on))
        self.batches = training.batches or max(1, len(job.trained_on) // size)
        self.schedule = optim.lr_scheduler.OneCycleLR(
            self.optimiser,
            training.learning_rate,
            total_steps=self.batches * training.epochs + 1,
            pct_start=_WARM_UP,
        )
        self.objective: Objective = objective_of(job.plan)
        self.epoch = self.steps = self.best_epoch = 0
        self.best: dict[str, Tensor] = {}
        self.history: list[dict[str, float]] = []

    @property
    def is_over(self) -> bool:
        training = self.job.plan.training
        return self.epoch >= training.epochs or self.epoch - self.best_epoch >= training.patience

    def train_epoch(self) -> dict[str, float]:
        # Dropout draws from here; the same after a stop.
        torch.manual_seed(self.job.seed * 100_003 + self.epoch)
        self.network.train()
        total = 0.0
        seed = (self.job.seed, self.epoch)
        for batch in training_batches(self.job.trained_on, self.job.plan, seed, self.job.world):
            total += self._step(batch.images, batch.truth, batch.weights)
        for network in (self.network, self.average):
            _share_buffers(network, self.job.world)
        self.epoch += 1
        record = {"loss": total / self.batches, **self.judge()}
        self.history.append(record)
        keeps_last = self.job.plan.training.keep is Keep.LAST
        if keeps_last or not self.best or record["score"] > self.history[self.best_epoch - 1]["score"]:
            self.best_epoch = self.epoch
            # A copy: a reference would go on learning.
            self.best = {name: one.detach().clone() for name, one in self.average.state_dict().items()}
        self.save()
        return record

    def judge(self) -> dict[str, float]:
        said, truth = say(self.average, self.job.held_out, self.job.plan, self.job.device)
        if not all(bool(torch.isfinite(one).all()) for one in said):
            raise TrainingDiverged(epoch=self.epoch, seed=self.job.seed)
        return self.objective.score(said, truth)

    def save(self) -> None:
        if self.job.world.rank:
            return
        save_state(
            self.state_file,
            {
                "run": self.job.run_digest,
                "epoch": self.epoch,
                "steps": self.steps,
                "best_epoch": self.best_epoch,
                "best": self.best,
                "history": self.history,
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "schedule": self.schedule.state_dict(),
            },
        )

    def load(self) -> None:
        state = load_state(self.state_file)
        if state.get("run") != self.job.run_digest:
            raise InvalidCheckpoint(
                "The checkpoint is of another run: empty the folder.", file=self.state_file.name
            )
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.steps, self.best_epoch = state["epoch"], state["steps"], state["best_epoch"]
        self.best, self.history = state["best"], state["history"]

    def finish(self) -> Fitted:
        self.average.load_state_dict(self.best)
        if not self.job.world.rank:
            save_weights(self.best_file, self.best)
        return Fitted(
            network=self.average.cpu().eval(),
            weights_digest=hashlib.sha256(pack_weights(self.best)).hexdigest(),
            best_epoch=self.best_epoch,
            scores=self.history[self.best_epoch - 1],
            history=tuple(self.history),
            taken_over=self.taken_over,
        )

    def _step(self, images: Tensor, truth: Tensor, weights: Tensor) -> float:
        device = self.job.device
        with _precision(self.job.plan, device):
            said = self.network(images.to(device))
        loss = (self.objective.loss(said.float(), truth.to(device)) * weights.to(device)).mean()
        if not torch.isfinite(loss):
            raise TrainingDiverged(epoch=self.epoch + 1, seed=self.job.seed)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        _share_gradients(self.network, self.job.world)
        nn.utils.clip_grad_norm_(self.network.parameters(), 12.0)
        self.optimiser.step()
        self.schedule.step()
        self.steps += 1
        self._average()
        return float(loss.detach())

    def _average(self) -> None:
        """Let the averaged weights and statistics follow, quicker at the beginning."""
        decay = min(self.job.plan.training.ema_decay, self.steps / (self.steps + 9))
        theirs = self.network.state_dict()
        with torch.no_grad():
            for name, own in self.average.state_dict().items():
                if own.is_floating_point():
                    own.lerp_(theirs[name], 1 - decay)
                else:
                    own.copy_(theirs[name])


def say(
    network: nn.Module, items: Sequence[Item], plan: Plan, device: torch.device | None = None
) -> tuple[list[Tensor], list[Tensor]]:
    """Return what a network says of each item and what is true, batch by batch, on the processor."""
    device = device or torch.device("cpu")
    network.eval()
    said, truth = [], []
    with torch.inference_mode(), _precision(plan, device):
        for batch in judged_batches(items, plan):
            said.append(network(batch.images.to(device)).float().cpu())
            truth.append(batch.truth)
    return said, truth


def _precision(plan: Plan, device: torch.device) -> Any:
    if not plan.training.mixed_precision:
        return nullcontext()
    # bfloat16 has the range of float32: no scaling of losses is needed.
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _share_gradients(network: nn.Module, world: World) -> None:
    if world.size == 1:
        return
    for parameter in network.parameters():
        if parameter.grad is not None:
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= world.size


def _share_buffers(network: nn.Module, world: World) -> None:
    """Let all processes go on with the running statistics of the first: they judge, and stop, alike."""
    if world.size == 1:
        return
    for buffer in network.buffers():
        torch.distributed.broadcast(buffer, 0)
