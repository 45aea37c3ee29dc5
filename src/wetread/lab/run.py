"""A run folder: everything that one training was and gave.

In: plan, data, split, networks.  Out: ``run.json`` and the files beside it, written whole.
Never: a patient's id in plain (digests name who was trained on).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from wetread.domain.jsonable import to_jsonable
from wetread.errors import InvalidCheckpoint, InvalidPlan
from wetread.lab.checkpoint import load_weights, save_json, write_whole
from wetread.lab.items import Items
from wetread.lab.networks import build_network
from wetread.lab.operating import OperatingPoint
from wetread.lab.plan import Plan, parse_plan
from wetread.lab.splits import Split

FILE_NAME = "run.json"
_LIBRARIES = ("wetread", "torch", "monai", "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One network of a run."""

    fold: int
    seed: int
    weights_digest: str
    best_epoch: int
    scores: Mapping[str, float]
    history: Sequence[Mapping[str, float]]
    taken_over: int = 0

    @property
    def folder(self) -> str:
        """Name of its folder in the run's."""
        return f"fold{self.fold}-seed{self.seed}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """A finished run, read back."""

    folder: Path
    plan: Plan
    content: Mapping[str, Any]

    @property
    def members(self) -> list[Member]:
        """Its networks."""
        return [Member(**one) for one in self.content["members"]]

    @property
    def operating_point(self) -> OperatingPoint | None:
        """Threshold and probabilities; None for other tasks than two classes."""
        values = self.content["operating_point"]
        return None if values is None else OperatingPoint(**values)

    def networks(self) -> list[nn.Module]:
        """Return its networks with their weights.

        Raises
        ------
        InvalidCheckpoint
            If weights are not those of the run.
        """
        return [self._network(one) for one in self.members]

    def _network(self, member: Member) -> nn.Module:
        path = self.folder / member.folder / "best.safetensors"
        network = build_network(self.plan)
        try:
            weights = load_weights(path)
            if file_digest(path) != member.weights_digest:
                raise InvalidCheckpoint("The weights are not those that the run tells of.", file=path.name)
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise InvalidCheckpoint(file=path.name) from error
        return network.eval()


def read_run(folder: Path) -> Run:
    """Read a run folder.

    Raises
    ------
    InvalidPlan
        If it is none, or the run is not over.
    """
    try:
        content = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        is_over = content["is_over"]
        plan = parse_plan(content["plan"], folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidPlan(
            "This is no run folder: name the one that train made.", folder=folder.name
        ) from error
    if not is_over:
        raise InvalidPlan("The run is not over: give the train command again.", folder=folder.name)
    return Run(folder=folder, plan=plan, content=content)


def run_digest(plan: Plan, items: Items, split: Split) -> str:
    """Return what names a run: plan, data and split."""
    return hashlib.sha256("\n".join([plan.digest, items.digest, *split.digests]).encode()).hexdigest()


def plan_content(plan: Plan) -> dict[str, Any]:
    """Return a plan as ``parse_plan`` reads it."""
    content: dict[str, Any] = to_jsonable(plan)
    begin_with = plan.network.begin_with
    content["network"]["begin_with"] = str(begin_with.resolve()) if begin_with else None
    if not begin_with:
        del content["network"]["begin_with"]
    return content


def describe_data(items: Items) -> dict[str, Any]:
    """Return who and what was trained on, by digest."""
    samples = [item.sample for item in items.items]
    return {
        "name": items.name,
        "digest": items.digest,
        "samples": len(samples),
        "patients": len({one.patient for one in samples}),
        "sample_digests": [_short(one.id) for one in samples],
        "patient_digests": [_short(one.patient) for one in samples],
    }


def versions() -> dict[str, str]:
    """Return what it was made with."""
    return {name: version(name) for name in _LIBRARIES} | {"device": _device_name()}


def write_run(folder: Path, content: Mapping[str, Any]) -> None:
    """Write ``run.json``."""
    save_json(folder / FILE_NAME, content)


def save_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write plain arrays whole."""

    def write(beside: Path) -> None:
        with beside.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    write_whole(path, write)


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
