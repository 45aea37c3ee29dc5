"""What a backup consists of.

In: ``manifest.json``, written by us or by anybody.  Out: ``Manifest``.
Never: trust in a name before it was checked (``inside``) or in a file before its sha256 was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

from wetread.errors import StorageError
from wetread.store.inside import Inside

FORMAT = 1
NAME = "manifest.json"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of a backup."""

    sha256: str
    size: int
    #: Of the file it was copied from: an unchanged one is not copied again.
    mtime_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that belongs to a backup."""

    #: Version of Wetread that made it, and its schema.
    wetread: str
    revision: str
    #: ISO 8601.
    made_at: str
    #: Table -> name of its file.
    tables: Mapping[str, str]
    files: Mapping[str, FileEntry]
    #: Files that the index knew and that were gone already when the backup was made.
    missing: tuple[str, ...] = ()
    format: int = field(default=FORMAT)


def read_manifest(folder: Inside) -> Manifest:
    """Read the manifest of a backup.

    Raises
    ------
    StorageError
        If there is none or it is not one of ours.
    """
    try:
        with folder.open(NAME) as file:
            value = json.loads(file.read())
        return _parse(value)
    except FileNotFoundError as error:
        raise StorageError(
            "There is no backup here, or none that was finished.", folder=folder.root
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise StorageError("The manifest of the backup is damaged.", folder=folder.root) from error


def write_manifest(folder: Inside, manifest: Manifest) -> None:
    """Write the manifest: from then on the backup is what it says."""
    with folder.write(NAME) as file:
        file.write(json.dumps(asdict(manifest), indent=1).encode())


def copy_hashed(source: BinaryIO, target: BinaryIO | None) -> tuple[str, int]:
    """Copy a file, or with None only read it; returns sha256 and size in bytes."""
    digest, size = hashlib.sha256(), 0
    while data := source.read(_CHUNK):
        digest.update(data)
        size += len(data)
        if target is not None:
            target.write(data)
    return digest.hexdigest(), size


def find_damage(folder: Inside, manifest: Manifest) -> list[str]:
    """Return what is wrong with the files of a backup, one sentence each."""
    damage = []
    for name, entry in manifest.files.items():
        try:
            with folder.open(name) as file:
                found = copy_hashed(file, None)
        except FileNotFoundError:
            damage.append(f"{name} is gone.")
            continue
        if found != (entry.sha256, entry.size):
            damage.append(f"{name} was changed or is damaged.")
    return damage


def _parse(value: dict[str, Any]) -> Manifest:
    if value["format"] != FORMAT:
        raise StorageError("A newer version of Wetread made this backup: restore it with that version.")
    files = {str(name): FileEntry(**entry) for name, entry in value["files"].items()}
    tables = {str(table): str(name) for table, name in value["tables"].items()}
    if not set(tables.values()) <= set(files):
        raise ValueError("a table has no file")
    return Manifest(
        wetread=str(value["wetread"]),
        revision=str(value["revision"]),
        made_at=str(value["made_at"]),
        tables=tables,
        files=files,
        missing=tuple(str(one) for one in value["missing"]),
    )
