"""The network of ``lung-nodule`` over whole lungs: a probability for each voxel in them.

In: a chest CT, which of its voxels are lung.  Out: a probability map.
Never: a plane without lung through the network; a map of more than the lungs.

Each batch of neighbouring planes goes through as one tile around each lung, some pixels wider than the lung,
so that the network sees what is beside a spot at the wall.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.domain.mask import BoolArray
from wetread.domain.model import Model
from wetread.domain.prediction import FloatArray
from wetread.errors import InvalidOutput, InvalidPackage
from wetread.imaging.recipe import apply_recipe, recipe_from_table
from wetread.infer.lung_nodule import NETWORK_STEP
from wetread.infer.runtimes import Session, open_session

#: Planes that go through at a time.
PLANES = 8
#: Pixels around a lung that the network sees too.
MARGIN = 16
#: Tiles are as large as a multiple of it: fewer sizes, fewer plans of the runtime.
_SIDE = 32

Tile = tuple[slice, slice]


def mark_lungs(model: Model, voxels: npt.NDArray[np.generic], lungs: BoolArray) -> FloatArray:
    """Return the probability of nodule in the lungs, of the volume's shape; 0 elsewhere.

    Parameters
    ----------
    model
        A network for slabs (``lung-nodule``) whose recipe looks at each plane for itself.
    voxels
        (planes, rows, columns), HU, towards the head, the back, the left.

    Raises
    ------
    InvalidPackage
        If the recipe needs the whole image.
    InvalidOutput
        If the network answers on another grid.
    """
    if not all(one.get("by_plane") for one in model.recipe):
        raise InvalidPackage("Lungs go through in parts: each step of the recipe must be by_plane.")
    session, reach = open_session(model), model.runtime.reach
    found = np.zeros(voxels.shape, dtype=np.float32)
    for start in range(0, len(voxels), PLANES):
        planes = slice(start, min(start + PLANES, len(voxels)))
        tiles = list(iter_tiles(np.asarray(lungs[planes].any(axis=0))))
        if not tiles:
            continue
        near = np.clip(np.arange(planes.start - reach, planes.stop + reach), 0, len(voxels) - 1)
        recipe = recipe_from_table({"steps": model.recipe})
        prepared = apply_recipe(recipe, voxels[near]).voxels
        for tile in tiles:
            answer = _run(session, prepared[:, *tile], reach)
            held, inside = found[planes][:, *tile], lungs[planes][:, *tile]
            np.maximum(held, np.where(inside, answer, 0), out=held)
    return found


def iter_tiles(shadow: BoolArray) -> Iterator[Tile]:
    """Yield rectangles around the parts of a shadow of the lungs; those that touch each other as one."""
    boxes = [_widen(one, shadow.shape) for one in ndimage.find_objects(ndimage.label(shadow)[0])]
    while True:
        pair = next(((a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :] if _saves(a, b)), None)
        if pair is None:
            break
        boxes = [one for one in boxes if one not in pair]
        boxes.append(_around(*pair))
    yield from boxes


def _widen(box: Tile, shape: tuple[int, ...]) -> Tile:
    sides = []
    for side, length in zip(box, shape, strict=True):
        # The network halves its image from its edge on: a tile that begins elsewhere is seen otherwise.
        size = -(-(side.stop - side.start + 2 * MARGIN + NETWORK_STEP) // _SIDE) * _SIDE
        start = max(0, (side.start + side.stop - size) // 2) // NETWORK_STEP * NETWORK_STEP
        sides.append(slice(start, min(start + size, length)))
    return sides[0], sides[1]


def _around(one: Tile, other: Tile) -> Tile:
    first, second = (
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return first, second


def _saves(one: Tile, other: Tile) -> bool:
    """Tell whether two are less as one."""
    return _area(_around(one, other)) <= _area(one) + _area(other)


def _area(box: Tile) -> int:
    rows, columns = (int(side.stop - side.start) for side in box)
    return rows * columns


def _run(session: Session, prepared: FloatArray, reach: int) -> FloatArray:
    """Return the answer for the inner planes of a tile."""
    rows, columns = prepared.shape[1:]
    padded = np.pad(prepared, [(0, 0), (0, -rows % NETWORK_STEP), (0, -columns % NETWORK_STEP)], mode="edge")
    count = len(padded) - 2 * reach
    slabs = np.stack([padded[at : at + 2 * reach + 1] for at in range(count)]).astype(np.float32)
    answer = np.asarray(session.run({session.inputs[0]: slabs})[session.outputs[0]])
    if answer.size != count * padded[0].size:
        raise InvalidOutput("The network marks another grid than that of the image.", shape=answer.shape)
    return answer.reshape(count, *padded.shape[1:])[:, :rows, :columns]
