"""Run a network that answers with boxes over a volume, tile by tile.

In: a prepared volume.  Out: boxes with scores on the grid of the image as it came, the surest first.
Never: a box twice where tiles overlap; a box outside of the image; more of them than a real answer has.

The network's two outputs, named by ``output.boxes`` and ``output.scores``: (count, 6) corners, lower ones
first, along the tensor's axes in voxels (the middle of the first is 0), and (count,) from 0 to 1; or both
behind a batch of 1. As MONAI's ``RetinaNetDetector`` and its ``xyzxyz``.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from wetread.domain.model import Model, Output
from wetread.domain.prediction import Box, FloatArray
from wetread.errors import InvalidOutput, InvalidPackage
from wetread.imaging.recipe import Prepared
from wetread.infer.network import pad_to_window, tile_starts
from wetread.infer.runtimes import Session, open_session
from wetread.measure.orientation import axis_order

#: Of one tile, before the surest are chosen.
_MOST_OF_TILE = 20_000
#: Two boxes that share more of their union are one.
_SAME = 0.25

_Boxes = npt.NDArray[np.float64]


def find_boxes(model: Model, prepared: Prepared) -> tuple[Box, ...]:
    """Return what the network of a package finds in a volume.

    Raises
    ------
    InvalidPackage
        If the network has no such outputs.
    InvalidOutput
        If it answers with something else than boxes and scores, or with more than ``output.most_findings``.
    """
    if model.output is None or model.task is None:
        raise InvalidPackage("The package does not say what it looks for: give it [task] and [output].")
    session = open_session(model)
    for name in (model.output.boxes, model.output.scores):
        if name not in session.outputs:
            raise InvalidPackage("The network has no output that [output] names.", output=name)
    order = axis_order(model.runtime.axes)
    turned = np.transpose(prepared.voxels, order)
    boxes, scores = _run(session, model, turned, order)
    is_sure = scores >= model.task.threshold
    kept = _choose(boxes[is_sure], scores[is_sure])
    if len(kept) > model.output.most_findings:
        raise InvalidOutput(
            "The model found more than it may: its result is a fault.",
            found=len(kept),
            limit=model.output.most_findings,
        )
    return tuple(
        _to_source(prepared, order, boxes[is_sure][one], float(scores[is_sure][one])) for one in kept
    )


def _run(
    session: Session, model: Model, turned: FloatArray, order: tuple[int, int, int]
) -> tuple[_Boxes, npt.NDArray[np.float64]]:
    window = tuple(model.runtime.window[axis] for axis in order) if model.runtime.window else turned.shape
    padded, before = pad_to_window(turned, window, model.runtime.padding)
    found, sure = [np.zeros((0, 6))], [np.zeros(0)]
    high = np.array(turned.shape) - 0.5
    for place in product(*map(tile_starts, padded.shape, window, [model.runtime.overlap] * 3)):
        tile = tuple(slice(start, start + size) for start, size in zip(place, window, strict=True))
        boxes, scores = _answer(session, model.output, padded[tile])
        boxes += np.tile(np.array(place) - before, 2)
        middle = (boxes[:, :3] + boxes[:, 3:]) / 2
        is_inside = ((middle >= -0.5) & (middle <= high)).all(axis=1)
        found.append(np.clip(boxes, -0.5, np.tile(high, 2))[is_inside])
        sure.append(scores[is_inside])
    return np.concatenate(found), np.concatenate(sure)


def _answer(
    session: Session, output: Output | None, tile: FloatArray
) -> tuple[_Boxes, npt.NDArray[np.float64]]:
    image = np.ascontiguousarray(tile[None, None], dtype=np.float32)
    answers = session.run({session.inputs[0]: image})
    names = (output.boxes, output.scores) if output else ("", "")
    boxes, scores = (np.asarray(answers[name], dtype=np.float64) for name in names)
    boxes = boxes[0] if boxes.ndim == 3 and len(boxes) == 1 else boxes
    scores = scores[0] if scores.ndim == 2 and len(scores) == 1 else scores
    if boxes.ndim != 2 or boxes.shape[1] != 6 or scores.shape != boxes.shape[:1]:
        raise InvalidOutput("The network answers with something else than boxes and their scores.")
    if len(boxes) > _MOST_OF_TILE:
        raise InvalidOutput("The network answers with too many boxes.", boxes=len(boxes))
    if ((scores < 0) | (scores > 1)).any() or (boxes[:, 3:] < boxes[:, :3]).any():
        raise InvalidOutput(
            "The network answers with boxes without extent, or scores that are no probabilities."
        )
    return boxes.copy(), scores


def _choose(boxes: _Boxes, scores: npt.NDArray[np.float64]) -> list[int]:
    """Return which boxes stand for themselves, the surest first (non-maximum suppression)."""
    left = list(np.argsort(-scores, kind="stable"))
    kept: list[int] = []
    while left:
        best = left.pop(0)
        kept.append(int(best))
        shared = _shared(boxes[best], boxes[left])
        left = [one for one, share in zip(left, shared, strict=True) if share <= _SAME]
    return kept


def _shared(one: _Boxes, others: _Boxes) -> npt.NDArray[np.float64]:
    low, high = np.maximum(one[:3], others[:, :3]), np.minimum(one[3:], others[:, 3:])
    both = np.clip(high - low, 0, None).prod(axis=1)
    union = (one[3:] - one[:3]).prod() + (others[:, 3:] - others[:, :3]).prod(axis=1) - both
    return np.asarray(both / np.maximum(union, 1e-9))


def _to_source(prepared: Prepared, order: tuple[int, int, int], corners: _Boxes, score: float) -> Box:
    """Bring corners along the tensor's axes to voxels of the image as it came: planes, rows, columns."""
    back = np.argsort(order)
    scale, offset = np.array(prepared.scale), np.array(prepared.offset)
    low, high = (corners[side][back] * scale + offset for side in (slice(0, 3), slice(3, 6)))
    last = np.array(prepared.source_shape) - 0.5
    low, high = np.clip(low, -0.5, last), np.clip(high, -0.5, last)
    return Box(low=_triple(low), high=_triple(high), score=score)


def _triple(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    planes, rows, columns = (float(one) for one in values)
    return planes, rows, columns
