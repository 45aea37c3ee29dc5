"""Files inside of one folder: whatever a name or a link says, nothing outside is touched.

In: a folder, names of a known form.  Out: files opened, written, removed.
Never: a link followed; a name with dots, a root or a form that is not expected.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wetread.errors import StorageError

_NAME = re.compile(
    r"(?:instances|conflicts|readings|documents|shadows)/[0-9a-f]{2}/[0-9a-f]{64}(?:\.dcm|\.zip)?"
    r"|tables/[0-9a-f]{16}-[a-z_]{1,40}\.jsonl"
    r"|manifest\.json|audit\.key|encryption\.json"
)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Inside:
    """A folder whose files are reached by name, one folder at a time."""

    root: Path

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading.

        Raises
        ------
        StorageError
            If the name is not of a known form, or a link or no ordinary file lies there.
        FileNotFoundError
            If there is none.
        """
        with self._folder(name, make=False) as (folder, last):
            try:
                descriptor = os.open(last, os.O_RDONLY | _FILE, dir_fd=folder)
            except FileNotFoundError:
                raise
            except OSError as error:
                raise StorageError("A file cannot be opened, or is a link.", file=name) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise StorageError("This is no ordinary file.", file=name)
        return os.fdopen(descriptor, "rb")

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        """Yield a new file that takes its place, synced, when it is whole; only its owner can read it."""
        with self._folder(name, make=True) as (folder, last):
            part = f".{secrets.token_hex(8)}.part"
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o600, dir_fd=folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(part, last, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(part, dir_fd=folder)

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""
        with suppress(FileNotFoundError), self._folder(name, make=False) as (folder, last):
            os.unlink(last, dir_fd=folder)

    def iter_names(self) -> Iterator[str]:
        """Yield the names of known form that lie here, through real folders only."""
        for folder, folders, files in os.walk(self.root, followlinks=False):
            folders[:] = [one for one in folders if not (Path(folder) / one).is_symlink()]
            for file in files:
                name = str((Path(folder) / file).relative_to(self.root))
                if _NAME.fullmatch(name):
                    yield name

    @contextmanager
    def _folder(self, name: str, *, make: bool) -> Iterator[tuple[int, str]]:
        if not _NAME.fullmatch(name):
            raise StorageError("This name has no place here.", file=name[:100])
        *folders, last = name.split("/")
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for one in folders:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(one, 0o700, dir_fd=descriptor)
                        os.fsync(descriptor)
                try:
                    inner = os.open(one, _FOLDER, dir_fd=descriptor)
                except FileNotFoundError:
                    raise
                except OSError as error:
                    raise StorageError("A folder is a link or no folder.", file=name) from error
                os.close(descriptor)
                descriptor = inner
            yield descriptor, last
        finally:
            os.close(descriptor)
