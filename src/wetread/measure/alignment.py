"""A registration as a Reading keeps it, and back.

In: a ``Registration``.  Out: whole numbers and short ones; from them the same map, to a micrometre.
Never: a map that was not measured.
"""

from __future__ import annotations

import numpy as np

from wetread.domain.comparison import Alignment, Bending
from wetread.domain.volume import FloatArray, Triple
from wetread.measure.registration import Warp

_UM = 1000.0


def keep_alignment(warp: Warp) -> Alignment:
    """Return a map as a Reading keeps it."""
    planes, rows, columns = warp.bend.shape[:3]
    matrix = [_triple(row, 9) for row in warp.matrix]
    return Alignment(
        matrix=(matrix[0], matrix[1], matrix[2]),
        shift_mm=_triple(warp.shift, 6),
        bending=Bending(
            shape=(int(planes), int(rows), int(columns)),
            origin_lps_mm=warp.bend_origin_lps_mm,
            spacing_mm=warp.bend_spacing_mm,
            displacements_um=tuple(np.rint(warp.bend.ravel() * _UM).astype(int).tolist()),
        ),
    )


def open_alignment(kept: Alignment) -> Warp:
    """Return the map that was kept."""
    bending = kept.bending
    bend = np.array(bending.displacements_um, dtype=np.float32) / np.float32(_UM)
    return Warp(
        matrix=np.array(kept.matrix),
        shift=np.array(kept.shift_mm),
        bend=bend.reshape(*bending.shape, 3),
        bend_origin_lps_mm=bending.origin_lps_mm,
        bend_spacing_mm=bending.spacing_mm,
    )


def _triple(values: FloatArray, decimals: int) -> Triple:
    x, y, z = (round(float(one), decimals) for one in values)
    return x, y, z
