"""Zip archives made by anybody.

In: a path.  Out: an open archive, or its files in a folder.
Never: a list of members that is larger than any real archive's; a file outside of the folder, a link.

Reading the list of a million members costs some hundred megabytes before the first one is looked at.
"""

from __future__ import annotations

import io
import shutil
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

#: Of the central directory: some 60 000 members with long names.
DIRECTORY_LIMIT_BYTES = 8 << 20
_PIECE_BYTES = 1 << 20
_ENCRYPTED = 0x1


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


def unpack_archive(path: Path, folder: Path, *, most_files: int, most_bytes: int) -> None:
    """Write the files of a zip archive into a folder.

    Every name is looked at before the first byte is written. What members say of their size is not believed.

    Raises
    ------
    zipfile.BadZipFile
        If it is none; a name leads out of the folder, comes twice or is a link; it is encrypted; or it holds
        more than the limits.
    OSError
        If it cannot be read or written.
    """
    with open_archive(path) as archive:
        members = [one for one in archive.infolist() if not one.is_dir()]
        if len(members) > most_files:
            raise zipfile.BadZipFile(f"It holds more than {most_files} files")
        places = [_place(one) for one in members]
        if len({str(one).casefold() for one in places}) < len(places):
            raise zipfile.BadZipFile("A name comes twice")
        left = most_bytes
        for member, place in zip(members, places, strict=True):
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            left -= _write_member(archive, member, target, left)


def _place(member: zipfile.ZipInfo) -> PurePosixPath:
    name, mode = member.filename, member.external_attr >> 16
    place = PurePosixPath(name)
    is_plain = stat.S_IFMT(mode) in (0, stat.S_IFREG)
    leads_out = place.is_absolute() or ".." in place.parts or "\\" in name or ":" in name
    if leads_out or not place.parts or not name.isprintable() or len(name) > 512:
        raise zipfile.BadZipFile("A name leads out of the folder, or is none")
    if not is_plain or member.flag_bits & _ENCRYPTED:
        raise zipfile.BadZipFile("It holds a link, something that is no plain file, or is encrypted")
    return place


def _write_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, limit: int) -> int:
    if member.file_size > limit:
        raise zipfile.BadZipFile("It holds more bytes than are taken")
    with archive.open(member) as source, target.open("xb") as sink:
        # Beyond the size it names, zipfile gives nothing: a member cannot be larger than it said.
        shutil.copyfileobj(source, sink, _PIECE_BYTES)
        return sink.tell()
