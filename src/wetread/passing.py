"""Files in passing: for a library or a process that wants a file, without one on the disk.

In: bytes.  Out: a descriptor, and a path that is good while it is open.
Never: patient data in a folder, where a crash would leave it and encryption not reach it.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_passing(data: bytes = b"") -> Iterator[int]:
    """Open a file in memory; yields its descriptor, the file is gone at the end."""
    descriptor = _make()
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        yield descriptor
    finally:
        os.close(descriptor)


def read_passing(descriptor: int, limit: int) -> bytes:
    """Return everything that was written to it, by whomever.

    Raises
    ------
    ValueError
        If it is longer than ``limit`` bytes.
    """
    if os.fstat(descriptor).st_size > limit:
        raise ValueError("a file in passing is too long")
    with io.FileIO(os.dup(descriptor)) as file:
        file.seek(0)
        return file.read(limit)


def passing_path(descriptor: int) -> Path:
    """Return a path by which this process can open it."""
    return Path(f"/dev/fd/{descriptor}")


def _make() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("wetread")
    # Not Linux: a file without a name is the next best.
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
