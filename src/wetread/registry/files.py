"""What lies in a package folder: plain files, and no pickles.

In: a folder.  Out: its files by name.
Never: a file that runs code when it is loaded; a link out of the folder; a pipe or device opened.

Loading a pickle runs what its writer wrote (CVE-2025-58756, CVE-2026-24747): weights come as ONNX,
safetensors or plain arrays. This is a guard against mistakes and careless packages. Who runs foreign
packages relies on signatures (``registry.signature``) and on processes apart (``infer.process``).
"""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from numpy.lib import format as npy

from wetread.archive import open_archive
from wetread.errors import InvalidPackage

# What Python and tools leave behind is no part of the package.
_NOT_PACKAGED = frozenset({"__pycache__", ".git", ".DS_Store"})
_MOST_FILES = 10_000
_PICKLES = frozenset({".pkl", ".pickle", ".p", ".joblib", ".dill", ".pt", ".pth", ".ckpt", ".mar"})
_HEAD_BYTES = 1 << 16
#: What a broken archive raises.
ARCHIVE_ERRORS = (
    ArithmeticError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def iter_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield name (relative, with slashes) and path of each file, sorted by name.

    Raises
    ------
    InvalidPackage
        If there is a link out of the folder or to a folder, something that is no plain file, or more
        files than a package has.
    """
    root = folder.resolve()
    paths = []
    for path in folder.rglob("*"):
        paths.append(path)
        if len(paths) > _MOST_FILES:
            raise InvalidPackage("The package has too many files", limit=_MOST_FILES)
    for path in sorted(paths, key=lambda one: one.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix()
        if _NOT_PACKAGED & set(path.relative_to(folder).parts):
            continue
        if path.is_symlink() and (path.is_dir() or not _leads_inside(path, root)):
            raise InvalidPackage("A file of the package lies outside its folder", file=name)
        if path.is_dir():
            continue
        if not path.is_file():
            raise InvalidPackage("The package holds something that is no plain file", file=name)
        yield name, path


def check_harmless(name: str, path: Path) -> None:
    """Refuse a file that would run code when it is loaded.

    Raises
    ------
    InvalidPackage
        If it is a pickle by name or content, an array of objects, or YAML that makes Python objects.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        is_pickle = path.suffix.lower() in _PICKLES or _is_pickle(head) or _has_objects(head)
    if head.startswith(b"PK\x03\x04"):
        is_pickle = is_pickle or _holds_pickle(name, path)
    if path.suffix.lower() in {".yaml", ".yml"} and b"!python" in head.replace(b"!!", b"!"):
        raise InvalidPackage("A YAML file of the package makes Python objects: write plain values", file=name)
    if is_pickle:
        raise InvalidPackage(
            "The package holds a pickle, which runs code when it is loaded: use ONNX or safetensors",
            file=name,
        )


def _leads_inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):
        return False


def _is_pickle(head: bytes) -> bool:
    # Protocol 4 and 5 begin a frame; 2 and 3 most often a global, a dict, a list, a tuple or an object.
    if head[:2] in {b"\x80\x04", b"\x80\x05"}:
        return head[2:3] == b"\x95"
    return head[:2] in {b"\x80\x02", b"\x80\x03"} and head[2:3] in b"c}](X\x8a"


def _has_objects(head: bytes) -> bool:
    if not head.startswith(npy.MAGIC_PREFIX):
        return False
    try:
        return _array_has_objects(io.BytesIO(head))
    except ValueError:
        return True


def _array_has_objects(file: IO[bytes]) -> bool:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return bool(read(file)[2].hasobject)


def _holds_pickle(name: str, path: Path) -> bool:
    try:
        with open_archive(path) as archive:
            return any(_is_pickle_member(archive, member) for member in archive.infolist())
    except ARCHIVE_ERRORS as error:
        raise InvalidPackage("An archive in the package cannot be read", file=name) from error


def _is_pickle_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    suffix = Path(member.filename).suffix.lower()
    if suffix in _PICKLES:
        return True
    if suffix != ".npy":
        return False
    with archive.open(member) as file:
        return _has_objects(file.read(_HEAD_BYTES))
