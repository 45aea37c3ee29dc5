"""The digest that tells whether two files hold the same object.

In: a DICOM file.  Out: sha256 and size of its data set.
Never: preamble and meta header, which every node rewrites.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from wetread.dicom.part10 import read_meta
from wetread.domain.study import Opener, open_plain

_PIECE = 1 << 20


def digest_data_set(path: Path, opener: Opener = open_plain) -> tuple[str, int]:
    """Return sha256 (hex) and length in bytes of the encoded data set.

    Raises
    ------
    OSError
        If the file cannot be read.
    UnreadableInstance
        If it is no DICOM.
    """
    digest = hashlib.sha256()
    size = 0
    with opener(path) as file:
        read_meta(file)
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size
