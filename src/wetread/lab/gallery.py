"""Pictures of a validation: curves, and the samples on which the model was most wrong.

In: points, voxels, masks.  Out: SVG as text, PNG as bytes.  Never: a patient's name in a picture.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from wetread.domain.mask import BoolArray
from wetread.domain.model import Model
from wetread.infer.judging import Judge, open_judge
from wetread.lab.judge import Verdict, mask_of
from wetread.lab.samples import SampleSet
from wetread.lab.score import positive_class

Points = Sequence[tuple[float, float]]
_SIDE, _EDGE = 260, 34
_COLOURS = ("#0b6e99", "#b3541e", "#5b7f2b")
#: Of pictures, at least so many pixels a side.
_LEAST_SIDE = 224
_TRUE, _SAID = (80, 200, 120), (255, 140, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A sample on which the model was wrong."""

    sample_id: str
    words: str
    png: bytes


def draw_curves(
    title: str, axes: tuple[str, str], curves: Mapping[str, Points], *, has_diagonal: bool
) -> str:
    """Return curves over 0 to the largest x (at least 1) and 0 to 1, as SVG."""
    right = max([1.0, *(x for points in curves.values() for x, _ in points)])

    def at(x: float, y: float) -> str:
        return f"{_EDGE + x / right * _SIDE:.1f},{_EDGE + (1 - min(max(y, 0.0), 1.0)) * _SIDE:.1f}"

    lines = []
    for colour, points in zip(_COLOURS, curves.values(), strict=False):
        path = " ".join(at(x, y) for x, y in points)
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
    names = [
        f'<text x="{_EDGE + 8}" y="{_EDGE + 16 + 14 * n}" fill="{colour}">{name}</text>'
        for n, (colour, name) in enumerate(zip(_COLOURS, curves, strict=False))
    ]
    start, end = at(0, 0).split(","), at(right, 1).split(",")
    diagonal = (
        f'<line x1="{start[0]}" y1="{start[1]}" x2="{end[0]}" y2="{end[1]}" stroke="#bbb"/>'
        if has_diagonal
        else ""
    )
    width = _SIDE + 2 * _EDGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{width + 12}" font-size="11" '
        f'font-family="sans-serif" role="img" aria-label="{title}"><text x="{_EDGE}" y="20" '
        f'font-weight="bold">{title}</text><rect x="{_EDGE}" y="{_EDGE}" width="{_SIDE}" height="{_SIDE}" '
        f'fill="none" stroke="#888"/>{diagonal}{"".join(lines)}{"".join(names) if len(curves) > 1 else ""}'
        f'<text x="{_EDGE}" y="{width - 16}">0</text><text x="{_EDGE + _SIDE - 18}" y="{width - 16}">'
        f'{right:.3g}</text><text x="{_EDGE + _SIDE / 2 - 40}" y="{width}">{axes[0]}</text>'
        f'<text x="12" y="{_EDGE + _SIDE / 2 + 40}" transform="rotate(-90 12 {_EDGE + _SIDE / 2 + 40})">'
        f"{axes[1]}</text></svg>"
    )


def find_failures(
    model: Model, samples: SampleSet, verdicts: Sequence[Verdict], most: int = 8
) -> tuple[Failure, ...]:
    """Return the samples on which the model was most wrong, worst first."""
    worst = sorted(verdicts, key=lambda one: -_wrongness(model, one))[:most]
    with open_judge(model) as say:
        return tuple(_picture(say, samples, one) for one in worst if _wrongness(model, one) > 0)


def _wrongness(model: Model, one: Verdict) -> float:
    if one.mask is not None:
        return 1 - one.mask.dice if np.isfinite(one.mask.dice) else 0.0
    if one.sample.label is None:
        return 0.0
    if one.value is not None:
        return abs(one.value - one.sample.label)
    if not one.probabilities:
        return 0.0
    positive = positive_class(model)
    return abs(float(int(one.sample.label) == positive) - one.probabilities[positive])


def _picture(say: Judge, samples: SampleSet, one: Verdict) -> Failure:
    picture, model = samples.load(one.sample), say.model
    said = mask_of(model, say(picture.voxels, picture.spacing_mm)) if picture.mask is not None else None
    plane = len(picture.voxels) // 2
    if picture.mask is not None and picture.mask.any():
        plane = int(picture.mask.sum(axis=(1, 2)).argmax())
    marks = [
        (mask[plane], colour)
        for mask, colour in ((picture.mask, _TRUE), (said, _SAID))
        if mask is not None and picture.mask is not None
    ]
    return Failure(
        sample_id=one.sample.id, words=_words(model, one), png=draw_plane(picture.voxels[plane], marks)
    )


def _words(model: Model, one: Verdict) -> str:
    if one.mask is not None:
        return f"Dice {one.mask.dice:.2f}"
    if one.value is not None:
        return f"{one.value:.3g} said, {one.sample.label:.3g} true"
    said = one.probabilities[positive_class(model)]
    return f"class {int(one.sample.label or 0)}, probability of the positive class {said:.2f}"


def draw_plane(
    plane: npt.NDArray[np.generic], marks: Sequence[tuple[BoolArray, tuple[int, int, int]]] = ()
) -> bytes:
    """Return a plane with outlines of masks, as PNG."""
    grey = np.asarray(plane, dtype=float)
    low, high = np.percentile(grey, [1, 99])
    grey = np.clip((grey - low) / max(high - low, 1e-6), 0, 1) * 255
    factor = max(1, -(-_LEAST_SIDE // max(plane.shape)))
    large = np.kron(grey, np.ones((factor, factor)))
    coloured = np.repeat(large[..., None], 3, axis=2).astype(np.uint8)
    for mask, colour in marks:
        whole = np.kron(mask, np.ones((factor, factor), bool))
        coloured[whole & ~ndimage.binary_erosion(whole)] = colour
    file = io.BytesIO()
    Image.fromarray(coloured).save(file, "PNG")
    return file.getvalue()
