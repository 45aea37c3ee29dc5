"""How malignant radiologists would rate the nodule in the middle of a crop.

In: grey levels of slices around one nodule.  Out: ``Prediction``: probability, interval, reasons, outline.
Never: a probability without the outline it was measured from; a diagnosis: the ratings are opinions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wetread.domain.mask import BoolArray
from wetread.domain.model import Model
from wetread.domain.prediction import FloatArray, Prediction
from wetread.domain.volume import Triple
from wetread.imaging.recipe import apply_recipe, recipe_from_table
from wetread.infer.lung_nodule import nodule_map
from wetread.infer.runtimes import open_session
from wetread.measure.additive import Curves, read_curves, score_traits
from wetread.measure.nodule_traits import HIGHEST, LOWEST, describe_nodule
from wetread.measure.parts import choose_central_part
from wetread.registry import package_folder, read_package
from wetread.registry.package import BUILTIN_FOLDER

#: The model whose outline is measured.
OUTLINES = "lung-nodule"
#: What is learned beside curves, a file of the package: what appearance adds to the log odds.
APPEARANCE = "appearance.onnx"
#: Neighbouring slices on each side that it sees, and the side of what it sees of each.
REACH, SIDE = 2, 64
#: The largest slices of a nodule, no more.
_MOST_SLICES = 7


@dataclass(frozen=True, slots=True, eq=False)
class Slabs:
    """The slices of one nodule as the appearance network sees them."""

    #: (slices, 2 * REACH + 1, SIDE, SIDE), normalised.
    images: FloatArray
    #: (slices, 1, SIDE, SIDE), 0 or 1.
    outlines: FloatArray
    #: Voxels of the outline on each, (slices,).
    areas: npt.NDArray[np.float64]


def judge_malignancy(model: Model, voxels: npt.NDArray[Any], _spacing_mm: Triple | None = None) -> Prediction:
    """Estimate how a nodule would be rated: 4 or 5 against 1 or 2.

    Parameters
    ----------
    voxels
        (slices, rows, columns), the nodule asked about in the middle of the rows and columns.
    """
    outlines = _read_outlines()
    probability = nodule_map(outlines, voxels)
    outline = choose_central_part(probability)
    prepared = apply_recipe(recipe_from_table({"steps": outlines.recipe}), voxels).voxels
    grey = np.clip(prepared, LOWEST, HIGHEST)
    traits = describe_nodule(grey, probability, outline)
    appearance = _judge_appearance(model, cut_slabs(grey, outline))
    return estimate(_curves(model), traits, appearance, outline)


def cut_slabs(grey: FloatArray, outline: BoolArray) -> Slabs:
    """Cut what the appearance network sees: the nodule's largest slices, its middle in theirs.

    Parameters
    ----------
    grey, outline
        (slices, rows, columns); ``outline`` holds at least a voxel.
    """
    areas = outline.sum(axis=(1, 2))
    planes = largest_planes(areas)
    window = window_about(outline, SIDE)
    near = np.clip(planes[:, None] + np.arange(-REACH, REACH + 1), 0, len(grey) - 1)
    images = np.stack([grey[one][(slice(None), *window)] for one in near]).astype(np.float32)
    marks = np.stack([outline[one][window] for one in planes])[:, None].astype(np.float32)
    return Slabs(images, marks, areas[planes].astype(float))


def largest_planes(areas: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the slices on which a nodule is largest, in their order."""
    planes = np.sort(np.argsort(-areas, kind="stable")[:_MOST_SLICES])
    return np.asarray(planes[areas[planes] > 0])


def window_about(outline: BoolArray, side: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Return rows and columns of a square about a nodule's middle; beyond the edge, those of the edge."""
    half = side // 2
    _, row, column = np.rint(np.argwhere(outline).mean(axis=0)).astype(int)
    return np.ix_(
        *(
            np.clip(np.arange(at - half, at + half), 0, size - 1)
            for at, size in zip((row, column), outline.shape[1:], strict=True)
        )
    )


def _judge_appearance(model: Model, slabs: Slabs) -> float:
    """Return what appearance adds to the log odds: the mean of the slices by area."""
    network = open_session(replace(model, runtime=replace(model.runtime, kind="onnx", file=APPEARANCE)))
    said = network.run({"slabs": slabs.images, "outlines": slabs.outlines})[network.outputs[0]]
    return float(np.average(np.asarray(said).reshape(-1), weights=slabs.areas))


def estimate(
    curves: Curves, traits: Mapping[str, float], appearance: float, outline: BoolArray
) -> Prediction:
    """Estimate from what was measured.

    Parameters
    ----------
    appearance
        What it adds to the log odds.
    """
    scores, contributions = score_traits(curves, np.array([traits[name] for name in curves.traits]))
    scores = scores + appearance
    names = (*curves.traits, "appearance")
    contributions = np.append(contributions, appearance)
    sure = 1 / (1 + np.exp(-scores))
    low, high = np.percentile(sure[1:], [2.5, 97.5]) if len(sure) > 1 else (sure[0], sure[0])
    order = np.argsort(-np.abs(contributions))
    return Prediction(
        probabilities=(float(1 - sure[0]), float(sure[0])),
        interval=(float(min(low, sure[0])), float(max(high, sure[0]))),
        mask=outline,
        reasons={names[one]: float(contributions[one]) for one in order},
    )


@lru_cache(maxsize=1)
def _read_outlines() -> Model:
    return read_package(BUILTIN_FOLDER / OUTLINES)


def _curves(model: Model) -> Curves:
    return _read(str(package_folder(model) / model.runtime.file), model.identity.digest)


# The digest stands for the content.
@lru_cache(maxsize=4)
def _read(path: str, _digest: str) -> Curves:
    return read_curves(Path(path))
