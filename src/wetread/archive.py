"""Zip archives made by anybody.

In: a path.  Out: an open archive.  Never: a list of members that is larger than any real archive's.

Reading the list of a million members costs some hundred megabytes before the first one is looked at.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Of the central directory: some 60 000 members with long names.
DIRECTORY_LIMIT_BYTES = 8 << 20


class _ShortReads(io.BufferedReader):
    """A file that refuses to be read in large pieces: only the list of members is asked for at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read; raises BadZipFile where more is asked for than a list of members may have."""
        wanted = DIRECTORY_LIMIT_BYTES + 1 if size is None or size < 0 else size
        if wanted <= DIRECTORY_LIMIT_BYTES:
            return super().read(wanted)
        data = super().read(DIRECTORY_LIMIT_BYTES + 1)
        if len(data) > DIRECTORY_LIMIT_BYTES:
            raise zipfile.BadZipFile("The list of members is too long")
        return data


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive for reading.

    Raises
    ------
    zipfile.BadZipFile
        If it is none, or its list of members is longer than ``DIRECTORY_LIMIT_BYTES``.
    OSError
        If it cannot be read.
    """
    with _ShortReads(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
        yield archive
