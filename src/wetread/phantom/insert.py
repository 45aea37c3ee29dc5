"""Synthetic nodules in a real CT: images whose truth is known, with a real patient around it.

In: an upright CT, its lungs, wishes, a seed.  Out: a CT with nodules in it and the truth of each.
Never: a nodule outside the lungs, in bowel gas, in another one, or cut off by the end of the scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from wetread.domain.mask import BoolArray
from wetread.domain.volume import Grid, Triple, Volume
from wetread.errors import ConfigError
from wetread.phantom.nodule import NoduleForm, draw_form
from wetread.phantom.options import NoduleKind, NoduleOptions
from wetread.phantom.stamp import Patch, stamp_form

_NO_ROOM = "No room in the lungs for a nodule: make it smaller, or ask for fewer"


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertSettings:
    """How the scanner shows what is put in."""

    #: Standard deviation of the blur of the scanner, mm.
    blur_mm: float = 0.6
    #: Standard deviation of the noise within a nodule, HU.
    noise_hu: float = 20.0
    #: CT number of a nodule; of one of ground glass.
    solid_hu: float = 40.0
    glass_hu: float = -600.0
    #: Way between nodules, and from their surface to the ends of the scan.
    apart_mm: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Inserted:
    """The truth of one nodule."""

    center_lps_mm: Triple
    #: (plane, row, column).
    center: Triple
    volume_mm3: float
    diameter_mm: float
    kind: str


def insert_nodules(
    volume: Volume,
    lungs: BoolArray,
    wishes: Sequence[NoduleOptions],
    seed: int,
    settings: InsertSettings | None = None,
) -> tuple[Volume, tuple[Inserted, ...]]:
    """Put nodules into the lungs of a CT.

    Parameters
    ----------
    volume
        HU, upright; not changed.
    lungs
        Of the same shape; only here nodules are put, with their centre at least their radius inside.

    Raises
    ------
    ConfigError
        If a nodule fits nowhere, or is part-solid.
    """
    if any(one.kind is NoduleKind.PART_SOLID for one in wishes):
        raise ConfigError("Only solid and ground-glass nodules can be inserted: change the kind")
    settings = settings or InsertSettings()
    chance = np.random.default_rng(seed)
    room = _Room(volume, lungs, settings.apart_mm)
    hu = volume.voxels.astype(np.float32)
    truths = []
    for wish in wishes:
        form = draw_form(wish, chance)
        truths.append(_put(hu, volume.grid, wish, form, room.take(form.reach_mm, chance), settings, chance))
    return Volume(voxels=np.rint(hu).astype(np.int16), grid=volume.grid), tuple(truths)


def insert_at(
    volume: Volume, wish: NoduleOptions, index: Triple, seed: int, settings: InsertSettings | None = None
) -> tuple[Volume, Inserted]:
    """Put one nodule at a place; the same seed gives the same shape, whatever its size.

    Parameters
    ----------
    index
        (plane, row, column) of its middle; that there is lung is the caller's to know.

    Raises
    ------
    ConfigError
        If it does not lie in the images.
    """
    chance = np.random.default_rng(seed)
    hu = volume.voxels.astype(np.float32)
    form = draw_form(wish, chance)
    truth = _put(hu, volume.grid, wish, form, np.array(index), settings or InsertSettings(), chance)
    return Volume(voxels=np.rint(hu).astype(np.int16), grid=volume.grid), truth


def _put(
    hu: npt.NDArray[np.float32],
    grid: Grid,
    wish: NoduleOptions,
    form: NoduleForm,
    index: npt.NDArray[np.float64],
    settings: InsertSettings,
    chance: np.random.Generator,
) -> Inserted:
    center = grid.to_lps_mm(index)
    patch = stamp_form(grid, form, center)
    if patch is None:
        raise ConfigError(_NO_ROOM)
    _blend(hu, patch, _wanted_hu(wish, settings), grid.spacing_mm, settings, chance)
    return Inserted(
        center_lps_mm=_triple(center),
        center=_triple(index),
        volume_mm3=form.volume_mm3,
        diameter_mm=wish.diameter_mm,
        kind=wish.kind.value,
    )


class _Room:
    """Where the next nodule may lie."""

    def __init__(self, volume: Volume, lungs: BoolArray, apart_mm: float) -> None:
        self._spacing = np.array(volume.grid.spacing_mm)
        self._apart_mm = apart_mm
        # The ends of the scan count as the edge of the lung.
        padded = np.pad(lungs, 1)
        depth = ndimage.distance_transform_edt(padded, sampling=self._spacing)
        self._depth_mm: npt.NDArray[np.float64] = depth[1:-1, 1:-1, 1:-1]

    def take(self, reach_mm: float, chance: np.random.Generator) -> npt.NDArray[np.float64]:
        """Return a place that is deep enough, and keep others away from it."""
        free = np.flatnonzero(self._depth_mm >= reach_mm + 1.0)
        if not free.size:
            raise ConfigError(_NO_ROOM)
        shape = self._depth_mm.shape
        place = np.array(np.unravel_index(int(chance.choice(free)), shape), dtype=float)
        steps = [(np.arange(n) - at) * s for n, at, s in zip(shape, place, self._spacing, strict=True)]
        squares = np.meshgrid(*(one**2 for one in steps), indexing="ij", sparse=True)
        away = np.sqrt(squares[0] + squares[1] + squares[2]) - reach_mm - self._apart_mm
        self._depth_mm = np.minimum(self._depth_mm, away)
        return place


def _wanted_hu(wish: NoduleOptions, settings: InsertSettings) -> float:
    return settings.glass_hu if wish.kind is NoduleKind.GROUND_GLASS else settings.solid_hu


def _blend(
    hu: npt.NDArray[np.float32],
    patch: Patch,
    wanted_hu: float,
    spacing_mm: Triple,
    settings: InsertSettings,
    chance: np.random.Generator,
) -> None:
    sigma = [settings.blur_mm / one for one in spacing_mm]
    margin = [int(np.ceil(3 * one)) for one in sigma]
    low = [max(0, at - by) for at, by in zip(patch.corner, margin, strict=True)]
    high = [
        min(end, at + size + by)
        for end, at, size, by in zip(hu.shape, patch.corner, patch.cover.shape, margin, strict=True)
    ]
    cover = np.zeros([b - a for a, b in zip(low, high, strict=True)], np.float32)
    inner = tuple(
        slice(at - a, at - a + size) for at, a, size in zip(patch.corner, low, patch.cover.shape, strict=True)
    )
    cover[inner] = patch.cover
    cover = ndimage.gaussian_filter(cover, sigma, mode="constant")
    noise = ndimage.gaussian_filter(chance.normal(size=cover.shape).astype(np.float32), sigma)
    noise *= settings.noise_hu / max(float(noise.std()), 1e-6)
    where = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    # What is denser than the nodule already, a vessel in ground glass, stays.
    inside = np.maximum(wanted_hu + noise, hu[where])
    hu[where] += cover * (inside - hu[where])


def _triple(values: npt.NDArray[np.float64]) -> Triple:
    first, second, third = (float(one) for one in values)
    return first, second, third
