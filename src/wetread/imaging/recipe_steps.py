"""The steps of a recipe as data: what each is called, and what it needs.

In: a table of ``model.toml`` or ``plan.toml``.  Out: ``Recipe``, and back.
Never: voxels (``imaging.recipe`` applies the steps).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wetread.errors import ConfigError
from wetread.settings import read_table, unknown_word


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Clip to ``low`` to ``high`` (HU for CT) and bring that to 0 to 1."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentile:
    """Clip between two percentiles of the image and bring that to 0 to 1."""

    low: float = 1.0
    high: float = 99.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ZScore:
    """Subtract a mean and divide by a deviation: given ones, or those of the image."""

    mean: float | None = None
    deviation: float | None = None
    #: Only voxels above this make the mean and the deviation; what lies outside a body may be left out.
    above: float | None = None
    #: Only voxels that are not 0 make the mean and the deviation, and only they are changed.
    nonzero: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MinMax:
    """Bring the least and the greatest value to 0 and 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """Multiply by a factor and add a number."""

    factor: float = 1.0
    add: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Otsu:
    """Bring the means below and above Otsu's threshold to 0 and 1: undoes a stretch of grey levels.

    References
    ----------
    Otsu 1979, doi:10.1109/TSMC.1979.4310076.
    """

    #: Each plane for itself.
    by_plane: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Match the quantiles of the image to given ones (evenly from 0 to 100 %), linear in between."""

    quantiles: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resample:
    """Bring voxels to a spacing, linear; nothing where the image's own is not known."""

    spacing_mm: tuple[float, ...]
    #: What stays where it was: the ``extent`` of the image (None), so that the spacing is met to a part of a
    #: voxel; or the ``first`` voxel, with exactly this spacing from there, as MONAI's ``Spacing`` does.
    keeps: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize:
    """Bring the image to so many voxels along (planes, rows, columns), linear; 0 leaves an axis as it is."""

    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Denoise:
    """Take the median of ``size`` x ``size`` pixels of each plane."""

    size: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Smooth:
    """Smooth each plane by a Gaussian of so many pixels."""

    sigma: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CropPad:
    """Cut out the middle or lay an edge around it, to (planes, rows, columns); 0 leaves an axis as it is."""

    shape: tuple[int, ...]
    #: Value of the edge.
    fill: float = 0.0


#: Steps that change values and leave places.
Grey = Window | Percentile | ZScore | MinMax | Linear | Otsu | Histogram
Step = Grey | Resample | Resize | CropPad | Denoise | Smooth

#: Kind in a table -> what describes it.
STEPS: Mapping[str, type[Any]] = {
    "window": Window,
    "percentile": Percentile,
    "z-score": ZScore,
    "min-max": MinMax,
    "linear": Linear,
    "otsu": Otsu,
    "histogram": Histogram,
    "resample": Resample,
    "resize": Resize,
    "crop-pad": CropPad,
    "denoise": Denoise,
    "smooth": Smooth,
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Steps in their order."""

    steps: tuple[Step, ...] = ()


def recipe_from_table(table: Mapping[str, Any]) -> Recipe:
    """Read a recipe.

    Raises
    ------
    ConfigError
        If a word or kind is unknown (the nearest one is named), missing, or makes no sense.
    """
    for word in table:
        if word != "steps":
            raise unknown_word(word, " in [recipe]", ["steps"])
    steps = table.get("steps", [])
    if not isinstance(steps, list | tuple) or not all(isinstance(one, Mapping) for one in steps):
        raise ConfigError("recipe.steps must be a list of tables.")
    return Recipe(tuple(_read_step(one, f"recipe.steps[{number}]") for number, one in enumerate(steps)))


def recipe_to_table(recipe: Recipe) -> dict[str, Any]:
    """Return what ``recipe_from_table`` reads back."""
    kinds = {kind: word for word, kind in STEPS.items()}
    steps = []
    for step in recipe.steps:
        values = {field.name: getattr(step, field.name) for field in dataclasses.fields(step)}
        plain = {name: list(one) if isinstance(one, tuple) else one for name, one in values.items()}
        steps.append(
            {"kind": kinds[type(step)]} | {name: one for name, one in plain.items() if one is not None}
        )
    return {"steps": steps}


def _read_step(table: Mapping[str, Any], where: str) -> Step:
    kind = str(table.get("kind", ""))
    if kind not in STEPS:
        raise unknown_word(kind, f" as kind of {where}", list(STEPS))
    step: Step = read_table(STEPS[kind], {k: v for k, v in table.items() if k != "kind"}, where, Path())
    wrong = {
        "low must be below high": isinstance(step, Window | Percentile) and not step.low < step.high,
        "there must be two quantiles or more, rising": isinstance(step, Histogram)
        and (len(step.quantiles) < 2 or bool(np.any(np.diff(step.quantiles) < 0))),
        "spacing_mm must be three positive lengths": isinstance(step, Resample)
        and (len(step.spacing_mm) != 3 or min(step.spacing_mm) <= 0),
        "keeps must be extent or first": isinstance(step, Resample)
        and step.keeps not in (None, "extent", "first"),
        "nonzero and above are two ways to choose voxels": isinstance(step, ZScore)
        and bool(step.nonzero)
        and step.above is not None,
        "shape must be three numbers of voxels": isinstance(step, Resize | CropPad)
        and (len(step.shape) != 3 or min(step.shape) < 0 or max(step.shape) > 1024),
        "size must be odd and 3 to 15": isinstance(step, Denoise)
        and (step.size % 2 == 0 or not 3 <= step.size <= 15),
        "sigma must be above 0, to 20": isinstance(step, Smooth) and not 0 < step.sigma <= 20,
        "mean and deviation go together, deviation above 0": isinstance(step, ZScore)
        and ((step.mean is None) != (step.deviation is None) or (step.deviation or 1) <= 0),
    }
    for sentence, is_wrong in wrong.items():
        if is_wrong:
            raise ConfigError(f"{where}: {sentence}.")
    return step
