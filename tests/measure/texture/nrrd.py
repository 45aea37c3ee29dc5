"""The few NRRD files of the shared data, read for the tests."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

_TYPES = {"short": "<i2", "int": "<i4", "unsigned short": "<u2"}


def read_nrrd(path: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Return voxels (planes, rows, columns) and their spacing."""
    head, _, body = path.read_bytes().partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in head.decode("ascii").split("\n") if ": " in line)
    assert fields["encoding"] == "gzip"
    shape = tuple(int(one) for one in fields["sizes"].split())[::-1]
    voxels = np.frombuffer(gzip.decompress(body), _TYPES[fields["type"]]).reshape(shape)
    vectors = [
        [float(one) for one in text.strip("()").split(",")] for text in fields["space directions"].split()
    ]
    planes, rows, columns = (float(np.linalg.norm(one)) for one in reversed(vectors))
    return voxels, (planes, rows, columns)
