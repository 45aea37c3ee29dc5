"""What is trained, how, on which data: ``plan.toml`` as values.

In: a TOML file, ``section.word=value`` overrides.  Out: ``Plan``, its text and digest.
Never: a misspelt word passed over (the nearest valid one is named); a path of data (commands say that).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from wetread.domain.jsonable import to_jsonable
from wetread.errors import ConfigError, InvalidPlan
from wetread.imaging.recipe import recipe_from_table
from wetread.settings import read_table

_LIMIT_BYTES = 256 << 10
#: Tables whose words belong to others: the recipe to ``imaging.recipe``, the package to ``registry``.
_OPEN_TABLES = ("recipe", "package")


class Task(StrEnum):
    """What is learned."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    SEGMENTATION = "segmentation"
    DETECTION = "detection"


class Dimensions(StrEnum):
    """What a network sees at once: one plane, a few neighbouring planes as channels, a block."""

    FLAT = "2d"
    NEIGHBOURS = "2.5d"
    BLOCK = "3d"


class NetworkKind(StrEnum):
    """Architectures, see ``lab.networks``."""

    RESNET = "resnet"
    DENSENET = "densenet"
    EFFICIENTNET = "efficientnet"
    VIT = "vit"
    VGG = "vgg"
    INCEPTION = "inception"
    UNET = "unet"
    RESIDUAL_UNET = "residual-unet"
    ATTENTION_UNET = "attention-unet"
    SWIN_UNETR = "swin-unetr"
    DEEPLAB = "deeplabv3plus"
    HEATMAP = "heatmap"
    RETINANET = "retinanet"


class Balance(StrEnum):
    """How unequal classes or subgroups are met: not, by weights of the loss, by drawing rare ones oftener."""

    NONE = "none"
    WEIGHTS = "weights"
    SAMPLING = "sampling"


class Keep(StrEnum):
    """Which epoch's weights are kept: the one that held-out patients score best, or the last.

    The last one makes out-of-fold scores honest: nothing was chosen by them.
    """

    BEST = "best"
    LAST = "last"


class OperatingKind(StrEnum):
    """How the threshold is chosen on out-of-fold scores."""

    #: Most sensitivity plus specificity.
    BALANCED = "balanced"
    #: The same, on average over shifted copies of the images (darker, closer, blurred, other gamma, ...).
    ROBUST = "robust"
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlan:
    """``[data]``: what the labels mean."""

    #: Parts of the file that are used together, e.g. ``["train", "val"]``; empty for the only one.
    parts: tuple[str, ...] = ()
    #: Names of the classes, in the order of the labels; for masks: background first.
    classes: tuple[str, ...] = ("negative", "positive")
    #: The class that a finding is; where it is not the last one, say so: a label 0 may be the disease.
    positive: str = "positive"
    #: Column of the table that names subgroups to be balanced.
    subgroup: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPlan:
    """``[input]``: what one network sees."""

    dimensions: Dimensions = Dimensions.FLAT
    #: Voxels along (planes, rows, columns) of a block, (rows, columns) otherwise.
    patch: tuple[int, ...] = (64, 64)
    #: Neighbouring planes that one sees in 2.5d, odd.
    planes: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPlan:
    """``[split]``: by patient, seeded."""

    folds: int = 5
    seed: int = 0
    #: Only these folds are trained, e.g. ``[0]``; empty: all.
    only: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """``[network]``."""

    kind: NetworkKind = NetworkKind.RESNET
    #: Channels of the first stage; each later one has up to twice as many.
    width: int = 16
    #: Blocks of each stage (ResNet, DenseNet, VGG), units of each level (U-Net: their number is the depth).
    layers: tuple[int, ...] = (1, 1, 1, 1)
    dropout: float = 0.0
    #: Weights to begin with: .safetensors, .pt of plain tensors, or a MONAI bundle (folder or zip).
    begin_with: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """``[training]``: how long, how fast, on what account."""

    epochs: int = 30
    #: Training ends where the score of held-out patients has not risen for so many epochs.
    patience: int = 15
    batch: int = 32
    #: Of one epoch; 0: as many as it takes to see every sample once.
    batches: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 5e-3
    label_smoothing: float = 0.0
    keep: Keep = Keep.BEST
    #: Of the averaged weights, which are what is kept; 0: the last ones.
    ema_decay: float = 0.99
    balance: Balance = Balance.NONE
    balance_subgroups: Balance = Balance.NONE
    #: Share of patches that are centred on something marked.
    foreground: float = 0.5
    mixed_precision: bool = False
    #: Networks of each fold, by other seeds.
    members: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationPlan:
    """``[augmentation]``: the most that happens; 0 is none. Intensities are those after the recipe."""

    rotate_degrees: float = 15.0
    scale: float = 0.15
    shift: float = 0.1
    flip: bool = False
    #: Standard deviation of displacements, as a share of the patch.
    elastic: float = 0.0
    intensity_scale: float = 0.2
    intensity_shift: float = 0.3
    #: Of the exponent's logarithm.
    gamma: float = 0.35
    noise: float = 0.05
    #: Standard deviation in voxels.
    blur: float = 0.0
    #: Noise as of a scan with less dose: grained, stronger where more is absorbed.
    low_dose: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPlan:
    """``[operating_point]``: the threshold, and the prevalence that probabilities are made for."""

    kind: OperatingKind = OperatingKind.BALANCED
    #: Least sensitivity or specificity, for those kinds.
    value: float = 0.95
    prevalence: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole plan."""

    name: str
    task: Task = Task.CLASSIFICATION
    data: DataPlan = field(default_factory=DataPlan)
    input: InputPlan = field(default_factory=InputPlan)
    split: SplitPlan = field(default_factory=SplitPlan)
    network: NetworkPlan = field(default_factory=NetworkPlan)
    training: TrainingPlan = field(default_factory=TrainingPlan)
    augmentation: AugmentationPlan = field(default_factory=AugmentationPlan)
    operating_point: OperatingPlan = field(default_factory=OperatingPlan)
    #: As ``imaging.recipe`` reads it.
    recipe: Mapping[str, Any] = field(default_factory=dict)
    #: What ``model.toml`` says beside what training knows: title, intended use, eligibility, card, gate.
    package: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The sha256 of what decides about weights; the package's words do not."""
        content = to_jsonable(dataclasses.replace(self, package={}))
        content["network"]["begin_with"] = str(self.network.begin_with or "")
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_plan(path: Path, overrides: Iterable[str] = ()) -> Plan:
    """Read a plan.

    Parameters
    ----------
    overrides
        ``section.word=value``, the value as TOML has it; a text needs no quotes.

    Raises
    ------
    InvalidPlan
        If it cannot be read, a word is unknown (the nearest one is named) or a value makes no sense.
    """
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise ValueError("it is too long")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidPlan(f"The plan cannot be read: {error}", file=path.name) from error
    for override in overrides:
        _override(content, override)
    return parse_plan(content, path.parent)


