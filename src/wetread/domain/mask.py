"""A binary mask, kept as small as the thing it covers.

In: boolean arrays.  Out: the same, and a digest.  Never: an opinion on what is covered.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wetread.domain.volume import Shape

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mask:
    """The non-empty box of a boolean volume."""

    #: Shape (planes, rows, columns) of the whole volume.
    shape: Shape
    #: Index of the box's first voxel in it.
    offset: Shape
    #: The box, boolean, read-only.
    voxels: BoolArray

    def __post_init__(self) -> None:
        ends = zip(self.offset, self.voxels.shape, self.shape, strict=True)
        if any(start < 0 or start + size > limit for start, size, limit in ends):
            raise ValueError("the box lies outside the volume")
        self.voxels.flags.writeable = False

    @classmethod
    def from_array(cls, array: BoolArray) -> Mask:
        """Crop a boolean volume of shape (planes, rows, columns) to what is set."""
        slices = []
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            used = np.flatnonzero(array.any(axis=others))
            slices.append(slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 0))
        planes, rows, columns = slices
        return cls(
            shape=(array.shape[0], array.shape[1], array.shape[2]),
            offset=(planes.start, rows.start, columns.start),
            voxels=np.ascontiguousarray(array[planes, rows, columns], dtype=bool),
        )

    def to_array(self) -> BoolArray:
        """Return the whole boolean volume, shape (planes, rows, columns)."""
        array = np.zeros(self.shape, dtype=bool)
        array[self.box] = self.voxels
        return array

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Where the box lies in the whole volume."""
        p, r, c = (
            slice(start, start + size) for start, size in zip(self.offset, self.voxels.shape, strict=True)
        )
        return p, r, c

    @property
    def voxel_count(self) -> int:
        """Number of voxels set."""
        return int(np.count_nonzero(self.voxels))

    def plane(self, index: int) -> BoolArray:
        """Return one whole plane, shape (rows, columns)."""
        image = np.zeros(self.shape[1:], dtype=bool)
        inside = index - self.offset[0]
        if 0 <= inside < self.voxels.shape[0]:
            image[self.box[1:]] = self.voxels[inside]
        return image

    @property
    def largest_plane(self) -> int:
        """Index, in the whole volume, of the plane with most voxels set (first of equals)."""
        return self.offset[0] + int(np.argmax(self.voxels.sum(axis=(1, 2))))

    @property
    def digest(self) -> str:
        """sha256 over shape, place and bits."""
        head = repr((self.shape, self.offset, self.voxels.shape)).encode()
        return hashlib.sha256(head + np.packbits(self.voxels).tobytes()).hexdigest()
