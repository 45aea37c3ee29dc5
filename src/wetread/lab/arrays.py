"""Arrays in an ``.npz`` file made by anybody.

In: a path.  Out: names and shapes at once, arrays when they are asked for.
Never: a pickle (``allow_pickle`` stays off); more memory than the file can honestly fill.
"""

from __future__ import annotations

import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from wetread.archive import open_archive
from wetread.errors import InvalidSamples
from wetread.registry.files import ARCHIVE_ERRORS

Array = npt.NDArray[Any]

#: Unpacked to packed size in all: masks of zeros reach some hundred, whole data sets of images 3 to 20.
_MOST_RATIO = 200
#: Below this, unpacked, nothing is asked.
_HARMLESS_BYTES = 256 << 20
#: One array.
_LARGEST_BYTES = 8 << 30
_READ_HEADER = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayHeader:
    """What an array claims to be."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Arrays:
    """The arrays of one file, by name; the file stays open until ``close`` or the end of a ``with``.

    Raises
    ------
    InvalidSamples
        If it is no ``.npz`` file, holds Python objects (a pickle), or claims more than its size can
        honestly hold. No array is unpacked for that.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open = ExitStack()
        try:
            self._archive = self._open.enter_context(open_archive(path))
            members = [one for one in self._archive.infolist() if one.filename.endswith(".npy")]
            _check_size(members, path)
            #: By name, in the order of the file.
            self.headers = {one.filename[:-4]: _read_header(self._archive, one, path) for one in members}
        except ARCHIVE_ERRORS as error:
            raise InvalidSamples(
                "Not a readable .npz file: write it with numpy.savez", file=path.name
            ) from error
        if not self.headers:
            raise InvalidSamples("The file holds no arrays: write it with numpy.savez", file=path.name)

    def read(self, name: str) -> Array:
        """Return one array.

        Raises
        ------
        InvalidSamples
            If it is not there, or the file is damaged.
        """
        if name not in self.headers:
            raise InvalidSamples(f"There is no array {name!r} in the file", file=self.path.name)
        try:
            with self._archive.open(f"{name}.npy") as file:
                return np.asarray(npy.read_array(file, allow_pickle=False))
        except ARCHIVE_ERRORS as error:
            raise InvalidSamples(
                "The file is damaged: make it again", file=self.path.name, array=name
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_size(members: list[zipfile.ZipInfo], path: Path) -> None:
    unpacked = sum(one.file_size for one in members)
    largest = max((one.file_size for one in members), default=0)
    most = max(_HARMLESS_BYTES, _MOST_RATIO * path.stat().st_size)
    if unpacked > most or largest > _LARGEST_BYTES:
        raise InvalidSamples(
            "The file would unpack to far more than data of its size: it is not opened",
            file=path.name,
            unpacked_mb=unpacked >> 20,
        )


def _read_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> ArrayHeader:
    with archive.open(member) as file:
        shape, dtype = _parse_header(file)
        begin = file.tell()
    if dtype.hasobject:
        raise InvalidSamples(
            "The file holds Python objects, which run code when loaded: save plain numbers and texts",
            file=path.name,
            array=member.filename,
        )
    # Memory is taken for what the header claims, before the values are there.
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size != member.file_size - begin:
        raise InvalidSamples(
            "An array is not as large as it claims: make the file again",
            file=path.name,
            array=member.filename,
        )
    return ArrayHeader(shape=shape, dtype=dtype)


def _parse_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(file)
    if version not in _READ_HEADER:
        raise ValueError("an unknown version of the format")
    shape, _, dtype = _READ_HEADER[version](file)
    return shape, dtype
