"""Bytes on disk, durably.

In: bytes or a file already in our folder, and a key.  Out: the same bytes, by key or path.
Never: a path built from what a sender chose; success before file and folder are synced; whoever reads
knowing whether a file is encrypted (``store.cipher`` does).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from wetread.errors import DamagedFile, StorageError
from wetread.sealed import Seal, SealedWriter, SealError
from wetread.store.cipher import Vault


@dataclass(frozen=True, slots=True)
class Blobs:
    """A folder of files, each found by the sha256 of its key."""

    root: Path
    vault: Vault
    suffix: str = ""
    #: Folders whose names are known to be on the disk. Being there is not enough: another thread, or a
    #: process that was killed, may have made one and not synced it.
    _durable: set[Path] = field(default_factory=set, repr=False, compare=False)

    def path(self, key: str) -> Path:
        """Return where the blob of this key lies or would lie."""
        name = self.name(key)
        return self.root / name[:2] / name

    def name(self, key: str) -> str:
        """Return the name of this key's file."""
        return f"{_digest(key)}{self.suffix}"

    def make_folders(self) -> None:
        """Make all folders ahead."""
        try:
            folders = [self.root / f"{number:02x}" for number in range(256)]
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self.root)
            self._durable.update(folders)
        except OSError as error:
            raise storage_error(error) from error

    def has(self, key: str) -> bool:
        """Tell whether there is a blob of this key."""
        return self.path(key).exists()

    def open(self, key: str) -> BinaryIO:
        """Open a blob for reading, wherever in it.

        Raises
        ------
        OSError
            If there is none, or it was damaged (``SealError``).
        """
        return self.vault.open(self.path(key))

    def read(self, key: str) -> bytes:
        """Return a whole blob.

        Raises
        ------
        FileNotFoundError
            If there is none.
        DamagedFile
            If it is encrypted and was damaged or changed.
        """
        try:
            with self.open(key) as file:
                return file.read()
        except SealError as error:
            raise DamagedFile(reason=error.strerror) from error

    def remove(self, key: str) -> None:
        """Remove a blob, if there is one; nobody who encrypts it anew brings it back."""
        try:
            remove_file(self.path(key))
        except OSError as error:
            raise storage_error(error) from error

    def write(self, key: str, data: bytes) -> Path:
        """Write bytes under a key and sync; the same key again replaces them whole.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        path = self.path(key)
        try:
            self._make_folder(path.parent)
            temporary = path.with_name(f".{secrets.token_hex(8)}.part")
            write_file(temporary, [data], self.vault.seal(path))
            try:
                temporary.replace(path)
            finally:
                # Where it did not become the blob: nothing half stays.
                temporary.unlink(missing_ok=True)
            sync_folder(path.parent)
        except OSError as error:
            raise storage_error(error) from error
        return path

    def take(self, key: str, source: Path) -> Path:
        """Move a file of the same file system to its place, synced, without replacing another.

        Raises
        ------
        FileExistsError
            If there is a file under this key; ``source`` stays where it is.
        StorageError
            If the disk refuses.
        """
        path = self.place(key, source)
        try:
            sync_folder(path.parent)
        except OSError as error:
            raise storage_error(error) from error
        return path

    def place(self, key: str, source: Path) -> Path:
        """Move a file to its place as ``take`` does, but leave it to the caller to sync the place's folder.

        Raises
        ------
        FileExistsError, StorageError
            As ``take``.
        """
        path = self.path(key)
        try:
            self._make_folder(path.parent)
            self.vault.rename(source, path)
            sync_file(source)
            # link + unlink and not rename: rename would silently replace.
            os.link(source, path)
            source.unlink()
        except FileExistsError:
            raise
        except OSError as error:
            raise storage_error(error) from error
        return path

    def iter_paths(self) -> Iterator[Path]:
        """Yield every whole file."""
        yield from self.root.glob(f"??/[!.]*{self.suffix}")

    def list_names(self) -> set[str]:
        """Return the names of all whole files: quicker than their paths."""
        folders = [folder for folder in os.scandir(self.root) if folder.is_dir() and len(folder.name) == 2]
        return {
            name
            for folder in folders
            for name in os.listdir(folder)  # noqa: PTH208 - the names, and quickly
            if name.endswith(self.suffix) and not name.startswith(".")
        }

    def find(self, name: str) -> Path:
        """Return where the file of a name lies or would lie."""
        return self.root / name[:2] / name

    def _make_folder(self, folder: Path) -> None:
        if folder not in self._durable:
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self.root)
            self._durable.add(folder)


@lru_cache(maxsize=256)
def _digest(key: str) -> str:
    # Whoever stores an image asks some times where it goes.
    return hashlib.sha256(key.encode()).hexdigest()


def remove_file(path: Path) -> None:
    """Remove a blob's file, if there is one; nobody who encrypts it anew brings it back."""
    with contextlib.suppress(FileNotFoundError), io.FileIO(path) as file:
        # Who puts an encrypted copy in its place (``rotation``) holds this lock as well.
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        path.unlink()


def write_file(path: Path, pieces: Iterable[bytes], seal: Seal | None) -> None:
    """Write a new file, encrypted where there is a seal, and sync it; what fails leaves none."""
    try:
        with io.FileIO(path, "xb") as raw:
            file = SealedWriter(raw, seal) if seal else raw
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[file.write(rest) or 0 :]
            if isinstance(file, SealedWriter):
                file.finish()
            os.fsync(raw.fileno())
    except FileExistsError:
        raise
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def sync_file(path: Path) -> None:
    """Force a file's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Force a folder's entries to the disk."""
    sync_file(path)


def storage_error(error: OSError) -> StorageError:
    """Return our error for one of the operating system's."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError("The disk is full: free space or enlarge it.", errno=error.errno)
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        message = "The data folder cannot be written: mount it for writing, and let this user write to it."
        return StorageError(message, errno=error.errno)
    return StorageError(errno=error.errno, reason=os.strerror(error.errno or 0))
