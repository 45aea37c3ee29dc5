"""A volume and the grid that places it in the patient.

In: numpy arrays and tuples.  Out: index <-> LPS millimetres.  Never: RAS, pixel files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where each voxel lies: DICOM patient coordinates (LPS), millimetres (PS3.3 C.7.6.2.1.1)."""

    #: (planes, rows, columns).
    shape: Shape
    #: Distance between voxel centres along (planes, rows, columns).
    spacing_mm: Triple
    #: Centre of voxel (0, 0, 0).
    origin_lps_mm: Triple
    #: Unit vectors in which the plane, row and column index grow. Planes grow along the
    #: normal (row cosine x column cosine) of the images; rows are the image's downward
    #: direction (second half of ImageOrientationPatient), columns its first half.
    directions: tuple[Triple, Triple, Triple]
    frame_of_reference_uid: str = ""
    #: SOP Instance UID of each plane; empty where there is no DICOM behind it.
    sop_instance_uids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.sop_instance_uids and len(self.sop_instance_uids) != self.shape[0]:
            raise ValueError("one SOP Instance UID per plane, or none")
        matrix = np.array(self.directions, dtype=float)
        if not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3):
            raise ValueError("directions must be orthonormal")
        if min(self.spacing_mm) <= 0 or not np.all(np.isfinite(self.spacing_mm)):
            raise ValueError("spacing must be positive")

    @property
    def index_to_lps(self) -> FloatArray:
        """Affine, shape (4, 4), from (plane, row, column, 1) to (x, y, z, 1) in mm."""
        affine = np.eye(4)
        affine[:3, :3] = np.array(self.directions).T * np.array(self.spacing_mm)
        affine[:3, 3] = self.origin_lps_mm
        return affine

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.spacing_mm))

    def to_lps_mm(self, index: npt.ArrayLike) -> FloatArray:
        """Map indices of shape (..., 3), fractional allowed, to LPS mm of the same shape."""
        affine = self.index_to_lps
        points: FloatArray = np.asarray(index, dtype=float) @ affine[:3, :3].T + affine[:3, 3]
        return points

    def to_index(self, lps_mm: npt.ArrayLike) -> FloatArray:
        """Map LPS mm of shape (..., 3) to fractional (plane, row, column) indices."""
        inverse = np.linalg.inv(self.index_to_lps)
        index: FloatArray = np.asarray(lps_mm, dtype=float) @ inverse[:3, :3].T + inverse[:3, 3]
        return index


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """Voxels with their grid; the array is read-only."""

    #: Shape (planes, rows, columns); CT: HU.
    voxels: npt.NDArray[Any]
    grid: Grid

    def __post_init__(self) -> None:
        if self.voxels.shape != self.grid.shape:
            raise ValueError(f"voxels {self.voxels.shape} do not fit the grid {self.grid.shape}")
        self.voxels.flags.writeable = False
