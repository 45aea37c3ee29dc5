"""Tissue to HU, plane by plane: smooth fields are brought from the coarse to the fine grid.

In: distances and textures on the coarse grid.  Out: HU of one fine plane, shares of lung, air, fluid.
Never: nodules, noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from wetread.domain.volume import Grid
from wetread.phantom.distance import REACH_MM, Float

FAT_HU, MUSCLE_HU, BLOOD_HU, LIVER_HU, FLUID_HU = -100.0, 52.0, 42.0, 58.0, 10.0
MARROW_HU, CORTEX_HU, WALL_HU, AIR_HU = 210.0, 850.0, 30.0, -1000.0


class Upsampler:
    """Cubic (Catmull-Rom) interpolation from the coarse to planes of the fine grid."""

    def __init__(self, coarse: Grid, fine: Grid) -> None:
        first = coarse.to_index(fine.to_lps_mm([0, 0, 0]))
        steps = np.array(fine.spacing_mm) / np.array(coarse.spacing_mm)
        axes = [first[axis] + np.arange(fine.shape[axis]) * steps[axis] for axis in range(3)]
        self._planes, self._rows, self._columns = (
            _cubic_matrix(axes[axis], coarse.shape[axis]) for axis in range(3)
        )

    def plane(self, field: Float, number: int) -> Float:
        """Return one fine plane of a coarse field, shape (rows, columns)."""
        return self._spread(self._mix(field, number))

    def distance(self, field: Float, number: int) -> Float:
        """Return one fine plane of a distance; at once where the surface is out of reach."""
        mixed = self._mix(field, number)
        if mixed.min() >= 0.98 * REACH_MM or mixed.max() <= -0.98 * REACH_MM:
            return np.full((self._rows.shape[0], self._columns.shape[0]), mixed[0, 0], dtype=np.float32)
        return self._spread(mixed)

    def _mix(self, field: Float, number: int) -> Float:
        start, end = self._planes.indptr[number], self._planes.indptr[number + 1]
        mixed = np.zeros(field.shape[1:], dtype=np.float32)
        for index, weight in zip(self._planes.indices[start:end], self._planes.data[start:end], strict=True):
            mixed += weight * field[index]
        return mixed

    def _spread(self, mixed: Float) -> Float:
        across = self._columns @ np.ascontiguousarray(mixed.T)
        values: Float = self._rows @ np.ascontiguousarray(across.T)
        return values


def _cubic_matrix(positions: npt.NDArray[np.float64], count: int) -> sparse.csr_matrix:
    low = np.floor(positions).astype(int)
    t = positions - low
    weights = [
        -0.5 * t + t**2 - 0.5 * t**3,
        1 - 2.5 * t**2 + 1.5 * t**3,
        0.5 * t + 2 * t**2 - 1.5 * t**3,
        -0.5 * t**2 + 0.5 * t**3,
    ]
    rows = np.repeat(np.arange(len(positions)), 4)
    columns = np.clip(np.stack([low - 1, low, low + 1, low + 2], axis=1), 0, count - 1).ravel()
    values = np.stack(weights, axis=1).ravel().astype(np.float32)
    return sparse.csr_matrix((values, (rows, columns)), shape=(len(positions), count))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fields:
    """What a plane is made of, all on the coarse grid; distances in mm, negative inside."""

    skin: Float
    muscle: Float
    wall: Float
    bone: Float
    soft: Float
    organs: Float
    gas: Float
    lungs: Float
    fissure: Float
    #: HU of lung tissue, and noise of unit variance for soft tissue.
    lung_hu: Float
    grain: Float
    #: None where there is none.
    holes: Float | None
    air: Float | None
    fluid: Float | None
    table: Float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlaneTissue:
    """One fine plane: HU and the shares (0 to 1) of what truth counts."""

    hu: Float
    #: Aerated lung, free air and fluid in the pleural cavity, destroyed lung.
    lung: Float
    air: Float | None
    fluid: Float | None
    holes: Float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Branches:
    """Shares of vessels, bronchial walls and bronchial lumen in one fine plane, 0 to 255."""

    vessel: npt.NDArray[np.uint8]
    wall: npt.NDArray[np.uint8]
    lumen: npt.NDArray[np.uint8]


class TissuePainter:
    """Paints planes from fields."""

    def __init__(self, fields: Fields, coarse: Grid, fine: Grid) -> None:
        self._fields = fields
        self._up = Upsampler(coarse, fine)
        self._step = float(np.mean(fine.spacing_mm))

    def paint(self, number: int, branches: Branches) -> PlaneTissue:
        """Return the plane of this number."""
        hu = self._paint_body(number)
        cavity = self._share(self._fields.lungs, number)
        air = fluid = holes = None
        lung = cavity
        if self._fields.air is not None:
            air = cavity * self._share(self._fields.air, number)
            lung = lung - air
        if self._fields.fluid is not None:
            fluid = lung * self._share(self._fields.fluid, number)
            lung = lung - fluid
        tissue, holes = self._paint_lung(number, branches)
        hu += cavity * (-hu)
        hu += lung * tissue
        if air is not None and self._fields.air is not None:
            hu += air * np.float32(AIR_HU)
            hu += self._pleura(self._fields.air, number, cavity) * (np.float32(-100) - hu)
        if fluid is not None:
            hu += fluid * np.float32(FLUID_HU)
        return PlaneTissue(
            hu=hu, lung=lung, air=air, fluid=fluid, holes=None if holes is None else holes * lung
        )

    def _share(self, field: Float, number: int) -> Float:
        return self._cover(self._up.distance(field, number))

    def _cover(self, distance: Float) -> Float:
        cover: Float = np.clip(np.float32(0.5) - distance / self._step, 0, 1)
        return cover

    def _pleura(self, air: Float, number: int, cavity: Float) -> Float:
        """Return the share of the visceral pleura between lung and free air: 0.5 mm thick."""
        distance = self._up.distance(air, number)
        line: Float = self._cover(np.abs(distance) - 0.5 * self._step)
        return line * cavity * np.float32(min(1.0, 0.5 / self._step))

    def _paint_body(self, number: int) -> Float:
        fields = self._fields
        grain = self._up.plane(fields.grain, number)
        skin = self._up.distance(fields.skin, number)
        hu = np.full(skin.shape, AIR_HU, dtype=np.float32)
        if fields.table is not None:
            hu += self._share(np.abs(fields.table) - 1.2, number) * np.float32(880)
        body = self._cover(skin)
        hu += body * (FAT_HU + 8 * grain - hu)
        hu += body * self._cover(np.abs(skin + 1.2) - 0.9) * np.float32(90)
        wall = self._up.plane(fields.wall, number)
        self._paint_muscle(hu, body, (number, wall, grain))
        for field, value in ((fields.soft, BLOOD_HU), (fields.organs, LIVER_HU)):
            hu += self._share(field, number) * (value + 3 * grain - hu)
        bone = self._up.distance(fields.bone, number)
        hu += self._cover(bone) * (CORTEX_HU - hu)
        hu += self._cover(bone + 1.5) * (MARROW_HU + 60 * grain - CORTEX_HU)
        gas = self._up.distance(fields.gas, number)
        hu += self._cover(gas - 1.4) * (WALL_HU - hu)
        hu += self._cover(gas) * (AIR_HU - hu)
        return hu

    def _paint_muscle(self, hu: Float, body: Float, plane: tuple[int, Float, Float]) -> None:
        """Paint muscle with seams of fat outside the rib cage, fat inside of it."""
        number, wall, grain = plane
        muscle = self._share(self._fields.muscle, number) * body
        hu += muscle * (MUSCLE_HU + 7 * grain - hu)
        seam = self._cover(np.abs(wall - 11.0 - 0.9 * grain) - 0.9) * muscle * np.float32(0.8)
        hu += seam * (FAT_HU - hu)
        inside = self._cover(wall)
        hu += inside * (FAT_HU + 20 + 18 * grain - hu)

    def _paint_lung(self, number: int, branches: Branches) -> tuple[Float, Float | None]:
        fields = self._fields
        hu = self._up.plane(fields.lung_hu, number).copy()
        holes = None
        if fields.holes is not None:
            holes = self._share(fields.holes, number)
            hu += holes * (np.float32(-985) - hu)
        fissure = self._cover(np.abs(self._up.distance(fields.fissure, number)) - 0.35)
        hu += fissure * np.float32(0.35 * min(1.0, 0.7 / self._step)) * (np.float32(-250) - hu)
        scale = np.float32(1 / 255)
        hu += branches.vessel * scale * (np.float32(BLOOD_HU) - hu)
        hu += branches.wall * scale * (np.float32(WALL_HU) - hu)
        hu += branches.lumen * scale * (np.float32(-985) - hu)
        return hu, holes
