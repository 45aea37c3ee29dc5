"""The reader of nodule crops: where networks see a nodule, as separate parts.

In: grey levels of slices, native pixels.  Out: ``Prediction``: probability map, parts with scores, mask.
Never: the place of the nodule in its crop, nor that there is one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wetread.domain.model import Model
from wetread.domain.prediction import FloatArray, Prediction
from wetread.domain.volume import Triple
from wetread.errors import InvalidOutput
from wetread.imaging.recipe import apply_recipe, recipe_from_table
from wetread.infer.network import run_network
from wetread.measure.parts import PartSettings, find_parts

#: The networks halve their image three times.
NETWORK_STEP = 8


def judge_crop(model: Model, voxels: npt.NDArray[Any], _spacing_mm: Triple | None = None) -> Prediction:
    """Find and outline the nodules of a stack of slices.

    Parameters
    ----------
    voxels
        (slices, rows, columns), grey levels or HU: each slice is normalised by its own two classes.
    """
    return mark_parts(model, nodule_map(model, voxels))


def mark_parts(model: Model, probability: FloatArray) -> Prediction:
    """Return the parts of a map, and which of them count."""
    parts, scores = find_parts(probability, part_settings(model))
    threshold = model.task.threshold if model.task else 0.5
    counted = sum(one >= threshold for one in scores)
    # The surest part comes first.
    mask = np.asarray((parts > 0) & (parts <= counted))
    return Prediction(probability_map=probability, mask=mask, parts=parts, part_scores=scores)


def part_settings(model: Model) -> PartSettings:
    """Take what counts as a part out of a model's parameters."""
    parameters = model.parameters
    return PartSettings(
        outline_from=parameters["outline_from"],
        core_from=parameters["candidate_from"],
        fewest_voxels=int(parameters["fewest_voxels"]),
    )


def nodule_map(model: Model, voxels: npt.NDArray[Any]) -> FloatArray:
    """Return the probability of nodule, (slices, rows, columns)."""
    prepared = apply_recipe(recipe_from_table({"steps": model.recipe}), voxels).voxels
    rows, columns = prepared.shape[1:]
    padded = np.pad(prepared, [(0, 0), (0, -rows % NETWORK_STEP), (0, -columns % NETWORK_STEP)], mode="edge")
    answer = run_network(model, padded)
    if answer.size != padded.size:
        raise InvalidOutput("The network marks another grid than that of the image.", shape=answer.shape)
    return np.ascontiguousarray(answer.reshape(padded.shape)[:, :rows, :columns])
