"""Judge one image with one model: recipe > network > ``Prediction``.

In: voxels of one image.  Out: what the model says of it: what serving runs is what ``lab validate`` scores.
Never: a reading (``infer.read`` makes those); voxels that are no numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wetread.domain.model import Model
from wetread.domain.prediction import Box, FloatArray, Prediction
from wetread.domain.volume import Triple
from wetread.errors import InvalidOutput, InvalidPackage, NotFinite
from wetread.imaging.recipe import Prepared, apply_recipe, recipe_from_table, to_source_grid
from wetread.infer.boxes import find_boxes
from wetread.infer.entry import load_entry
from wetread.infer.network import run_network
from wetread.measure.orientation import face


def predict_array(model: Model, voxels: npt.NDArray[Any], spacing_mm: Triple | None = None) -> Prediction:
    """Return what a model says of an image.

    Parameters
    ----------
    voxels
        (planes, rows, columns), modality values or grey levels, as the package's card says.
    spacing_mm
        Along the same axes; None where it is not known.

    Raises
    ------
    NotFinite
        If a voxel is no number.
    InvalidPackage
        If the package holds nothing that judges images.
    InvalidOutput
        If the network answers with another shape than its task has, or with numbers that are none.
    """
    if voxels.ndim != 3 or 0 in voxels.shape:
        raise InvalidOutput("An image has planes, rows and columns.", shape=voxels.shape)
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        raise NotFinite("The image has voxels that are no numbers (NaN or infinite)")
    if model.runtime.sample_entry:
        judge: Callable[..., Prediction] = load_entry(model, model.runtime.sample_entry)
        return judge(model, voxels, spacing_mm)
    if model.task is None:
        raise InvalidPackage("The package does not say what it answers: give it a [task].")
    is_turned = model.runtime.arrangement == "volume"
    # From the side that the network's axes begin at: steps that begin at the first voxel begin where they
    # did when it was trained.
    seen = face(voxels, model.runtime.axes) if is_turned else voxels
    prepared = apply_recipe(recipe_from_table({"steps": model.recipe}), seen, spacing_mm)
    if model.output is not None and model.output.boxes:
        return Prediction(boxes=_turn_boxes(find_boxes(model, prepared), model, voxels.shape))
    answers = run_network(model, prepared.voxels)
    match model.task.kind:
        case "classification":
            return Prediction(probabilities=_probabilities(model, answers))
        case "regression":
            if answers.ndim > 2 or answers[0].size != 1:
                raise InvalidOutput("The network answers with more than a value.", shape=answers.shape)
            return Prediction(value=float(answers.mean()))
        case "segmentation" | "detection":
            said = _to_maps(model, answers, prepared)
            return _turn_back(said, model.runtime.axes) if is_turned else said
    raise InvalidPackage("This task needs an entry point of its own.", task=model.task.kind)


def _probabilities(model: Model, answers: FloatArray) -> tuple[float, ...]:
    classes = model.task.classes if model.task else ()
    if answers.ndim != 2 or answers.shape[1] != len(classes):
        raise InvalidOutput("The network names another number of classes.", shape=answers.shape)
    mean = answers.mean(axis=0)
    if mean.min() < 0 or abs(float(mean.sum()) - 1) > 1e-3:
        raise InvalidOutput("The network's answers are no probabilities.")
    return tuple(float(one) for one in mean)


def _to_maps(model: Model, answers: FloatArray, prepared: Prepared) -> Prediction:
    """Return the probability of what is looked for, and where it counts, on the grid of the image."""
    # (planes, channels, rows, columns), or (1, channels, planes, rows, columns).
    channel = model.output.channel if model.output else 0
    by_channel = (
        answers[0] if answers.ndim == 5 else np.moveaxis(answers, 1, 0) if answers.ndim == 4 else None
    )
    shape = prepared.voxels.shape
    if by_channel is None or by_channel.shape[1:] != shape or channel >= len(by_channel):
        raise InvalidOutput("The network marks another grid than that of the image.", shape=answers.shape)
    if by_channel[channel].min() < -1e-6 or by_channel[channel].max() > 1 + 1e-6:
        raise InvalidOutput("The network's answers are no probabilities.")
    found = np.clip(to_source_grid(prepared, by_channel[channel]), 0, 1).astype(np.float32)
    if model.task is None or model.task.decision != "highest":
        return Prediction(probability_map=found)
    mask = np.ones(found.shape, dtype=bool)
    for number, one in enumerate(by_channel):
        # One after the other: all channels of a large series on its own grid would be gigabytes.
        if number != channel:
            other = to_source_grid(prepared, one)
            mask &= (found > other) if number < channel else (found >= other)
    return Prediction(probability_map=found, mask=mask)


def _turn_boxes(boxes: tuple[Box, ...], model: Model, shape: tuple[int, ...]) -> tuple[Box, ...]:
    """Return boxes seen from the side that the image came from."""
    turned = [letter in model.runtime.axes for letter in "IAR"]
    sides = list(zip(turned, shape, strict=True))

    def turn(corner: Triple, other: Triple) -> Triple:
        # Turned round, what was the last of an axis is the first.
        pairs = zip(sides, corner, other, strict=True)
        first, second, third = (count - 1 - two if flip else one for (flip, count), one, two in pairs)
        return first, second, third

    return tuple(replace(one, low=turn(one.low, one.high), high=turn(one.high, one.low)) for one in boxes)


def _turn_back(said: Prediction, axes: str) -> Prediction:
    found, mask = said.probability_map, said.mask
    return Prediction(
        probability_map=None if found is None else face(found, axes),
        mask=None if mask is None else face(mask, axes),
    )
