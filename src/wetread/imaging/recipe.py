"""The preprocessing of a model: one recipe for training and serving.

In: voxels (planes, rows, columns), their spacing, steps as data.  Out: ``Prepared``.
Never: a step that only one side runs; state learned from more than the image at hand.

A table of ``model.toml`` or ``plan.toml`` names steps in their order::

    [[recipe.steps]]
    kind = "window"
    low = -1000.0
    high = 400.0

    [[recipe.steps]]
    kind = "z-score"
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.domain.volume import Triple
from wetread.errors import NotFinite
from wetread.imaging.recipe_steps import (
    CropPad,
    Denoise,
    Grey,
    Histogram,
    Linear,
    MinMax,
    Otsu,
    Percentile,
    Recipe,
    Resample,
    Resize,
    Smooth,
    Step,
    Window,
    ZScore,
    recipe_from_table,
    recipe_to_table,
)

__all__ = ["Prepared", "Recipe", "apply_recipe", "recipe_from_table", "recipe_to_table", "to_source_grid"]
FloatArray = npt.NDArray[np.float32]
_TINY = 1e-6
_BINS = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """An image as a network gets it."""

    #: (planes, rows, columns).
    voxels: FloatArray
    #: None where it is not known.
    spacing_mm: Triple | None
    #: (planes, rows, columns) of the image as it came.
    source_shape: tuple[int, ...]
    #: Index in the image as it came = index here x scale + offset, along each axis.
    scale: Triple = (1.0, 1.0, 1.0)
    offset: Triple = (0.0, 0.0, 0.0)


def apply_recipe(recipe: Recipe, voxels: npt.NDArray[Any], spacing_mm: Triple | None = None) -> Prepared:
    """Apply the steps of a recipe.

    Parameters
    ----------
    voxels
        (planes, rows, columns), modality values; not changed.
    spacing_mm
        Along the same axes.

    Raises
    ------
    NotFinite
        If a voxel is no number.
    """
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        raise NotFinite("The image has voxels that are no numbers (NaN or infinite)")
    prepared = Prepared(
        voxels=np.asarray(voxels, dtype=np.float32), spacing_mm=spacing_mm, source_shape=voxels.shape
    )
    for step in recipe.steps:
        prepared = _apply(step, prepared)
    return prepared


def to_source_grid(prepared: Prepared, answer: FloatArray) -> FloatArray:
    """Bring a map on the grid of ``prepared`` back to that of the image as it came.

    Parameters
    ----------
    answer
        (planes, rows, columns) of ``prepared.voxels``.

    Returns
    -------
    array
        (planes, rows, columns) of the image, linear in between; 0 where the recipe had cut off.
    """
    is_moved = max(prepared.scale) != 1 or min(prepared.scale) != 1 or any(prepared.offset)
    if tuple(answer.shape) == prepared.source_shape and not is_moved:
        return answer
    back: FloatArray = ndimage.affine_transform(
        np.asarray(answer, dtype=np.float32),
        1 / np.array(prepared.scale),
        offset=-np.array(prepared.offset) / np.array(prepared.scale),
        output_shape=prepared.source_shape,
        order=1,
        mode="nearest",
    )
    for axis, (count, length) in enumerate(zip(prepared.source_shape, answer.shape, strict=True)):
        place = (np.arange(count) - prepared.offset[axis]) / prepared.scale[axis]
        seen = (place >= -0.5 - _TINY) & (place <= length - 0.5 + _TINY)
        back *= np.expand_dims(seen, [one for one in range(3) if one != axis])
    return back


def _apply(step: Step, prepared: Prepared) -> Prepared:
    match step:
        case Resample():
            return _resample(step, prepared)
        case Resize():
            return _to_shape(prepared, _wanted(step.shape, prepared.voxels.shape))
        case CropPad():
            return _crop_pad(step, prepared)
        case Denoise():
            size = (1, step.size, step.size)
            voxels = ndimage.median_filter(prepared.voxels, size=size, mode="nearest")
        case Smooth():
            voxels = ndimage.gaussian_filter(prepared.voxels, (0, step.sigma, step.sigma), mode="nearest")
        case _:
            voxels = _grey(step, prepared.voxels)
    return dataclasses.replace(prepared, voxels=np.asarray(voxels, dtype=np.float32))


def _grey(step: Grey, voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    match step:
        case Window():
            return _stretch(voxels, step.low, step.high)
        case Percentile():
            low, high = np.percentile(voxels, [step.low, step.high])
            return _stretch(voxels, float(low), float(high))
        case ZScore():
            return _z_score(step, voxels)
        case MinMax():
            return _stretch(voxels, float(voxels.min()), float(voxels.max()))
        case Linear():
            return np.asarray(voxels * step.factor + step.add)
        case Otsu():
            return np.stack([_otsu(one) for one in voxels]) if step.by_plane else _otsu(voxels)
        case Histogram():
            places = np.linspace(0, 100, len(step.quantiles))
            return _match(voxels, np.percentile(voxels, places), np.asarray(step.quantiles))


def _stretch(voxels: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[Any]:
    return np.asarray(np.clip((voxels - low) / max(high - low, _TINY), 0, 1))


def _z_score(step: ZScore, voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    chosen = voxels if step.above is None else voxels[voxels > step.above]
    chosen = voxels[voxels != 0] if step.nonzero else chosen
    chosen = chosen if chosen.size else voxels
    mean = chosen.mean() if step.mean is None else step.mean
    deviation = chosen.std() if step.deviation is None else step.deviation
    changed = (voxels - mean) / max(float(deviation), _TINY)
    return np.where(voxels != 0, changed, voxels) if step.nonzero else np.asarray(changed)


def _otsu(voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    counts, edges = np.histogram(voxels, bins=_BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts), counts.sum()
    sums = np.cumsum(counts * middles)
    above = total - below
    with np.errstate(divide="ignore", invalid="ignore"):
        dark, bright = sums / below, (sums[-1] - sums) / above
        between = np.nan_to_num(below * above * (dark - bright) ** 2, nan=-1.0)
    best = int(between[:-1].argmax())
    if not above[best] or not below[best]:
        return np.zeros_like(voxels)
    return np.asarray((voxels - dark[best]) / max(float(bright[best] - dark[best]), _TINY))


def _match(voxels: npt.NDArray[Any], own: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> npt.NDArray[Any]:
    own, first = np.unique(own, return_index=True)
    return np.asarray(np.interp(voxels, own, wanted[first]))


def _resample(step: Resample, prepared: Prepared) -> Prepared:
    if prepared.spacing_mm is None:
        return prepared
    lengths = list(zip(prepared.voxels.shape, prepared.spacing_mm, step.spacing_mm, strict=True))
    if step.keeps == "first":
        shape = tuple(int(np.round((count - 1) * old / new + 1)) for count, old, new in lengths)
        return _sample(prepared, shape, [new / old for _count, old, new in lengths], [0.0, 0.0, 0.0])
    return _to_shape(prepared, tuple(max(1, round(count * old / new)) for count, old, new in lengths))


def _to_shape(prepared: Prepared, shape: tuple[int, ...]) -> Prepared:
    """Sample where the centres of the new voxels lie in the old ones; the extent stays."""
    factors = [before / after for before, after in zip(prepared.voxels.shape, shape, strict=True)]
    return _sample(prepared, shape, factors, [0.5 * factor - 0.5 for factor in factors])


def _sample(
    prepared: Prepared, shape: tuple[int, ...], factors: list[float], starts: list[float]
) -> Prepared:
    if shape == prepared.voxels.shape and set(factors) == {1.0}:
        return prepared
    voxels = ndimage.affine_transform(
        prepared.voxels, np.array(factors), offset=starts, output_shape=shape, order=1, mode="nearest"
    )
    return _placed(prepared, voxels, factors, starts)


def _wanted(shape: tuple[int, ...], own: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(new or old for new, old in zip(shape, own, strict=True))


def _crop_pad(step: CropPad, prepared: Prepared) -> Prepared:
    old = prepared.voxels.shape
    shape = _wanted(step.shape, old)
    starts = [(before - after) // 2 for before, after in zip(old, shape, strict=True)]
    voxels = np.full(shape, step.fill, dtype=np.float32)
    spans = list(zip(starts, old, shape, strict=True))
    taken = tuple(slice(max(start, 0), min(start + new, own)) for start, own, new in spans)
    put = tuple(slice(one.start - start, one.stop - start) for one, start in zip(taken, starts, strict=True))
    voxels[put] = prepared.voxels[taken]
    return _placed(prepared, voxels, [1.0, 1.0, 1.0], [float(start) for start in starts])


def _placed(
    prepared: Prepared, voxels: npt.NDArray[Any], factors: list[float], starts: list[float]
) -> Prepared:
    """Note where the voxels lie now: old index = new index x factor + start."""
    offset = [
        start * scale + old for start, scale, old in zip(starts, prepared.scale, prepared.offset, strict=True)
    ]
    scale = [factor * old for factor, old in zip(factors, prepared.scale, strict=True)]
    own = prepared.spacing_mm
    spacing = None if own is None else _triple([one * f for one, f in zip(own, factors, strict=True)])
    return dataclasses.replace(
        prepared,
        voxels=np.asarray(voxels, dtype=np.float32),
        spacing_mm=spacing,
        scale=_triple(scale),
        offset=_triple(offset),
    )


def _triple(values: list[float]) -> Triple:
    planes, rows, columns = (float(one) for one in values)
    return planes, rows, columns
