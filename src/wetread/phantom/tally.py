"""Counts what is painted: exact volumes and the truth's masks.

In: shares of fine planes.  Out: ml per tissue, masks on the scan's grid.  Never: HU.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from wetread.domain.volume import Grid
from wetread.phantom.stamp import Patch
from wetread.phantom.tissue import PlaneTissue

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TruthMasks:
    """Voxels that are at least half of a kind, at the slice centres; shape (planes, rows, columns)."""

    #: Inside of the visceral pleura, nodules and vessels included.
    right_lung: Mask
    left_lung: Mask
    #: Free air and fluid in the pleural cavities.
    air: Mask
    fluid: Mask
    #: 0, or the position of the nodule in the truth's list, from 1.
    nodules: npt.NDArray[np.uint8]


@dataclass(slots=True, kw_only=True)
class Tally:
    """Running sums over fine planes."""

    grid: Grid
    fine: Grid
    per_slice: int
    lead: int
    #: Kind -> volume, ml.
    volume_ml: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("right", "left", "air", "fluid", "holes"), 0.0)
    )
    _masks: dict[str, Mask] = field(default_factory=dict)
    _labels: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, dtype=np.uint8))

    def __post_init__(self) -> None:
        self._masks = {
            name: np.zeros(self.grid.shape, dtype=bool) for name in ("right", "left", "air", "fluid")
        }
        self._labels = np.zeros(self.grid.shape, dtype=np.uint8)

    def count(self, plane: int, tissue: PlaneTissue, right: Mask) -> None:
        """Add a fine plane: its volume if it lies within the scan, its masks if at a slice's centre."""
        shares = {
            "right": tissue.lung * right,
            "left": tissue.lung * ~right,
            "air": tissue.air,
            "fluid": tissue.fluid,
            "holes": tissue.holes,
        }
        weight = self._weight(plane) * self.fine.voxel_volume_mm3 / 1000
        index, rest = divmod(plane - self.lead, self.per_slice)
        centered = rest == 0 and 0 <= index < self.grid.shape[0]
        for name, share in shares.items():
            if share is None:
                continue
            self.volume_ml[name] += weight * float(share.sum(dtype=float))
            if centered and name in self._masks:
                self._masks[name][index] = share >= 0.5

    def _weight(self, plane: int) -> float:
        """Return 1 for planes between the first and last slice, halves at the ends of its half step."""
        half = self.per_slice / 2
        first, last = self.lead - half, self.lead + (self.grid.shape[0] - 1) * self.per_slice + half
        return float(np.clip(min(plane - first, last - plane) + 0.5, 0.0, 1.0))

    def label(self, number: int, patch: Patch) -> None:
        """Mark the voxels of a nodule."""
        for inner in range(patch.cover.shape[0]):
            index, rest = divmod(patch.corner[0] + inner - self.lead, self.per_slice)
            if rest or not 0 <= index < self.grid.shape[0]:
                continue
            rows, columns = patch.cover.shape[1:]
            part = self._labels[
                index, patch.corner[1] : patch.corner[1] + rows, patch.corner[2] : patch.corner[2] + columns
            ]
            part[patch.cover[inner] >= 0.5] = number

    def masks(self) -> TruthMasks:
        """Return the masks."""
        return TruthMasks(
            right_lung=self._masks["right"],
            left_lung=self._masks["left"],
            air=self._masks["air"],
            fluid=self._masks["fluid"],
            nodules=self._labels,
        )
