"""One side of the thorax, cut out for the search for free air.

In: block means of an upright CT, its thorax.  Out: ``Cavity``.  Never: what is free air and what is lung.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wetread.domain.mask import BoolArray
from wetread.domain.volume import Triple
from wetread.measure.coarse import Coarse, Float32Array, bring_to, find_window
from wetread.measure.thorax import TISSUE_HU, Thorax

#: Above the density of air by less than this, HU, a block may be air.
AIR_BAND_HU = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cavity:
    """One side of the thorax, cut out of the blocks."""

    #: HU of the blocks.
    hu: Float32Array
    #: Lung and free air, with what runs through them.
    filled: BoolArray
    #: The same without what is denser than lung.
    air: BoolArray
    spacing_mm: Triple
    air_hu: float
    lung_hu: float

    @property
    def voxel_ml(self) -> float:
        """Volume of one block, ml."""
        return float(np.prod(self.spacing_mm)) / 1000.0


def cut_cavity(
    blocks: Coarse, coarse: Coarse, thorax: Thorax, side: int
) -> tuple[Cavity, tuple[slice, slice, slice]] | None:
    """Cut one side out of the blocks; None where it has no lung."""
    if not (thorax.sides == side).any():
        return None
    window = find_window(thorax.closed == side, coarse, blocks)
    filled = bring_to(thorax.closed == side, coarse, blocks, window)
    hu = blocks.voxels[window]
    air = filled & (hu < TISSUE_HU)
    cavity = Cavity(
        hu=hu,
        filled=filled,
        air=air,
        spacing_mm=blocks.spacing_mm,
        air_hu=thorax.air_hu,
        lung_hu=measure_lung_hu(coarse, thorax),
    )
    return cavity, window


def measure_lung_hu(coarse: Coarse, thorax: Thorax) -> float:
    """Median of lung on either side, free air left out."""
    values = coarse.voxels[(thorax.sides > 0) & (coarse.voxels > thorax.air_hu + AIR_BAND_HU)]
    return float(np.median(values)) if values.size else -850.0
