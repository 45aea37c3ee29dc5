"""The network of ``lung-nodule`` as second reader: does it see a nodule at a place?

In: an upright CT, a place in it.  Out: yes or no.
Never: a network of another digest than the model names; more of the CT through it than the spots asked about.

What it sees is cut as its training images were: 128 x 128 pixels for the grey levels, the middle quarter of
them for the network, neighbouring slices a chest CT's usual step apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.domain.model import Model
from wetread.domain.prediction import FloatArray
from wetread.domain.volume import Triple, Volume
from wetread.errors import InvalidPackage
from wetread.imaging.recipe import apply_recipe, recipe_from_table
from wetread.infer.runtimes import Session, open_session
from wetread.measure.nodules import SecondReader
from wetread.registry import read_package
from wetread.registry.package import BUILTIN_FOLDER

READER = "lung-nodule"
#: In the card of a model: the digest of the network that it asks.
CARD = "second reader"
_LEAST = "nodule_least_agreement"
#: Of LIDC-IDRI, that it was trained on: usual pixel and step.
_PIXEL_MM, _STEP_MM = 0.7, 2.0
_SIDE, _HALF = 128, 32
_REACH = 2


def second_reader(model: Model, volume: Volume) -> SecondReader:
    """Return who is asked about weak spots of a CT.

    Parameters
    ----------
    model
        Names the digest of the network in its card, and the least agreement.
    volume
        Upright, HU.
    """
    return _SecondReader(volume, model.card.get(CARD, ""), model.parameters[_LEAST]).agrees


# Not slotted: the network is opened for the first spot, and many a CT has none.
@dataclass(frozen=True)
class _SecondReader:
    volume: Volume
    digest: str
    least: float

    @cached_property
    def network(self) -> tuple[Model, Session]:
        """The network, if it is the one that the model was checked with."""
        found = read_package(BUILTIN_FOLDER / READER)
        if found.identity.digest != self.digest:
            raise InvalidPackage(
                "The second reader is not the one that this model was checked with: install it anew.",
                model=READER,
            )
        return found, open_session(found)

    def agrees(self, place: Triple, radius_mm: float) -> bool:
        """Tell whether the network sees a nodule: on a slice near by, in the middle of the spot."""
        model, session = self.network
        cut = apply_recipe(recipe_from_table({"steps": model.recipe}), cut_planes(self.volume, place)).voxels
        middle = slice(_SIDE // 2 - _HALF, _SIDE // 2 + _HALF)
        seen = np.asarray(cut[:, middle, middle], dtype=np.float32)
        slabs = np.stack([seen[at : at + 2 * _REACH + 1] for at in range(len(seen) - 2 * _REACH)])
        marked = session.run({session.inputs[0]: slabs})[session.outputs[0]][:, 0]
        return bool(marked[:, _disc(radius_mm)].mean(axis=1).max() >= self.least)


def cut_planes(volume: Volume, place: Triple) -> FloatArray:
    """Return planes around a place as in the network's training images, (7, 128, 128), HU."""
    spacing = volume.grid.spacing_mm
    step = max(1, round(_STEP_MM / spacing[0]))
    reach = _REACH + 1
    planes = np.clip(round(place[0]) + step * np.arange(-reach, reach + 1), 0, volume.grid.shape[0] - 1)
    offsets_mm = (np.arange(_SIDE) - (_SIDE - 1) / 2) * _PIXEL_MM
    rows, columns = (at + offsets_mm / size for at, size in zip(place[1:], spacing[1:], strict=True))
    box, starts = [], []
    for places, length in ((rows, volume.grid.shape[1]), (columns, volume.grid.shape[2])):
        start = int(np.clip(np.floor(places[0]), 0, length - 1))
        box.append(slice(start, int(np.clip(np.ceil(places[-1]) + 1, start + 1, length))))
        starts.append(start)
    grid = np.meshgrid(rows - starts[0], columns - starts[1], indexing="ij")
    return np.stack(
        [
            ndimage.map_coordinates(
                volume.voxels[plane][box[0], box[1]].astype(np.float32), grid, order=1, mode="nearest"
            )
            for plane in planes
        ]
    )


def _disc(radius_mm: float) -> npt.NDArray[np.bool_]:
    """Return the inner part of a spot on what the network sees."""
    offsets_mm = (np.arange(2 * _HALF) - (2 * _HALF - 1) / 2) * _PIXEL_MM
    away = np.hypot(offsets_mm[:, None], offsets_mm[None, :])
    return np.asarray(away <= max(1.5, 0.6 * radius_mm))
