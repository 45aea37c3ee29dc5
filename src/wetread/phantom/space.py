"""Where things are: the scan frame, the patient, and the patient at rest.

In: pose, breath, orientation.  Out: maps between frames, coarse grids.  Never: tissue.

Three frames, all in mm: *scan* (columns, rows, planes of the images, from the isocentre), *LPS*
(the patient as he lies at this visit) and *rest* (the anatomy as it is modelled, once for all visits).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from wetread.domain.volume import Grid
from wetread.phantom.options import PatientPosition, ScannerOptions, VisitOptions

Float = npt.NDArray[np.floating[Any]]
Points = npt.NDArray[np.float64]

#: Rest z of the scan's middle and its length for the whole chest, mm.
SCAN_MIDDLE_MM = -8.0
SCAN_LENGTH_MM = 330.0
COARSE_MM = 2.5

#: (row, column) direction cosines as seen from the gantry's front, PS3.3 C.7.6.2.1.1.
_COSINES = {
    PatientPosition.HFS: ((1, 0, 0), (0, 1, 0)),
    PatientPosition.HFP: ((-1, 0, 0), (0, -1, 0)),
    PatientPosition.FFS: ((-1, 0, 0), (0, 1, 0)),
    PatientPosition.FFP: ((1, 0, 0), (0, -1, 0)),
}


def is_prone(scanner: ScannerOptions) -> bool:
    """Tell whether gravity pulls towards the patient's front."""
    return scanner.patient_position in (PatientPosition.HFP, PatientPosition.FFP)


def make_grid(scanner: ScannerOptions, scale: float) -> Grid:
    """Place the scan's voxels in LPS, planes along the image normal."""
    row, column = (np.array(cosine, dtype=float) for cosine in _COSINES[scanner.patient_position])
    tilt = Rotation.from_euler("xy", scanner.tilt_deg, degrees=True).as_matrix()
    axes = tilt @ np.stack([np.cross(row, column), column, row], axis=1)
    length_mm = scanner.length_mm or SCAN_LENGTH_MM * scale
    planes = max(2, round(length_mm / scanner.step_mm))
    shape = (planes, scanner.matrix, scanner.matrix)
    spacing = (scanner.step_mm, scanner.spacing_mm, scanner.spacing_mm)
    half = (np.array(shape) - 1) / 2 * np.array(spacing)
    origin = np.array([0.0, 0.0, SCAN_MIDDLE_MM * scale]) - axes @ half
    return Grid(
        shape=shape,
        spacing_mm=spacing,
        origin_lps_mm=_triple(origin),
        directions=(_triple(axes[:, 0]), _triple(axes[:, 1]), _triple(axes[:, 2])),
    )


def _triple(vector: npt.ArrayLike) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in np.asarray(vector))
    return (x, y, z)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waves:
    """A smooth displacement: three waves of 180 to 300 mm per axis."""

    amplitude_mm: float
    #: Wave vectors and phases, shapes (3, 3, 3) and (3, 3).
    vectors: Points
    phases: Points

    @classmethod
    def draw(cls, amplitude_mm: float, rng: np.random.Generator) -> Waves:
        """Draw directions, lengths and phases."""
        directions = rng.normal(size=(3, 3, 3))
        directions /= np.linalg.norm(directions, axis=2, keepdims=True)
        lengths = rng.uniform(180.0, 300.0, size=(3, 3, 1))
        return cls(
            amplitude_mm=amplitude_mm,
            vectors=directions * 2 * np.pi / lengths,
            phases=rng.uniform(0.0, 2 * np.pi, size=(3, 3)),
        )

    def displacement(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return the displacement at points, both of shape (..., 3)."""
        shift = np.zeros_like(points)
        for vectors, phases in zip(self.vectors, self.phases, strict=True):
            angles = points @ vectors.T.astype(points.dtype) + phases.astype(points.dtype)
            shift += points.dtype.type(self.amplitude_mm / 3**0.5) * np.sin(angles)
        return shift


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """Pose, breath and deformation of one visit."""

    visit: VisitOptions
    #: Body scale of the patient.
    scale: float
    #: The patient's own build, the same at every visit, and what this visit adds.
    build: Waves
    deformation: Waves

    def to_rest(self, lps: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Map LPS points of shape (..., 3) to rest."""
        visit = self.visit
        rotation = Rotation.from_euler("xyz", visit.rotation_deg, degrees=True).as_matrix()
        moved = (lps - np.asarray(visit.shift_mm, dtype=lps.dtype)) @ rotation.astype(lps.dtype)
        rest = moved / lps.dtype.type(self.scale)
        if visit.breath_mm:
            # Full at the diaphragm, nothing above the carina; the chest also gets a little flatter.
            share = _smoothstep((50.0 - rest[..., 2]) / 160.0)
            rest[..., 2] -= visit.breath_mm * share
            rest[..., :2] *= 1.0 + 0.0008 * visit.breath_mm * share[..., None]
        for waves in (self.deformation, self.build):
            if waves.amplitude_mm:
                rest += waves.displacement(rest)
        return np.asarray(rest)

    def from_rest(self, rest: npt.ArrayLike) -> Points:
        """Map rest points of shape (..., 3) to LPS, to better than 1e-4 mm."""
        target = np.asarray(rest, dtype=float)
        rotation = Rotation.from_euler("xyz", self.visit.rotation_deg, degrees=True).as_matrix()
        lps = self.scale * target @ rotation.T + np.asarray(self.visit.shift_mm)
        for _ in range(30):
            miss = target - self.to_rest(lps.copy())
            lps = lps + self.scale * miss @ rotation.T
            if np.abs(miss).max(initial=0.0) < 1e-5:
                break
        return np.asarray(lps, dtype=float)


def _smoothstep(value: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    clipped = np.clip(value, 0.0, 1.0)
    smooth: npt.NDArray[np.floating[Any]] = clipped * clipped * (3.0 - 2.0 * clipped)
    return smooth


def coarse_grid(grid: Grid, margin_mm: float = 5.0) -> Grid:
    """Return an isotropic grid of ``COARSE_MM`` that covers another one, axes parallel."""
    extent = (np.array(grid.shape) - 1) * np.array(grid.spacing_mm) + 2 * margin_mm
    counts = np.ceil(extent / COARSE_MM).astype(int) + 1
    axes = np.array(grid.directions).T
    origin = np.array(grid.origin_lps_mm) - axes @ np.full(3, margin_mm)
    return Grid(
        shape=(int(counts[0]), int(counts[1]), int(counts[2])),
        spacing_mm=(COARSE_MM, COARSE_MM, COARSE_MM),
        origin_lps_mm=_triple(origin),
        directions=grid.directions,
    )


def grid_points(grid: Grid) -> Float:
    """Return the LPS position of every voxel, shape (planes, rows, columns, 3)."""
    points = np.zeros((*grid.shape, 3), dtype=np.float32)
    for axis in range(3):
        steps = np.arange(grid.shape[axis]) * grid.spacing_mm[axis]
        line = steps[:, None] * np.asarray(grid.directions[axis])
        view = [None, None, None]
        index = tuple(slice(None) if one == axis else view[one] for one in range(3))
        points += line.astype(np.float32)[index]
    points += np.asarray(grid.origin_lps_mm, dtype=np.float32)
    return points
