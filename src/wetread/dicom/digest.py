"""The digest that tells whether two files hold the same object.

In: a Part 10 file.  Out: sha256 and size of its data set.
Never: preamble and meta header, which every node rewrites.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydicom.filereader import read_dataset, read_preamble

_PIECE = 1 << 20


def digest_data_set(path: Path) -> tuple[str, int]:
    """Return sha256 (hex) and length in bytes of the encoded data set.

    Raises
    ------
    OSError
        If the file cannot be read.
    pydicom.errors.InvalidDicomError
        If it has no preamble.
    """
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        read_preamble(file, force=False)
        # PS3.10 7.1: the meta header is always explicit VR little endian and ends where group 0002 ends.
        read_dataset(file, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2)
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size