def parse_plan(content: Mapping[str, Any], folder: Path) -> Plan:
    """Return the plan that parsed TOML describes; paths in it are relative to ``folder``.

    Raises
    ------
    InvalidPlan
        As ``read_plan``.
    """
    opened = {name: content[name] for name in _OPEN_TABLES if name in content}
    for name, table in opened.items():
        if not isinstance(table, Mapping):
            raise InvalidPlan(f"{name} must be a table.")
    closed = {name: value for name, value in content.items() if name not in _OPEN_TABLES}
    try:
        recipe_from_table(opened.get("recipe", {}))
        plan = dataclasses.replace(read_table(Plan, closed, "", folder), **opened)
    except ConfigError as error:
        raise InvalidPlan(str(error)) from error
    _check(plan)
    return plan


def _override(content: dict[str, Any], override: str) -> None:
    name, is_set, text = override.partition("=")
    *sections, word = name.strip().split(".")
    if not is_set or not word:
        raise InvalidPlan(f"{override!r} must be like training.epochs=20.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    table = content
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise InvalidPlan(f"{section} in {override!r} is no section.")
    table[word] = value


def _check(plan: Plan) -> None:
    """Refuse what reads well but makes no sense."""
    wrong = {
        "data.positive must be one of data.classes": plan.data.positive not in plan.data.classes,
        "data.classes must be two or more, each once": len(set(plan.data.classes)) < 2
        or len(set(plan.data.classes)) < len(plan.data.classes),
        "split.folds must be 2 to 20": not 2 <= plan.split.folds <= 20,
        "split.only must be numbers of folds": not set(plan.split.only) <= set(range(plan.split.folds)),
        "training.epochs, batch and members must be 1 or more": min(
            plan.training.epochs, plan.training.batch, plan.training.members
        )
        < 1,
        "training.learning_rate must be greater than 0": not plan.training.learning_rate > 0,
        "training.ema_decay must be 0 to below 1": not 0 <= plan.training.ema_decay < 1,
        "operating_point.prevalence must be between 0 and 1": not 0 < plan.operating_point.prevalence < 1,
        "input.patch must have three lengths in 3d, otherwise two, of 8 or more": not _fits(plan.input),
        "input.patch must be 64 or more along each axis for swin-unetr": plan.network.kind
        is NetworkKind.SWIN_UNETR
        and min(plan.input.patch) < 64,
        "input.planes must be odd": plan.input.planes % 2 == 0,
        "network.layers must be numbers of 1 or more": not plan.network.layers
        or min(plan.network.layers) < 1,
    }
    for sentence, is_wrong in wrong.items():
        if is_wrong:
            raise InvalidPlan(f"{sentence}.")


def _fits(shape: InputPlan) -> bool:
    axes = 3 if shape.dimensions is Dimensions.BLOCK else 2
    return len(shape.patch) == axes and min(shape.patch) >= 8
