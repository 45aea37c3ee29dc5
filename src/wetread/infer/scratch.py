"""The voxels that a reading was made from, kept until its documents are composed.

In: a Volume, or a Reading and the series behind it.  Out: a file, or the Volume again.
Never: something that must survive: where the file is gone, the images are decoded again.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import numpy as np

from wetread.domain.reading import Reading
from wetread.domain.study import Series
from wetread.domain.volume import Volume
from wetread.imaging.volume import read_volume


def write_voxels(path: Path, volume: Volume) -> None:
    """Leave the voxels at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    with part.open("wb") as file:
        np.save(file, volume.voxels, allow_pickle=False)
    part.replace(path)


def find_volume(reading: Reading, series: Series, path: Path) -> Volume | None:
    """Return the volume of a Reading, mapped from ``path`` or decoded again; None where nothing was read."""
    if reading.grid is None:
        return None
    try:
        voxels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        voxels = None
    if voxels is None or voxels.shape != reading.grid.shape:
        volume, _ = read_volume(series)
        return volume
    return Volume(voxels=voxels, grid=reading.grid)
