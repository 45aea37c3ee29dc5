"""The voxels that a reading was made from, kept until its documents are composed.

In: a Volume, or a Reading and the series behind it.  Out: a file, or the Volume again.
Never: something that must survive: where the file is gone, the images are decoded again.
"""

from __future__ import annotations

import io
import secrets
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from wetread.domain.reading import Reading
from wetread.domain.study import Opener, Series
from wetread.domain.volume import Volume
from wetread.imaging.volume import read_volume
from wetread.sealed import Seal, SealedWriter

Voxels = npt.NDArray[Any]


def write_voxels(path: Path, volume: Volume, seal: Seal | None = None) -> None:
    """Leave the voxels at ``path``, encrypted where there is a seal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    with io.FileIO(part, "w") as plain:
        file = SealedWriter(plain, seal) if seal else plain
        np.save(cast(IO[bytes], file), volume.voxels, allow_pickle=False)
        if isinstance(file, SealedWriter):
            file.finish()
    part.replace(path)


def find_volume(reading: Reading, series: Series, path: Path, opener: Opener | None = None) -> Volume | None:
    """Return the volume of a Reading from ``path`` or decoded again; None where nothing was read.

    Parameters
    ----------
    opener
        Opens the file where it may be encrypted; None: it is not, and is mapped instead of read.
    """
    if reading.grid is None:
        return None
    try:
        voxels = _load(path, opener)
    except (OSError, ValueError):
        voxels = None
    if voxels is None or voxels.shape != reading.grid.shape:
        volume, _ = read_volume(series)
        return volume
    return Volume(voxels=voxels, grid=reading.grid)


def _load(path: Path, opener: Opener | None) -> Voxels:
    if opener is None:
        return cast(Voxels, np.load(path, mmap_mode="r", allow_pickle=False))
    with opener(path) as file:
        return cast(Voxels, np.load(file, allow_pickle=False))
