"""Run the network of a package over an image: planes, slabs, or a volume in tiles.

In: a prepared image.  Out: what the network answers, as probabilities, on the same grid.
Never: more of a volume in a tensor than the package's window.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from wetread.domain.model import Model, Runtime
from wetread.domain.prediction import FloatArray
from wetread.errors import InvalidOutput
from wetread.infer.runtimes import Session, open_session
from wetread.measure.orientation import axis_order

#: Planes that go through a network at a time.
BATCH = 16
_SIGMA = 0.125
_LEAST_WEIGHT = 1e-3


def run_network(model: Model, prepared: FloatArray) -> FloatArray:
    """Run the network of a package over an image.

    Parameters
    ----------
    prepared
        (planes, rows, columns), as the recipe left it; for a volume they point where ``runtime.axes`` says.

    Returns
    -------
    array
        (planes, channels, ...) for planes and slabs, (1, channels, ...) for a volume and for what is seen in
        tiles: the network's first output, after the package's activation. Tiles are blended as the network
        gives them.
    """
    session, runtime = open_session(model), model.runtime
    # Only volumes are turned: planes stay planes.
    order = axis_order(runtime.axes if runtime.arrangement == "volume" else "SPL")
    turned = np.transpose(prepared, order)
    if runtime.window:
        answer = _run_tiles(session, runtime, turned, order)
    elif runtime.arrangement == "volume":
        answer = _run(session, turned[None, None])
    else:
        return _activate(runtime.activation, _run_planes(session, runtime, turned))
    answer = _activate(runtime.activation, answer)
    if answer.ndim != 5:
        return answer
    if answer.shape[2:] != turned.shape:
        raise InvalidOutput("The network marks another grid than that of the image.", shape=answer.shape)
    return np.transpose(answer, (0, 1, *(2 + np.argsort(order))))


def _run_planes(session: Session, runtime: Runtime, planes: FloatArray) -> FloatArray:
    return np.concatenate([_run(session, one) for one in _batches(runtime, planes)])


def _batches(runtime: Runtime, prepared: FloatArray) -> Iterator[FloatArray]:
    for start in range(0, len(prepared), BATCH):
        chosen = np.arange(start, min(start + BATCH, len(prepared)))[:, None]
        # At the ends the last plane stands for those that are not there.
        near = np.clip(chosen + np.arange(-runtime.reach, runtime.reach + 1), 0, len(prepared) - 1)
        yield prepared[near]


def _run_tiles(
    session: Session, runtime: Runtime, turned: FloatArray, order: tuple[int, int, int]
) -> FloatArray:
    """Tile by tile along the tensor's own axes, as ``monai.inferers.sliding_window_inference`` goes."""
    window = tuple(runtime.window[axis] for axis in order)
    if runtime.arrangement != "volume":
        # Planes are not cut: their neighbours are what a slab sees.
        window = (len(turned), *window[1:])
    padded, before = pad_to_window(turned, window, runtime.padding)
    weight = _weights(window, runtime.blend)
    total: FloatArray | None = None
    weights = np.zeros(padded.shape, dtype=np.float32)
    for place in product(*map(tile_starts, padded.shape, window, [runtime.overlap] * 3)):
        tile = tuple(slice(start, start + size) for start, size in zip(place, window, strict=True))
        answer = _answer_tile(session, runtime, padded[tile])
        if total is None:
            total = np.zeros((answer.shape[1], *padded.shape), dtype=np.float32)
        total[(slice(None), *tile)] += answer[0] * weight
        weights[tile] += weight
    if total is None:
        raise InvalidOutput("There is no image.")
    total /= weights
    inside = tuple(slice(one, one + own) for one, own in zip(before, turned.shape, strict=True))
    return total[(slice(None), *inside)][None]


def _answer_tile(session: Session, runtime: Runtime, tile: FloatArray) -> FloatArray:
    """Return (1, channels, planes, rows, columns)."""
    if runtime.arrangement == "volume":
        answer = _run(session, tile[None, None])
    else:
        by_plane = _run_planes(session, runtime, tile)
        answer = np.moveaxis(by_plane, 1, 0)[None] if by_plane.ndim == 4 else by_plane
    if answer.ndim != 5:
        raise InvalidOutput("A network that answers for a whole image cannot look at it in tiles.")
    if answer.shape[2:] != tile.shape:
        raise InvalidOutput("The network marks another grid than that of the image.", shape=answer.shape)
    return answer


def pad_to_window(
    image: FloatArray, window: tuple[int, ...], padding: str
) -> tuple[FloatArray, tuple[int, ...]]:
    """Return an image that is nowhere smaller than a tile, and how much was laid before its first voxel."""
    lacking = [max(size - own, 0) for size, own in zip(window, image.shape, strict=True)]
    edges = [(one // 2, one - one // 2) for one in lacking]
    padded = np.pad(image, edges, mode="edge" if padding == "edge" else "constant")
    return padded, tuple(one for one, _behind in edges)


def tile_starts(length: int, window: int, overlap: float) -> list[int]:
    """Return where tiles begin along an axis."""
    step = max(1, int(window * (1 - overlap)))
    return [*range(0, length - window, step), length - window]


def _weights(window: tuple[int, ...], blend: str) -> FloatArray:
    weight = np.ones((), dtype=np.float32)
    for size in window:
        place = (np.arange(size) - (size - 1) / 2) / (_SIGMA * size)
        own = np.exp(-0.5 * place**2) if blend == "gaussian" else np.ones(size)
        weight = np.multiply.outer(weight, own).astype(np.float32)
    return np.maximum(weight, np.float32(_LEAST_WEIGHT))


def _run(session: Session, tensor: FloatArray) -> FloatArray:
    answer = session.run({session.inputs[0]: np.ascontiguousarray(tensor, dtype=np.float32)})
    found = np.asarray(answer[session.outputs[0]], dtype=np.float32)
    if found.ndim == 0 or len(found) != len(tensor):
        raise InvalidOutput("The network answers for another number of images.", shape=found.shape)
    return found


def _activate(activation: str, answer: FloatArray) -> FloatArray:
    if activation == "sigmoid":
        # Without overflow far below 0.
        return np.asarray(0.5 * (1 + np.tanh(0.5 * answer)), dtype=np.float32)
    if activation == "softmax":
        raised = np.exp(answer - answer.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)
    return answer
